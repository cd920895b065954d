"""What fails after a training is told at the end with exit code 3, and takes nothing else with it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from helpers.dijets import content, table

from hepaa.card import parse_card
from hepaa.cli import main
from hepaa.detectors import SumOfSquares
from hepaa.errors import IncompleteError, InputError
from hepaa.progress import Silent
from hepaa.report import figures
from hepaa.run import pipeline, workspaces
from hepaa.run.steps import Steps
from hepaa.table import EventTable

NAMES = ("m<500", "m>500", "never")


@pytest.fixture
def toy(tmp_path, monkeypatch):
    """A card of three detectors, of which the last gives NaN; few figures are drawn."""
    monkeypatch.setattr(figures, "OF_A_RUN", ("score",))
    right = SumOfSquares._score
    monkeypatch.setattr(SumOfSquares, "_score", lambda d, x: right(d, x) * (np.nan if d.contamination == 0.3 else 1))
    entries = [{"name": n, "detector": "SumOfSquares", "options": {"contamination": c}}
               for n, c in zip(NAMES, (0.1, 0.2, 0.3), strict=True)]  # fmt: skip
    return parse_card(content(tmp_path) | {"detectors": entries}, source=Path("c.yaml"))


def broken(*_, **__):
    raise ZeroDivisionError("no luck")


def test_a_step_that_fails_leaves_the_rest(toy, monkeypatch):
    score = figures.FIGURES["score"]
    monkeypatch.setitem(
        figures.FIGURES, "score", lambda run, look: broken() if run.detectors == ["m<500"] else score(run, look)
    )
    validate = workspaces.fit.validate
    monkeypatch.setattr(workspaces.fit, "validate", lambda s: broken() if "m>500" in str(s) else validate(s))
    with pytest.raises(IncompleteError, match=r"out: all is there but the scores of never \(.*NaN.*, and 2 more; see"):
        pipeline.run(toy, reader=lambda *_: table())
    out = Path(toy.output)
    results = json.loads((out / "results.json").read_text())
    assert list(results["detectors"]) == ["m<500", "m>500"]
    assert {"score_m<500", "score_m>500"} <= set(EventTable.load(out / "scores.parquet").spectators)
    assert {p.name for p in (out / "figures").iterdir()} == {"score-m-500-2.pdf", "score-m-500-2.png"}
    assert {p.name for p in (out / "workspaces").iterdir()} == {"m-500"}
    listed = (out / "failures.txt").read_text()
    for step in ("the scores of never", "the figure score of m<500", "the workspace of m>500 for X"):
        assert step in listed
    assert "ZeroDivisionError: no luck" in listed


def test_a_run_of_which_no_training_succeeds_is_that_error(toy, monkeypatch):
    monkeypatch.setattr(SumOfSquares, "_fit", broken)
    with pytest.raises(ZeroDivisionError):
        pipeline.run(toy, reader=lambda *_: table())
    assert not Path(toy.output).exists()


@pytest.mark.slow
def test_the_command_prints_what_is_there_and_ends_with_3(toy, monkeypatch, tmp_path):
    run = pipeline.run
    monkeypatch.setattr(figures, "OF_A_RUN", ())
    monkeypatch.setattr(pipeline, "run", lambda card, **_: run(card, reader=lambda *_: table()))
    (tmp_path / "card.yaml").write_text(toy.changed(workspace={"write": False}).to_yaml())
    outcome = CliRunner().invoke(main, ["run", str(tmp_path / "card.yaml")])
    assert outcome.exit_code == 3
    assert "m<500" in outcome.output
    assert "all is there but the scores of never" in outcome.output
    outcome = CliRunner().invoke(main, ["run", str(tmp_path / "card.yaml"), "--seed", str(2**32)])
    assert (outcome.exit_code, "seed: " in outcome.output) == (2, True)


def test_numbers_that_are_none_become_null_and_are_told():
    steps = Steps(Silent())
    content = {"a": [1.0, float("nan")], "b": {"c": float("inf"), "d": None, "e": "nan"}, "f": (True, 2)}
    assert steps.without_nan(content, "r") == {
        "a": [1.0, None],
        "b": {"c": None, "d": None, "e": "nan"},
        "f": [True, 2],
    }
    assert list(steps.failed) == ["r: a: 1", "r: b: c"]


def test_few_signal_events_give_numbers_or_null(tmp_path, monkeypatch):
    monkeypatch.setattr(figures, "OF_A_RUN", ())
    card = parse_card(content(tmp_path) | {"split": {"salt": "2"}}, source=Path("c.yaml"))
    out = pipeline.run(card, reader=lambda *_: table(n_signal=3))  # one in each part
    results = json.loads((out / "results.json").read_text(), parse_constant=pytest.fail)
    assert results["parts"]["test"]["signal"] == 1
    assert not (out / "failures.txt").exists()
    with pytest.raises(InputError, match="has no sum of weights for 'X'"):
        pipeline.run(card, reader=lambda *_: table(n_signal=1), overwrite=True)


def test_a_model_that_cannot_be_written_is_not_trained(tmp_path, monkeypatch):
    monkeypatch.setattr(SumOfSquares, "fit", lambda *_: pytest.fail("trained"))
    table().save(tmp_path / "t.parquet")
    for detector, output, message in (
        ("SumOfSquares", "none/m.safetensors", "the folder .* does not exist"),
        ("SumOfSquares", "m.txt", "ends in .safetensors"),
        ("IsolationForest", "m.safetensors", "cannot be saved"),
        ("VAE", "m.safetensors", "epochs is 0"),
    ):
        words = ["train", str(tmp_path / "t.parquet"), "--detector", detector, "--output", str(tmp_path / output)]
        options = ["--option", "epochs=0"] if detector == "VAE" else []
        outcome = CliRunner().invoke(main, [*words, *options])
        assert outcome.exit_code == 2
        assert re.search(message, outcome.output), outcome.output
