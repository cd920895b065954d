"""Weighted histograms against numpy, binnings against exhaustive search, significances against direct sums."""

import itertools
import json

import numpy as np
import pytest

from hepaa.errors import InputError
from hepaa.stats import significance as sig
from hepaa.stats.binning import METHODS, Binning, choose_binning
from hepaa.stats.histogram import count, fill, score_histograms
from hepaa.stats.response import Response
from hepaa.table import EventTable, concatenate


@pytest.fixture(scope="module")
def scores():
    rng = np.random.default_rng(11)
    n_b, n_s = 6000, 1500
    return (
        rng.exponential(1.0, n_b), rng.choice([1.0, 1.0, 1.0, -0.5], n_b) * 0.4,
        1.5 + rng.exponential(2.0, n_s), np.full(n_s, 0.02),
    )  # fmt: skip


@pytest.fixture(scope="module")
def table(scores):
    xb, wb, xs, ws = scores
    half = len(xb) // 2
    parts = [
        EventTable.build(xb[:half, None], ["x"], weight=wb[:half], process="QCD", generator="A"),
        EventTable.build(xb[half:, None], ["x"], weight=wb[half:], process="QCD", generator="B"),
        EventTable.build(xs[:, None], ["x"], weight=ws, label=1, process="Z'", generator="A"),
        EventTable.build(np.array([[0.5], [99.0]]), ["x"], label=-1, process="data", generator="LHC"),
    ]
    return concatenate(parts)


def test_fill_equals_numpy(scores):
    x, w, *_ = scores
    binning = Binning((0.5, 1.0, 2.0, 6.0))
    h = fill(x, w, binning)
    edges = [-np.inf, 1.0, 2.0, np.inf]  # nothing is lost beyond the ends
    np.testing.assert_allclose(h.values(), np.histogram(x, edges, weights=w)[0])
    np.testing.assert_allclose(h.variances(), np.histogram(x, edges, weights=w**2)[0])
    assert h.axes[0].label == "anomaly score"
    assert np.sum(h.values()) == pytest.approx(np.sum(w))


def test_edges_are_closed_on_the_left():
    h = fill([1.0, 2.0, 2.0, 3.0], None, Binning((1.0, 2.0, 3.0)))
    np.testing.assert_array_equal(h.values(), [1, 3])


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("rules", [{}, {"min_b": 30.0, "min_events": 100}, {"max_error": 0.06}])
def test_every_bin_keeps_the_rules(scores, method, rules):
    xb, wb, xs, ws = scores
    binning = choose_binning(xb, wb, xs, ws, method=method, bins=12, **rules)
    want = {"min_b": 1.0, "min_events": 25, "max_error": 0.3} | rules
    assert 2 <= len(binning) <= 12
    h = fill(xb, wb, binning)
    n = fill(xb, None, binning).values()
    assert np.all(n >= want["min_events"])
    assert np.all(h.values() >= want["min_b"] * (1 - 1e-9))
    assert np.all(np.sqrt(h.variances()) <= want["max_error"] * h.values() * (1 + 1e-9))
    assert binning.edges[0] == min(xb.min(), xs.min())
    assert binning.edges[-1] == max(xb.max(), xs.max())
    assert json.loads(json.dumps(binning.to_dict()))["method"] == method


def test_optimal_equals_exhaustive_search():
    rng = np.random.default_rng(2)
    xb, xs = rng.exponential(1.0, 800), 1 + rng.exponential(1.0, 300)
    ws = np.full(300, 0.05)
    options = {"bins": 4, "min_b": 5.0, "min_events": 20, "max_error": 0.25, "systematic": 0.05}
    binning = choose_binning(xb, None, xs, ws, fine_bins=12, tolerance=0.0, **options)
    # the same fine edges as the search had, recovered through a run that may keep nearly all of them
    fine = np.array(
        choose_binning(xb, None, xs, np.full(300, 1e-9), method="merge", bins=12, fine_bins=12, min_b=0.5,
                       min_events=1, max_error=1.0).edges
    )  # fmt: skip
    assert set(binning.edges) <= set(fine)

    def z2(edges):
        hb, hs = fill(xb, None, Binning(edges)), fill(xs, ws, Binning(edges))
        b, e = hb.values(), np.sqrt(hb.variances())
        if np.any(b < 20) or np.any(e > 0.25 * b):
            return -1.0
        return sig.combine(sig.asimov(hs.values(), b, np.hypot(e, 0.05 * b))) ** 2

    candidates = ((fine[0], *inner, fine[-1]) for k in range(4) for inner in itertools.combinations(fine[1:-1], k))
    assert z2(binning.edges) == pytest.approx(max(z2(e) for e in candidates), rel=1e-9)


