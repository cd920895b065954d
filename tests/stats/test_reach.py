"""Cut scans against a direct count, limits against pyhf, luminosities against the closed form."""

import numpy as np
import pyhf
import pytest

from hepaa.errors import InputError
from hepaa.stats import reach
from hepaa.stats.likelihood import discovery_z
from hepaa.stats.significance import asimov

pytestmark = pytest.mark.filterwarnings("ignore:jsonschema.RefResolver:DeprecationWarning")


def test_cut_scan_equals_a_direct_count():
    rng = np.random.default_rng(0)
    xb, xs = np.round(rng.normal(0, 1, 2000), 1), np.round(rng.normal(1.5, 1, 300), 1)
    wb, ws = rng.gamma(2.0, 0.1, 2000), np.full(300, 0.03)
    scan = reach.cut_scan(xb, wb, xs, ws, systematic=0.1)
    for i in (5, 20, 40, len(scan.threshold) - 1):
        t = scan.threshold[i]
        s, b, v = ws[xs >= t].sum(), wb[xb >= t].sum(), (wb[xb >= t] ** 2).sum()
        assert scan.n_b[i] == np.sum(xb >= t)
        if scan.n_b[i] >= 25:
            assert scan.z[i] == pytest.approx(asimov(s, b, np.sqrt(v + (0.1 * b) ** 2)))
        else:
            assert np.isnan(scan.z[i])
    assert scan.n_b[scan.best] >= 25
    assert scan.z[scan.best] == np.nanmax(scan.z)
    assert reach.cut_scan(xb[:5], wb[:5], xs, ws).best is None
    with pytest.raises(InputError, match="shapes"):
        reach.cut_scan(xb, wb[:3], xs, ws)


def test_luminosity():
    s, b = np.array([3.0, 5.0]), np.array([100.0, 50.0])
    z = reach.z_versus_luminosity(s, b, None, [139.0, 4 * 139.0], at=139.0)
    assert z[0] == pytest.approx(np.hypot(*asimov(s, b)))
    assert z[1] == pytest.approx(2 * z[0])  # a background known exactly: Z grows as the root
    five = reach.luminosity_for(5.0, s, b, at=139.0)
    assert five == pytest.approx(139.0 * 25 / z[0] ** 2, rel=1e-6)
    ceiling = np.hypot(*(s / b / 0.05))  # s / (5 % b), uncorrelated
    assert reach.luminosity_for(ceiling * 1.01, s, b, 0.05 * b, at=139.0) is None
    assert reach.luminosity_for(ceiling * 0.9, s, b, 0.05 * b, at=139.0) > 139.0
    with pytest.raises(InputError, match="positive"):
        reach.z_versus_luminosity(s, b, None, [0.0], at=139.0)


@pytest.mark.parametrize(
    ("s", "b", "sigma", "n"),
    [
        ([5.0], [20.0], None, [24]),
        ([5.0], [20.0], [4.0], [17]),
        ([2.0, 6.0, 4.0], [200.0, 50.0, 6.0], [8.0, 5.0, 1.5], [210, 47, 9]),
    ],
)
def test_limits_equal_pyhf(s, b, sigma, n):
    pyhf.set_backend("numpy", pyhf.optimize.scipy_optimizer(tolerance=1e-10))
    modifiers = [] if sigma is None else [{"name": "stat", "type": "shapesys", "data": sigma}]
    model = pyhf.Model(
        {
            "channels": [
                {
                    "name": "score",
                    "samples": [
                        {"name": "s", "data": s, "modifiers": [{"name": "mu", "type": "normfactor", "data": None}]},
                        {"name": "b", "data": b, "modifiers": modifiers},
                    ],
                }
            ]
        },
        poi_name="mu",
    )
    ours = reach.upper_limit(s, b, sigma, n_obs=n)

    def cls(mu, counts):
        data = [*counts, *model.config.auxdata]
        observed, expected = pyhf.infer.hypotest(mu, data, model, test_stat="qtilde", return_expected_set=True)
        return float(observed), [float(x) for x in expected]

    # at our limits pyhf's CLs is 5 %; 0.5 % of it is about 0.1 % of mu
    assert cls(ours.observed, n)[0] == pytest.approx(0.05, rel=5e-3)
    for i, mu in enumerate(ours.expected):
        assert cls(mu, b)[1][i] == pytest.approx(0.05, rel=5e-3)


def test_injected_signal_is_recovered():
    rng = np.random.default_rng(1)
    s, b = np.array([2.0, 6.0, 9.0]), np.array([400.0, 150.0, 60.0])
    z = [discovery_z(n, s, b) for n in rng.poisson(s + b, (3000, 3))]
    # sqrt(q0) with signal is a Gaussian of unit width around the Asimov Z, cut off at 0
    expected = np.hypot(np.hypot(*asimov(s[:2], b[:2])), asimov(s[2], b[2]))
    assert np.median(z) == pytest.approx(expected, abs=0.06)
    assert np.mean(np.array(z) > expected + 1) == pytest.approx(0.1587, abs=0.025)
    limits = [reach.upper_limit(s, b, n_obs=n).observed for n in rng.poisson(s + b, (60, 3))]
    assert np.mean(np.array(limits) > 1) > 0.9  # CLs covers at least 95 %


def test_limit_refuses():
    with pytest.raises(InputError, match="b > 0"):
        reach.upper_limit([1.0], [0.0])
    with pytest.raises(InputError, match="not all 0"):
        reach.upper_limit([0.0], [1.0])
    with pytest.raises(InputError, match="observed counts"):
        reach.upper_limit([1.0], [1.0], n_obs=[1, 2])
