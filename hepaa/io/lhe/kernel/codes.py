"""What the LHE kernel and its caller tell each other: why it stopped, where, and what each number is for."""

from __future__ import annotations

DONE = 0
"""All events up to the end were read."""
UNKNOWN = 1
"""Something that is no `<event>` follows the last event."""
OPEN = 2
"""The event does not end before the end of the bytes."""
SLOW_FULL = 3
"""The list of tokens for `float()` is full; go on from the start of this event."""
NEW_ID = 4
"""A `<wgt ...>` tag that is not in the table (bytes STATE_A to STATE_B)."""
NEW_POSITION = 5
"""A `<weights>` block longer than the table of positions."""
COUNT = 6
"""The number of particles is not a plain integer."""
FEW = 7
"""Fewer particle lines than the event header says."""
MANY = 8
"""Something that is no comment and no tag follows the last particle."""
SHORT_LINE = 9
"""A line ends before all its numbers were seen."""
LONG_LINE = 10
"""A line holds more than its numbers."""
TAG = 11
"""A tag that may not be here, or is malformed."""
LACKS = 12
"""The event lacks a weight (column STATE_A) that the events before it have."""
TWICE = 13
"""The event gives one weight (column STATE_A) two values."""
EMPTY = 14
"""An event without a header line."""
FULL = 15
"""The arrays are full; go on from the start of this event."""

LEAST = 24
"""A line of a particle has more bytes than this, and so has an event."""

WRONG = {
    COUNT: "its number of particles is no plain integer",
    FEW: "it has fewer particle lines than its first line says",
    MANY: "it has more particle lines than its first line says, or text that is no comment: {!r}",
    SHORT_LINE: "a line ends before all its numbers were seen",
    LONG_LINE: "a line holds more numbers than it should",
    TAG: "a tag is malformed or out of place: {!r}",
    LACKS: "it lacks the weight {!r} that the events before it have",
    TWICE: "it gives the weight {!r} twice, with different values",
    EMPTY: "it is empty",
}
"""What each code that ends the file says is wrong with the event; {!r} is what stands there, or which weight."""

SLOTS = 9
STATUS, POSITION, EVENTS, PARTICLES, SLOW, STAMP, STATE_A, STATE_B, LOCAL = range(SLOTS)
"""Slots of `state`: where the parse stopped, and how far it came. LOCAL is where in the event it stopped."""

INTEGERS = ("pdgid", "status", "mother1", "mother2", "color1", "color2")
REALS = ("px", "py", "pz", "e", "m", "lifetime", "spin")
EVENT_COLUMNS = ("pid", "weight", "scale", "aqed", "aqcd")

TO_REAL, TO_EVENT, TO_NAMED, TO_BARE, TO_NOWHERE = 6, 13, 18, 19, 20
"""What a number is for: targets 0-5 are the integer columns of particles, 6-12 the real ones, 13-17 the columns of
events; then a weight of `<rwgt>`, one of `<weights>`, and one of `<weights>` that a named one replaces."""
