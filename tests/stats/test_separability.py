"""The linear probe of groups against the Bayes accuracy of Gaussians."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from hepaa.errors import InputError
from hepaa.stats.separability import linear_probe


def gaussians(n: int, distance: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    group = np.repeat([0, 1], [n, n // 3])  # unequal groups count as much
    z = rng.normal(size=(len(group), 3))
    z[:, 1] += distance * group
    return 100 * z, group


@pytest.mark.parametrize("distance", [0.0, 1.0, 4.0])
def test_accuracy_is_that_of_the_best_plane(distance: float) -> None:
    z, group = gaussians(1500, distance)
    probe = linear_probe(z, group)
    assert probe.chance == 0.5
    assert abs(probe.accuracy - norm.cdf(distance / 2)) < 4 * probe.error
    expected = np.sqrt(probe.accuracy * (1 - probe.accuracy) * (1 / 1500 + 1 / 500)) / 2
    assert probe.error == pytest.approx(expected, rel=0.1)


def test_an_event_of_weight_two_is_two_events() -> None:
    z, group = gaussians(300, 1.0)
    weight = np.where(z[:, 1] > 0, 2.0, 1.0)
    heavy = linear_probe(z, group, weight=weight)
    assert heavy.accuracy != linear_probe(z, group).accuracy
    np.testing.assert_allclose(linear_probe(z, group, weight=5 * weight).error, heavy.error)


def test_what_cannot_be_probed() -> None:
    z, group = gaussians(30, 1.0)
    for bad in ((z[:5], group), (z, np.zeros(len(z))), (z, np.arange(len(z)) < 3)):
        with pytest.raises(InputError, match=r"probe of 5 folds|a row an event"):
            linear_probe(*bad)
