"""The kernel that turns the bytes of whole LHE events into columns. No file, no Python object per event.

`parse` reads `<event>` blocks one after another and stops at anything it has no rule for; `hepaa.io.lhe.loop`
decides what that means. It never reads a number loosely: what its own grammar (digits, point, exponent E or D) does
not cover is listed in `slow` for Python's `float()` to judge, and any other byte out of place ends the parse with a
code.

Bytes are compared as numbers: 9 tab, 10 and 13 line ends, 32 space, 33 !, 34 and 39 quotes, 35 #, 43 +, 45 -, 46 .,
47 /, 48-57 digits, 60 <, 61 =, 62 >.
"""

# Chains of comparisons and reused names are what numba compiles fast; its types are not Python's.
# ruff: noqa: PLR1714, SIM109
# mypy: disable-error-code="assignment,call-arg,call-overload,import-untyped,no-untyped-def,unreachable,var-annotated"

from __future__ import annotations

import numpy as np

from hepaa.compiled import kernel
from hepaa.io.lhe.kernel.codes import (
    COUNT,
    DONE,
    EMPTY,
    EVENTS,
    FEW,
    FULL,
    LACKS,
    LEAST,
    LOCAL,
    LONG_LINE,
    MANY,
    NEW_ID,
    NEW_POSITION,
    OPEN,
    PARTICLES,
    POSITION,
    SHORT_LINE,
    SLOW,
    SLOW_FULL,
    STAMP,
    STATE_A,
    STATE_B,
    STATUS,
    TAG,
    TO_BARE,
    TO_EVENT,
    TO_NAMED,
    TO_NOWHERE,
    TO_REAL,
    TWICE,
    UNKNOWN,
)
from hepaa.io.lhe.kernel.numbers import ends_number, integer, pointer, real
from hepaa.io.lhe.kernel.scan import (
    EVENT_END,
    EVENT_TAG,
    LINES,
    RWGT_END,
    RWGT_TAG,
    SPACES,
    WEIGHTS_END,
    WEIGHTS_TAG,
    WGT_END,
    WGT_TAG,
    blanks,
    ends_line,
    gap,
    is_word,
    known_tag,
    same_text,
    tag_end,
    which_word,
)

_LINE, _TAIL, _RWGT, _WEIGHTS = range(4)


