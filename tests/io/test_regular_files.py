"""What is no regular file is refused before it is opened, whichever command it is given to."""

from __future__ import annotations

import os
import signal
import socket

import pytest
from click.testing import CliRunner

from hepaa.cli import main
from hepaa.errors import InputError
from hepaa.io.files import regular_file

COMMANDS = [
    "info {}",
    "convert {} out.root",
    "features {} --set zh-paper -o out.parquet",
    "features *.lhe --set zh-paper -o out.parquet",
    "card {}",
    "run {}",
    "run card.yaml",
    "split {} --fraction a=1 -o parts",
    "train {} --detector VAE -o model.safetensors",
    "score pipe.safetensors table.parquet -o scores.parquet",
    "hist {} --validation {} --score AA --luminosity-fb 300 -o out",
    "batch plan {} --work work --set zh-paper",
    "batch plan pipe.json --work work --set zh-paper",
    "compare results",
    "report results",
]
CARD = """
name: x
output: out
luminosity_fb: 300
samples:
  - {process: a, role: background, generator: x, files: [pipe.lhe], cross_section_pb: 1}
  - {process: b, role: signal, generator: x, files: [other.lhe], cross_section_pb: 1}
features: {set: zh-paper}
detectors: [{name: AA, detector: aa-zh}]
"""


@pytest.fixture
def no_waiting():
    """A test that waits for the other end of a FIFO fails."""
    before = signal.signal(signal.SIGALRM, lambda *_: pytest.fail("it waits"))
    signal.alarm(60)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("words", COMMANDS)
def test_no_command_waits_for_a_fifo(tmp_path, monkeypatch, no_waiting, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "results").mkdir()
    for name in ("pipe.lhe", "other.lhe", "pipe.safetensors", "pipe.json", "results/results.json"):
        os.mkfifo(name)
    (tmp_path / "card.yaml").write_text(CARD)
    outcome = CliRunner().invoke(main, words.replace("{}", "pipe.lhe").split())
    assert outcome.exit_code == 2, outcome.stderr
    (line,) = outcome.stderr.splitlines()
    assert "a FIFO and no regular file" in line or words == "report results"


def test_sockets_and_devices_are_no_files_either(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("s.lhe")
        for name, form in (("s.lhe", "a socket"), ("/dev/zero", "a device"), ("/dev/null", "a device")):
            outcome = CliRunner().invoke(main, ["info", name])
            assert (outcome.exit_code, f"{name} is {form} and no regular file" in outcome.stderr) == (2, True)


def test_what_is_missing_is_left_to_who_opens_it(tmp_path):
    assert regular_file(tmp_path / "nothing") == tmp_path / "nothing"
    assert regular_file(f"{tmp_path}/\0") is not None
    with pytest.raises(InputError, match="is a folder and no regular file"):
        regular_file(tmp_path)
