"""The regular course of an LHE file, read without detours: particle lines and `<wgt>` elements as programs print them.

What these kernels do not take, they leave to `hepaa.io.lhe.kernel.parse.parse`, which knows every form and every
error; what they take, they read as it does. Codes of bytes: see there.
"""

# mypy: disable-error-code="call-arg,no-untyped-def"

from __future__ import annotations

import numpy as np

from hepaa.io.lhe.kernel.codes import OF_REALS, OF_WEIGHTS
from hepaa.io.lhe.kernel.numbers import helper, integer
from hepaa.io.lhe.kernel.scan import is_wgt_end, same_text
from hepaa.io.lhe.kernel.shapes import shaped_real


@helper
def _blanks(buf, at):
    # Position behind spaces. One by one, as most columns have one width and the processor can foresee it.
    while buf[at] == 32:
        at += 1
    return at


@helper
def particle_lines(buf, at, ints, reals, index, left, shapes):
    """Read lines of 6 integers and 7 reals with spaces between.

    Parameters
    ----------
    buf : uint8 array
        Text; "</event>" comes after `at`.
    at : int
        End of the line before the first one: its line feed.
    ints, reals : int64 (6, k), float64 (7, k)
        Columns of particles.
    index, left : int
        Column for the first line, and how many lines there are to be.
    shapes : int64
        The `state` of `parse`, with guesses of `hepaa.io.lhe.kernel.shapes`.

    Returns
    -------
    at, left : int
        End of the last line that was read, and how many lines are left.
    """
    while left > 0 and buf[at] == 10:
        p, good = at + 1, True
        for k in range(len(ints)):
            number, p, good = integer(buf, _blanks(buf, p))
            if not good:
                return at, left
            ints[k, index] = number
        for k in range(len(reals)):
            value, p, good = shaped_real(buf, p, shapes, OF_REALS + k)
            if not good:
                return at, left
            reals[k, index] = value
        p = _blanks(buf, p)
        if buf[p] != 10:
            return at, left
        at = p
        index += 1
        left -= 1
    return at, left


@helper
def named_weights(buf, at, end, tags, bounds, columns, rows, entry, flat, row, seen, stamp, shapes):
    """Read `<wgt ...> number </wgt>` elements that come in the order of the table, one a line.

    Parameters
    ----------
    buf, at, end : uint8 array, int, int
        Text and where in it the first tag stands; "</event>" comes after `at`.
    tags, bounds, columns : uint8, int64, int64
        The table of tags, as `parse` has it.
    entry : int
        Row of the table that comes next.
    flat, row : float64, int
        Weights, and where those of this event start.
    seen, stamp : int64, int
        Which weights this event has: those with `stamp` or more (see `parse`).
    shapes : int64
        The `state` of `parse`, with guesses of `hepaa.io.lhe.kernel.shapes`.

    Returns
    -------
    at, entry : int
        Where the first tag stands that was not read, and the row of the table that should come there.
    """
    guess = np.int64(OF_WEIGHTS)  # typed: a literal would make numba compile `shaped_real` once more
    while entry < rows and same_text(buf, at, end, tags, bounds[entry], bounds[entry + 1]):
        column = columns[entry]
        if seen[column] >= stamp:
            break
        value, p, good = shaped_real(buf, at + bounds[entry + 1] - bounds[entry], shapes, guess)
        p = _blanks(buf, p)
        if not good or not is_wgt_end(buf, p):
            break
        p += 6
        while buf[p] == 10 or buf[p] == 32:
            p += 1
        flat[row + column] = value
        seen[column] = stamp + 1
        at = p
        entry += 1
    return at, np.int64(0) if entry == rows else entry
