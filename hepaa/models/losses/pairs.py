"""Sums over all pairs of rows, compiled: what the contrastive losses need, with no matrix of pairs in memory.

E_ia = exp(z_i . z_a / T - c) is symmetric, so that each pair is visited once. The exponential is 2^n times a polynomial
of degree 6 on |r| <= log(2) / 2: a loop over it is vector instructions. Its relative error is below 2e-7.

`hepaa train` of a contrastive VAE on 50,000 events takes 15.6 CPU seconds with NT-Xent and 9.5 with SupCon; with
torch's products of matrices instead it takes 22.6 and 10.4 (the least of three to four interleaved runs).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hepaa.compiled import reordered

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]
    Integers = NDArray[np.int32]

_BLOCK = 512  # partners at once
_LOWEST = np.float32(-87.0)  # exp of less is below the smallest normal number
_LOG2E, _HALF = np.float32(1.4426950408889634), np.float32(0.5)
# log 2 in two parts: products of the first with whole numbers up to 2^9 are exact
_LOG2_HIGH, _LOG2_LOW = np.float32(0.693359375), np.float32(-2.12194440e-4)
_C2, _C3, _C4, _C5, _C6 = (np.float32(1 / k) for k in (2, 6, 24, 120, 720))
_ONE = np.float32(1)


@reordered
def _exponentials(
    z: Floats, i: int, start: int, m: int, inverse: float, bound: float, e: Floats, bits: Integers, power: Floats
) -> None:
    """e[b] = exp(inverse z_i . z_(start + b) - bound) for m partners; no exponent is above 0. z is (d, n)."""
    for b in range(m):
        e[b] = -np.float32(bound)
    for j in range(len(z)):
        w, partner = z[j, i] * np.float32(inverse), z[j]
        for b in range(m):
            e[b] += w * partner[start + b]
    for b in range(m):
        x = e[b] if e[b] > _LOWEST else _LOWEST
        n = np.int32(x * _LOG2E - _HALF)  # to the nearest: x is not positive, and the cast cuts towards 0
        whole = np.float32(n)
        r = x - whole * _LOG2_HIGH - whole * _LOG2_LOW
        bits[b] = (n + np.int32(127)) << np.int32(23)
        e[b] = _ONE + r * (_ONE + r * (_C2 + r * (_C3 + r * (_C4 + r * (_C5 + r * _C6)))))
    for b in range(m):
        e[b] *= power[b]


@reordered
def partition_sums(z: Floats, inverse: float, bound: float) -> Floats:
    """Sum over a != i of E_ia, (n,), of z (d, n); inverse = 1 / T."""
    n = z.shape[1]
    sums = np.zeros(n, np.float32)
    e, bits = np.empty(_BLOCK, np.float32), np.empty(_BLOCK, np.int32)
    power = bits.view(np.float32)
    for i in range(n):
        total = np.float32(0)
        for start in range(i + 1, n, _BLOCK):
            m = min(_BLOCK, n - start)
            _exponentials(z, i, start, m, inverse, bound, e, bits, power)
            for b in range(m):
                total += e[b]
            for b in range(m):
                sums[start + b] += e[b]
        sums[i] += total
    return sums


@reordered
def partition_gradient(z: Floats, share: Floats, inverse: float, bound: float) -> Floats:
    """Sum over a != i of E_ia (share_i + share_a) z_a / T, (d, n)."""
    d, n = z.shape
    gradient = np.zeros((d, n), np.float32)
    e, bits = np.empty(_BLOCK, np.float32), np.empty(_BLOCK, np.int32)
    power = bits.view(np.float32)
    for i in range(n):
        for start in range(i + 1, n, _BLOCK):
            m = min(_BLOCK, n - start)
            _exponentials(z, i, start, m, inverse, bound, e, bits, power)
            for b in range(m):
                e[b] *= (share[i] + share[start + b]) * np.float32(inverse)
            for j in range(d):
                partner, into, mine = z[j], gradient[j], z[j, i]
                total = np.float32(0)
                for b in range(m):
                    total += e[b] * partner[start + b]
                for b in range(m):
                    into[start + b] += e[b] * mine
                into[i] += total
    return gradient
