"""Decimal to double, correctly rounded: what `float()` gives, from a 64-bit significand and a power of ten.

Two exact methods and no approximation. Clinger (PLDI 1990): a significand up to 2^53 times or over a power of ten up
to 10^22 is one correctly rounded operation, for both are doubles. Eisel-Lemire (Lemire, Software: Practice and
Experience 51 (2021) 1700, arXiv:2101.11408; proof that no fallback is needed: Mushtak and Lemire, arXiv:2212.06644):
the significand times a 128-bit truncated power of five gives the bits of the result. Subnormal and overflowing results
are refused, so that the caller takes `float()` for them.
"""

# numba's types are not Python's.
# mypy: disable-error-code="assignment,call-arg,call-overload,import-untyped,no-untyped-def,unreachable,var-annotated"

from __future__ import annotations

from typing import TYPE_CHECKING

import numba as nb
import numpy as np
from llvmlite import ir
from numba.extending import intrinsic

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
TENS = np.array([float(10**i) for i in range(23)])

_U = np.uint64
_1, _0 = _U(1), _U(0)


_helper = nb.njit(cache=True, nogil=True, error_model="numpy", no_cpython_wrapper=True, no_cfunc_wrapper=True)


@intrinsic
def _leading_zeros(_context, _word):
    """Number of zero bits above the highest bit of a uint64 that is set."""

    def generate(_, builder, _signature, arguments):
        return builder.ctlz(arguments[0], ir.Constant(ir.IntType(1), 0))

    return nb.types.uint64(nb.types.uint64), generate


@intrinsic
def _double_of(_context, _word):
    """The double with the bits of a uint64."""

    def generate(_, builder, _signature, arguments):
        return builder.bitcast(arguments[0], ir.DoubleType())

    return nb.types.float64(nb.types.uint64), generate


@intrinsic
def _high(_context, _a, _b):
    """Upper 64 bits of the product of two uint64."""

    def generate(_, builder, _signature, arguments):
        a, b = (builder.zext(argument, ir.IntType(128)) for argument in arguments)
        return builder.trunc(builder.lshr(builder.mul(a, b), ir.Constant(ir.IntType(128), 64)), ir.IntType(64))

    return nb.types.uint64(nb.types.uint64, nb.types.uint64), generate


@_helper
def _eisel_lemire(significand, q):
    if q < LOWEST or q > HIGHEST:
        return 0.0, False
    leading = _leading_zeros(significand)
    significand <<= leading
    high, low = _high(significand, _FIVES[q - LOWEST, 0]), significand * _FIVES[q - LOWEST, 0]
    if (high & _U(0x1FF)) == _U(0x1FF):  # the bits below the rounding position could still carry: refine
        more = _high(significand, _FIVES[q - LOWEST, 1])
        low += more
        if low < more:
            high += _1
    upper = high >> _U(63)
    shift = upper + _U(9)
    mantissa = high >> shift  # 54 bits: one more than a double holds
    # floor(q log2(10)) + 63, exact in this range
    exponent = ((217706 * q) >> 16) + 63 + np.int64(upper) - np.int64(leading)
    if exponent < -1022 or exponent > 1022:
        return 0.0, False
    if low <= _1 and -4 <= q <= 23 and (mantissa & _U(3)) == _1 and (mantissa << shift) == high:
        mantissa &= ~_1  # exactly half way: to even
    mantissa = (mantissa + (mantissa & _1)) >> _1
    # The highest bit of the mantissa, which a double leaves out, adds one to the exponent; so does one carried to 2^53.
    return _double_of((_U(exponent + 1022) << _U(52)) + mantissa), True


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
            return value / TENS[-q], True
        return value * TENS[q], True
    if significand == _0:
        return 0.0, True
    return _eisel_lemire(significand, q)
