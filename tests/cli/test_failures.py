"""Whatever fails, a user reads one line and gets an exit code; the traceback is for who asks."""

import errno
import os
import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

import hepaa.card
from hepaa.cli import main
from hepaa.demo import path as demo_path
from hepaa.errors import IncompleteError, InputError


def fails(monkeypatch, failure, *words):
    def raising(*_):
        raise failure

    monkeypatch.setattr(hepaa.card, "load_card", raising)
    return CliRunner().invoke(main, [*words])


@pytest.mark.parametrize(
    ("failure", "code", "expected"),
    [
        (InputError("x.lhe: two\nlines"), 2, ["x.lhe: two lines"]),
        (IncompleteError("events are missing"), 3, ["events are missing"]),
        (OSError(errno.ENOSPC, "No space left on device", "out/a"), 2, ["out/a: No space left", "make room"]),
        (PermissionError(errno.EACCES, "Permission denied", "/x"), 2, ["/x: Permission denied", "right"]),
        (OSError(errno.EROFS, "Read-only file system", "/x"), 2, ["/x: Read-only", "another place"]),
        (OSError("Unable to open file"), 2, ["Unable to open file"]),
        (MemoryError("Unable to allocate 8 TiB"), 2, ["not enough memory", "8 TiB", "fewer events"]),
        (KeyError("mjj"), 2, ["defect of hepaa", "KeyError ('mjj')", "--debug"]),
        (RecursionError(), 2, ["defect of hepaa", "RecursionError", "--debug"]),
        (ValueError("9\n" * 5000), 2, ["defect of hepaa", "..."]),
    ],
)
def test_a_failure_is_one_line(monkeypatch, failure, code, expected):
    outcome = fails(monkeypatch, failure, "card", "x.yaml")
    assert (outcome.exit_code, outcome.stdout) == (code, "")
    (line,) = outcome.stderr.splitlines()
    assert line.startswith("hepaa: ")
    assert len(line) < 600
    for words in expected:
        assert words in line
    assert isinstance(outcome.exception, SystemExit)


@pytest.mark.parametrize("words", [["--debug", "card", "x.yaml"], ["card", "x.yaml", "--debug"]])
@pytest.mark.parametrize("failure", [KeyError("mjj"), InputError("x.yaml: no such file")])
def test_debug_shows_the_traceback_and_the_line(monkeypatch, failure, words):
    outcome = fails(monkeypatch, failure, *words)
    assert outcome.exit_code == 2
    assert outcome.stderr.startswith("Traceback")
    assert "in raising" in outcome.stderr
    assert outcome.stderr.splitlines()[-1].startswith("hepaa: ")
    assert "Traceback" not in fails(monkeypatch, failure, "card", "x.yaml").stderr


def commands(group):
    for command in group.commands.values():
        yield from commands(command) if isinstance(command, click.Group) else [command]


def test_every_command_takes_debug():
    for command in commands(main):
        assert [option.opts for option in command.params].count(["--debug"]) == 1, command.name


def test_click_words_its_own_mistakes():
    outcome = CliRunner().invoke(main, ["card"])
    assert outcome.exit_code == 2
    assert "Missing argument" in outcome.stderr
    assert "defect" not in outcome.stderr
    assert CliRunner().invoke(main, ["--help"]).exit_code == 0


def test_names_and_disks_that_refuse(tmp_path):
    for words, expected in (
        (["init", "zh", "-o", str(tmp_path / ("a" * 400))], "name too long"),
        (["init", "zh", "-o", str(tmp_path / "none" / "a.yaml")], "make it first"),
        (["card", str(tmp_path / ("a" * 400))], "name too long"),
        (["card", str(tmp_path)], "no regular file"),
    ):
        outcome = CliRunner().invoke(main, words)
        assert outcome.exit_code == 2
        (line,) = outcome.stderr.splitlines()
        assert expected in line
        assert "defect" not in line
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs Linux's /dev/full")  # noqa: PTH110
def test_a_full_disk_behind_the_standard_output():
    with open("/dev/full", "w") as full:  # noqa: PTH123
        command = [sys.executable, "-m", "hepaa", "card", "--show", str(demo_path("zh.yaml"))]
        outcome = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert outcome.returncode != 0
    assert outcome.stderr.splitlines()[0].startswith("hepaa: No space left")
    assert "Traceback" not in outcome.stderr
