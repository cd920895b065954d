"""The two-sample test against closed forms: Gaussians of which every likelihood ratio is known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

import hepaa
from hepaa.errors import InputError
from hepaa.search.two_sample import BinnedScores, KernelRatio, Nuisances, NullToys, TreeRatio, TwoSample
from hepaa.search.two_sample.kernel import maximise
from hepaa.search.two_sample.tail import chi2_sum_z, shifted_gamma_z
from hepaa.search.two_sample.trees import _evaluate, _grow
from hepaa.stats.significance import z_to_p

COLUMNS = ("x", "y", "z")
SMALL = KernelRatio(width=1.0, ridge=0.3, centres=40)


def gaussian(n, shift=0.0, seed=0, **options):
    X = np.random.default_rng([7, seed]).normal(size=(n, 3))
    X[:, 0] += shift
    return hepaa.EventTable.build(X, COLUMNS, **options)


@pytest.fixture(scope="module")
def comparison():
    return TwoSample(gaussian(4000), SMALL, seed=1)


def test_the_log_ratio_of_two_gaussians_is_learned(comparison):
    """ln p(x - 0.5) / p(x) = 0.5 x - 0.125; the statistic is near that of the true ratio."""
    data = gaussian(1500, shift=0.5, seed=1)
    result = comparison.test(data, toys=40)
    truth = 0.5 * data["x"] - 0.125
    learned = result.log_ratio(data)
    assert np.corrcoef(truth, learned)[0, 1] > 0.95
    assert np.sqrt(np.mean((learned - truth) ** 2)) < 0.2
    assert result.statistic == pytest.approx(2 * truth.sum(), rel=0.25)
    assert result.z == pytest.approx(stats.norm.isf(1 / 41))
    assert result.alone.counted.bound
    exact = np.sqrt(2 * 1500 * 0.125)
    assert 0.6 * exact < result.z_asymptotic < exact + 2
    assert next(iter(result.differences())) == "x"
    shown = result.differences()
    assert shown["x"] > 5 * max(shown["y"], shown["z"])


def test_the_null_is_uniform_and_follows_its_law(comparison):
    p = comparison.closure(600, draws=100, toys=200)
    assert stats.kstest(p, "uniform").pvalue > 0.01
    null, _ = comparison._null(comparison._setting(600.0, None), 200)
    toys = null.toys["reference"]
    assert toys.mean() == pytest.approx(null.law.sum(), rel=0.1)
    assert toys.var() == pytest.approx(2 * np.sum(null.law**2), rel=0.35)


def test_independent_events_of_the_reference_are_no_discovery(comparison):
    p = [comparison.test(gaussian(600, seed=10 + k), toys=200).p for k in range(20)]
    assert stats.kstest(p, "uniform").pvalue > 0.01


def test_a_doubled_weight_is_a_doubled_event():
    data, reference = gaussian(300, shift=0.3, seed=2), gaussian(900, seed=3)
    twice = hepaa.concatenate([data, data])
    for method in (SMALL, BinnedScores(detector="sum-of-squares", bins=5)):
        comparison = TwoSample(reference, method)
        by_weight = comparison.test(data.with_weight(np.full(data.n, 2.0)), toys=20)
        by_event = comparison.test(twice, toys=20)
        assert by_weight.statistic == pytest.approx(by_event.statistic, rel=1e-4)
    statistic = TwoSample(reference, SMALL).statistic
    rows, rng = statistic.rows(reference.X.astype(float)), np.random.default_rng(0)
    c, v = rng.poisson(0.3, (900, 1)) * 1.0, np.full((900, 1), 0.3)
    halves = [np.concatenate([x, x]) / 2 for x in (c, v)]
    assert statistic.values(np.concatenate([rows, rows]), *halves) == pytest.approx(statistic.values(rows, c, v))


def test_a_weighted_reference_is_the_density_of_its_weights():
    """A flat reference weighted to a Gaussian is compatible with Gaussian data, and not without its weights."""
    rng = np.random.default_rng(5)
    X = rng.uniform(-3, 3, size=(6000, 1))
    flat = hepaa.EventTable.build(X, ("x",))
    weighted = flat.with_weight(stats.norm.pdf(X[:, 0]))
    x = rng.normal(size=(500, 1))
    data = hepaa.EventTable.build(x[np.abs(x[:, 0]) < 3], ("x",))
    assert TwoSample(weighted, SMALL).test(data, toys=60).p > 0.02
    assert TwoSample(flat, SMALL).test(data, toys=60).z_asymptotic > 8


def test_the_rate_counts_only_where_it_is_asked_for():
    reference = gaussian(5000).scaled(0.1)  # 500 expected events
    data = gaussian(600, seed=4)  # sqrt(2 (600 ln 1.2 - 100)) = 4.33 sigma for one parameter
    shapes = TwoSample(reference, SMALL).test(data, toys=100)
    assert shapes.p > 0.01
    counted = TwoSample(reference, SMALL, rate=True).test(data, toys=100)
    assert counted.statistic - shapes.statistic == pytest.approx(2 * (600 * np.log(1.2) - 100), abs=1.5)
    norm = Nuisances(generators=None, norms={"unknown": 0.3})
    widened = TwoSample(reference, SMALL, rate=True).test(data, toys=100, nuisances=norm)
    assert widened.alone.z_asymptotic > 2
    assert widened.z_asymptotic_nuisances < 1.5


def test_a_generator_that_may_be_the_truth_is_no_discovery():
    one, other = gaussian(1500), gaussian(1500, shift=0.4, seed=5)
    reference = hepaa.mix({"one": one, "other": other}, rng=np.random.default_rng(0))
    data = gaussian(500, shift=0.4, seed=6)
    for profile in (True, False):
        result = TwoSample(reference, SMALL).test(data, toys=60, nuisances=Nuisances(profile=profile))
        assert result.z_asymptotic > 3
        assert result.z_nuisances < 2
        assert set(result.widened.null.toys) == {"one", "other"}
    mixture = TwoSample(reference, SMALL).test(data, toys=60, nuisances=Nuisances(generators="mixture"))
    assert mixture.z_asymptotic_nuisances < 3


def test_fitting_the_nuisances_keeps_another_difference():
    """Along another feature than that in which the generators differ."""
    one, other = gaussian(1500), gaussian(1500, shift=0.4, seed=5)
    reference = hepaa.mix({"one": one, "other": other}, rng=np.random.default_rng(0))
    X = gaussian(500, shift=0.4, seed=7).X.copy()
    X[:, 2] *= 1.4
    data, test = hepaa.EventTable.build(X, COLUMNS), TwoSample(reference, SMALL)
    fitted, drawn = (
        test.test(data, toys=40, nuisances=Nuisances(profile=profile)).z_asymptotic_nuisances
        for profile in (True, False)
    )
    assert fitted > drawn + 0.5
    assert fitted > 3


def test_a_named_weight_is_a_nuisance():
    reference = gaussian(5000)
    # exp(0.2 x - 0.02) shifts x by 0.2
    reference = reference.with_spectators(**{"weight:scale:up": np.exp(0.2 * reference["x"] - 0.02)})
    data, test = gaussian(1200, shift=0.2, seed=8), TwoSample(reference, SMALL)
    for profile in (True, False):
        scale = Nuisances(generators=None, weights=("scale",), profile=profile)
        result = test.test(data, toys=60, nuisances=scale)
        assert result.z_asymptotic > 3
        assert result.z_nuisances < 2


def test_the_expected_test_needs_no_data(comparison):
    shifted = gaussian(2000, shift=0.4, seed=9)
    whole = comparison.expected(shifted, events=600, alone=True, draws=10, toys=40)
    assert np.sqrt(2 * 600 * 0.08) * 0.5 < whole.z < np.sqrt(2 * 600 * 0.08) + 2
    assert whole.band[0] < whole.z < whole.band[1]
    on_top = comparison.expected(shifted.scaled(0.03), events=600, draws=10, toys=40)  # 1 % of the events
    assert on_top.z < 1
    assert on_top.z_nuisances is None


@pytest.mark.parametrize("statistic", ["likelihood", "auc"])
def test_trees_see_a_shift_and_nothing_where_nothing_is(statistic):
    comparison = TwoSample(gaussian(600), TreeRatio(statistic=statistic))
    shifted = gaussian(200, shift=1.0, seed=1)
    result = comparison.test(shifted, toys=20)
    assert result.z_asymptotic > 3
    # what trees learn from noise does not help with events that they did not see
    assert np.mean(result.null.toys["reference"]) < (0 if statistic == "likelihood" else 0.52)
    assert np.corrcoef(result.log_ratio(shifted), shifted["x"])[0, 1] > 0.8
    assert comparison.test(gaussian(200, seed=2), toys=20).p > 0.05


def test_trees_are_those_that_a_search_of_all_cuts_grows():
    """One tree of depth 2: each node takes the best of all cuts of all features, each leaf the log of its ratio."""
    rng = np.random.default_rng(3)
    codes = rng.integers(0, 6, size=(400, 2)).astype(np.uint8)
    c, v = rng.poisson(0.3 + 0.2 * (codes[:, 0] > 2)) * 1.0, rng.uniform(0.2, 0.6, 400)
    one = np.flatnonzero(c)
    feature, cut, value = _grow(codes[one], c[one], codes, v, 1, 2, 6, 5.0, 1.0)

    def best(rows):
        def gain(k, b):
            sides = [rows & (codes[:, k] <= b), rows & (codes[:, k] > b)]
            if min(v[side].sum() for side in sides) < 5:
                return -1.0
            return sum((c[side].sum() - v[side].sum()) ** 2 / (v[side].sum() + 1) for side in sides)

        return max(((k, b) for k in range(2) for b in range(5)), key=lambda way: gain(*way))

    leaves, nodes = [], [best(np.ones(400, bool))]
    for side in (codes[:, nodes[0][0]] <= nodes[0][1], codes[:, nodes[0][0]] > nodes[0][1]):
        k, b = best(side)
        nodes.append((k, b))
        leaves += [side & (codes[:, k] <= b), side & (codes[:, k] > b)]
    assert list(zip(feature[0].tolist(), cut[0].tolist(), strict=True)) == nodes
    logs = [np.log((c[leaf].sum() + 1) / (v[leaf].sum() + 1)) for leaf in leaves]
    np.testing.assert_allclose(value[0], logs)
    expected = np.select(leaves, logs)
    np.testing.assert_allclose(_evaluate(codes, feature, cut, value), expected)


def test_far_from_the_toys_a_bound_on_p_counts():
    """Toys without skewness look Gaussian: 110 / 3 sigma, where a likelihood ratio of t = 100 has p < e^-50."""
    toys = np.random.default_rng(2).normal(-10, 3, size=200)
    free, bound = (NullToys({"reference": toys}, None, decay).z_asymptotic(100.0) for decay in (None, 1.0))
    assert free > 20
    assert z_to_p(bound) == pytest.approx(np.exp(-50), rel=1e-6)
    moved = NullToys({"reference": toys, "other": toys + 40}, None, 1.0).z_asymptotic(100.0)
    assert z_to_p(moved) == pytest.approx(np.exp(-(100 - np.mean(toys + 40)) / 2), rel=1e-6)
    trees = TreeRatio()
    assert trees.decay(np.full(400, 0.25)) == 1.25
    assert TreeRatio(statistic="auc").decay(np.ones(10)) is None


def test_the_null_of_trees_is_uniform():
    comparison = TwoSample(gaussian(3000), TreeRatio())
    p = comparison.closure(500, draws=60, toys=100)
    # all draws share the toys, which fluctuate, too: two samples
    assert stats.ks_2samp(p, np.arange(1, 101) / 101).pvalue > 0.01


def test_any_detector_can_be_the_statistic():
    detector = hepaa.detector("sum-of-squares").fit(gaussian(500, seed=3))
    reference = gaussian(4000)
    wider = hepaa.EventTable.build(1.3 * gaussian(500, seed=4).X, COLUMNS)
    for method in (detector, "sum-of-squares", BinnedScores(detector="sum-of-squares", bins=10)):
        comparison = TwoSample(reference, method)
        assert comparison.test(wider, toys=60).z_asymptotic > 4
        assert comparison.test(gaussian(500, seed=6), toys=60).p > 0.02
        p = comparison.closure(300, draws=60, toys=100)
        # all draws share the toys, which fluctuate, too: two samples
        assert stats.ks_2samp(p, np.arange(1, 101) / 101).pvalue > 0.01
    assert comparison.reference.n == pytest.approx(2000, abs=150)  # the other half has trained the detector
    assert comparison.reference.sum_weights == pytest.approx(4000)


@pytest.mark.slow
def test_a_flow_is_a_statistic_too():
    comparison = TwoSample(gaussian(2000), "flow")
    wider = hepaa.EventTable.build(1.4 * gaussian(400, seed=4).X, COLUMNS)
    assert comparison.test(wider, toys=60).z_asymptotic > 4


def test_one_method_serves_several_references():
    data, shared = gaussian(200, seed=3), KernelRatio(width=1.0, centres=20)
    first = TwoSample(gaussian(500), shared)
    before = first.test(data, toys=20).statistic
    TwoSample(gaussian(500, shift=5.0, seed=1), shared)
    assert first.test(data, toys=20).statistic == before


def test_the_same_seed_gives_the_same_numbers(comparison):
    data = gaussian(200, shift=0.2, seed=3)
    one, other = (TwoSample(gaussian(1000), SMALL, seed=4).test(data, toys=20).to_dict() for _ in range(2))
    assert one == other
    assert one["without_nuisances"]["z_is_bound"] in (True, False)
    assert one["with_nuisances"] is None


def test_the_maximum_is_that_of_a_general_minimiser():
    """One toy near the reference, and one so far that the shared Hessian is of no use."""
    from scipy.optimize import minimize

    rng = np.random.default_rng(2)
    design = np.concatenate([np.ones((400, 1)), rng.normal(size=(400, 3))], axis=1)
    v = np.full((400, 2), 0.5)
    c = np.stack([rng.poisson(0.5, 400), rng.poisson(0.5 * np.exp(3 * design[:, 1] - 3))], axis=1) * 1.0
    ridge, constraint = np.array([0, 0.1, 0.1, 0.1]), np.array([0, 0, 0, 1.0])
    solution = maximise(design, c, v, ridge, constraint)
    for k in range(2):

        def loss(a, k=k):
            return v[:, k] @ np.expm1(design @ a) - c[:, k] @ (design @ a) + (ridge + constraint) @ a**2 / 2

        best = minimize(loss, np.zeros(4), method="BFGS", options={"gtol": 1e-8}).x
        np.testing.assert_allclose(solution.coefficients[:, k], best, atol=2e-3)
        assert solution.value[k] == pytest.approx(-2 * (loss(best) - ridge @ best**2 / 2), abs=1e-3)


def test_tails_of_known_distributions():
    for k in (1, 5, 40):
        for t in (0.3 * k, k, 2.0 * k, k + 60.0):
            z = chi2_sum_z(t, np.ones(k))
            assert z == pytest.approx(stats.norm.isf(stats.chi2.sf(t, k)), abs=0.06 if k == 1 else 0.01)
    # far out the largest weight decides: p -> C exp(-t / 2 w_max)
    w = np.array([2.0, 1.0, 0.3])
    toys = np.random.default_rng(0).chisquare(1, size=(400_000, 3)) @ w
    assert chi2_sum_z(20.0, w) == pytest.approx(stats.norm.isf(np.mean(toys >= 20)), abs=0.03)
    assert z_to_p(chi2_sum_z(200.0, w)) / z_to_p(chi2_sum_z(180.0, w)) == pytest.approx(np.exp(-5), rel=0.1)
    gamma = np.random.default_rng(1).gamma(5.0, 2.0, size=100_000) - 3
    expected = stats.norm.isf(stats.gamma.sf(40 + 3, 5.0, scale=2.0))
    assert shifted_gamma_z(40.0, gamma) == pytest.approx(expected, abs=0.1)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda: TwoSample(gaussian(200, label=1)), "labelled as signal"),
        (lambda: TwoSample(gaussian(200).with_weight(np.full(200, -1.0))), "negative weights"),
        (lambda: TwoSample(gaussian(50)), "at least 100"),
        (lambda: TwoSample(gaussian(200), "kernels"), "'kernels' of two samples is unknown; did you mean 'kernel'"),
        (lambda: TwoSample(gaussian(200), "boosting"), "learns from labels"),
        (lambda: TreeRatio(bins=300), "bins"),
        (lambda: TwoSample(gaussian(200), "flow", seed=-1), "seed"),
        (lambda: KernelRatio(width=0), "width"),
        (lambda: TreeRatio(statistic="roc"), "statistic"),
        (lambda: TwoSample(gaussian(200), BinnedScores(detector="boosting")), "learns from labels"),
        (lambda: TwoSample(gaussian(200), SMALL).test(gaussian(5)), "5 events of data"),
        (lambda: TwoSample(gaussian(200), SMALL).test(gaussian(50), toys=3), "toys"),
        (lambda: TwoSample(gaussian(200), SMALL).test(gaussian(50).select(["x"])), None),
        (lambda: TwoSample(gaussian(200), SMALL).test(gaussian(50), nuisances=Nuisances()), "one generator"),
        (lambda: Nuisances(norms={"ZH": 0}), "ZH"),
        (lambda: Nuisances(generators=None, norms={"ZH": 0.1}).of(gaussian(20)), "ZH"),
        (lambda: Nuisances(generators=None, weights=("mu",)).of(gaussian(20)), "mu"),
        (lambda: Nuisances(generators=None, weights=("x",)).of(gaussian(20)), "not positive"),
        (lambda: TwoSample(gaussian(200), SMALL).closure(150), "twice as many"),
        (lambda: TwoSample(gaussian(200), SMALL, rate=True).expected(gaussian(20), events=50), "leave out events"),
    ],
)
def test_what_cannot_be_is_said(change, words):
    if words is None:
        change()  # a feature left out becomes a spectator: nothing is missing
        return
    with pytest.raises(InputError, match=words) as error:
        change()
    assert "\n" not in str(error.value)


def test_the_figure_shows_the_features_that_differ_most(comparison):
    from hepaa.plots import Look

    figure = comparison.test(gaussian(600, shift=0.5, seed=1), toys=40).plot(
        most=2, look=Look(label="Simulation", names={"data": "Run 2", "unknown": "$ZH$"})
    )
    assert len(figure.axes) == 4
    words = [text.get_text() for text in figure.legends[0].get_texts()]
    assert words == ["reference: $ZH$", "reference x learned ratio", "Run 2"]
    assert figure.axes[1].get_xlabel() == "x"
