"""Cross-fitting: no event is scored by a model that saw it, and the cut keeps as much background everywhere."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest
from helpers.searches import SMALL, WINDOW, background, planted, table
from scipy import stats

from hepaa.errors import InputError
from hepaa.search import Combined, Cwola, Residual, Window, cross_fit, inject
from hepaa.search.folds import cross_fit_rows
from hepaa.search.methods.base import Method
from hepaa.search.result import tail_fraction


@dataclass(eq=False)
class Spy(Method):
    """Remembers which events it saw in training; the score is the first input."""

    seen: list = field(default_factory=list)

    def _fit(self, signal, sidebands, rng):
        del rng
        self.trained_on = set(signal.x[:, 0]) | set(sidebands.x[:, 0])
        self.seen.append(self)

    def _score(self, rows):
        self.scored = set(rows.x[:, 0])
        return rows.x[:, 0].copy()


@dataclass(eq=False)
class Noise(Method):
    """Scores that know nothing, from the fold's own stream."""

    decimals: int = 12

    def _fit(self, signal, sidebands, rng):
        del signal, sidebands
        self.key = int(rng.integers(2**31))

    def _score(self, rows):
        return np.random.default_rng([self.key, rows.n]).normal(size=rows.n).round(self.decimals)


def search(method, rows, *, folds=2, efficiencies=(0.1,), bins=20, seed=0):
    return cross_fit_rows(method, rows, folds=folds, efficiencies=efficiencies, bins=bins, seed=seed)


def test_every_event_is_scored_once_by_a_model_that_did_not_see_it():
    rows, method = background(1500, np.random.default_rng(0)), Spy(WINDOW)
    result = search(method, rows, folds=3)
    everything = set(rows.x[:, 0])
    assert len(method.seen) == 3
    for model in method.seen:
        assert not model.trained_on & model.scored
        assert model.trained_on | model.scored == everything
    assert sum(len(m.scored) for m in method.seen) == rows.n
    np.testing.assert_array_equal(result.score, rows.x[:, 0])
    for k, model in enumerate(method.seen):
        assert set(rows.x[result.fold == k, 0]) == model.scored
    assert np.ptp(np.bincount(result.fold)) <= 1
    assert not hasattr(method, "trained_on")  # each fold trains its own


def test_the_tail_is_the_part_of_the_folds_sideband_events_at_or_above_the_score():
    rows = background(600, np.random.default_rng(0))
    result = search(Spy(WINDOW), rows, folds=3)
    sidebands = WINDOW.in_sidebands(rows.mass)
    for i in range(rows.n):
        others = sidebands & (result.fold == result.fold[i])
        others[i] = False
        above = (result.score[others] >= result.score[i]).sum()
        assert result.tail[i] == pytest.approx((above + 1) / (others.sum() + 1), abs=1e-15)


def test_tails_of_sideband_events_are_uniform():
    rows = background(3000, np.random.default_rng(1))
    result = search(Noise(WINDOW), rows, folds=3)
    sidebands = WINDOW.in_sidebands(rows.mass)
    for k in range(3):
        tail = np.sort(result.tail[sidebands & (result.fold == k)])
        np.testing.assert_allclose(tail, np.arange(1, len(tail) + 1) / len(tail))
    assert stats.kstest(result.tail[~sidebands], "uniform").pvalue > 0.01


def tails(reference, score, *, own=False, seed=0):
    return tail_fraction(np.asarray(reference), np.asarray(score), np.random.default_rng(seed), own=own)


def test_the_cut_keeps_as_much_background_in_the_signal_region_as_in_the_sidebands():
    """Four of a fold's 400 pass: one more, as when events do not count themselves, would be a quarter too many."""
    rng = np.random.default_rng(2)
    share = []
    for _ in range(3000):
        reference = rng.normal(size=400)
        share.append((tails(reference, rng.normal(size=100)) <= 0.01).mean())
    assert (tails(reference, reference, own=True) <= 0.01).sum() == 4
    assert np.mean(share) == pytest.approx(0.01, abs=0.001)


