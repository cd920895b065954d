"""Which branch of a ROOT file is what: schemas of the usual ntuples, and those that users write.

A schema, as a dict or a YAML file:

    tree: Events                        # optional
    signature: [nJet, Jet_pt]           # branches by which such a file is known; a list of such lists: one is enough
    momentum_unit: GeV                  # or MeV: the unit of pt, px, py, pz, e, m and et in collections
    collections:
      jets: {pt: Jet_pt, eta: Jet_eta, phi: Jet_phi, m: Jet_mass}
      muons: {pt: Muon_pt, eta: Muon_eta, phi: Muon_phi, m: {value: 0.10566}, charge: Muon_charge}
    union: {leptons: [electrons, muons]}
    columns: {met: MET_pt, met_phi: MET_phi}
    weight: genWeight
    weights: {up: "weight_up", down: {branch: weight_sys, index: 1}}
    label: is_signal
    optional: [muons]                   # collections that a file of this kind may lack; others have to be there
    objects:                            # which objects and events count; see hepaa.io.objects
      jets: {where: pt > 25 and abs(eta) < 2.5, btag: btagDeepFlavB > 0.2783}

A field is the name of a branch, a list of names of which the first that exists is taken, or a mapping with
`branch` (name or list), `scale` (multiplies), `index` (entry of a vector branch), `value` (a constant instead
of a branch), `optional` (left out where there is no branch). A collection that may be absent is absent if its first
field has no branch.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Set
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hepaa.errors import InputError, nearest
from hepaa.io.objects import merged_objects, parse_objects, with_masks

if TYPE_CHECKING:
    from hepaa.events import Events

_MOMENTUM = re.compile(r"pt|px|py|pz|e|m|et|(pt|ptvar|et|topoet)cone\d.*|neflowisol\d.*")
"""Fields in the unit of momenta: isolation sums too, which are cut relative to pT."""

_SECTIONS = (
    "tree", "signature", "momentum_unit", "collections", "union", "columns", "weight", "weights", "label",
    "optional", "objects",
)  # fmt: skip

_FILES = Path(__file__).parent / "root"


@dataclass(frozen=True)
class Field:
    """Where one quantity comes from; see the module for the meaning."""

    branches: tuple[str, ...] = ()
    scale: float = 1.0
    index: int | None = None
    value: float | None = None
    optional: bool = False
    relative: bool = False
    each: bool = False


@dataclass(frozen=True)
class Schema:
    """Which branch is what in one kind of ntuple.

    `flat` takes every branch with one number an event as a column. `signature` holds sets of branches, of which one is
    enough to know a file of this kind. `momentum_factor` is GeV per unit of momentum in the file.
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
    signature: tuple[tuple[str, ...], ...] = ()
    optional: frozenset[str] = frozenset()
    objects: Mapping[str, Any] = field(default_factory=dict)
    momentum_factor: float = 1.0

    def recognises(self, branches: Set[str]) -> bool:
        """Whether a file with these branches is of this kind."""
        return any(branches >= set(needed) for needed in self.signature)


def momentum_scale(field: str, factor: float) -> float:
    """The factor for a field that is a momentum, 1 for others."""
    return factor if _MOMENTUM.fullmatch(field) else 1.0


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
    if isinstance(objects := content.get("objects"), Mapping):
        return {**content, "objects": with_masks(objects, path.parent)}
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
            f: replace(spec, scale=spec.scale * momentum_scale(f, factor))
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
    optional = _names(content["optional"], f"{place}.optional") if "optional" in content else ()
    for name in optional:
        if name not in collections:
            raise InputError(f"{place}.optional: no collection {name!r}; {nearest(name, collections)}")
    schema = Schema(
        name=place,
        tree=tree,
        signature=_signature(content.get("signature"), f"{place}.signature"),
        collections=collections,
        union=union,
        columns=_fields(content.get("columns", {}), f"{place}.columns"),
        weight=_field(content["weight"], f"{place}.weight") if "weight" in content else None,
        weights={
            name: _field(value, f"{place}.weights.{name}", ("relative", "each"))
            for name, value in _mapping(content.get("weights", {}), f"{place}.weights").items()
        },
        label=_field(content["label"], f"{place}.label") if "label" in content else None,
        optional=frozenset(optional),
        momentum_factor=factor,
    )
    return with_objects(schema, content.get("objects"), f"{place}.objects")


