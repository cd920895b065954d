"""Global p-values against toys, bumps where they are."""

import numpy as np
import pytest

from hepaa.errors import InputError
from hepaa.stats import bumps
from hepaa.stats.likelihood import q0_of

EDGES = np.linspace(1500, 5000, 51)
SPECTRUM = 4000 * np.exp(-np.linspace(0, 5, 50))


def falling(n, rng):
    """Masses whose spectrum is the dijet function with p1 = 8, p2 = 4, between 1.5 and 5 TeV."""
    x = np.linspace(1500, 5000, 4000) / 13000
    cdf = np.cumsum((1 - x) ** 8 * x**-4.0)
    return 13000 * np.interp(rng.uniform(size=n), cdf / cdf[-1], x)


def test_a_bump_is_found_where_it_is():
    rng = np.random.default_rng(0)
    background = np.histogram(falling(20_000, rng), EDGES)[0]
    peak = np.histogram(rng.normal(3000, 60, 160), EDGES)[0]
    bump = bumps.bump_hunt(background + peak, EDGES, toys=200, rng=rng)
    assert bump.low < 3000 < bump.high
    assert bump.z_local > 5
    assert bump.overall.bound
    assert bump.observed == np.sum((background + peak)[(EDGES[:-1] >= bump.low) & (EDGES[1:] <= bump.high)])


def test_overall_p_is_uniform_for_background():
    rng = np.random.default_rng(1)
    p = [
        bumps.bump_hunt(np.histogram(falling(3000, rng), EDGES)[0], EDGES, toys=30, rng=rng).overall.p
        for _ in range(40)
    ]
    assert 0.3 < np.mean(p) < 0.7
    assert np.mean(np.array(p) < 0.2) < 0.4


def test_mass_scan_is_the_discovery_test_of_each_template():
    n = np.random.default_rng(2).poisson(SPECTRUM)
    z = bumps.mass_scan(n, SPECTRUM, EDGES, [2000.0, 3300.0], 100.0)
    from scipy.stats import norm

    for mass, value in zip([2000.0, 3300.0], z, strict=True):
        q0 = q0_of(n, np.diff(norm.cdf(EDGES, mass, 100.0)), SPECTRUM)
        assert value == pytest.approx(np.sqrt(q0), rel=1e-9)


def test_gross_vitells_equals_toys():
    rng = np.random.default_rng(3)
    masses = np.linspace(1800, 4500, 60)
    z = bumps.mass_scan(rng.poisson(SPECTRUM, (5000, 50)), SPECTRUM, EDGES, masses, 120.0)
    few = bumps.upcrossings(z[:500], 1.0).mean()  # a small set of toys fixes the number of crossings
    highest = z.max(axis=1)
    for local in (2.5, 3.0):
        p, _ = bumps.gross_vitells(local, few, 1.0)
        assert p == pytest.approx(np.mean(highest >= local), rel=0.2)
    assert bumps.upcrossings([0.0, 1.0, 0.2, 0.9, 0.1], 0.5) == 2
    with pytest.raises(InputError, match="below the level"):
        bumps.gross_vitells(0.1, 3.0, 0.5)


def test_refuses():
    rng = np.random.default_rng(0)
    with pytest.raises(InputError, match="whole numbers"):
        bumps.bump_hunt(np.full(50, 1.5), EDGES, rng=rng)
    with pytest.raises(InputError, match="windows that fit"):
        bumps.bump_hunt(np.ones(50), EDGES, widths=(70,), rng=rng)
    with pytest.raises(InputError, match="outside the spectrum"):
        bumps.mass_scan(SPECTRUM, SPECTRUM, EDGES, [99999.0], 10.0)
    with pytest.raises(InputError, match="do not match"):
        bumps.mass_scan(SPECTRUM, SPECTRUM[:-1], EDGES, [2000.0], 10.0)
