"""Decimal to double: bit for bit what `float()` gives."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from hepaa.io.lhe.kernel.numbers import to_double


def check(significand, power):
    value, exact = to_double(np.uint64(significand), power)
    expected = float(f"{significand}e{power}")
    if exact:
        assert value == expected, f"{significand}e{power}"
    else:
        # Refused: only what is subnormal, infinite or at the very top of the range.
        assert not 2.3e-308 < expected < 4e307, f"{significand}e{power}"
    return exact


@pytest.mark.parametrize("n", [20_000, pytest.param(270_000, marks=pytest.mark.slow)])
def test_random_decimals(n):
    rng = np.random.default_rng(3)
    significands = np.concatenate([10**k + rng.integers(0, 9 * 10**k, n // 18) for k in range(18)]).tolist()
    powers = np.where(rng.random(len(significands)) < 0.5, rng.integers(-360, 330, len(significands)), 0)
    powers += rng.integers(-30, 20, len(significands))
    done = [check(s, int(p)) for s, p in zip(significands, powers, strict=True)]
    assert np.mean(done) > 0.9


def test_half_way_between_doubles():
    # Exact ties and their neighbours: the hardest cases to round.
    rng = np.random.default_rng(4)
    ties = 0
    for odd in (2 * rng.integers(2**52, 2**53, 4000) + 1).tolist():
        for shift in range(-6, 7):
            value, power = Fraction(odd) * Fraction(2) ** shift, 0
            while value.denominator != 1:
                value *= 10
                power -= 1
            if value.numerator < 10**19:
                ties += 1
                for step in (-1, 0, 1):
                    assert check(value.numerator + step, power)
    assert ties > 10_000


@pytest.mark.parametrize("power", [-400, -343, -325, -22, 0, 22, 23, 308, 309, 400])
def test_edges(power):
    for significand in (0, 1, 9, 2**53 - 1, 2**53, 2**53 + 1, 10**19 - 1, 2**64 - 1):
        check(significand, power)
    assert to_double(np.uint64(0), power) == (0.0, True)


@pytest.mark.parametrize(
    ("significand", "power"),
    [(9007199254740993, 0), (1448997445238699, 100), (5708990770823839524, 24), (8589973, 9), (2480412880, -44)],
)
def test_hard_cases(significand, power):
    assert check(significand, power)
