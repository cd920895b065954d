"""Steps of a resonant search on a known table: windows, methods, what stays unseen, what is saved."""

from __future__ import annotations

import json

import numpy as np
import pytest
from helpers.search_cards import write_card
from helpers.searches import COLUMNS, SMALL, WINDOW, planted, table

from hepaa.card import ResonantCard, load_card
from hepaa.errors import InputError
from hepaa.search import Combined, Cwola, Residual, cross_fit, pipeline
from hepaa.search.resonant import (
    background_of,
    counting_workspace,
    method_of,
    save_scores,
    windows_of,
    without_signal_region,
)
from hepaa.search.toys import Background
from hepaa.table import EventTable


def section(**changes) -> ResonantCard:
    plain = {"mass": "m", "signal": WINDOW.signal, "sidebands": WINDOW.sidebands, "bins": 20}
    return ResonantCard.model_validate(plain | changes)


def test_methods_of_a_card():
    single = method_of(section())
    assert (single.window, single.settings()) == (WINDOW, Residual(WINDOW).settings())
    entry = {"method": "cwola", "name": "flat", "inputs": ["a"], "options": {"decorrelate": "flatten", "members": 3}}
    both = method_of(section(methods=[entry, {"method": "residual"}]))
    assert isinstance(both, Combined)
    assert [m.name for m in both.methods] == ["flat", "Residual"]
    flat = Cwola(WINDOW, ("a",), label="flat", decorrelate="flatten", members=3)
    assert both.methods[0].settings() == flat.settings()


def test_windows_of_a_card_are_one_or_those_of_its_scan():
    assert windows_of(section()) == (WINDOW.signal,)
    windows = windows_of(section(scan={"low": 3000, "high": 3700, "width": 0.1, "step": 1}))
    assert windows[0][0] == 3000
    assert all(high / low == pytest.approx(1.05 / 0.95) for low, high in windows)
    with pytest.raises(InputError, match=r"no window of width 0.5 fits into 3000"):
        windows_of(section(scan={"low": 3000, "high": 3700, "width": 0.5}))


def test_a_window_moved_out_of_its_limits_is_refused():
    with pytest.raises(InputError, match=r"the window 2500 .. 2900 leaves the limits 2600 .. 5500 of m"):
        WINDOW.moved((2500, 2900))


def test_without_the_signal_region_sidebands_stay_and_a_toy_takes_its_place():
    rows = planted(2000, 100)
    background = background_of(section(), WINDOW, rows, 0)
    inside = WINDOW.in_signal(rows.mass)
    hidden = without_signal_region(section(), WINDOW, rows, background, 0)
    there = WINDOW.in_signal(hidden.mass)
    np.testing.assert_array_equal(hidden.x[~there], rows.x[~inside])
    assert not set(hidden.mass[there]) & set(rows.mass[inside])
    # other events there change nothing
    others = rows[~inside]
    again = without_signal_region(section(), WINDOW, others, background_of(section(), WINDOW, others, 0), 0)
    np.testing.assert_array_equal(again.x, hidden.x)
    np.testing.assert_array_equal(again.mass, hidden.mass)
    # a scan has no sidebands that it may look at
    scan = section(scan={"low": 2800, "high": 5000})
    toy = without_signal_region(scan, WINDOW, rows, background_of(scan, WINDOW, rows, 0), 0)
    assert not set(toy.mass) & set(rows.mass)


@pytest.fixture(scope="module")
def result():
    return cross_fit(Residual(WINDOW, COLUMNS, members=1), table(planted(1500, 40)), **SMALL)


def test_a_workspace_shows_what_is_expected_until_it_is_opened(result):
    fit = result.fit(0.02)
    blind, opened = (counting_workspace(result, blind=blind)["observations"][0]["data"] for blind in (True, False))
    assert (blind, opened) == ([fit.expected], [float(fit.observed)])


def test_scores_are_those_of_the_sidebands_until_all_are_opened(result, tmp_path):
    data = table(planted(1500, 40))
    inside = WINDOW.in_signal(data["m"])
    for unblind, rows in ((False, ~inside), (True, np.ones(data.n, bool))):
        save_scores(data, result, tmp_path / "scores.parquet", unblind=unblind, scan=False)
        saved = EventTable.load(tmp_path / "scores.parquet")
        np.testing.assert_array_equal(saved["m"], data["m"][rows])
        np.testing.assert_allclose(saved["tail"], result.tail[rows], rtol=1e-6)
    (tmp_path / "scores.parquet").unlink()
    save_scores(data, result, tmp_path / "scores.parquet", unblind=False, scan=True)
    assert not (tmp_path / "scores.parquet").exists()


@pytest.mark.slow
def test_a_scan_of_a_card(tmp_path):
    card = write_card(tmp_path, n=6000, resonant={"scan": {"low": 3000, "high": 4200, "width": 0.12, "step": 1}})
    folder = pipeline.search(load_card(card))
    numbers = json.loads((folder / "results.json").read_text())["resonant"]
    assert len(numbers["looks"]) == 2
    assert not (folder / "scores.parquet").exists()
    assert (folder / "figures" / "scan.png").exists() == (numbers["p_value"] is not None)
    folder = pipeline.search(load_card(card), unblind=True, overwrite=True)
    assert (folder / "scores.parquet").exists()


def test_a_background_model_keeps_the_names_of_its_inputs():
    rows = planted(1500, 0)
    assert Background.of(rows, WINDOW).to_record()["columns"] == list(COLUMNS)
