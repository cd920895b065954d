"""Errors in terms that a user can act on.

Every message says what is wrong, where, and what to do. The command line prints it on one line and exits with
`exit_code`: 2 for a user's input, 3 for a result that is not complete.
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


_LONGEST, _HEAD, _TAIL = 1500, 900, 400
"""Characters of the longest message that is shown whole, and of the ends of a longer one."""


class HepaaError(Exception):
    """Base of all errors that hepaa raises on purpose."""

    exit_code = 2

    def __str__(self) -> str:
        """The message on one line, without its middle where it is too long to be read.

        Names from damaged files may hold line ends, and halves of characters that no terminal takes.
        """
        message = super().__str__()
        if not message.isprintable():
            words = " ".join(message.split())
            message = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in words)
        if len(message) <= _LONGEST:
            return message
        left_out = len(message) - _HEAD - _TAIL
        return f"{message[:_HEAD]} [... {left_out:,} characters left out ...] {message[-_TAIL:]}"


class InputError(HepaaError, ValueError):
    """A file, table or argument that cannot be used as it is."""


class TruncatedInputError(InputError):
    """A file that ends, or breaks, in the middle of an event.

    Attributes
    ----------
    path : str
        The file.
    good_events : int
        Complete events before the break.
    byte : int
        Offset of the break in the uncompressed file, in bytes.
    """

    def __init__(self, message: str, *, path: str, good_events: int, byte: int) -> None:
        super().__init__(message)
        self.path, self.good_events, self.byte = path, good_events, byte

    def __reduce__(self) -> tuple[object, ...]:
        return _truncated, (str(self), self.path, self.good_events, self.byte)


def _truncated(message: str, path: str, good_events: int, byte: int) -> TruncatedInputError:
    return TruncatedInputError(message, path=path, good_events=good_events, byte=byte)


class CardError(InputError):
    """A run card with a wrong key or value; the message starts with the path to it."""


class NotFittedError(HepaaError, ValueError, AttributeError):
    """A detector was asked for scores before `fit`."""


class IncompleteError(HepaaError):
    """A result that misses events it should have."""

    exit_code = 3


def nearest(name: str, available: Iterable[str]) -> str:
    """Sentence listing what is available, at most 40 names, the closest spellings of `name` first."""
    options = sorted(available)
    close = difflib.get_close_matches(name, options, n=3, cutoff=0.5)
    rest = [o for o in options if o not in close]
    hint = f"did you mean {close[0]!r}? " if close else ""
    ordered = [*close, *rest]
    more = f" and {len(ordered) - 40} more" if len(ordered) > 40 else ""
    return f"{hint}available: {', '.join(ordered[:40]) or 'none'}{more}"
