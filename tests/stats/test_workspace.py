"""Workspaces: valid for pyhf, and with its expected significance equal to ours."""

import json

import numpy as np
import pyhf
import pytest

from hepaa.errors import InputError
from hepaa.stats.binning import Binning
from hepaa.stats.histogram import score_histograms
from hepaa.stats.significance import asimov_correlated, combine
from hepaa.stats.systematics import response
from hepaa.stats.workspace import Normalisation, Shape, datacard, generator_spread, workspace
from hepaa.table import EventTable, concatenate

pytestmark = pytest.mark.filterwarnings("ignore:jsonschema.RefResolver:DeprecationWarning")
EDGES = Binning((0.0, 1.0, 2.0, 3.0, 9.0))


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(0)
    parts = [
        EventTable.build(
            rng.exponential(1 + 0.1 * i, (4000, 1)),
            ["x"],
            process="QCD",
            generator=g,
            weight=np.full(4000, 0.05 + 0.005 * i),
        )
        for i, g in enumerate(("A", "B", "C"))
    ]
    parts.append(EventTable.build(rng.exponential(0.8, (1500, 1)), ["x"], process="t t", weight=np.full(1500, 0.1)))
    parts.append(
        EventTable.build(2 + rng.exponential(1.0, (1500, 1)), ["x"], process="S'", label=1, weight=np.full(1500, 0.015))
    )
    return concatenate(parts)


@pytest.fixture(scope="module")
def h(table):
    return score_histograms(table, table["x"], EDGES)


def expected_z(spec):
    pyhf.set_backend("numpy", pyhf.optimize.scipy_optimizer(tolerance=1e-9))
    ws = pyhf.Workspace(json.loads(json.dumps(spec, allow_nan=False)))
    model = ws.model()
    data = model.expected_data(model.config.suggested_init())  # mu = 1
    q0 = pyhf.infer.test_statistics.q0(
        0.0, data, model, model.config.suggested_init(), model.config.suggested_bounds(), model.config.suggested_fixed()
    )
    return model, float(np.sqrt(q0))


def test_expected_significance_equals_ours(h):
    model, z = expected_z(workspace({"sr": h}, "S'"))
    # Gaussian against Poisson constraints of 2 to 5 % errors: the same to 0.2 %
    assert z == pytest.approx(combine(h.significance().z), rel=2e-3)
    assert model.config.poi_name == "mu"
    np.testing.assert_allclose(model.expected_actualdata([0.0 if n == "mu" else 1.0 for n in names(model)]), h.b)


def names(model):
    return [n for n in model.config.par_order for _ in range(model.config.param_set(n).n_parameters)]


def test_a_common_normalisation_equals_ours(h):
    _, z = expected_z(workspace({"sr": h}, "S'", uncertainties=[Normalisation("all", 1.1, 1 / 1.1)]))
    assert z == pytest.approx(asimov_correlated(h.s(), h.b, np.sqrt(h.b_variance), relative=0.1), rel=0.01)
    assert z < 0.97 * combine(h.significance().z)


def test_the_quoted_total_is_what_the_fit_expects(table):
    """Few simulated events, a large signal, and uncertainties that samples and bins share: the same likelihood."""
    few = table[np.r_[0:12000:40, 12000:13500:20, 13500:15000]]
    few = few.with_weight(few.weight * np.where(few.label == 1, 8.0, np.where(few.process == 0, 40.0, 20.0)))
    h = score_histograms(few, few["x"], EDGES)
    yields = {name: b.values() for name, b in h.backgrounds.items()}
    qcd = few[few.process == 0]
    by = score_histograms(qcd, qcd["x"], EDGES, by="generator").backgrounds
    shared = [
        Normalisation("background", 1.1, 1 / 1.1),
        Normalisation("t t", 1.3, 1 / 1.3, ("t t",)),
        *generator_spread(by, yields["QCD"], sample="QCD"),
    ]
    total = h.significance(systematic=0.1, response=response(shared, yields)).total
    _, z = expected_z(workspace({"sr": h}, "S'", uncertainties=shared))
    assert 3 < total < 0.8 * h.significance().total
    assert z == pytest.approx(total, rel=5e-3)


