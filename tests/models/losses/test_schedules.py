"""Annealing of loss weights."""

from __future__ import annotations

import pytest

from hepaa.errors import InputError
from hepaa.models.losses.schedules import Fixed, Linear


def test_linear_reaches_both_ends() -> None:
    ramp = Linear(0.0, 2.0, 5)
    assert [ramp(e) for e in range(7)] == [0.0, 0.5, 1.0, 1.5, 2.0, 2.0, 2.0]
    assert [Linear(1.0, 0.0, 3)(e) for e in range(5)] == [1.0, 0.5, 0.0, 0.0, 0.0]
    assert Linear(0.0, 3.0, 1)(0) == 3.0
    with pytest.raises(InputError):
        Linear(0, 1, 0)
    assert Fixed(2.0)(7) == 2.0
