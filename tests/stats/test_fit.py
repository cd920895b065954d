"""pyhf's numbers through our functions: equal to ours where ours hold, with its global state untouched."""

import numpy as np
import pyhf
import pytest
from pyhf.optimize.mixins import OptimizerMixin

from hepaa.errors import InputError
from hepaa.stats import fit
from hepaa.stats.binning import Binning
from hepaa.stats.histogram import score_histograms
from hepaa.stats.limits import upper_limit
from hepaa.stats.systematics import Normalisation, Shape, relative_shifts
from hepaa.stats.workspace import workspace
from hepaa.table import EventTable, concatenate


@pytest.fixture(scope="module")
def spec():
    rng = np.random.default_rng(0)
    b = EventTable.build(rng.exponential(1.0, (6000, 1)), ["x"], process="QCD", weight=np.full(6000, 0.05))
    s = EventTable.build(2 + rng.exponential(1.0, (2000, 1)), ["x"], process="S", label=1, weight=np.full(2000, 0.012))
    table = concatenate([b, s])
    h = score_histograms(table, table["x"], Binning((0.0, 1.0, 2.0, 3.0, 9.0)))
    shifts = np.array([0.04, 0.0, -0.05, -0.1])
    nuisances = [
        Normalisation("rate", 1.05, 1 / 1.05),
        Shape("bend", "QCD", tuple(h.b * (1 + shifts)), tuple(h.b * (1 - shifts))),
    ]
    return h, nuisances, workspace({"sr": h}, "S", uncertainties=nuisances)


def test_expected_numbers_equal_ours(spec):
    h, nuisances, content = spec
    before = pyhf.get_backend()
    found = fit.infer(content, observed=False)
    assert pyhf.get_backend() == before
    shifts = relative_shifts(nuisances, {"QCD": h.b})
    ours = h.significance(shifts=shifts)
    assert found.expected_z == pytest.approx(ours.total, rel=0.01)
    limit = upper_limit(h.s(), h.b, np.sqrt(h.b_variance), shifts=ours.response)
    np.testing.assert_allclose(found.expected_limit, limit.expected, rtol=0.02)
    assert found.observed_z is None
    assert found.observed_limit is None


@pytest.mark.slow
def test_observed_numbers_follow_the_data(spec):
    h, nuisances, _ = spec
    content = workspace({"sr": h}, "S", uncertainties=nuisances, observed={"sr": h.b + h.s()})
    found = fit.infer(content, observed=True)
    assert found.observed_z == pytest.approx(found.expected_z, rel=5e-3)
    assert found.observed_limit > found.expected_limit[2]
    assert found.to_dict()["level"] == pytest.approx(0.95)


def test_what_is_not_valid_is_refused(spec):
    content = {**spec[2], "version": "9.9.9"}
    with pytest.raises(InputError, match="not valid"):
        fit.validate(content)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of pyhf's own dependencies
def test_limits_are_those_of_pyhfs_own_scan_with_less_than_half_of_its_fits(monkeypatch):
    """Data above and below the background; pyhf fits five times for every signal strength that it looks at."""
    rate = {"name": "rate", "type": "normsys", "data": {"hi": 1.1, "lo": 0.9}}
    bins = [
        {"name": "S", "data": [1.0, 3.0], "modifiers": [{"name": "mu", "type": "normfactor", "data": None}]},
        {"name": "B", "data": [50.0, 20.0], "modifiers": [rate]},
    ]
    fits = []
    minimize = OptimizerMixin.minimize
    monkeypatch.setattr(OptimizerMixin, "minimize", lambda *a, **k: fits.append(1) or minimize(*a, **k))
    for data in ([52.0, 26.0], [44.0, 15.0]):
        content = {
            "version": "1.0.0",
            "channels": [{"name": "sr", "samples": bins}],
            "observations": [{"name": "sr", "data": data}],
            "measurements": [{"name": "m", "config": {"poi": "mu", "parameters": []}}],
        }
        fits.clear()
        found = fit.infer(content, observed=True)
        ours = len(fits)
        whole = pyhf.Workspace(content)
        model = whole.model()
        fits.clear()
        observed, band = pyhf.infer.intervals.upper_limits.toms748_scan(whole.data(model), model, 0.1, 10, rtol=1e-3)
        assert found.observed_limit == pytest.approx(float(observed), rel=2e-3)
        np.testing.assert_allclose(found.expected_limit, np.array(band, dtype=float), rtol=2e-3)
        assert ours < 0.5 * len(fits)
