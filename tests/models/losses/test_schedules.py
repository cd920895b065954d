"""Annealing of loss weights."""

from __future__ import annotations

import pytest

from hepaa.errors import InputError
from hepaa.models.losses.schedules import Fixed, Linear, Triggered, schedule


def test_linear_reaches_both_ends() -> None:
    ramp = Linear(0.0, 2.0, 5)
    assert [ramp(e, {}) for e in range(7)] == [0.0, 0.5, 1.0, 1.5, 2.0, 2.0, 2.0]
    late = Linear(1.0, 0.0, 3, begin=2)
    assert [late(e, {}) for e in range(6)] == [1.0, 1.0, 1.0, 0.5, 0.0, 0.0]
    assert Linear(0.0, 3.0, 1)(0, {}) == 3.0
    with pytest.raises(InputError):
        Linear(0, 1, 0)


def test_triggered_waits_for_the_plateau() -> None:
    ramp = Triggered(0.0, 1.0, epochs=3, watch="kl", patience=2, tolerance=0.01)
    falling = [10.0, 8.0, 6.0, 5.999, 5.998, 5.0, 4.0]
    seen = [ramp(e, {"kl": falling[:e]}) for e in range(8)]
    # 5.999 and 5.998 are no progress: the ramp starts with the epoch after them
    assert seen == [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.5, 1.0]
    assert ramp(4, {}) == 0.0


def test_numbers_become_fixed_weights() -> None:
    assert schedule(0.25)(3, {}) == 0.25
    ramp = Linear(0, 1, 2)
    assert schedule(ramp) is ramp
    assert Fixed(2.0)(0, {}) == 2.0
