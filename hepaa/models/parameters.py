"""What a parameter may be, and the errors that say so."""

from __future__ import annotations

from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, Literal

from hepaa.errors import InputError, nearest

if TYPE_CHECKING:
    from collections.abc import Sequence


_TYPES: dict[str, type] = {"int": Integral, "float": Real, "bool": bool, "str": str}
_WORDS = {"int": "a whole number", "float": "a number", "bool": "true or false", "str": "a word", "None": "null"}

Ends = Literal["both", "low", "high", "none"]


def one_of(what: str, value: Any, allowed: Sequence[str]) -> None:
    """Raise InputError unless `value` is one of the words allowed."""
    if value not in allowed:
        raise InputError(f"{what} {value!r} is unknown; {nearest(str(value), allowed)}")


def whole(what: str, value: Any, least: int = 1) -> None:
    """Raise InputError unless `value` is a whole number of at least `least`."""
    if isinstance(value, bool) or not isinstance(value, Integral) or value < least:
        raise InputError(f"{what} is {value!r}; it must be a whole number, {least} or more")


def seed(what: str, value: Any) -> None:
    """Raise InputError unless `value` is a seed: a whole number of 32 bits, which every library takes."""
    whole(what, value, 0)
    if value >= 2**32:
        raise InputError(f"{what} is {value!r}; it must be a whole number, 0 .. {2**32 - 1}")


def typed(what: str, value: Any, annotation: str) -> None:
    """Raise InputError unless `value` is of a type that `annotation` allows, of "int | None" and its like.

    Annotations with other types than whole numbers, numbers, truth values, words and None are left to others.
    """
    allowed = annotation.split(" | ")
    if not set(allowed) <= set(_WORDS) or (value is None and "None" in allowed):
        return
    known = tuple(_TYPES[name] for name in allowed if name in _TYPES)
    if not isinstance(value, known) or (isinstance(value, bool) and "bool" not in allowed):
        raise InputError(f"{what} is {value!r}; it must be {' or '.join(_WORDS[name] for name in allowed)}")


def widths(what: str, value: Any) -> None:
    """Raise InputError unless `value` is a sequence of layer widths."""
    if not isinstance(value, (tuple, list)):
        raise InputError(f"{what} is {value!r}; it must be a list of widths, such as [16] or [64, 64]")
    for width in value:
        whole(f"a width in {what}", width)


def between(what: str, value: Any, low: float, high: float = float("inf"), *, ends: Ends = "both") -> None:
    """Raise InputError unless `value` is a finite number in low .. high; `ends` says which of the two are allowed."""
    number: Any = value
    inside = isinstance(value, Real) and low <= number <= high and abs(number) != float("inf")
    if not inside or (value == low and ends in ("high", "none")) or (value == high and ends in ("low", "none")):
        left, right = "[" if ends in ("both", "low") else "(", "]" if ends in ("both", "high") else ")"
        raise InputError(f"{what} is {value!r}; it must be a number in {left}{low:g}, {high:g}{right}")
