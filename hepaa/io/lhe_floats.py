"""Decimal to double, correctly rounded: what `float()` gives, from a 64-bit significand and a power of ten.

Two exact methods and no approximation. Clinger (PLDI 1990): a significand up to 2^53 times or over a power of ten up
to 10^22 is one correctly rounded operation, for both are doubles. Eisel-Lemire (Lemire, Software: Practice and
Experience 51 (2021) 1700, arXiv:2101.11408; proof that no fallback is needed: Mushtak and Lemire, arXiv:2212.06644):
the significand times a 128-bit truncated power of five gives the bits of the result. Subnormal and overflowing results
are refused, so that the caller takes `float()` for them.
"""

# numba's types are not Python's.
# mypy: disable-error-code="assignment,call-overload,no-untyped-def"

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numba as nb
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

LOWEST, HIGHEST = -325, 308
"""Range of decimal exponents that the table covers."""


def _powers_of_five() -> NDArray[np.uint64]:
    """Leading 128 bits of 5^q, q = LOWEST..HIGHEST, as (high, low) words: rounded down for q >= 0, up for q < 0."""
    table = np.empty((HIGHEST - LOWEST + 1, 2), np.uint64)
    for row, q in enumerate(range(LOWEST, HIGHEST + 1)):
        power = 5 ** abs(q)
        if q >= 0:
            shift = 128 - power.bit_length()
            word = power << shift if shift >= 0 else power >> -shift
        else:
            # 2^b / 5^|q| has 128 bits when b = 127 + bits of 5^|q| (never a power of two itself).
            word = (1 << (127 + power.bit_length())) // power + 1
        table[row] = word >> 64, word & 0xFFFF_FFFF_FFFF_FFFF
    return table


_FIVES = _powers_of_five()
_TENS = np.array([float(10**i) for i in range(23)])

_U = np.uint64
_LOW32 = _U(0xFFFF_FFFF)
_32, _1, _0 = _U(32), _U(1), _U(0)


_helper = nb.njit(cache=True, nogil=True, error_model="numpy", no_cpython_wrapper=True, no_cfunc_wrapper=True)


@_helper
def _multiply(a, b):
    # 64 x 64 -> 128 bits, by halves.
    ah, al, bh, bl = a >> _32, a & _LOW32, b >> _32, b & _LOW32
    ll, lh, hl = al * bl, al * bh, ah * bl
    middle = (ll >> _32) + (lh & _LOW32) + (hl & _LOW32)
    high = ah * bh + (lh >> _32) + (hl >> _32) + (middle >> _32)
    return high, (middle << _32) | (ll & _LOW32)


@_helper
def _eisel_lemire(significand, q):
    if q < LOWEST or q > HIGHEST:
        return 0.0, False
    leading = 0
    step = 32
    while step > 0:
        if (significand >> _U(64 - step)) == _0:
            significand <<= _U(step)
            leading += step
        step >>= 1
    high, low = _multiply(significand, _FIVES[q - LOWEST, 0])
    if (high & _U(0x1FF)) == _U(0x1FF):  # the bits below the rounding position could still carry: refine
        more, _ = _multiply(significand, _FIVES[q - LOWEST, 1])
        low += more
        if low < more:
            high += _1
    upper = high >> _U(63)
    shift = upper + _U(9)
    mantissa = high >> shift  # 54 bits: one more than a double holds
    # floor(q log2(10)) + 63, exact in this range
    exponent = ((217706 * q) >> 16) + 63 + np.int64(upper) - leading
    if exponent < -1022 or exponent > 1022:
        return 0.0, False
    if low <= _1 and -4 <= q <= 23 and (mantissa & _U(3)) == _1 and (mantissa << shift) == high:
        mantissa &= ~_1  # exactly half way: to even
    mantissa = (mantissa + (mantissa & _1)) >> _1
    return math.ldexp(np.float64(np.int64(mantissa)), exponent - 52), True


@nb.njit(cache=True, nogil=True, error_model="numpy", no_cfunc_wrapper=True)
def to_double(significand, q):
    """Nearest double to `significand` * 10^q, and whether it is one (False: subnormal, overflow; use `float()`).

    Parameters
    ----------
    significand : uint64
        All decimal digits, at most 19 of them.
    q : int64
        Power of ten.
    """
    if -22 <= q <= 22 and significand <= _U(1 << 53):
        value = np.float64(np.int64(significand))
        if q < 0:
            return value / _TENS[-q], True
        return value * _TENS[q], True
    if significand == _0:
        return 0.0, True
    return _eisel_lemire(significand, q)
