"""The search of a card: blind means blind, unblinding is recorded, failed checks leave no significance."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from helpers.search_cards import SIGNAL, demo_rows, masses, write_card, write_rows

from hepaa.card import load_card
from hepaa.errors import InputError
from hepaa.search import checks, pipeline, resonant
from hepaa.table import EventTable

NUMBERS = ("results.json", "workspace.json", "card.yaml", "report.html")
N = 1500
"""Events: few, for time."""


@pytest.fixture
def no_figures(monkeypatch):
    """Figures are half of the time."""
    monkeypatch.setattr(resonant, "save_figure", lambda *_: None)
    monkeypatch.setattr(resonant, "picture", lambda _: "")


def searched(card: Path, **options: Any) -> tuple[Path, dict[str, Any]]:
    folder = pipeline.search(load_card(card), overwrite=True, **options)
    return folder, json.loads((folder / "results.json").read_text())


def changed(path: Path, **values: Any) -> Path:
    content = yaml.safe_load(path.read_text())
    content["search"]["resonant"] |= values
    path.write_text(yaml.safe_dump(content))
    return path


def other_signal_region(path: Path, n: int) -> None:
    """Other events in the signal region of the first n of the demo, fewer, and more of them at the end."""
    columns, rows = demo_rows("data", n)
    mass = masses(columns, rows)
    inside = (mass >= SIGNAL[0]) & (mass < SIGNAL[1])
    others = demo_rows("wprime", 200)[1]
    more = others[(masses(columns, others) >= SIGNAL[0] + 1) & (masses(columns, others) < SIGNAL[1] - 1)]
    kept = rows.copy()
    places = np.flatnonzero(inside)
    kept[places] = more[np.arange(len(places)) % len(more)]
    write_rows(path, columns, np.concatenate([kept, more[:37]]))


@pytest.mark.parametrize("figures", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_blind_results_do_not_depend_on_the_signal_region(figures, tmp_path, request):
    if not figures:
        request.getfixturevalue("no_figures")
    card = write_card(tmp_path, n=N, signal=figures)
    contents = []
    for again in (False, True):
        if again:
            other_signal_region(tmp_path / "data.h5", N)
        folder, _ = searched(card)
        scores = EventTable.load(folder / "scores.parquet")
        assert not ((scores["mjj"] >= SIGNAL[0]) & (scores["mjj"] < SIGNAL[1])).any()
        files = {p.name: p.read_bytes() for p in [*(folder / n for n in NUMBERS), *folder.glob("figures/*")]}
        rows = {c: scores[c].tobytes() for c in (*scores.columns, *scores.spectators)}
        contents.append(files | rows | {"event": scores.event.tobytes()})
    assert contents[0] == contents[1]
    assert len(contents[0]) > 10


def test_unblinding_is_recorded_and_a_card_that_changed_afterwards_is_said(tmp_path, no_figures, monkeypatch):
    card = write_card(tmp_path, n=N)
    folder, first = searched(card, unblind=True)
    assert not first["blind"]
    assert first["resonant"]["signal_region_holds"] == "data"
    assert first["warnings"] == []
    assert [entry["card_sha256"] for entry in first["unblinded"]] == [first["card_sha256"]]
    # what is quoted is what the data hold
    scores, look = EventTable.load(folder / "scores.parquet"), first["resonant"]["looks"]["Residual at 0.1"]
    inside = (scores["mjj"] >= SIGNAL[0]) & (scores["mjj"] < SIGNAL[1])
    assert look["observed"] == (inside & (scores["tail"] <= 0.1)).sum() > 0
    # afterwards the record is all that matters
    monkeypatch.setattr(resonant, "search", lambda *_, **__: {})
    _, same = searched(card)
    assert (same["warnings"], same["unblinded"]) == ([], first["unblinded"])
    changed(card, efficiencies=[0.2])
    _, then = searched(card)
    assert then["blind"]
    assert then["unblinded"] == first["unblinded"]
    assert (
        f"the card has changed since the data were unblinded at {first['unblinded'][0]['time']}" in then["warnings"][0]
    )


def values_of(content: Any, names: set[str]) -> list[Any]:
    """All values under these keys, however deep."""
    if isinstance(content, list):
        return [value for entry in content for value in values_of(entry, names)]
    if not isinstance(content, dict):
        return []
    deeper = [value for entry in content.values() for value in values_of(entry, names)]
    return [value for key, value in content.items() if key in names] + deeper


@pytest.mark.parametrize("unblind", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_a_check_that_fails_leaves_no_significance(unblind, tmp_path, monkeypatch, no_figures):
    monkeypatch.setattr(checks, "BIAS", -100.0)
    quoted = []
    monkeypatch.setattr(resonant.figures, "spectra", lambda *_, quoted=True, **__: quoted_(quoted))
    monkeypatch.setattr(resonant.figures, "closure_panel", lambda *_, **__: None)

    def quoted_(value):
        quoted.append(value)

    folder, results = searched(write_card(tmp_path, n=N), unblind=unblind)
    numbers = results["resonant"]
    assert "1 of 5 checks failed (background-only z, Residual at 0.1)" in numbers["verdict"]
    names = {"z", "p_value", "global", "global_z", "found_in_folds", "signal_fraction", "calibrated_z"}
    assert values_of(numbers, names) == [None] * 2  # z of the look, and p_value
    assert quoted == [False]
    page = (folder / "report.html").read_text()
    assert "no significance is quoted" in page
    assert "sigma" not in page


def no_reader(*_):
    pytest.fail("events were read")


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"sidebands": [[2600, 3400], [3700, 5500]]}, "two regions of mjj overlap: 2600 .. 3400 and 3300 .. 3700"),
        ({"mass": "mjjj"}, "no feature 'mjjj' in feature set 'dijet-hl'; did you mean 'mjj'"),
        ({"methods": [{"method": "residual", "inputs": ["mjj", "mj1"]}]}, "mjj is the mass of the window"),
        ({"methods": [{"method": "residual", "inputs": ["mj3"]}]}, "no feature 'mj3'"),
        ({"methods": [{"method": "residual", "options": {"memberz": 1}}]}, "has no option 'memberz'; did you mean"),
        ({"methods": [{"method": "residual"}, {"method": "residual"}]}, "give each a `name` of its own"),
        ({"scan": {"low": 2000, "high": 5000}}, "2000 .. 2255.32 leaves the limits 2600 .. 5500 of mjj"),
        ({"scan": {"low": 3000, "high": 3100}}, "no window of width 0.12 fits into 3000 .. 3100 GeV"),
        ({"scan": {"low": 3000, "high": 5600, "width": 0.6}}, "leaves the limits"),
        ({"efficiencies": [0.1, 2]}, "an efficiency is 2.0"),
        ({"injection": {"strengths": [-1]}}, "a strength is -1.0"),
    ],
)
def test_a_card_that_cannot_work_is_refused_before_events_are_read(section, message, tmp_path):
    card = changed(write_card(tmp_path, n=10), **section)
    with pytest.raises(InputError, match=message) as refused:
        pipeline.search(load_card(card), reader=no_reader)
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "out").exists()


def test_the_mass_among_the_inputs_of_a_card_is_refused_before_events_are_read(tmp_path):
    card = write_card(tmp_path, n=10, features={"set": "dijet-hl", "inputs": ["mjj", "mj1"]})
    with pytest.raises(InputError, match="mjj is the mass of the window and cannot be an input"):
        pipeline.search(load_card(card), reader=no_reader)


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"sidebands": [[2600, 3300], [6000, 6100]]}, "no event of data lies in the sideband 6000 .. 6100 of mjj"),
        (
            {"efficiencies": [0.1, 0.001]},
            "a cut at 0.001 keeps 1.* in 2 folds, too few for a fit: ask for eff",
        ),
        ({"folds": 5000}, "too few for a fit: ask for fewer folds"),
        ({"injection": {"strengths": [0, 50]}}, "signal events are too few for"),
    ],
)
def test_data_that_cannot_be_searched_are_refused_before_toys(section, message, tmp_path, monkeypatch):
    monkeypatch.setattr("hepaa.search.result.Searched.toys", lambda *_, **__: pytest.fail("toys were searched"))
    if "injection" not in section:
        monkeypatch.setattr(resonant, "cross_fit_rows", lambda *_, **__: pytest.fail("a method was trained"))
    card = changed(write_card(tmp_path, n=2000, signal="injection" in section), **section)
    with pytest.raises(InputError, match=message):
        pipeline.search(load_card(card))
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_same_card_and_seed_give_the_same_bytes(tmp_path):
    card = write_card(tmp_path, n=3000, signal=True)
    contents = []
    for _ in range(2):
        folder, _ = searched(card)
        contents.append({p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()})
    differing = {str(name) for name in contents[0] if contents[0][name] != contents[1][name]}
    assert differing <= {".hepaa.json"}  # times of the files
    _, other = searched(changed(card, folds=3))
    assert other["resonant"] != json.loads(contents[0][Path("results.json")])["resonant"]