def test_generator_spread_is_an_envelope(table, h):
    qcd = table[table.process == 0]
    by = score_histograms(qcd, qcd["x"], EDGES, by="generator").backgrounds
    nominal = h.backgrounds["QCD"].values()
    shape, norm = generator_spread(by, nominal, sample="QCD")
    up, down = np.array(shape.up), np.array(shape.down)
    assert up.sum() == pytest.approx(nominal.sum())
    assert down.sum() == pytest.approx(nominal.sum())
    for g in by.values():
        scaled = g.values() * nominal.sum() / g.values().sum()
        assert np.all(scaled <= np.maximum(up, down) * 1.02)
        assert np.all(scaled >= np.minimum(up, down) * 0.98)
    assert norm.up == pytest.approx(1.2 / 1.1, rel=1e-6)  # totals are as 1 : 1.1 : 1.2
    spec = workspace({"sr": h}, "S'", uncertainties=[shape, norm], luminosity_error=0.02)
    model, z = expected_z(spec)
    assert {"generator_shape", "generator_norm", "lumi", "mcstat_sr_QCD", "mcstat_sr_t t"} <= set(
        model.config.par_order
    )
    assert z < expected_z(workspace({"sr": h}, "S'"))[1]
    with pytest.raises(InputError, match="two or more"):
        generator_spread({"A": by["A"]}, nominal, sample="QCD")


def test_two_channels_and_observed_counts(h):
    spec = workspace({"low": h, "high": h}, "S'", observed={"low": [1, 2, 3, 4]})
    assert spec["observations"][0] == {"name": "low", "data": [1.0, 2.0, 3.0, 4.0]}
    np.testing.assert_allclose(spec["observations"][1]["data"], h.b)
    _, z = expected_z(spec)
    assert z == pytest.approx(np.sqrt(2) * expected_z(workspace({"one": h}, "S'"))[1], rel=1e-3)


def test_datacard(h):
    shape = Shape("gen", "QCD", tuple(h.b * 1.1), tuple(h.b * 0.9))
    card, content = datacard(
        {"sr": h}, "S'", uncertainties=[shape, Normalisation("t t xs", 1.05, 0.95, ("t t",))], luminosity_error=0.02
    )
    lines = {line.split()[0]: line.split()[1:] for line in card.splitlines() if line and line[0] != "-"}
    assert "process S QCD t_t" in card
    assert "process 0 1 2" in card
    np.testing.assert_allclose([float(x) for x in lines["rate"]], [22.5, 660.0, 150.0], rtol=1e-6)
    assert lines["t_t_xs"] == ["lnN", "-", "-", "0.95/1.05"]
    assert lines["gen"] == ["shape", "-", "1", "-"]
    assert lines["lumi"] == ["lnN", "1.02", "1.02", "1.02"]
    assert set(content) == {"sr/data_obs", "sr/S", "sr/QCD", "sr/t_t", "sr/QCD_genUp", "sr/QCD_genDown"}
    assert float(lines["observation"][0]) == pytest.approx(sum(h.b))


def test_refuses(table, h):
    with pytest.raises(InputError, match="acts on 'ttt'"):
        workspace({"sr": h}, "S'", uncertainties=[Normalisation("x", 1.1, 0.9, ("ttt",))])
    with pytest.raises(InputError, match="must be positive"):
        Normalisation("x", -1.0, 0.9)
    with pytest.raises(InputError, match="observed counts"):
        workspace({"sr": h}, "S'", observed={"sr": [1]})
    with pytest.raises(InputError, match="at least one channel"):
        workspace({}, "S'")
    with pytest.raises(InputError, match="available: S'"):
        workspace({"sr": h}, "Z")
    wide = score_histograms(table, table["x"], Binning((0.0, 1.0, 2.0, 50.0, 90.0)))
    with pytest.raises(InputError, match="bin 3 of channel 'sr' has no background"):
        workspace({"sr": wide}, "S'")
    negative = table.with_weight(np.where(table["x"] > 3, -1, 1) * table.weight)
    with pytest.raises(InputError, match="negative yield"):
        workspace({"sr": score_histograms(negative, negative["x"], EDGES)}, "S'")


def test_names_with_slashes_make_a_valid_model(h):
    spec = workspace({"a/b": h}, "S'", uncertainties=[Normalisation("x/y", 1.1, 0.9)])
    model, _ = expected_z(spec)
    assert {"mcstat_a_b_QCD", "x_y"} <= set(model.config.par_order)


def test_channels_that_a_datacard_would_spell_alike_stay_apart(h):
    text, shapes = datacard({"m<5": h, "m>5": h}, next(iter(h.signals)))
    assert "bin m_5 m_5_2" in text
    assert {name.split("/")[0] for name in shapes} == {"m_5", "m_5_2"}