@pytest.mark.parametrize("n", [100, 800, 1000, 3000])
def test_a_part_that_is_the_efficiency_passes(n):
    """8 of 800 are not more than 0.01, which 1 - 792 / 800 is in double precision."""
    reference = np.random.default_rng(n).normal(size=n)
    tail = tails(reference, reference, own=True)
    for efficiency in (0.01, 0.1, 0.07):
        assert (tail <= efficiency).sum() == round(efficiency * n)


def test_tails_of_distinct_scores_are_counted():
    assert tails([1.0, 2, 3, 4], [0.0, 2.5, 5]).tolist() == [1, 0.6, 0.2]
    assert tails([1.0, 2, 3, 4], [1.0, 2, 3, 4], own=True).tolist() == [1, 0.75, 0.5, 0.25]


def test_equal_scores_are_in_random_order():
    """A score that is the same for all is no score: every cut keeps what it says, in the sidebands and elsewhere."""
    same = np.zeros(1000)
    own = tails(same, same, own=True)
    np.testing.assert_allclose(np.sort(own), np.arange(1, 1001) / 1000)
    assert stats.kstest(tails(same, same), "uniform").pvalue > 0.01
    assert abs(stats.spearmanr(own, np.arange(1000)).statistic) < 0.1
    mixed = tails([1.0, 2, 2, 2, 3], np.full(5000, 2.0))  # one above: 2, 3, 4 or 5 of 6
    np.testing.assert_allclose(np.unique(mixed), np.arange(2, 6) / 6)
    assert mixed.mean() == pytest.approx(3.5 / 6, abs=0.01)


def test_a_method_that_finds_nothing_keeps_the_spectrum():
    rows = background(2000, np.random.default_rng(6))
    result = search(Noise(WINDOW, decimals=-3), rows)  # all scores are 0
    assert np.ptp(result.score) == 0
    assert result.passing(0.1)[WINDOW.in_sidebands(rows.mass)].mean() == pytest.approx(0.1, abs=0.002)
    assert abs(result.fit(0.1).z) < 3


def test_events_beyond_the_limits_are_left_out_and_those_of_gaps_are_not():
    rows = background(1500, np.random.default_rng(3))
    window = Window("m", (3300, 3700), ((2700, 3200), (3700, 5000)))
    result = search(Spy(window), rows)
    np.testing.assert_array_equal(result.rows.mass, rows.mass[(rows.mass >= 2700) & (rows.mass < 5000)])
    gap = (result.rows.mass >= 3200) & (result.rows.mass < 3300)
    assert gap.any()
    assert np.isfinite(result.tail[gap]).all()


@pytest.mark.parametrize("method", [Residual(WINDOW, members=1, components=2), Cwola(WINDOW, members=1)])
def test_same_data_and_seed_give_the_same_bytes(method):
    data = table(planted(1500, 40))
    results = [cross_fit(method, data, folds=2, seed=seed) for seed in (0, 0, 1)]
    assert results[0].score.tobytes() == results[1].score.tobytes()
    assert results[0].tail.tobytes() == results[1].tail.tobytes()
    assert (results[0].fold != results[2].fold).any()


def test_members_are_those_of_the_bootstraps():
    result = cross_fit(Residual(WINDOW, components=2), table(planted(900, 20)), folds=2, bootstraps=3)
    assert [f.method.members for f in result.folds] == [3, 3]
    assert len(result.folds[0].method.signal_.evidence) == 3


def test_methods_of_a_combination_have_the_same_folds():
    data = table(planted(1200, 40))
    both = cross_fit(Combined([Residual(WINDOW, members=1, components=2), Cwola(WINDOW, members=1)]), data, **SMALL)
    np.testing.assert_array_equal(both.parts[0].fold, both.parts[1].fold)
    alone = cross_fit(Cwola(WINDOW, members=1), data, **SMALL)
    assert both.parts[1].score.tobytes() == alone.score.tobytes()