@kernel
def parse(
    buf, p, end, ints, reals, head, offsets, spans, flat, tags, bounds, slots, columns, positions, seen, slow, state
):
    """Read events from `buf[p:end]` until something stops the parse; `state` says what, and how far it came.

    Parameters
    ----------
    buf : uint8 array
        Text. `buf[end - 1]` is the '>' of an `</event>`, and the last byte that is read.
    p, end : int
        Where to start, between events, and where to stop.
    ints : int64 (6, k)
        Integer particle columns, filled from state[PARTICLES] on.
    reals : float64 (7, k)
        Real particle columns.
    head : float64 (5, m)
        Event columns pid, weight, scale, aqed, aqcd, filled from state[EVENTS] on.
    offsets : int64 (m + 1,)
        Event i has the particles offsets[i]:offsets[i + 1].
    spans : int64 (m, 2)
        Bytes of each event, from `<event` to `</event`.
    flat : float64
        Named weights, `len(seen)` an event, for m events.
    tags, bounds, slots, columns : uint8, int64, int64, int64
        Table of `<wgt ...>` tags as they are spelt (joined, with n + 1 bounds), its hash, and the column of each.
    positions : int64
        Column of each number of a `<weights>` block.
    seen : int64 (columns,)
        Scratch: stamp of the last event that had each weight.
    slow : int64 (any, 4)
        Tokens left to `float()`: target, index, first and last byte.
    state : int64 (SLOTS,)
        Result; EVENTS, PARTICLES and STAMP go on from call to call.
    """
    width, rows, (_, room), (_, event_room) = len(seen), len(columns), ints.shape, head.shape
    most_events, most_slow, bares, size = len(spans), len(slow), len(positions), len(slots)
    buf, tags, flat, seen, state = pointer(buf), pointer(tags), pointer(flat), pointer(seen), pointer(state)
    ints, reals, head, offsets, spans = pointer(ints), pointer(reals), pointer(head), pointer(offsets), pointer(spans)
    bounds, slots, columns, positions = pointer(bounds), pointer(slots), pointer(columns), pointer(positions)
    slow = pointer(slow)
    n, particles = state[EVENTS], state[PARTICLES]
    noted = kept = 0
    stamp = 2 * state[STAMP]
    status = DONE
    offsets[n] = particles
    at = p
    while True:
        # ---- between events
        p = blanks(buf, p, end)
        at = p
        if p >= end:
            break
        if not is_word(buf, p, end, EVENT_TAG):
            status = UNKNOWN
            break
        # ---- <event>, and the number of particles
        stamp += 2
        noted = kept
        close = tag_end(buf, p + 6, end)
        if close == end or buf[close - 1] == 47:
            status = TAG
            break
        at = gap(buf, close + 1, end, LINES)
        if at >= end or buf[at] == 60:
            status = EMPTY
            break
        first, count = at, 0
        while 48 <= buf[at] <= 57:
            count = 10 * count + np.int64(buf[at]) - 48
            at += 1
        if at == first or at - first > 9 or not ends_number(buf[at]):
            status = COUNT
            break
        most = (end - at) // LEAST + 1  # whatever an absurd count says
        if n == most_events or particles + (count if count < most else most) > room:
            status = FULL
            break
        # ---- all other numbers of the event
        place, target, index, row = _LINE, TO_EVENT, n, n * width
        left = count
        following = bare = np.int64(0)
        while True:
            # one number: sign, digits, fraction, exponent
            c = buf[at]
            while c == 32 or c == 9:
                at += 1
                c = buf[at]
            first = at
            number, value = np.int64(0), 0.0
            if target < TO_REAL or target == TO_EVENT:
                number, at, good = integer(buf, first)
            else:
                value, at, good = real(buf, first)
            if not good:
                behind = gap(buf, first, end, place != _LINE)
                if behind != first:
                    at = behind
                    if at >= end:
                        status = OPEN
                        break
                    continue
                c = buf[first]
                at = first
                if c == 62 or ends_line(c):
                    status = SHORT_LINE
                    break
                while c != 32 and c != 10 and c != 9 and c != 13 and c != 60 and c != 62:
                    at += 1
                    c = buf[at]
                if noted == most_slow:
                    status = SLOW_FULL
                    break
                slow[4 * noted] = target
                slow[4 * noted + 1] = index
                slow[4 * noted + 2] = first
                slow[4 * noted + 3] = at
                noted += 1
                value = np.nan
            # its place
            if target < TO_REAL:
                ints[target * room + index] = number
                target += 1
                continue
            if target < TO_EVENT - 1:
                reals[(target - TO_REAL) * room + index] = value
                target += 1
                continue
            if target < TO_NAMED and target != TO_EVENT - 1:
                if target == TO_EVENT:
                    value = np.float64(number)
                head[(target - TO_EVENT) * event_room + index] = value
                target += 1
                if target < TO_NAMED:
                    continue
            elif target == TO_EVENT - 1:
                reals[(TO_EVENT - 1 - TO_REAL) * room + index] = value
                left -= 1
            elif target != TO_NOWHERE:
                column = index - row
                mark = stamp + 1 if target == TO_NAMED else stamp
                if seen[column] == mark and flat[index] != value:
                    state[STATE_A] = column
                    status = TWICE
                    break
                flat[index] = value
                seen[column] = mark
            # ---- what comes behind it
            if place == _LINE:
                at = gap(buf, at, end, SPACES)
                if at >= end:
                    status = OPEN
                    break
                if not ends_line(buf[at]):
                    status = LONG_LINE
                    break
                at = gap(buf, at, end, LINES)
                if left > 0:
                    if at >= end or buf[at] == 60:
                        status = FEW
                        break
                    target = 0
                    index = particles + count - left
                    continue
                place = _TAIL
            elif place == _RWGT:
                at = gap(buf, at, end, LINES)
                if not is_word(buf, at, end, WGT_END):
                    status = TAG
                    break
                at = tag_end(buf, at + 5, end) + 1
            while True:
                at = blanks(buf, at, end)
                if place == _RWGT:
                    entry = following  # the tag of the weight that comes next
                    if entry == rows or not same_text(buf, at, end, tags, bounds[entry], bounds[entry + 1]):
                        entry = known_tag(buf, at, end, tags, bounds, slots, size)
                    if entry >= 0:
                        index = row + columns[entry]
                        at += bounds[entry + 1] - bounds[entry]
                        following = entry + 1 if entry + 1 < rows else 0
                        target = TO_NAMED
                        break
                behind = gap(buf, at, end, left >= 0)
                if behind >= end:
                    status = OPEN
                    break
                if behind != at:
                    at = behind
                    continue
                if buf[at] != 60:
                    if place == _WEIGHTS:
                        if bare == bares:
                            status = NEW_POSITION
                            break
                        index = row + positions[bare]
                        target = TO_NOWHERE if seen[index - row] == stamp + 1 else TO_BARE
                        bare += 1
                        break
                    if place == _RWGT or left == 0:
                        status = MANY
                        break
                    while at < end and buf[at] != 60:
                        at += 1
                    continue
                close = tag_end(buf, at + 1, end)
                if close == end:
                    status = TAG
                    break
                alone = buf[close - 1] == 47
                word = which_word(buf, at, end)
                if place == _RWGT:
                    if word == RWGT_END:
                        place = _TAIL
                    elif word == WGT_TAG and not alone:
                        state[STATE_A] = at
                        state[STATE_B] = close + 1
                        status = NEW_ID
                        break
                    else:
                        status = TAG
                        break
                elif place == _WEIGHTS:
                    if word != WEIGHTS_END:
                        status = TAG
                        break
                    place = _TAIL
                elif left == 0 and word == EVENT_END:
                    break
                elif word == WGT_TAG or word == EVENT_TAG or word == EVENT_END:
                    status = TAG
                    break
                elif left == 0 and not alone and word == RWGT_TAG:
                    place = _RWGT
                elif left == 0 and not alone and word == WEIGHTS_TAG:
                    place, bare = _WEIGHTS, 0
                elif buf[at + 1] == 47:
                    left += 1  # below the particles, `left` counts the open elements, downwards
                    if left > 0:
                        status = TAG
                        break
                elif not alone:
                    left -= 1
                at = close + 1
            if status != DONE or place == _TAIL:
                break
        if status != DONE:
            break
        # ---- </event>
        for k in range(kept, noted):  # bare weights left to float() must not come back where a named one stands
            if slow[4 * k] == TO_BARE and seen[slow[4 * k + 1] - row] == stamp + 1:
                slow[4 * k] = TO_NOWHERE
        column = 0
        while column < width and seen[column] >= stamp:
            column += 1
        if column < width:
            state[STATE_A] = column
            status = LACKS
            break
        spans[2 * n] = p
        spans[2 * n + 1] = at
        particles += count
        n += 1
        offsets[n] = particles
        p = close + 1
        kept = noted
    state[STATUS] = status
    state[POSITION] = p
    state[EVENTS] = n
    state[PARTICLES] = particles
    state[SLOW] = kept
    state[STAMP] = stamp // 2
    state[LOCAL] = at
