"""Awkward collections as the flat arrays that kernels read: offsets, and one contiguous array a field."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import awkward as ak
import numpy as np

from hepaa.errors import InputError, nearest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


def flat(collection: ak.Array, fields: Sequence[str], *, name: str = "particles") -> tuple[Any, ...]:
    """Offsets int64 (n + 1,) and the contents of each field, float64 or int64 (total,).

    Parameters
    ----------
    collection : awkward array of lists of records
    fields : names
        Integer fields come as int64, all others as float64.
    name : str
        What the collection is called in errors.

    Raises
    ------
    InputError
        If the collection lacks a field.
    """
    missing = [f for f in fields if f not in ak.fields(collection)]
    if missing:
        raise InputError(f"the {name} have no field {missing[0]!r}; {nearest(missing[0], ak.fields(collection))}")
    offsets: NDArray[np.int64] = np.zeros(len(collection) + 1, np.int64)
    np.cumsum(ak.to_numpy(ak.num(collection, axis=1)), out=offsets[1:])
    contents = []
    for field in fields:
        values = ak.to_numpy(ak.flatten(collection[field], axis=1), allow_missing=False)
        dtype = np.int64 if values.dtype.kind in "iub" else np.float64
        # Writable, for kernels would be compiled once more for arrays that are not.
        contents.append(np.require(values, dtype, ["C", "W"]))
    return (offsets, *contents)


def codes(collection: ak.Array, field: str, *, name: str) -> NDArray[np.int64]:
    """A field of whole numbers, int64 (total,): an id, or the tag `btag`, 0 or 1.

    Raises
    ------
    InputError
        If the collection lacks the field, or a value is not whole or no tag.
    """
    tag = field == "btag"
    if tag and field not in ak.fields(collection):
        raise InputError(
            f"the {name} have no b-tag; cut one of their fields at a working point, in the schema (`hepaa info FILE "
            "--schema` prints it), in a card or in Python: objects: {jets: {btag: FIELD > WORKING_POINT}}"
        )
    _, values = flat(collection, (field,), name=name)
    whole: NDArray[np.int64] = values.astype(np.int64)
    if np.any(whole != values) or (tag and np.any((whole < 0) | (whole > 1))):
        remedy = "0 or 1; cut the score, in the schema or a card, as objects: {jets: {btag: btag > 0.3}}"
        raise InputError(f"{name}: {field} must be {remedy if tag else 'whole'}")
    return whole


def leading(offsets: NDArray[np.int64], values: NDArray[np.float64], n: int) -> NDArray[np.int64]:
    """Positions of the n largest of each event's values, int64 (events, n), the largest first; -1 where there is none.

    The first of equal values comes first.

    Parameters
    ----------
    offsets : (events + 1,)
    values : (total,)
    """
    event = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    order = np.append(np.lexsort((-values, event)), -1)
    places = offsets[:-1, None] + np.arange(n)
    picked: NDArray[np.int64] = order[np.where(places < offsets[1:, None], places, -1)]
    return picked
