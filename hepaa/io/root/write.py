"""ROOT writer: one TTree with a jagged branch for each field of each collection, and the header beside it."""

from __future__ import annotations

import json
from itertools import chain, count
from typing import TYPE_CHECKING, Any

import awkward as ak
import numpy as np
import uproot

from hepaa._version import __version__
from hepaa.errors import InputError
from hepaa.io.files import atomic_path
from hepaa.io.parquet.events import json_header
from hepaa.io.pieces import to_write
from hepaa.io.root.plan import HEADER_KEY
from hepaa.io.root.results import identifier

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from hepaa.events import Events

TREE = "events"
_COMPRESSION = uproot.ZLIB(1)


def write(
    pieces: Iterable[Events],
    path: str | Path,
    *,
    provenance: Mapping[str, Any] | None = None,
    compression: uproot.compression.Compression = _COMPRESSION,
) -> int:
    """Write events as a TTree `events`, under the final name only when complete; gives their number.

    Branches: `weight`, `label` where there is one, columns under their names (letters, digits and _), named
    weights as `weight_0`, `weight_1`, ..., fields of collections as `jets_pt` with the counter `njets`. What
    they were called is in the TObjString `hepaa_events`, from which `hepaa.open` restores it.

    Parameters
    ----------
    pieces : iterable of Events
    path : str or Path
    provenance : mapping, optional
        How the events were made: JSON in a TObjString `provenance`, in the place of `hepaa_events`. The tree is an
        ntuple like those of others, read by a schema.
    compression : of uproot

    Raises
    ------
    InputError
        If there is no piece, pieces hold different things, or a collection holds more than numbers.
    """
    n = 0
    with atomic_path(path) as partial, uproot.recreate(partial, compression=compression) as file:
        first, pieces = to_write(pieces, path)
        names = _describe(first)
        tree = file.mktree(TREE, {k: _type(first.path, k, v) for k, v in _branches(first, names).items()})
        if provenance is None:
            file[HEADER_KEY] = json.dumps({**names, "header": json_header(first), "version": __version__})
        else:
            file["provenance"] = json.dumps(provenance)
        for piece in pieces:
            if _describe(piece) != names:
                raise InputError(f"{piece.path}: what events hold changes inside the file, so it cannot be one tree")
            if piece.n:
                tree.extend(_branches(piece, names))
                n += piece.n
    return n


def _describe(events: Events) -> dict[str, Any]:
    """Branch of each quantity, as `ntuple` reads it back."""
    taken = {"weight", "label"}

    def branch(name: str) -> str:
        base = identifier(name)
        unique = next(n for n in chain([base], (f"{base}_{i}" for i in count(2))) if n not in taken)
        taken.add(unique)
        return unique

    collections, bases = {}, {}
    for name, records in events.arrays.items():
        base = bases[name] = branch(name)
        taken.add(f"n{base}")
        collections[name] = {f: f"{base}_{f}" for f in ak.fields(records)}
        taken |= set(collections[name].values())
    return {
        "tree": TREE,
        "weight": "weight",
        "label": "label" if events.label is not None else None,
        "collections": collections,
        "records": bases,
        "weights": {name: branch(f"weight_{i}") for i, name in enumerate(events.weights)},
        "columns": {name: branch(name) for name in events.columns},
        "format_of_source": events.format,
    }


def _branches(events: Events, names: dict[str, Any]) -> dict[str, Any]:
    branches: dict[str, Any] = {"weight": np.ascontiguousarray(events.weight)}
    if events.label is not None:
        branches["label"] = np.ascontiguousarray(events.label)
    branches |= {names["weights"][k]: np.ascontiguousarray(v) for k, v in events.weights.items()}
    branches |= {names["columns"][k]: np.ascontiguousarray(v) for k, v in events.columns.items()}
    for name, records in events.arrays.items():
        branches[names["records"][name]] = ak.to_packed(records)
    return branches


def _type(path: str, name: str, values: Any) -> Any:
    if isinstance(values, np.ndarray):
        return values.dtype
    fields = [ak.type(values[f]).content.content for f in ak.fields(values)]
    if values.ndim != 2 or not fields or not all(isinstance(field, ak.types.NumpyType) for field in fields):
        raise InputError(
            f"{path}: the collection {name!r} holds more than numbers, which a ROOT tree cannot take; write .parquet"
        )
    return ak.type(values).content
