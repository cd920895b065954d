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