def test_optimal_is_at_least_as_good_as_the_others(scores):
    xb, wb, xs, ws = scores
    z = {}
    for method in METHODS:
        b = choose_binning(xb, wb, xs, ws, method=method, bins=8, tolerance=0.0)
        hb, hs = fill(xb, wb, b), fill(xs, ws, b)
        z[method] = sig.combine(sig.asimov(hs.values(), hb.values(), np.sqrt(hb.variances())))
    assert z["optimal"] >= z["merge"] * (1 - 1e-9)
    assert z["optimal"] > z["quantile"]
    assert z["optimal"] > z["uniform"] * 0.99  # its edges are not among the fine ones


def test_histograms_of_a_table(table, scores):
    xb, wb, xs, ws = scores
    binning = choose_binning(xb, wb, xs, ws, bins=6)
    by_process = score_histograms(table, table["x"], binning)
    by_generator = score_histograms(table, table["x"], binning, by="generator")
    assert list(by_process.backgrounds) == ["QCD"]
    assert list(by_generator.backgrounds) == ["A", "B"]
    assert list(by_process.signals) == ["Z'"]
    np.testing.assert_allclose(by_process.b, by_generator.b)
    np.testing.assert_allclose(by_process.b, np.histogram(xb, [-np.inf, *binning.edges[1:-1], np.inf], weights=wb)[0])
    np.testing.assert_allclose(by_process.s("Z'"), by_process.s())
    assert np.sum(by_process.background_events) == len(xb)
    assert np.sum(by_process.data.values()) == 2
    with pytest.raises(InputError, match='did you mean "Z\'"'):
        by_process.s("Z")


def test_blinding_hides_whole_bins_of_data_alone(table):
    binning = Binning((0.0, 1.0, 2.0, 4.0))
    for blind, want in ((None, [1, 0, 1]), (1.0, [1, 0, 0]), (3.9, [1, 0, 0]), (0.5, None)):
        h = score_histograms(table, table["x"], binning, blind_above=blind)
        assert np.sum(h.background_events) == 6000
        if want is None:
            assert h.data is None
        else:
            np.testing.assert_array_equal(h.data.values(), want)


def test_counts_of_data_know_nothing_of_blind_bins(table):
    binning = Binning((0.0, 1.0, 2.0, 4.0))
    whole, blind = (count(table, table["x"], binning, (1.5,), blind_above=b) for b in (None, 1.0))
    data = ("data", "LHC", -1)
    assert (whole[data].events.tolist(), whole[data].events_above.tolist()) == ([1, 0, 1], [1])
    assert (blind[data].events.tolist(), blind[data].events_above.tolist()) == ([1, 0, 0], [0])
    for name in set(whole) - {data}:
        np.testing.assert_array_equal(whole[name].events, blind[name].events)


def test_significance_is_the_sum_of_its_bins(table):
    h = score_histograms(table, table["x"], Binning((0.0, 1.0, 2.0, 4.0, 8.0)))
    plain = h.significance()
    b, e, s = h.b, np.sqrt(h.b_variance), h.s()
    np.testing.assert_allclose(plain.z, sig.asimov(s, b, e))
    np.testing.assert_allclose(plain.z_known, sig.asimov(s, b))
    assert plain.total == pytest.approx(np.sqrt(np.sum(plain.z**2)))
    assert plain.total_known == pytest.approx(np.sqrt(np.sum(plain.z_known**2)))
    syst = h.significance("Z'", systematic=0.2)
    factor = Response.linear((), len(b), factors=[1.2])
    assert syst.total == pytest.approx(sig.asimov_correlated(s, b, e, shifts=factor))
    assert syst.total == pytest.approx(sig.asimov_correlated(s, b, e, relative=0.2), rel=1e-2)
    assert syst.total < plain.total < plain.total_known
    np.testing.assert_allclose(syst.sigma_b, np.hypot(e, 0.2 * b))
    assert json.loads(json.dumps(syst.to_dict(), allow_nan=False))["systematic"] == 0.2


