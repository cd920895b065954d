"""Signal regions and sidebands: what is refused, which events belong where, and the bins of a spectrum."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from hepaa.errors import InputError
from hepaa.search import Window, sliding

SIGNAL, SIDEBANDS = (3300, 3700), ((2600, 3300), (3700, 5500))


@pytest.mark.parametrize(
    ("signal", "sidebands", "message"),
    [
        (SIGNAL, (), "a window in m needs sidebands"),
        (SIGNAL, ((2600, 3301),), "two regions of m overlap: 2600 .. 3301 and 3300 .. 3700"),
        (SIGNAL, ((3400, 3500),), "overlap"),
        (SIGNAL, ((2600, 3000), (2900, 3300)), "overlap: 2600 .. 3000 and 2900 .. 3300"),
        ((3700, 3300), SIDEBANDS, "3700 .. 3300 is no interval of m"),
        ((3300, 3300), SIDEBANDS, "3300 .. 3300 is no interval"),
        (SIGNAL, ((3300, 2600),), "3300 .. 2600 is no interval"),
        (SIGNAL, ((-10, 3300),), "give 0 < low < high"),
        (SIGNAL, ((2600, 3300), (3700, float("inf"))), "3700 .. inf is no interval"),
        ((float("nan"), 3700), SIDEBANDS, "no interval"),
    ],
)
def test_a_window_that_is_none_is_refused(signal, sidebands, message):
    with pytest.raises(InputError, match=message):
        Window("m", signal, sidebands)


def test_regions_hold_their_lower_edge_and_not_their_upper():
    window = Window("m", SIGNAL, SIDEBANDS)
    mass = [2599.9, 2600, 3299.9, 3300, 3699.9, 3700, 5499.9, 5500]
    np.testing.assert_array_equal(window.in_signal(mass), [0, 0, 0, 1, 1, 0, 0, 0])
    np.testing.assert_array_equal(window.in_sidebands(mass), [0, 1, 1, 0, 0, 1, 1, 0])


def test_the_order_of_sidebands_does_not_matter_and_gaps_belong_to_none():
    window = Window("m", SIGNAL, ((4000, 5500), (2600, 3200)))
    assert window == Window("m", SIGNAL, ((2600, 3200), (4000, 5500)))
    assert window.limits == (2600, 5500)
    gaps = [3250.0, 3800.0]
    assert not window.in_signal(gaps).any()
    assert not window.in_sidebands(gaps).any()


def test_another_signal_region_leaves_all_else_as_sidebands():
    window = Window("m", SIGNAL, ((2600, 3200), (4000, 5500)))
    assert window.moved((3000, 3400)) == Window("m", (3000, 3400), ((2600, 3000), (3400, 5500)))
    assert window.moved((2600, 3000)).sidebands == ((3000, 5500),)  # on one side alone
    with pytest.raises(InputError, match="needs sidebands"):
        window.moved((2600, 5500))


@pytest.mark.parametrize("bins", [1, 7, 30, 200])
def test_every_border_of_a_region_is_an_edge(bins):
    window = Window("m", (3310, 3700), ((2600, 3300), (3725, 5500)))
    edges = window.edges(bins)
    assert {2600, 3300, 3310, 3700, 3725, 5500} <= set(edges)
    assert (np.diff(edges) > 0).all()
    assert bins - 3 <= len(edges) - 1 <= bins + 5
    centres = (edges[1:] + edges[:-1]) / 2
    low, high = edges[:-1], edges[1:]
    np.testing.assert_array_equal(window.in_signal(centres), (low >= 3310) & (high <= 3700))


def test_bins_have_about_the_same_width():
    width = np.diff(Window("m", SIGNAL, SIDEBANDS).edges(29))
    np.testing.assert_allclose(width, 100)


def test_sliding_windows_are_as_wide_as_asked_at_their_centre_and_overlap_by_half():
    windows = list(sliding(2800, 6000, width=0.12, step=0.5))
    for low, high in windows:
        assert high - low == pytest.approx(0.12 * (low + high) / 2)
    for (low, high), (next_low, _) in itertools.pairwise(windows):
        assert next_low == pytest.approx((low + high) / 2)
    assert windows[0][0] == 2800
    assert windows[-1][1] <= 6000 < windows[-1][1] + (windows[-1][1] - windows[-1][0]) / 2 * 1.2


def test_without_overlap_each_begins_where_the_one_before_ends():
    windows = list(sliding(1000, 1000 * 1.5**3, width=0.4, step=1))  # (1 + 0.2) / (1 - 0.2) = 1.5
    np.testing.assert_allclose(windows, [(1000, 1500), (1500, 2250), (2250, 3375)])


@pytest.mark.parametrize("options", [{"width": 0}, {"width": 1}, {"step": 0}, {"step": 1.1}])
def test_windows_that_do_not_slide_are_refused(options):
    with pytest.raises(InputError, match="give 0 < low < high, 0 < width < 1 and 0 < step <= 1"):
        next(sliding(2800, 6000, **options))
    with pytest.raises(InputError, match="6000 to 2800"):
        next(sliding(6000, 2800))


@pytest.mark.parametrize("sidebands", [(2600, 3300), ((2600,),), 2600, (("low", 3300),)])
def test_regions_that_are_no_pairs_are_said_in_one_line(sidebands):
    with pytest.raises(InputError, match="give a pair"):
        Window("mjj", (3300, 3700), sidebands)
