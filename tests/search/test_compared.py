"""The comparison of two samples that a card asks for: blind, recorded, and without a number if it does not close."""

from __future__ import annotations

import json

import pytest
import yaml
from helpers.search_cards import demo_rows, write_rows

from hepaa.card import load_card
from hepaa.errors import InputError
from hepaa.search import compared, pipeline
from hepaa.search.two_sample.result import TwoSampleResult

N_DATA, N_BACKGROUND = 200, 1200


@pytest.fixture(autouse=True)
def no_figures(monkeypatch):
    """Figures are most of the time."""
    monkeypatch.setattr(compared, "save_figure", lambda *_: None)
    monkeypatch.setattr(compared, "picture", lambda _: "")
    monkeypatch.setattr(TwoSampleResult, "plot", lambda *_, **__: None)


@pytest.fixture
def card(tmp_path):
    columns, rows = demo_rows("data", N_DATA + N_BACKGROUND)
    write_rows(tmp_path / "data.h5", columns, rows[:N_DATA])
    write_rows(tmp_path / "qcd.h5", columns, rows[N_DATA:])
    content = {
        "name": "two samples", "output": str(tmp_path / "out"), "luminosity_fb": 1,
        "samples": [
            {"process": "data", "role": "data", "files": ["data.h5"]},
            {"process": "QCD", "files": ["qcd.h5"], "expected_events": N_DATA},
        ],
        "features": {"set": "dijet-hl", "inputs": ["mj1", "dmj"]},
        "search": {"two_sample": {"toys": 20}},
    }  # fmt: skip
    path = tmp_path / "card.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def searched(card, **options):
    folder = pipeline.search(load_card(card), overwrite=True, **options)
    return folder, json.loads((folder / "results.json").read_text())


def test_blind_results_do_not_depend_on_the_data(card, tmp_path):
    folder, results = searched(card)
    assert results["two_sample"]["data_are"] == "a toy of the background"
    assert results["two_sample"]["without_nuisances"]["p"] > 0.01
    before = [(folder / name).read_bytes() for name in ("results.json", "report.html")]
    columns, rows = demo_rows("wprime", N_DATA)
    write_rows(tmp_path / "data.h5", columns, rows)
    folder, _ = searched(card)
    assert [(folder / name).read_bytes() for name in ("results.json", "report.html")] == before
    _, opened = searched(card, unblind=True)
    assert opened["two_sample"]["data_are"] == "data"
    assert opened["two_sample"]["events"] == N_DATA
    assert opened["two_sample"]["without_nuisances"]["z_asymptotic"] > 8  # 200 W' in place of dijets
    assert len(opened["unblinded"]) == 1


def test_a_test_that_does_not_close_quotes_nothing(card, monkeypatch):
    monkeypatch.setattr(compared, "CLOSURE", 1.1)
    folder, results = searched(card, unblind=True)
    numbers = results["two_sample"]
    assert numbers["verdict"] == "no significance is quoted: the test does not close on background events"
    assert (numbers["without_nuisances"], numbers["with_nuisances"], numbers["where"]) == (None, None, None)
    assert "sigma" not in (folder / "report.html").read_text()


def changed(card, **section):
    content = yaml.safe_load(card.read_text())
    content["search"]["two_sample"] |= section
    card.write_text(yaml.safe_dump(content))


def test_any_detector_is_a_method_of_a_card(card):
    changed(card, method="sum-of-squares")
    _, results = searched(card, unblind=True)
    assert results["two_sample"]["without_nuisances"]["p"] > 0.01


@pytest.mark.parametrize(("method", "words"), [("kernels", "did you mean 'kernel'"), ("aa-zh", "learns from labels")])
def test_a_method_that_cannot_be_is_refused_before_reading(method, words, card):
    changed(card, method=method)
    with pytest.raises(InputError, match=words):
        pipeline.search(load_card(card), reader=lambda *_: pytest.fail("read before the check"))