@pytest.mark.parametrize("systematic", [0.0, 0.1, pytest.param(1.0, marks=pytest.mark.slow)])
def test_total_error_is_that_of_resampled_simulation(table, systematic):
    h = score_histograms(table, table["x"], Binning((0.0, 1.0, 2.0, 4.0, 8.0)))
    rng = np.random.default_rng(4)
    totals, bins = [], []
    for _ in range(300):
        rows = np.repeat(np.arange(len(table)), rng.poisson(1, len(table)))
        drawn = score_histograms(table[rows], table["x"][rows], h.binning)
        again = drawn.significance(systematic=systematic)
        totals.append(again.total)
        bins.append(again.z)
    quoted = h.significance(systematic=systematic)
    assert quoted.total_error == pytest.approx(np.std(totals), rel=0.1)
    np.testing.assert_allclose(quoted.z_error, np.std(bins, axis=0), rtol=0.1)


def test_bins_without_background_are_named_or_merged():
    x = np.array([[0.5], [1.5], [2.5], [2.6], [3.5]])
    b = EventTable.build(x, ["x"], weight=[5.0, 4.0, 1.0, -2.0, 3.0])
    s = EventTable.build(np.array([[1.5], [2.5]]), ["x"], label=1, process="S")
    t = concatenate([b, s])
    h = score_histograms(t, t["x"], Binning((0.0, 1.0, 2.0, 3.0, 4.0)))
    with pytest.raises(InputError, match=r"bin 2 \(2 .. 3\) has a background yield of -1"):
        h.significance()
    merged = h.merge_unusable()
    assert merged.binning.edges == (0.0, 1.0, 3.0, 4.0)
    np.testing.assert_allclose(merged.b, [5, 3, 3])
    np.testing.assert_allclose(merged.b_variance, [25, 16 + 1 + 4, 9])
    np.testing.assert_allclose(merged.s(), [0, 2, 0])
    np.testing.assert_array_equal(merged.background_events, [1, 3, 1])
    assert merged.significance().total > 0


def test_merging_at_the_low_end_and_without_any_background():
    b = EventTable.build([[0.5], [1.5], [2.5]], ["x"], weight=[-3.0, 2.0, 4.0])
    s = EventTable.build([[1.5]], ["x"], label=1)
    t = concatenate([b, s])
    h = score_histograms(t, t["x"], Binning((0.0, 1.0, 2.0, 3.0)))
    assert h.merge_unusable().binning.edges == (0.0, 3.0)
    none = concatenate([b.with_weight([-3.0, 1.0, 1.0]), s])
    with pytest.raises(InputError, match="all bins together"):
        score_histograms(none, none["x"], h.binning).merge_unusable()


def test_a_usable_histogram_is_left_alone(table):
    h = score_histograms(table, table["x"], Binning((0.0, 1.0, 2.0, 4.0, 8.0)))
    assert h.merge_unusable().binning == h.binning


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: choose_binning([1.0, 2.0], method="optimum"), "did you mean 'optimal'"),
        (lambda: choose_binning([1.0, 2.0]), "needs signal"),
        (lambda: choose_binning([], None, [1.0, 2.0]), "no background"),
        (lambda: choose_binning([2.0, 2.0], method="quantile"), "all scores equal 2"),
        (lambda: choose_binning([1.0, 2.0], method="quantile"), "make no bin: .* in a card min_background"),
        (lambda: choose_binning([1.0, np.nan], method="quantile"), "score of event 1 is nan"),
        (lambda: choose_binning([1.0, 2.0], [1.0], method="quantile"), "shape"),
        (lambda: choose_binning([1.0, 2.0], bins=0), "at least 1 bin"),
        (lambda: Binning((1.0, 1.0)), "ascending"),
        (lambda: fill([np.inf], None, Binning((0.0, 1.0))), "event 0 is inf"),
    ],
)
def test_refuses(call, words):
    with pytest.raises(InputError, match=words):
        call()
