"""False positives of generators: exact where counted by hand, the target on the reference, more on a shifted one."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import beta

from hepaa.errors import InputError
from hepaa.stats.transfer import false_positives


def test_counted_by_hand():
    reference = np.arange(1000.0), np.ones(1000)
    other = np.array([985.0, 990.5, 991, 5000, 3]), np.array([1.0, 2, 1, 1, 5])
    (one,) = false_positives(reference, {"other": other}, targets=(0.01,), min_events=5)["other"]
    assert one.events == 3  # above 989, the first reference score that does not pass
    assert one.rate == pytest.approx(4 / 10)
    n = 10**2 / (1 + 4 + 1 + 1 + 25)
    tail = (1 - 0.6826894921370859) / 2
    assert one.low == pytest.approx(beta.ppf(tail, 0.4 * n, 0.6 * n + 1))
    assert one.high == pytest.approx(beta.ppf(1 - tail, 0.4 * n + 1, 0.6 * n))


def test_the_same_population_has_the_target_and_a_shifted_one_what_the_normal_says():
    rng = np.random.default_rng(1)
    w = rng.uniform(0.5, 1.5, 400_000)
    reference, same, shifted = rng.normal(size=(3, 400_000))
    found = false_positives((reference, w), {"same": (same, w), "shifted": (shifted + 0.3, w)}, targets=(0.01, 0.001))
    from scipy.stats import norm

    for k, target in enumerate((0.01, 0.001)):
        for name, expected in (("same", target), ("shifted", norm.sf(norm.isf(target) - 0.3))):
            value = found[name][k]
            error = (value.high - value.low) / 2
            assert value.target == target
            assert abs(value.rate - expected) < 4 * np.hypot(error, 0.003 * expected**0.5)


def test_a_cut_with_too_few_events_is_not_quoted():
    scores = np.arange(2000.0), np.ones(2000)
    found = false_positives(scores, {"x": scores}, targets=(0.1, 0.01), min_events=25)
    assert [f.target for f in found["x"]] == [0.1]


def test_no_events_is_an_error():
    with pytest.raises(InputError, match="'x'"):
        false_positives((np.arange(100.0), np.ones(100)), {"x": ([], [])}, targets=(0.5,))
