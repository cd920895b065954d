"""Numbers in the bytes of an LHE file: plain integers, and reals correctly rounded. Kernels on a pointer to bytes.

Digits are taken eight at a time: as bytes of one word they are told from other bytes, and made a number, in a few
operations (Lemire, Software: Practice and Experience 51 (2021) 1700, arXiv:2101.11408). Whoever calls sees to it that
eight bytes which are no digits, `</event>`, still follow. Codes of bytes: see `hepaa.io.lhe.kernel.parse`.
"""

# ruff: noqa: PLR1714
# mypy: disable-error-code="assignment,call-arg,call-overload,import-untyped,no-untyped-call,no-untyped-def,unreachable"

from __future__ import annotations

import sys

import numba as nb
import numpy as np
from llvmlite import ir
from numba.extending import intrinsic

from hepaa.io.lhe.kernel.floats import to_double

_U = np.uint64
_ZEROS, _OVER_NINE, _TOPS = _U(0x3030303030303030), _U(0x7676767676767676), _U(0x8080808080808080)
_PAIRS, _OUTER, _INNER = _U(0x000000FF000000FF), _U(100 + (1_000_000 << 32)), _U(1 + (10_000 << 32))
_3, _8, _16, _32, _64, _TEN, _MILLIONS = _U(3), _U(8), _U(16), _U(32), _U(64), _U(10), _U(10**8)
_POWERS = np.array([10**i for i in range(8)], np.uint64)

helper = nb.njit(cache=True, nogil=True, error_model="numpy", no_cpython_wrapper=True, no_cfunc_wrapper=True)
"""For kernels that only kernels call."""

inlined = nb.njit(
    cache=True, nogil=True, error_model="numpy", no_cpython_wrapper=True, no_cfunc_wrapper=True, forceinline=True
)
"""For those of them in which a call, with its results in memory, would take longer than the work."""


@intrinsic
def pointer(_context, array):
    """Address of the first element of an array without gaps; `pointer(a)[i]` is `a[i]` for `i` from 0 on.

    Kernels that take arrays count references to them in every call, and look for negative indices at every access;
    with pointers they spend no time on either.
    """

    def generate(context, builder, signature, arguments):
        return context.make_array(signature.args[0])(context, builder, arguments[0]).data

    return nb.types.CPointer(array.dtype)(array), generate


@intrinsic
def word_at(_context, buf, _index):
    """The 8 bytes behind a pointer from an index on as one uint64, the first byte lowest, at any alignment."""

    def generate(_, builder, _signature, arguments):
        word = builder.bitcast(builder.gep(arguments[0], [arguments[1]]), ir.IntType(64).as_pointer())
        word = builder.load(word, align=1)
        return word if sys.byteorder == "little" else builder.bswap(word)

    return nb.types.uint64(buf, nb.types.int64), generate


@intrinsic
def _trailing_zeros(_context, _word):
    """Number of zero bits below the lowest bit of a uint64 that is set; 64 when none is."""

    def generate(_, builder, _signature, arguments):
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 0))

    return nb.types.uint64(nb.types.uint64), generate


@helper
def eight_digits(nibbles):
    """The number that 8 digits, less 0x30, make: pairs first, then fours, then all, in three multiplications."""
    pairs = nibbles * _TEN + (nibbles >> _8)
    return ((pairs & _PAIRS) * _OUTER + ((pairs >> _16) & _PAIRS) * _INNER) >> _32


@helper
def _few_digits(buf, at, number):
    # `number` with the digits from `at` on behind its own (modulo 2^64), and the index behind them. One by one: for
    # runs of one length that the processor can foresee.
    c = buf[at]
    while 48 <= c <= 57:
        number = number * _TEN + _U(c - 48)
        at += 1
        c = buf[at]
    return number, at


@helper
def _digits(buf, at, number):
    # The same, up to eight at once.
    nibbles = word_at(buf, at) ^ _ZEROS
    # Bytes that are digits before the first that is none: a carry out of a byte only reaches those behind it.
    n = _trailing_zeros(((nibbles + _OVER_NINE) | nibbles) & _TOPS) >> _3
    if n == _8:
        return _few_digits(buf, at + 8, number * _MILLIONS + eight_digits(nibbles))
    if n > _U(0):
        number = number * _POWERS[n] + eight_digits(nibbles << (_64 - (n << _3)))
    return number, at + np.int64(n)


@helper
def ends_number(c):
    """May this byte stand behind a number: white space or '<'?"""
    return c == 32 or c == 10 or c == 60 or c == 13 or c == 9


@helper
def integer(buf, at):
    """The plain integer of at most 18 digits at `at`: value, index behind it, and whether there is one."""
    c = buf[at]
    start = at + 1 if c == 45 or c == 43 else at
    number, at = _few_digits(buf, start, _U(0))
    value = np.int64(number)
    return -value if c == 45 else value, at, 0 < at - start <= 18 and ends_number(buf[at])


@helper
def real(buf, at):
    """The decimal number at `at`: nearest double, index behind it, and whether it is of the plain kind.

    That is: at most 19 digits, a point or none, an exponent (E or D, at most 4 digits) or none, and a normal double.
    """
    c = buf[at]
    negative = c == 45
    start = at + 1 if negative or c == 43 else at
    number, at = _few_digits(buf, start, _U(0))
    size, power = at - start, np.int64(0)
    c = buf[at]
    if c == 46:
        start = at + 1
        number, at = _digits(buf, start, number)
        power = start - at
        size -= power
        c = buf[at]
    good = 0 < size <= 19
    if c == 101 or c == 69 or c == 68 or c == 100:
        at += 1
        c = buf[at]
        start = at + 1 if c == 45 or c == 43 else at
        exponent, at = _few_digits(buf, start, _U(0))
        good = good and 0 < at - start <= 4
        power += -np.int64(exponent) if c == 45 else np.int64(exponent)
        c = buf[at]
    if not (good and ends_number(c)):
        return 0.0, at, False
    value, good = to_double(number, power)
    return -value if negative else value, at, good
