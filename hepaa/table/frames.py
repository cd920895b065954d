"""Tables of others, as columns: pandas data frames, and files of features (CSV, HDF5, npz, npy)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hepaa import io
from hepaa.errors import InputError, nearest
from hepaa.io.columns.source import (
    LABEL_NAMES,
    WEIGHT_NAMES,
    is_number_of_event,
    is_row_index,
    refuse_twice,
    usual,
)
from hepaa.io.files import opened
from hepaa.io.remote import is_remote
from hepaa.io.sniff import sniff, split_key

if TYPE_CHECKING:
    import pandas
    from numpy.typing import NDArray


@dataclass(frozen=True)
class ForeignTable:
    """What a table of others holds: `numbers` are its features; `names` the process and generator of each row."""

    path: str
    sha256: str
    numbers: dict[str, NDArray[Any]]
    weight: NDArray[Any] | None
    label: NDArray[Any] | None
    event: NDArray[Any] | None = None
    names: dict[str, NDArray[Any]] = field(default_factory=dict)


def is_own(path: str | Path) -> bool:
    """Whether this is Parquet that hepaa wrote, broken, or no file at all: whoever reads it says what is wrong."""
    place = split_key(str(path))[0]
    if not is_remote(place) and (not Path(place).is_file() or not Path(place).stat().st_size):
        return True
    with opened(place) as stream:
        return stream.read(4) == b"PAR1" and sniff(place).format != "lhco-features"


def of_file(path: str | Path) -> ForeignTable:
    """Columns of a file of features.

    Raises
    ------
    InputError
        If it is no such file, or as `hepaa.open`.
    """
    file = sniff(path)
    if file.format != "lhco-features":
        raise InputError(f"{path} holds events ({file.format}), no table; make one with `hepaa features`")
    events = io.open(path, missing="nan")
    numbers = {name: values for name, values in events.columns.items() if not is_number_of_event(name)}
    return ForeignTable(str(path), io.sha256(file.path), numbers, events.weight, events.label)


def of_frame(frame: pandas.DataFrame, label: str | None, weight: str | None) -> ForeignTable:
    """Columns of a data frame; see `hepaa.EventTable.from_pandas`.

    Raises
    ------
    InputError
        If a column stands twice, or the label or weight is not there.
    """
    if not hasattr(frame, "columns") or not hasattr(frame, "iloc"):
        raise InputError(f"a pandas data frame is expected, not {type(frame).__name__}")
    known = {str(name): i for i, name in enumerate(frame.columns)}
    refuse_twice("data frame", [str(name) for name in frame.columns])
    for name in (label, weight):
        if name is not None and name not in known:
            raise InputError(f"the data frame has no column {name!r}; {nearest(name, known)}")
    label, weight = label or usual(known, LABEL_NAMES), weight or usual(known, WEIGHT_NAMES)
    special = {label, weight, "process", "generator"}
    numbers = {
        name: _array(frame, i)
        for name, i in known.items()
        if name not in special
        and not is_number_of_event(name)
        and not is_row_index(name)
        # categories have codes, which are no numbers of anything
        and frame.dtypes.iloc[i].kind in "fiub"
    }
    content = hashlib.sha256("|".join(numbers).encode())
    for values in numbers.values():
        content.update(np.ascontiguousarray(values).tobytes())
    return ForeignTable(
        "pandas",
        content.hexdigest(),
        numbers,
        weight=None if weight is None else _array(frame, known[weight]),
        label=None if label is None else _array(frame, known[label]),
        event=_numbers_of_events(_array(frame, known["event"])) if "event" in known else None,
        names={n: _array(frame, known[n]).astype(str) for n in ("process", "generator") if n in known},
    )


def _numbers_of_events(values: NDArray[Any]) -> NDArray[Any] | None:
    """Whole numbers that tell the rows apart; numbers of several runs, or of several files, may not."""
    return values if values.dtype.kind in "iu" and len(np.unique(values)) == len(values) else None


def _array(frame: pandas.DataFrame, column: int) -> NDArray[Any]:
    """A column; missing values of pandas are NaN, or None among objects."""
    series = frame.iloc[:, column]
    if series.dtype.kind in "fiub":
        values = series.to_numpy(dtype=float, na_value=np.nan) if series.isna().any() else series.to_numpy()
    else:
        values = series.astype(object).where(series.notna(), None).to_numpy()
    return np.asarray(values)