def test_each_method_of_a_combination_sees_its_own_inputs():
    data = table(planted(1200, 40))
    parts = [Cwola(WINDOW, inputs=("b",), members=1, label="b"), Cwola(WINDOW, inputs=("a", "b"), members=1)]
    both = cross_fit(Combined(parts), data, **SMALL)
    assert [part.rows.columns for part in both.parts] == [("b",), ("a", "b"), ("b", "a")]
    assert both.parts[0].score.tobytes() == cross_fit(parts[0], data, **SMALL).score.tobytes()


def test_all_methods_together_add_up_the_logarithms_of_their_tails():
    data = table(planted(1200, 40))
    parts = [
        Residual(WINDOW, inputs=names, members=1, components=2, label=str(names)) for names in (("b",), ("a", "b"))
    ]
    *alone, together = cross_fit(Combined(parts), data, **SMALL).parts
    sidebands, others = WINDOW.in_sidebands(together.rows.mass), planted(300, 30, seed=9)
    np.testing.assert_allclose(together.score, -np.log(alone[0].tail * alone[1].tail))
    for k, fold in enumerate(together.folds):
        own = (together.fold == k) & sidebands
        n = own.sum()
        rank = stats.rankdata(-together.score[own]) / n
        np.testing.assert_allclose(together.tail[own], rank, atol=1.1 / n)  # 2 * 6 = 3 * 4: a few are equal
        # other events count themselves beside those of the fold
        beyond = [(f.sideband_scores[:, None] > f.method.score_rows(others)).sum(axis=0) for f in fold.method.folds]
        expected = -np.log((beyond[0] + 1) * (beyond[1] + 1) / (n + 1) ** 2)
        np.testing.assert_allclose(fold.method.score_rows(others), expected)


@pytest.mark.slow
def test_methods_with_different_inputs_are_stronger_together():
    """The signal is known by two inputs of which each method sees one: in the sum of both it stands out."""
    background, signal = planted(8000, 0, seed=3), planted(0, 600, seed=4)
    parts = [Cwola(WINDOW, inputs=(name,), label=name) for name in ("a", "b")]
    curve = inject(
        Combined(parts), table(background), table(signal), strengths=(3,), draws=2, folds=3, efficiencies=(0.01,)
    )
    alone, together = curve.sic[0, :, :2], curve.sic[0, :, 2]
    assert (together > 1.2 * alone.max(axis=1)).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"folds": 1}, "folds is 1"),
        ({"folds": 2.0}, "folds is 2.0"),
        ({"efficiencies": (0.1, 1.0)}, "efficiency is 1.0"),
        ({"efficiencies": (0.0,)}, "efficiency is 0.0"),
        ({"efficiencies": ()}, "there is no efficiency to cut at"),
        ({"bins": 0}, "bins is 0"),
        ({"seed": -1}, "seed is -1"),
        ({"bootstraps": 0}, "members is 0"),
        ({"folds": 700}, "fold [0-9]+ of 700 holds no sideband event"),
    ],
)
def test_settings_that_mean_nothing_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        cross_fit(Spy(WINDOW), table(background(600, np.random.default_rng(0))), **options)


@pytest.mark.slow
def test_background_alone_has_no_significance_on_average():
    """z of scores that know nothing, at the tightest of the default cuts."""
    z = []
    for seed in range(300):
        rows = background(8000, np.random.default_rng([4, seed]))
        result = search(Noise(WINDOW), rows, folds=5, efficiencies=(0.1, 0.01), bins=30, seed=seed)
        z.append([fit.z for fit in result.fits()])
    assert np.abs(np.mean(z, axis=0)).max() < 0.2
    assert np.std(z, axis=0) == pytest.approx(1, abs=0.15)
