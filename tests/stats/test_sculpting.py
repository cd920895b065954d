"""A cut that sculpts is caught, an innocent one passes, and too few events are no pass."""

import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon

from hepaa.errors import InputError
from hepaa.stats.sculpting import jensen_shannon, sculpting, sculpting_gate, spectrum_edges

EDGES = np.linspace(1500, 5000, 51)


def falling(n, rng):
    """Masses whose spectrum is the dijet function with p1 = 8, p2 = 4, between 1.5 and 5 TeV."""
    x = np.linspace(1500, 5000, 4000) / 13000
    cdf = np.cumsum((1 - x) ** 8 * x**-4.0)
    return 13000 * np.interp(rng.uniform(size=n), cdf / cdf[-1], x)


def test_gate_catches_a_score_that_knows_the_mass():
    rng = np.random.default_rng(4)
    m = falling(150_000, rng)
    honest = rng.uniform(size=len(m)) > 0.95
    near = np.exp(-0.5 * ((m - 3000) / 250) ** 2) + 0.35 * rng.uniform(size=len(m))
    guilty = near > np.quantile(near, 0.95)
    fine = sculpting_gate(m, honest, EDGES, toys=60, rng=rng)
    bad = sculpting_gate(m, guilty, EDGES, toys=60, rng=rng)
    assert fine.passed
    assert fine.sculpting.p > 0.01
    assert not bad.passed
    assert "FAILED" in bad.message
    assert bad.bump.overall.bound
    assert sum(bad.counts) == bad.events == np.sum(guilty)
    assert sum(bad.counts_all) == len(m)


def test_gate_catches_a_cut_that_the_fit_follows():
    """Only events at low mass are kept: what is left falls smoothly, and no bump stands above its own fit."""
    rng = np.random.default_rng(9)
    m = falling(40_000, rng)
    low = rng.uniform(size=len(m)) < np.exp(-(m - 1500) / 250)
    gate = sculpting_gate(m, low, EDGES, toys=60, rng=rng)
    assert gate.bump.overall.z < gate.limit
    assert gate.sculpting.jsd > gate.divergence
    assert not gate.passed
    assert "no fit of it can be trusted" in gate.message
    assert sculpting_gate(m, low, EDGES, toys=60, divergence=1.0, rng=rng).passed


def test_too_few_events_are_no_pass():
    rng = np.random.default_rng(5)
    m = falling(2000, rng)
    gate = sculpting_gate(m, rng.uniform(size=len(m)) > 0.97, EDGES, toys=60, rng=rng)
    assert not gate.passed
    assert gate.bump is None
    assert "NOT TESTED" in gate.message
    assert gate.to_dict()["message"] == gate.message


def test_range_of_a_spectrum_starts_at_its_peak():
    rng = np.random.default_rng(6)
    m = 1200 + rng.gamma(3.0, 200.0, 50_000)  # peaks at 1600
    edges = spectrum_edges(m, 20)
    assert len(edges) == 21
    assert 1450 < edges[0] < 1700
    assert edges[-1] == pytest.approx(np.quantile(m, 0.999))
    np.testing.assert_allclose(spectrum_edges(m, 2, (1000.0, 2000.0)), [1000, 1500, 2000])


def test_gate_refuses():
    rng = np.random.default_rng(0)
    with pytest.raises(InputError, match="needs 741"):
        sculpting_gate([2000.0], [True], EDGES, limit=3.0, toys=100, rng=rng)
    with pytest.raises(InputError, match="give 0 < low < high"):
        spectrum_edges([2000.0], 5, (3.0, 2.0))


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1])
def test_on_lhco_events_a_detector_that_knows_mjj_fails_and_passes_once_it_is_flattened(data, seed):
    """A detector that is shown anomalies at 3.5 TeV, with m_jj among its inputs, makes a bump there out of QCD."""
    import pandas as pd

    from hepaa.models.presets import detector
    from hepaa.stats.flattening import QuantileFlattening

    frame = pd.read_csv(data / "lhco" / "rd_event_features_12k.csv.gz")
    columns = ["mjj", "dEtajj", "dPhijj", "dRjj", "dPtjj", "sumPtjj", "sumPtAllJets", "vecSumPtjj"]
    X, truth = frame[columns].to_numpy(), frame["isSignal"].to_numpy().astype(bool)
    background, anomalies = X[~truth], X[truth][:500]
    train, calibration, test = np.array_split(np.random.default_rng(seed).permutation(len(background)), 3)
    y = np.repeat([0, 1], [len(train), len(anomalies)])
    model = detector("AnomalyAwareVAE", epochs=15, finetune_epochs=10, seed=0)
    score = model.fit(np.concatenate([background[train], anomalies]), y).anomaly_score(background)
    mass = background[:, 0]
    flat = QuantileFlattening(20).fit(score[calibration], mass[calibration]).transform(score, mass)
    gates = {}
    for name, values in (("with mjj", score), ("flattened", flat)):
        passed = values[test] >= np.quantile(values[calibration], 0.8)
        edges = spectrum_edges(mass[test], 30)
        gates[name] = sculpting_gate(mass[test], passed, edges, toys=100, rng=np.random.default_rng(1))
    assert not gates["with mjj"].passed
    assert gates["with mjj"].bump.overall.bound  # beyond all toys
    assert gates["flattened"].passed
    assert gates["flattened"].sculpting.jsd < 0.1 * gates["with mjj"].sculpting.jsd


def test_divergence_equals_scipy():
    rng = np.random.default_rng(4)
    p, q = rng.uniform(size=20), rng.uniform(size=20)
    assert jensen_shannon(p, q) == pytest.approx(jensenshannon(p, q, base=2) ** 2)
    assert jensen_shannon([1, 0], [0, 3]) == pytest.approx(1)
    assert jensen_shannon([1, 2], [2, 4]) == pytest.approx(0, abs=1e-15)
    with pytest.raises(InputError, match="positive totals"):
        jensen_shannon([0, 0], [1, 1])


def test_sculpting_tells_a_mass_cut_from_an_innocent_one():
    rng = np.random.default_rng(5)
    m = 2000 + rng.exponential(600, 20_000)
    honest = sculpting(m, rng.uniform(size=len(m)) > 0.95, rng=rng)
    assert honest.p > 0.01
    assert honest.jsd == pytest.approx(honest.expected, rel=0.5)
    score = m + 400 * rng.normal(size=len(m))
    guilty = sculpting(m, score > np.quantile(score, 0.95), rng=rng)
    assert guilty.p == pytest.approx(1 / 201)
    assert guilty.jsd > 20 * guilty.expected
    assert guilty.mean_shift > 1
    assert guilty.eps_b == pytest.approx(0.05, abs=1e-3)
    with pytest.raises(InputError, match="0 of 3 events pass"):
        sculpting([1.0, 2.0, 3.0], [False] * 3, rng=rng)
