"""Small steps over the bytes of LHE: words, gaps, tags. Kernels on a pointer to bytes whose last one in range is a '>'.

Bytes are compared as numbers; `hepaa.io.lhe.kernel.parse` lists them.
"""

# ruff: noqa: PLR1714
# mypy: disable-error-code="assignment,call-arg,call-overload,import-untyped,no-untyped-call,no-untyped-def"
# mypy: disable-error-code="unreachable,var-annotated"

from __future__ import annotations

import zlib

import numpy as np

from hepaa.compiled import helper

_WORDS = (b"<event", b"</event", b"<rwgt", b"</rwgt", b"<wgt", b"</wgt", b"<weights", b"</weights")
EVENT_TAG, EVENT_END, RWGT_TAG, RWGT_END, WGT_TAG, WGT_END, WEIGHTS_TAG, WEIGHTS_END = np.arange(len(_WORDS))
"""For `is_word`: what a tag starts with."""

_LETTERS = np.frombuffer(b"".join(_WORDS), np.uint8)
_STARTS = np.cumsum([0, *map(len, _WORDS)])
_CRC = np.array([zlib.crc32(bytes([255 - i])) ^ 0xFF000000 for i in range(256)])


@helper
def is_word(buf, p, end, word):
    """Does `word` stand at p, followed by white space, '>' or '/'?"""
    start = _STARTS[word]
    n = _STARTS[word + 1] - start
    if p + n >= end:
        return False
    for i in range(n):
        if buf[p + i] != _LETTERS[start + i]:
            return False
    c = buf[p + n]
    return c == 62 or c == 32 or c == 10 or c == 13 or c == 9 or c == 47


@helper
def which_word(buf, p, end):
    """The word that stands at p, -1 if none does: one place in a loop compiles faster than a chain of them."""
    for word in range(len(_STARTS) - 1):
        if is_word(buf, p, end, word):
            return word
    return -1


@helper
def blanks(buf, p, end):
    """Position behind white space, at most `end`."""
    while p < end and (buf[p] == 10 or buf[p] == 32 or buf[p] == 13 or buf[p] == 9):
        p += 1
    return p


@helper
def ends_line(c):
    """Does the line of a particle end with this byte: a line end, '<' or '#'?"""
    return c == 10 or c == 13 or c == 60 or c == 35


SPACES, LINES = np.array([False, True])
"""For `gap`: on the line alone, or over the ends of lines too. Plain constants would make it compile twice."""


@helper
def gap(buf, p, end, lines):
    """Position behind spaces and XML comments; a comment that does not end leads to `end`.

    Behind `lines` too: line ends and '#' comments, which end before a tag as well.
    """
    while p < end:
        c = buf[p]
        if c == 32 or c == 9 or (lines and (c == 10 or c == 13)):
            p += 1
        elif lines and c == 35:
            while c != 10 and c != 13 and c != 60:
                p += 1
                c = buf[p]
        elif c == 60 and p + 4 < end and buf[p + 1] == 33 and buf[p + 2] == 45 and buf[p + 3] == 45:
            p += 6
            while p < end and not (buf[p] == 62 and buf[p - 1] == 45 and buf[p - 2] == 45):
                p += 1
            p += 1
        else:
            return p
    return end


@helper
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


@helper
def same_text(buf, p, end, tags, first, last):
    """Does `tags[first:last]` stand at p?"""
    size = last - first
    if p + size >= end:
        return False
    k = 0
    while k < size and buf[p + k] == tags[first + k]:
        k += 1
    return k == size


@helper
def known_tag(buf, p, end, tags, bounds, slots, size):
    """Row of the table whose text stands at p; -1: none. A search in the slots begins at the CRC-32 of the text."""
    if p + 1 < end and buf[p + 1] == 47:  # a closing tag, and so none of these
        return np.int64(-1)
    close = tag_end(buf, p + 1, end)
    if close == end:
        return np.int64(-1)
    code = 0xFFFFFFFF
    for i in range(p, close + 1):
        code = _CRC[(code ^ buf[i]) & 0xFF] ^ (code >> 8)
    at = (code ^ 0xFFFFFFFF) & (size - 1)
    row = slots[at]
    while row >= 0:
        if bounds[row + 1] - bounds[row] == close + 1 - p and same_text(
            buf, p, end, tags, bounds[row], bounds[row + 1]
        ):
            return row
        at = (at + 1) & (size - 1)
        row = slots[at]
    return np.int64(-1)
