"""Reals that look like those of the line before: read eight bytes at a time, without a branch on their value. Kernels.

Programs print columns. How many decimals a column had on the last line is a guess for the next one; a comparison
confirms it, and then all of the number is in two words of eight bytes. What does not confirm the guess is read digit by
digit as ever, and makes the next guess. Codes of bytes: see `hepaa.io.lhe.kernel.parse`.
"""

# ruff: noqa: PLR1714
# mypy: disable-error-code="assignment,call-arg,call-overload,import-untyped,no-untyped-call,no-untyped-def,unreachable"

from __future__ import annotations

import numpy as np

from hepaa.io.lhe.kernel.floats import TENS
from hepaa.io.lhe.kernel.numbers import eight_digits, ends_number, inlined, real, word_at

_MOST = 10
"""Decimals that a guess may have at most; 4 or from 6 on, so that two words of eight bytes hold them all."""

_U = np.uint64
_0, _DIGIT, _BYTE, _MINUS, _40, _10000 = _U(0), _U(15), _U(255), _U(45), _U(40), _U(10000)


def _word(text: bytes) -> np.uint64:
    return _U(int.from_bytes(text, "little"))


_FRONT, _BACK_PLUS, _BACK_MINUS = _word(b"0.000000"), _word(b"0000e+00"), _word(b"0000e-00")
_SMALL_E, _NO_LEAD = _U(0x20 << 32), _U(0xFFFFFFFFFFFF0000)
_FRONT_OVER, _BACK_OVER, _TOPS = _U(0x7676767676767F76), _U(0x76767F7F76767676), _U(0x8080808080808080)
"""Added to the bytes of a word, less the form it should have: over 0x7F where it is no digit, or not the same."""

_DECIMALS = np.zeros((_MOST + 1, 4), np.uint64)
"""By number of decimals: bits of the front word that count, bits of the back word that the front one has not, weight
of the digit before the point, weight of the decimals in the front word."""
_DECIMALS[4] = np.array([0xFFFF, (1 << 64) - 1, 10**4, 0], np.uint64)
for _n in range(6, _MOST + 1):
    _DECIMALS[_n] = np.array([(1 << 64) - 1, (1 << 64) - (1 << 8 * (_MOST - _n)), 10**_n, 10 ** (_n - 6)], np.uint64)


@inlined
def shaped_real(buf, at, shapes, k):
    """The decimal number behind spaces at `at`: as `hepaa.io.lhe.kernel.numbers.real` has it.

    Parameters
    ----------
    buf, at : uint8 array, int
        Text, and where to start.
    shapes, k : int64, int
        Guesses, and which one is for this number: how many decimals it has, 0 for none of use.
    """
    while buf[at] == 32:
        at += 1
    c = buf[at]
    first = at + 1 if c == 45 or c == 43 else at
    decimals = shapes[k]
    if decimals != 0:
        row = _U(decimals)  # without a sign, there is no index from the end to think of
        front = (word_at(buf, first) ^ _FRONT) & _DECIMALS[row, 0]
        back = word_at(buf, first + decimals - 2) | _SMALL_E
        smaller = (back >> _40) & _BYTE == _MINUS
        back ^= _BACK_MINUS if smaller else _BACK_PLUS
        wrong = ((front + _FRONT_OVER) | front | (back + _BACK_OVER) | back) & _TOPS
        if wrong == _0 and ends_number(buf[first + decimals + 6]):
            tail = eight_digits(back & _DECIMALS[row, 1])  # up to 4 decimals, 00, two digits of the exponent
            last = tail // _10000
            exponent = np.int64(tail - last * _10000)
            power = (-exponent if smaller else exponent) - decimals
            if -22 <= power <= 0:  # Clinger's case, as there are at most 11 digits
                number = (
                    (front & _DIGIT) * _DECIMALS[row, 2] + eight_digits(front & _NO_LEAD) * _DECIMALS[row, 3] + last
                )
                sign = -1.0 if c == 45 else 1.0  # a factor, for a branch on it could not be foreseen
                return sign * np.float64(np.int64(number)) / TENS[_U(-power)], first + decimals + 6, True
    value, stop, good = real(buf, at)
    decimals = stop - first - 6
    shapes[k] = decimals if 4 <= decimals <= _MOST and decimals != 5 else 0
    return value, stop, good
