"""Which branch of a ROOT file is what: schemas of the usual ntuples, and those that users write.

A schema, as a dict or a YAML file:

    tree: Events                        # optional
    signature: [nJet, Jet_pt]           # branches by which such a file is known; for the schemas of hepaa
    momentum_unit: GeV                  # or MeV: the unit of pt, px, py, pz, e, m and et in collections
    collections:
      jets: {pt: Jet_pt, eta: Jet_eta, phi: Jet_phi, m: Jet_mass}
      muons: {pt: Muon_pt, eta: Muon_eta, phi: Muon_phi, m: {value: 0.10566}, charge: Muon_charge}
    union: {leptons: [electrons, muons]}
    columns: {met: MET_pt, met_phi: MET_phi}
    weight: genWeight
    weights: {up: "weight_up", down: {branch: weight_sys, index: 1}}
    label: is_signal

A field is the name of a branch, a list of names of which the first that exists is taken, or a mapping with
`branch` (name or list), `scale` (multiplies), `index` (entry of a vector branch), `value` (a constant instead
of a branch), `optional` (left out where there is no branch).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from hepaa.errors import InputError, nearest

MOMENTUM_FIELDS = frozenset({"pt", "px", "py", "pz", "e", "m", "et"})
_SECTIONS = ("tree", "signature", "momentum_unit", "collections", "union", "columns", "weight", "weights", "label")


@dataclass(frozen=True)
class Field:
    """Where one quantity comes from; see the module for the meaning."""

    branches: tuple[str, ...] = ()
    scale: float = 1.0
    index: int | None = None
    value: float | None = None
    optional: bool = False


@dataclass(frozen=True)
class Schema:
    """Which branch is what in one kind of ntuple.

    `flat` takes every branch with one number an event as a column. `signature` lists branches by which a
    file of this kind is known.
    """

    name: str
    tree: str | None = None
    collections: Mapping[str, Mapping[str, Field]] = field(default_factory=dict)
    union: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    columns: Mapping[str, Field] = field(default_factory=dict)
    weight: Field | None = None
    weights: Mapping[str, Field] = field(default_factory=dict)
    label: Field | None = None
    flat: bool = False
    signature: tuple[str, ...] = ()


def schema_of(schema: str | Path | Mapping[str, Any] | Schema) -> Schema:
    """The schema that a name, a YAML file or a mapping stands for.

    Raises
    ------
    InputError
        If there is no such name or file, or a key or field is not understood; the message gives the path to
        it.
    """
    if isinstance(schema, Schema):
        return schema
    if isinstance(schema, Mapping):
        return _parse(schema, "schema")
    if str(schema) in schemas():
        return schemas()[str(schema)]
    path = Path(schema)
    if not path.is_file():
        raise InputError(f"there is no schema or YAML file {str(schema)!r}; {nearest(str(schema), schemas())}")
    return _parse(read_schema(path), str(path))


def read_schema(path: Path) -> dict[str, Any]:
    """Content of a schema's YAML file.

    Raises
    ------
    InputError
        If it is no YAML, or holds no mapping.
    """
    from hepaa.io.texts import read_yaml

    content = read_yaml(path)
    if not isinstance(content, Mapping):
        raise InputError(f"{path} holds no mapping; it needs {', '.join(_SECTIONS)}")
    return dict(content)


def _parse(content: Mapping[str, Any], place: str) -> Schema:
    for key in content:
        if key not in _SECTIONS:
            raise InputError(f"{place}: unknown key {key!r}; {nearest(str(key), _SECTIONS)}")
    unit = content.get("momentum_unit", "GeV")
    if not isinstance(unit, str) or unit not in ("GeV", "MeV"):
        raise InputError(f"{place}.momentum_unit is {unit!r}; it is GeV or MeV")
    factor = 1e-3 if unit == "MeV" else 1.0
    collections = {
        name: {
            f: replace(spec, scale=spec.scale * factor) if f in MOMENTUM_FIELDS else spec
            for f, spec in _fields(members, f"{place}.collections.{name}").items()
        }
        for name, members in _mapping(content.get("collections", {}), f"{place}.collections").items()
    }
    union = {
        name: _names(parts, f"{place}.union.{name}")
        for name, parts in _mapping(content.get("union", {}), f"{place}.union").items()
    }
    tree = content.get("tree")
    if tree is not None and not isinstance(tree, str):
        raise InputError(f"{place}.tree must be the name of a tree, not {tree!r}")
    for name, parts in union.items():
        for part in parts:
            if part not in collections:
                raise InputError(f"{place}.union.{name}: no collection {part!r}; {nearest(part, collections)}")
    return Schema(
        name=place,
        tree=tree,
        signature=_names(content["signature"], f"{place}.signature") if "signature" in content else (),
        collections=collections,
        union=union,
        columns=_fields(content.get("columns", {}), f"{place}.columns"),
        weight=_field(content["weight"], f"{place}.weight") if "weight" in content else None,
        weights=_fields(content.get("weights", {}), f"{place}.weights"),
        label=_field(content["label"], f"{place}.label") if "label" in content else None,
    )


def _mapping(value: Any, place: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise InputError(f"{place} must be a mapping of names to branches, not {value!r}")
    for name in value:
        if not isinstance(name, str):
            raise InputError(f"{place}: {name!r} is no name; write it in quotation marks")
    return value


def _names(value: Any, place: str) -> tuple[str, ...]:
    if isinstance(value, str):
        return (value,)
    if not isinstance(value, (list, tuple)) or not value or not all(isinstance(v, str) for v in value):
        raise InputError(f"{place} must be a name or a list of names, not {value!r}")
    return tuple(value)


def _number(value: Any, place: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise InputError(f"{place} must be a finite number, not {value!r}")
    return float(value)


def _fields(values: Any, place: str) -> dict[str, Field]:
    return {name: _field(value, f"{place}.{name}") for name, value in _mapping(values, place).items()}


def _field(value: Any, place: str) -> Field:
    if not isinstance(value, Mapping):
        return Field(_names(value, place))
    known = ("branch", "scale", "index", "value", "optional")
    for key in value:
        if key not in known:
            raise InputError(f"{place}: unknown key {key!r}; {nearest(str(key), known)}")
    if ("branch" in value) == ("value" in value):
        raise InputError(f"{place} needs either `branch` or `value`")
    index, optional = value.get("index"), value.get("optional", False)
    if index is not None and (isinstance(index, bool) or not isinstance(index, int)):
        raise InputError(f"{place}.index must be a whole number, not {index!r}")
    if not isinstance(optional, bool):
        raise InputError(f"{place}.optional must be true or false, not {optional!r}")
    return Field(
        branches=_names(value["branch"], f"{place}.branch") if "branch" in value else (),
        scale=_number(value.get("scale", 1.0), f"{place}.scale"),
        index=index,
        value=_number(value["value"], f"{place}.value") if "value" in value else None,
        optional=optional,
    )


@lru_cache(maxsize=1)
def schemas() -> dict[str, Schema]:
    """Schemas that hepaa knows: those of `hepaa/io/root/*.yaml`, "flat", and "hepaa" for its own files."""
    files = sorted((Path(__file__).parent / "root").glob("*.yaml"))
    usual = {file.stem: replace(_parse(read_schema(file), file.stem), name=file.stem) for file in files}
    return {"flat": Schema("flat", flat=True), "hepaa": Schema("hepaa"), **usual}
