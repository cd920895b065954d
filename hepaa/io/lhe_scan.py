"""Small steps over the bytes of LHE: words, gaps, tags. Kernels on a uint8 array whose last byte in range is a '>'.

Bytes are compared as numbers; `hepaa.io.lhe_tokens` lists them.
"""

# ruff: noqa: PLR1714
# mypy: disable-error-code="assignment,call-arg,call-overload,import-untyped,no-untyped-def,unreachable,var-annotated"

from __future__ import annotations

import sys

import numba as nb
import numpy as np
from llvmlite import ir
from numba.extending import intrinsic

EVENT_TAG = np.frombuffer(b"<event", np.uint8)
EVENT_END = np.frombuffer(b"</event", np.uint8)
RWGT_TAG = np.frombuffer(b"<rwgt", np.uint8)
RWGT_END = np.frombuffer(b"</rwgt", np.uint8)
WGT_TAG = np.frombuffer(b"<wgt", np.uint8)
WGT_END = np.frombuffer(b"</wgt", np.uint8)
WEIGHTS_TAG = np.frombuffer(b"<weights", np.uint8)
WEIGHTS_END = np.frombuffer(b"</weights", np.uint8)

LITTLE = sys.byteorder == "little"
"""Whether `eight_digits` may be used: it takes the first byte of a word for its lowest."""

_U = np.uint64
_HIGH, _SIX, _THREES = _U(0xF0F0F0F0F0F0F0F0), _U(0x0606060606060606), _U(0x3333333333333333)
_ZEROS, _PAIRS = _U(0x3030303030303030), _U(0x000000FF000000FF)
_OUTER, _INNER = _U(100 + (1_000_000 << 32)), _U(1 + (10_000 << 32))
_SIX_BYTES, _WGT_END_WORD = _U(0xFFFFFFFFFFFF), _U(int.from_bytes(b"</wgt>", "little"))
_4, _8, _16, _32, _TEN = _U(4), _U(8), _U(16), _U(32), _U(10)

_helper = nb.njit(cache=True, nogil=True, error_model="numpy", no_cpython_wrapper=True, no_cfunc_wrapper=True)


@intrinsic
def word_at(_context, array, _index):
    """The 8 bytes of a uint8 array from an index on as one uint64, at any alignment."""

    def generate(context, builder, signature, arguments):
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        word = builder.bitcast(builder.gep(data, [arguments[1]]), ir.IntType(64).as_pointer())
        return builder.load(word, align=1)

    return nb.types.uint64(array, nb.types.int64), generate


@_helper
def are_digits(word):
    """Are all 8 bytes of the word decimal digits? (No carry runs from byte to byte unless one of them is none.)"""
    return ((word & _HIGH) | (((word + _SIX) & _HIGH) >> _4)) == _THREES


@_helper
def eight_digits(word):
    """The number that 8 decimal digits make: pairs first, then fours, then all, in three multiplications."""
    word -= _ZEROS
    word = word * _TEN + (word >> _8)
    return ((word & _PAIRS) * _OUTER + ((word >> _16) & _PAIRS) * _INNER) >> _32


@_helper
def is_word(buf, p, end, word):
    """Does `word` stand at p, followed by white space, '>' or '/'?"""
    n = len(word)
    if p + n >= end:
        return False
    for i in range(n):
        if buf[p + i] != word[i]:
            return False
    c = buf[p + n]
    return c == 62 or c == 32 or c == 10 or c == 13 or c == 9 or c == 47


@_helper
def space(buf, p, end):
    """Position behind spaces and XML comments; a comment that does not end leads to `end`."""
    while p < end:
        c = buf[p]
        if c == 32 or c == 9:
            p += 1
        elif c == 60 and p + 4 < end and buf[p + 1] == 33 and buf[p + 2] == 45 and buf[p + 3] == 45:
            p += 6
            while p < end and not (buf[p] == 62 and buf[p - 1] == 45 and buf[p - 2] == 45):
                p += 1
            p += 1
        else:
            return p
    return end


@_helper
def gap(buf, p, end):
    """Position behind spaces, XML comments, line ends and '#' comments, which end before a tag as well."""
    while True:
        p = space(buf, p, end)
        if p >= end:
            return end
        c = buf[p]
        if c == 10 or c == 13:
            p += 1
        elif c == 35:
            while c != 10 and c != 13 and c != 60:
                p += 1
                c = buf[p]
        else:
            return p


@_helper
def tag_end(buf, p, end):
    """Position of the '>' that closes the tag which starts before p; quoted values may hold one. `end`: none."""
    quote = 0
    while p < end:
        c = np.int64(buf[p])
        if c == 60:
            return end
        if quote != 0:
            if c == quote:
                quote = 0
        elif c == 34 or c == 39:
            quote = c
        elif c == 62:
            return p
        p += 1
    return end


@_helper
def same_text(buf, p, end, tags, first, last):
    """Does `tags[first:last]` stand at p? Eight bytes at once where there are so many, the last eight overlapping."""
    size = last - first
    if p + size >= end:
        return False
    k = 0
    if size >= 8:
        while k + 8 < size:
            if word_at(buf, p + k) != word_at(tags, first + k):
                return False
            k += 8
        return word_at(buf, p + size - 8) == word_at(tags, last - 8)
    while k < size and buf[p + k] == tags[first + k]:
        k += 1
    return k == size


@_helper
def starts_with_wgt_end(buf, p, end):
    """Does `</wgt>` stand at p?"""
    if LITTLE and p + 8 <= end:
        return (word_at(buf, p) & _SIX_BYTES) == _WGT_END_WORD
    return is_word(buf, p, end, WGT_END) and buf[p + 5] == 62


@_helper
def known_tag(buf, p, end, tags, bounds):
    """Row of the table whose text stands at p; -1: none."""
    for row in range(len(bounds) - 1):
        if same_text(buf, p, end, tags, bounds[row], bounds[row + 1]):
            return row
    return -1
