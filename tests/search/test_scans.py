"""A search in many windows: the one with the signal stands out, and one p-value counts for all."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.searches import SMALL, WINDOW, planted, table

from hepaa.errors import InputError
from hepaa.search import Combined, Cwola, Residual, Window, cross_fit, scan, sliding

METHOD = Residual(WINDOW, members=1, components=3)
WINDOWS = ((2900, 3200), (3300, 3700), (3800, 4300))


@pytest.fixture(scope="module")
def result():
    return scan(METHOD, table(planted()), windows=WINDOWS, **SMALL)


def test_the_window_of_the_signal_stands_out(result):
    assert len(result.local) == 3
    assert result.best_window.method.window.signal == (3300, 3700)
    assert result.local[1] > 6
    assert max(result.local[0], result.local[2]) < 4


def test_each_window_is_a_search_of_its_own_with_the_rest_as_sidebands(result):
    for region, part in zip(WINDOWS, result.results, strict=True):
        assert part.method.window == WINDOW.moved(region)
    alone = cross_fit(METHOD.fresh(window=WINDOW.moved(WINDOWS[2])), table(planted()), **SMALL)
    assert alone.score.tobytes() == result.results[2].score.tobytes()


def test_every_look_has_a_name_of_its_own(result):
    assert list(result.looks)[:3] == [
        "Residual at 0.1 in 2900-3200",
        "Residual at 0.02 in 2900-3200",
        "Residual at 0.1 in 3300-3700",
    ]
    assert len(result.looks) == 6
    assert max(result.local) == max(fit.z for fit in result.looks.values())


def test_windows_less_than_a_gev_apart_have_names_of_their_own():
    from dataclasses import replace

    narrow = Window("m", (125, 126), ((100, 125), (126, 160)))
    data = planted()
    scaled = table(type(data)(data.x, data.mass / 2600 * 100, data.columns))
    method = Cwola(replace(narrow, signal=(120, 130), sidebands=((100, 120), (130, 200))), members=1)
    windows = [(120, 130), (120.4, 130.4)]
    assert len(scan(method, scaled, windows=windows, folds=2, efficiencies=(0.2,), bins=20).looks) == 2


@pytest.mark.slow
def test_the_global_p_value_is_over_all_windows(result):
    p = result.p_value(10, seed=2)
    assert p.toys.shape == (10, 6)
    assert list(p.each) == list(result.looks)
    assert p.overall.p == pytest.approx(1 / 11)


def test_toys_are_without_the_signal(result):
    """They come from the sidebands of the window with the signal."""
    model = result.background()
    centres = (model.edges[1:] + model.edges[:-1]) / 2
    inside = WINDOW.in_signal(centres)
    data = np.histogram(result.rows.mass, model.edges)[0]
    assert data[inside].sum() - model.expected[inside].sum() == pytest.approx(60, abs=45)


@pytest.mark.parametrize(
    ("windows", "message"),
    [
        ([(2500, 2900)], "the window 2500 .. 2900 leaves the limits 2600 .. 5500 of m"),
        ([(2900, 3200), (5000, 5600)], "the window 5000 .. 5600 leaves"),
        ([], "there is no window to search"),
        ([(3200, 2900)], "3200 .. 2900 is no interval"),
        ([(2600, 5500)], "needs sidebands"),
    ],
)
def test_windows_that_cannot_be_searched_are_refused(windows, message):
    with pytest.raises(InputError, match=message):
        scan(METHOD, table(planted(500, 0)), windows=windows)


@pytest.mark.slow
def test_sliding_windows_and_combinations_are_taken():
    both = Combined([METHOD, Cwola(WINDOW, members=1)])
    result = scan(both, table(planted(1500, 40)), windows=sliding(3000, 4200, width=0.15, step=1), **SMALL)
    assert len(result.windows) == 2
    assert len(result.looks) == 2 * (2 + 1) * 2  # windows, methods and all together, cuts
    assert result.best_window in result.results
