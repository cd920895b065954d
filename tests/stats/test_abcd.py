"""ABCD on toys."""

import numpy as np
import pytest

from hepaa.errors import InputError
from hepaa.stats.abcd import abcd, abcd_contamination


def test_abcd_by_hand():
    x, y = np.array([0, 0, 0, 0, 1, 1, 1, 0, 0]), np.array([0, 0, 0, 0, 0, 0, 1, 1, 1])
    t = abcd(x, y, 0.5, 0.5)
    assert (t.a, t.b, t.c, t.d) == (2, 1, 2, 4)
    assert t.predicted == 1
    assert t.error == pytest.approx(np.sqrt(1 / 2 + 1 / 2 + 1 / 4))
    assert abcd_contamination(t, (2.0, 9.0, 0.0, 0.0)) == pytest.approx(1.0)
    with pytest.raises(InputError, match="region D"):
        abcd(x[4:], y[4:], 0.5, 0.5)


@pytest.mark.parametrize("weighted", [False, True])
def test_abcd_is_unbiased_with_honest_errors(weighted):
    rng = np.random.default_rng(0)
    pulls = []
    for _ in range(2500):
        n = rng.poisson(6000)
        w = rng.gamma(4.0, 0.25, n) if weighted else None
        pulls.append(abcd(rng.exponential(size=n), rng.normal(size=n), 1.2, 0.8, weight=w).pull)
    assert abs(np.mean(pulls)) < 0.1
    assert 0.9 < np.std(pulls) < 1.1


def test_abcd_closure_sees_correlation():
    rng = np.random.default_rng(1)
    x = rng.normal(size=40_000)
    t = abcd(x, 0.5 * x + rng.normal(size=40_000), 1.0, 1.0)
    assert t.closure > 0.3
    assert t.pull > 5
