"""Events that are in memory already: arrays of uproot and coffea's NanoEvents, arrays of pylhe, open trees.

An array of records is read as a tree with the same branches would be: `events.Jet.pt` of NanoEvents is the branch
Jet_pt. Known by the names of fields; coffea need not be installed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import awkward as ak
import numpy as np
import uproot

from hepaa.errors import InputError
from hepaa.events import Events
from hepaa.lhef import COLUMNS, INTEGERS, REALS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

ACCEPTED = (
    "paths, TTrees and RNTuples of uproot, coffea's NanoEvents, arrays of `tree.arrays()` and `pylhe.to_awkward` are; "
    "others become events with `hepaa.Events.from_awkward(jets=..., weight=...)`"
)


def path_of(source: Any) -> str | None:
    """Where an open TTree or RNTuple of uproot lies, as `file:tree`; None for anything else.

    Raises
    ------
    InputError
        If it lies in no file that can be opened again.
    """
    if not (hasattr(source, "num_entries") and hasattr(source, "object_path") and hasattr(source, "file")):
        return None
    file = getattr(source.file, "file_path", None)
    if not isinstance(file, str):
        raise InputError(f"{source!r} lies in no file with a path; give its arrays: hepaa.open(tree.arrays())")
    name = str(source.name) if source.object_path == "." else str(source.object_path)
    return f"{file}:{name.strip('/').partition(';')[0]}"


def events(
    source: Any,
    *,
    schema: str | Path | Mapping[str, Any] | None = None,
    columns: Sequence[str] | None = None,
    label: str | None = None,
    weight: str | None = None,
    weights: Sequence[str] = (),
    needs: Sequence[str] | None = None,
    objects: Mapping[str, Any] | None = None,
) -> Events:
    """Events of an array.

    Parameters
    ----------
    source : awkward array of records, one an event
    schema, columns, label, weight, weights, needs, objects
        As for ROOT files; see `hepaa.io.root.read.iterate`. None of them for arrays of pylhe.

    Raises
    ------
    InputError
        If this is no array of events, and says what is accepted; or as for a ROOT file.
    """
    from hepaa.io.root.plan import TreePlan

    if isinstance(source, Events):
        return source
    if type(source).__module__.partition(".")[0] == "dask_awkward":
        raise InputError("this array of dask holds no events yet; give what its compute() returns")
    if not isinstance(source, ak.Array) or not ak.fields(source) or source.ndim != 1:
        shown = f"an array of {source.type}"[:120] if isinstance(source, ak.Array) else type(source).__name__
        raise InputError(f"events cannot be made of {shown}: {ACCEPTED}")
    if {"eventinfo", "particles"} <= set(ak.fields(source)):
        return _of_pylhe(source)
    plan = TreePlan(
        _ArrayFile(source), "awkward array", "", schema, columns, label, weight,
        weights=weights, needs=needs, objects=objects,
    )  # fmt: skip
    return replace(plan.events(plan.read(0, plan.n), 0, plan.n), format="awkward")


def _of_pylhe(source: ak.Array) -> Events:
    """Events of what `pylhe.to_awkward` gives."""
    particles, info = source["particles"], source["eventinfo"]
    fields = {"pdgid": particles["id"]} | {f: particles[f] for f in INTEGERS[1:]}
    momenta = ("px", "py", "pz", "e")
    fields |= {f: particles["vector"][f] if f in momenta else particles[f] for f in REALS}
    weights = source["weights"] if "weights" in ak.fields(source) else {}
    return Events(
        path="pylhe",
        format="lhe",
        index=np.arange(len(source)),
        weight=ak.to_numpy(info["weight"]).astype(np.float64),
        weights={name: ak.to_numpy(weights[name]).astype(np.float64) for name in ak.fields(weights)},
        collections={"particles": ak.zip(fields, depth_limit=2)},
        columns={name: ak.to_numpy(info[name]).astype(np.float64) for name in COLUMNS},
    )


class _ArrayFile(Mapping[str, Any]):
    """An array of events with the face that uproot gives a file with one tree."""

    def __init__(self, source: ak.Array) -> None:
        self._trees = {"Events": _Tree(source)}

    def classnames(self, *, cycle: bool) -> dict[str, str]:
        del cycle
        return dict.fromkeys(self._trees, "TTree")

    def keys(self, *, cycle: bool = False) -> Any:
        del cycle
        return list(self._trees)

    def __getitem__(self, name: str) -> _Tree:
        return self._trees[name]

    def __iter__(self) -> Any:
        return iter(self._trees)

    def __len__(self) -> int:
        return len(self._trees)


class _Tree:
    """The branches of an array: fields, and `Jet_pt` for the field pt of the records Jet."""

    def __init__(self, source: ak.Array) -> None:
        self._source, self.num_entries = source, len(source)

    @cached_property
    def _places(self) -> dict[str, tuple[str, ...]]:
        places: dict[str, tuple[str, ...]] = {}
        for name in ak.fields(self._source):
            members = ak.fields(self._source[name])
            if not members:
                places[name] = (name,)
            places |= {f"{name}_{member}": (name, member) for member in members}
            if members and self._source[name].ndim > 1:
                places[f"n{name}"] = (name, "")
        return places

    def keys(self, *, recursive: bool, full_paths: bool) -> list[str]:
        del recursive, full_paths
        return list(self._places)

    def __getitem__(self, name: str) -> _Branch:
        return _Branch(self._source, self._places[name])


class _Branch:
    """One field of all events, or the lengths of lists of records."""

    def __init__(self, source: ak.Array, place: tuple[str, ...]) -> None:
        self._source, self._place = source, place

    def array(self, *, entry_start: int, entry_stop: int, library: str = "ak") -> ak.Array:
        del library
        values = self._source
        for name in self._place:
            values = values[name] if name else ak.num(values)
        return values[entry_start:entry_stop]

    @property
    def interpretation(self) -> Any:
        values = self.array(entry_start=0, entry_stop=1)
        if values.ndim != 1 or ak.fields(values):
            return uproot.AsJagged(uproot.AsDtype("f8"))
        try:
            return uproot.AsDtype(ak.to_numpy(values).dtype)
        except (TypeError, ValueError):  # text
            return uproot.AsStrings()
