"""CWoLa, CATHODE, ANODE and the idealised template on one planted signal: each finds it, and none reads a label."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.searches import WINDOW, background, planted, table
from scipy import stats

import hepaa
from hepaa.errors import InputError
from hepaa.search import Anode, Cathode, Cwola, Idealised
from hepaa.stats.performance import auc

N = 3000
TEMPLATE = table(background(12_000, np.random.default_rng(77)))
METHODS = {
    "cwola": Cwola(WINDOW, members=2),
    "cwola, flattened": Cwola(WINDOW, members=2, decorrelate="flatten"),
    "cwola, latent": Cwola(WINDOW, members=2, decorrelate="latent"),
    "cathode": Cathode(WINDOW, members=2),
    "anode": Anode(WINDOW, members=1, components=4, signal_components=4),
    "idealised": Idealised(WINDOW, template=TEMPLATE, members=2),
    "idealised, trees": Idealised(WINDOW, template=TEMPLATE, by="trees", members=2),
}


@pytest.fixture(scope="module")
def data():
    return planted(N, 60)


@pytest.mark.parametrize("name", METHODS)
def test_other_events_of_the_signal_rank_above_those_of_background(name, data):
    method = METHODS[name].fresh().fit_rows(data, np.random.default_rng(0))
    other = planted(N, 300, seed=1)
    inside = WINDOW.in_signal(other.mass)
    truth = np.arange(other.n) >= N
    score = method.score_rows(other)
    assert score.dtype == np.float64
    assert np.isfinite(score).all()
    assert auc(truth[inside], score[inside]) > 0.9


@pytest.mark.parametrize("name", ["cwola, flattened", "cathode", "anode", "idealised"])
def test_same_events_and_seed_give_the_same_bytes(name, data):
    scores = [METHODS[name].fresh().fit(table(data), seed=s).score(table(data)) for s in (0, 0, 1)]
    assert scores[0].tobytes() == scores[1].tobytes()
    assert (scores[0] != scores[2]).any()


def test_flattened_scores_of_the_sidebands_do_not_follow_the_mass():
    """Of events that moved with it: the plain score does."""
    rows = background(N, np.random.default_rng(0), shift=1.5)
    other = background(N, np.random.default_rng(1), shift=1.5)
    middle = (other.mass > 3000) & (other.mass < 4000)  # plain, the middle looks like the signal region
    change = {}
    for decorrelate in (None, "flatten", "latent"):
        score = Cwola(WINDOW, members=2, decorrelate=decorrelate).fit_rows(rows, np.random.default_rng(0))
        s = score.score_rows(other)
        change[decorrelate] = s[middle].mean() - s[~middle].mean()
        change[decorrelate] /= s.std()
    assert change[None] > 0.4
    assert abs(change["flatten"]) < 0.15
    assert abs(change["latent"]) < 0.15


def test_anode_is_the_ratio_of_its_densities(data):
    method = Anode(WINDOW, members=2, components=3, signal_components=3).fit_rows(data, np.random.default_rng(0))
    inside = [density.log_density(data.x, data.mass) for density in method.signal_densities_]
    expected = np.mean(inside, axis=0) - method.background_.log_density(data.x, data.mass)
    np.testing.assert_allclose(method.score_rows(data), expected)


def test_samples_of_cathode_lie_at_the_masses_of_the_signal_region(data):
    method = Cathode(WINDOW, members=1, oversampling=3).fit_rows(data, np.random.default_rng(0))
    inside = data[WINDOW.in_signal(data.mass)]
    samples = method._reference(inside, data, np.random.default_rng(0))
    assert samples.n == 3 * inside.n
    np.testing.assert_array_equal(np.unique(samples.mass), np.unique(inside.mass))
    background_only = data[np.arange(data.n) < N]
    truth = background_only[WINDOW.in_signal(background_only.mass)]
    for i in range(2):
        assert stats.ks_2samp(samples.x[:, i], truth.x[:, i]).pvalue > 1e-3


def test_the_template_is_cut_to_the_signal_region_and_found_by_name(data):
    """Sidebands of the template, and the order of its columns, do not matter."""
    rows = background(12_000, np.random.default_rng(77))
    alone = table(rows[WINDOW.in_signal(rows.mass)], order=("b", "a", "m"))
    one, other = (
        Idealised(WINDOW, template=t, members=1).fit_rows(data, np.random.default_rng(0)).score_rows(data)
        for t in (TEMPLATE, alone)
    )
    np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("method", "message"),
    [
        (Idealised(WINDOW), "Idealised needs a template"),
        (Idealised(WINDOW, template=TEMPLATE, by="flow"), "by 'flow' is unknown"),
        (Idealised(WINDOW, template=TEMPLATE[:40]), "the template holds [0-9]+ events in the signal"),
        (Cwola(WINDOW, members=1, decorrelate="disco"), "decorrelate 'disco' is unknown"),
        (Cathode(WINDOW, members=1, oversampling=0), "oversampling is 0"),
        (Cathode(WINDOW, members=1, background="kde"), "background 'kde' is unknown"),
    ],
)
def test_parameters_that_mean_nothing_are_refused(data, method, message):
    with pytest.raises(InputError, match=message):
        method.fit_rows(data, np.random.default_rng(0))


def test_a_template_without_an_input_is_refused(data):
    with pytest.raises(InputError, match="no column 'b'"):
        Idealised(WINDOW, template=hepaa.EventTable.build(np.ones((50, 2)), ("m", "a"))).fit(table(data))


def test_settings_are_json_and_name_the_method():
    settings = METHODS["idealised"].settings()
    assert settings["method"] == "Idealised"
    assert "template" not in settings
    assert settings["by"] == "residual"