def with_objects(schema: Schema, changes: Mapping[str, Any] | None, place: str = "objects") -> Schema:
    """The schema with other steps for some collections and events; see `hepaa.io.objects.merged_objects`.

    Raises
    ------
    InputError
        If they are not understood, or name a collection that the schema does not know.
    """
    objects = merged_objects(schema.objects, changes)
    cuts = parse_objects(objects, place).collections
    known = {*schema.collections, *schema.union, *(name for name, steps in cuts.items() if steps.union)}
    for name, steps in cuts.items():
        for other in (name, *steps.union, *steps.clean):
            if other not in known:
                at = place if other == name else f"{place}.{name}"
                raise InputError(f"{at}: no collection {other!r}; {nearest(other, known)}")
    return replace(schema, objects=objects)


def _signature(value: Any, place: str) -> tuple[tuple[str, ...], ...]:
    if value is None:
        return ()
    if isinstance(value, list) and value and all(isinstance(names, list) for names in value):
        return tuple(_names(names, place) for names in value)
    return (_names(value, place),)


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


def _field(value: Any, place: str, more: tuple[str, ...] = ()) -> Field:
    if not isinstance(value, Mapping):
        return Field(_names(value, place))
    flags = ("optional", *more)
    known = ("branch", "scale", "index", "value", *flags)
    for key in value:
        if key not in known:
            raise InputError(f"{place}: unknown key {key!r}; {nearest(str(key), known)}")
    if ("branch" in value) == ("value" in value):
        raise InputError(f"{place} needs either `branch` or `value`")
    index = value.get("index")
    if index is not None and (isinstance(index, bool) or not isinstance(index, int)):
        raise InputError(f"{place}.index must be a whole number, not {index!r}")
    for flag in flags:
        if not isinstance(value.get(flag, False), bool):
            raise InputError(f"{place}.{flag} must be true or false, not {value[flag]!r}")
    if value.get("each") and ("value" in value or index is not None):
        raise InputError(f"{place}: `each` entry of a branch has neither `index` nor `value`")
    return Field(
        branches=_names(value["branch"], f"{place}.branch") if "branch" in value else (),
        scale=_number(value.get("scale", 1.0), f"{place}.scale"),
        index=index,
        value=_number(value["value"], f"{place}.value") if "value" in value else None,
        **{flag: bool(value.get(flag, False)) for flag in flags},
    )


@lru_cache(maxsize=1)
def schemas() -> dict[str, Schema]:
    """Schemas that hepaa knows: those of `hepaa/io/root/*.yaml`, "flat", and "hepaa" for its own files."""
    files = sorted(_FILES.glob("*.yaml"))
    usual = {file.stem: replace(_parse(read_schema(file), file.stem), name=file.stem) for file in files}
    return {"flat": Schema("flat", flat=True), "hepaa": Schema("hepaa"), **usual}


def schema_text(events: Events) -> str:
    """The schema by which events of a ROOT file were read, as YAML that reads them the same again.

    Raises
    ------
    InputError
        If they are of a format that needs no schema.
    """
    import yaml

    name = events.header.get("schema")
    if events.format != "root" or name is None:
        raise InputError(f"{events.path} ({events.format}): only ROOT files have a schema")
    file = _FILES / f"{name}.yaml"
    if file.is_file():
        return file.read_text(encoding="utf-8")
    content: dict[str, Any] = {"tree": events.header["tree"]}
    for place, branch in events.header["branches"].items():
        collection, _, quantity = place.partition(".")
        if collection in events.arrays and quantity:
            content.setdefault("collections", {}).setdefault(collection, {})[quantity] = branch
        elif place in events.columns:
            content.setdefault("columns", {})[place] = branch
        elif place in ("weight", "label"):
            content[place] = branch
    content |= {"weights": {k: b for k in events.weights if (b := events.header["branches"].get(f"weights[{k!r}]"))}}
    return yaml.safe_dump({k: v for k, v in content.items() if v}, sort_keys=False, allow_unicode=True)
