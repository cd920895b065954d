"""pyhf's numbers through our functions: equal to ours where ours hold, with its global state untouched."""

import numpy as np
import pyhf
import pytest

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
