"""`hepaa simulate`: options, one line of results, and one line for what cannot be."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from hepaa.cli import main

if TYPE_CHECKING:
    from pathlib import Path


def run(*words: object):
    return CliRunner().invoke(main, ["simulate", *map(str, words)])


def test_a_summary_says_what_was_kept_and_the_cross_section(tmp_path: Path) -> None:
    pytest.importorskip("pythia8mc")
    command = ("wprime", "--events", 2, "--masses", 3000, 400, 80, "--output", tmp_path / "w", "--features-only")
    done = run(*command)
    assert done.exit_code == 0, done.output
    assert "2 events kept" in done.output
    assert " pb after selection" in done.output
    assert sorted(p.name for p in (tmp_path / "w").iterdir()) == [".hepaa.json", "features.parquet", "summary.json"]
    again = run(*command)
    assert again.exit_code == 2
    assert "exists already" in again.output


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["dijets", "--tune", "monach"], "did you mean 'monash'"),
        (["dijets", "--detector", "cms"], "there is no detector 'cms'"),
        (["dijets", "--jet-pt-min", "-1"], "has to be above 0 GeV"),
        (["svj", "--r-inv", "2"], "from 0 to 1, not 2"),
        (["zh", "--jobs", "2", "--executor", "serial"], "either --jobs or --executor"),
        (["dijets", "--events", "0"], "0 is not in the range"),
    ],
)
def test_what_cannot_be_is_one_line(words: list[str], message: str, tmp_path: Path) -> None:
    done = run(*words, "--output", tmp_path / "x")
    assert done.exit_code == 2
    assert message in done.output
    assert not (tmp_path / "x").exists()


def test_every_command_has_an_example() -> None:
    for name in main.commands["simulate"].commands:  # type: ignore[attr-defined]
        assert f"Example: hepaa simulate {name}" in run(name, "--help").output
