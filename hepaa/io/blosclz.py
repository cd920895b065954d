"""Chunks that Blosc 1 packed: byte planes out of its frames, for the compressor that PyTables and pandas take.

A frame (https://github.com/Blosc/c-blosc, README_CHUNK_FORMAT) is a header of 16 bytes, the offset of each block, and
the blocks. Shuffled bytes of a block lie plane by plane, each plane a stream of its own in all blocks but a shorter
last one. BloscLZ streams are literals and matches, as in FastLZ. Every offset and length is checked before it is used.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numba.core import cgutils, types
from numba.extending import intrinsic

GOOD, OTHER, DAMAGED = 0, 1, 2
"""What `frame_planes` says: done; packed in another way, which is for Blosc itself to read; not a whole frame."""

SLACK = 64
"""Bytes that copies may touch behind the end of what they are asked for: all buffers are longer by this."""

_SHUFFLED, _PLAIN, _BITS, _ONE_STREAM = 0x1, 0x2, 0x4, 0x10
_FAR = 8191


def _copy_code(_: Any, target: Any, i: Any, source: Any, j: Any, n: Any) -> Any:
    """`target[i : i + n] = source[j : j + n]` of bytes that do not overlap, without any check."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        to = context.make_array(signature.args[0])(context, builder, args[0])
        start = context.make_array(signature.args[2])(context, builder, args[2])
        memcpy: Any = cgutils.raw_memcpy
        memcpy(builder, builder.gep(to.data, [args[1]]), builder.gep(start.data, [args[3]]), args[4], 1)
        return context.get_dummy_value()

    return types.void(target, i, source, j, n), generate


_copy: Any = intrinsic(_copy_code)


@numba.njit(cache=True, nogil=True)
def _number(data, at):  # type: ignore[no-untyped-def]
    """Little-endian signed 32-bit number."""
    low = np.int64(data[at]) | np.int64(data[at + 1]) << 8 | np.int64(data[at + 2]) << 16
    return low | np.int64(np.int8(data[at + 3])) << 24


@numba.njit(cache=True, nogil=True)
def _unpack(data, at, end, out, start, stop):  # type: ignore[no-untyped-def]
    """The stream data[at:end] into out[start:stop]; whether it fills just that."""
    if at >= end:
        return False
    to = start
    token = np.int64(data[at] & 31)
    at += 1
    while True:
        if token < 32:
            n = token + 1
            if to + n > stop or at + n > end:
                return False
            _copy(out, to, data, at, 32)  # n <= 32, and a fixed length is two instructions
            to += n
            at += n
        else:
            n = (token >> 5) + 2
            if n == 9:
                more = np.int64(255)
                while more == 255:
                    if at >= end:
                        return False
                    more = np.int64(data[at])
                    at += 1
                    n += more
            if at >= end:
                return False
            back = ((token & 31) << 8) + np.int64(data[at]) + 1
            at += 1
            if back == _FAR + 1:
                if at + 2 > end:
                    return False
                back += (np.int64(data[at]) << 8) + np.int64(data[at + 1])
                at += 2
            last = to + n
            if last > stop or back > to - start:
                return False
            if back >= 32:
                while to < last:
                    _copy(out, to, out, to - back, 32)
                    to += 32
            else:  # the match runs into itself: it is a pattern that repeats, so what is copied can grow
                while to < last:
                    n = min(back, last - to)
                    _copy(out, to, out, to - back, n)
                    to += n
                    back += n
            to = last
        if at >= end:
            return to == stop
        token = np.int64(data[at])
        at += 1


@numba.njit(cache=True, nogil=True)
def _zeros(data, at, end):  # type: ignore[no-untyped-def]
    """Length of the literal at `at` if it lies before `end` and is zeros, else 0."""
    if at >= end or data[at] > 31 or at + data[at] + 2 > end:
        return 0
    n = np.int64(data[at]) + 1
    for i in range(at + 1, at + n + 1):
        if data[i]:
            return 0
    return n


@numba.njit(cache=True, nogil=True)
def _all_zero(data, at, end, n):  # type: ignore[no-untyped-def]
    """Whether the stream data[at:end] is n zeros in the way they are packed: a few, one match with those, a few."""
    if data[at] < 32 or data[at] > 63:  # the first token carries a mark of the level
        return False
    few = np.int64(data[at] & 31) + 1
    at += 1
    if at + few + 3 > end:
        return False
    for i in range(at, at + few):
        if data[i]:
            return False
    at += few
    if data[at] != 0xE0:  # a long match, at most 256 bytes back
        return False
    at += 1
    length = few + 9
    while at < end and data[at] == 255:
        length += 255
        at += 1
    if at + 2 > end or data[at + 1] >= few:
        return False
    length += data[at]
    at += 2
    rest = _zeros(data, at, end)
    return length + rest == n and at + (rest + 1 if rest else 0) == end


@numba.njit(cache=True, nogil=True)
def frame_planes(data, begin, size, planes, empty, scratch, elements):  # type: ignore[no-untyped-def]
    """Byte k of every element of the frame data[begin : begin + size], into planes[k, :elements].

    Parameters
    ----------
    data : uint8 (>= begin + size + SLACK,)
    begin, size : int
    planes : uint8 (width of an element, >= elements + SLACK)
    empty : bool (width of an element,)
        Whether all bytes of a plane are zero, of `planes` as they are and then as they become; True only where that
        is seen without a look at each byte.
    scratch : uint8 (>= bytes of all elements + SLACK,)
    elements : int

    Returns
    -------
    int
        GOOD, OTHER or DAMAGED.
    """
    width = planes.shape[0]
    n_bytes = elements * width
    if size < 16:
        return DAMAGED
    flags = data[begin + 2]
    known = data[begin] == 2 and data[begin + 1] == 1 and data[begin + 3] == width
    if not known or flags & ~np.uint8(_ONE_STREAM) != _SHUFFLED:
        return OTHER
    block = _number(data, begin + 8)
    if _number(data, begin + 4) != n_bytes or _number(data, begin + 12) != size:
        return DAMAGED
    if block <= 0 or block % width or block > n_bytes:
        return DAMAGED
    if block < 128 * width:  # too short to be split in streams, whatever the flag says
        return OTHER
    n_blocks = (n_bytes + block - 1) // block
    if 16 + 4 * n_blocks > size:
        return DAMAGED
    end = begin + size
    flat = planes.reshape(planes.size)
    for b in range(n_blocks):
        at = _number(data, begin + 16 + 4 * b)
        if at < 16 or at > size:
            return DAMAGED
        at += begin
        length = min(block, n_bytes - b * block)
        split = not flags & _ONE_STREAM and length == block
        first, part = b * block // width, length // width
        for k in range(width if split else 1):
            if at + 4 > end:
                return DAMAGED
            packed = _number(data, at)
            at += 4
            out, start, n = (flat, k * planes.shape[1] + first, part) if split else (scratch, 0, length)
            if packed <= 0 or packed > n or at + packed > end:
                return DAMAGED
            if split and n_blocks == 1 and _all_zero(data, at, at + packed, n):
                if not empty[k]:
                    planes[k] = 0
                    empty[k] = True
                at += packed
                continue
            if split:
                empty[k] = False
            if packed == n:
                _copy(out, start, data, at, n)
            elif not _unpack(data, at, at + packed, out, start, start + n):
                return DAMAGED
            at += packed
        if not split:
            for k in range(width):
                empty[k] = False
                _copy(flat, k * planes.shape[1] + first, scratch, k * part, part)
    return GOOD
