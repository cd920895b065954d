"""Which branch of a ROOT file is what: schemas of the usual ntuples, and those that users write.

A schema, as a dict or a YAML file:

    tree: Events                        # optional
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

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from hepaa.errors import InputError, nearest

MOMENTUM_FIELDS = frozenset({"pt", "px", "py", "pz", "e", "m", "et"})
ELECTRON_MASS, MUON_MASS = 0.000511, 0.105658
_SECTIONS = ("tree", "momentum_unit", "collections", "union", "columns", "weight", "weights", "label")


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


def schema_of(given: str | Path | Mapping[str, Any] | Schema) -> Schema:
    """The schema that a name, a YAML file or a mapping stands for.

    Raises
    ------
    InputError
        If there is no such name or file, or a key or field is not understood; the message gives the path to
        it.
    """
    if isinstance(given, Schema):
        return given
    if isinstance(given, Mapping):
        return _parse(given, "schema")
    if str(given) in SCHEMAS:
        return SCHEMAS[str(given)]
    path = Path(given)
    if not path.is_file():
        raise InputError(f"there is no schema or YAML file {str(given)!r}; {nearest(str(given), SCHEMAS)}")
    return _parse(read_yaml(path), str(path))


def read_yaml(path: Path) -> dict[str, Any]:
    """Content of a schema's YAML file.

    Raises
    ------
    InputError
        If it is no YAML, or holds no mapping.
    """
    import yaml

    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is no YAML: {' '.join(str(error).split())}") from error
    if not isinstance(content, Mapping):
        raise InputError(f"{path} holds no mapping; it needs {', '.join(_SECTIONS)}")
    return dict(content)


def _parse(content: Mapping[str, Any], where: str) -> Schema:
    for key in content:
        if key not in _SECTIONS:
            raise InputError(f"{where}: unknown key {key!r}; {nearest(str(key), _SECTIONS)}")
    unit = content.get("momentum_unit", "GeV")
    if unit not in ("GeV", "MeV"):
        raise InputError(f"{where}.momentum_unit is {unit!r}; it is GeV or MeV")
    factor = 1e-3 if unit == "MeV" else 1.0
    collections = {
        name: {
            f: _scaled(_field(v, f"{where}.collections.{name}.{f}"), factor if f in MOMENTUM_FIELDS else 1.0)
            for f, v in _mapping(fields, f"{where}.collections.{name}").items()
        }
        for name, fields in _mapping(content.get("collections", {}), f"{where}.collections").items()
    }
    union = {k: tuple(v) for k, v in _mapping(content.get("union", {}), f"{where}.union").items()}
    for name, parts in union.items():
        for part in parts:
            if part not in collections:
                raise InputError(f"{where}.union.{name}: no collection {part!r}; {nearest(part, collections)}")
    return Schema(
        name=where,
        tree=content.get("tree"),
        collections=collections,
        union=union,
        columns={
            k: _field(v, f"{where}.columns.{k}")
            for k, v in _mapping(content.get("columns", {}), f"{where}.columns").items()
        },
        weight=_field(content["weight"], f"{where}.weight") if "weight" in content else None,
        weights={
            k: _field(v, f"{where}.weights.{k}")
            for k, v in _mapping(content.get("weights", {}), f"{where}.weights").items()
        },
        label=_field(content["label"], f"{where}.label") if "label" in content else None,
    )


def _mapping(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise InputError(f"{where} must be a mapping of names to branches, not {value!r}")
    return value


def _scaled(f: Field, factor: float) -> Field:
    return replace(f, scale=f.scale * factor)


def _field(value: Any, where: str) -> Field:
    if isinstance(value, str):
        return Field((value,))
    if isinstance(value, (list, tuple)) and value and all(isinstance(v, str) for v in value):
        return Field(tuple(value))
    if not isinstance(value, Mapping):
        raise InputError(f"{where} must be a branch, a list of branches or a mapping, not {value!r}")
    known = ("branch", "scale", "index", "value", "optional")
    for key in value:
        if key not in known:
            raise InputError(f"{where}: unknown key {key!r}; {nearest(str(key), known)}")
    if ("branch" in value) == ("value" in value):
        raise InputError(f"{where} needs either `branch` or `value`")
    branch = value.get("branch", ())
    return Field(
        branches=(branch,) if isinstance(branch, str) else tuple(branch),
        scale=float(value.get("scale", 1.0)),
        index=value.get("index"),
        value=None if "value" not in value else float(value["value"]),
        optional=bool(value.get("optional", False)),
    )


def _maybe(*branches: str, scale: float = 1.0, index: int | None = None) -> dict[str, Any]:
    return {"branch": list(branches), "scale": scale, "index": index, "optional": True}


def _build(name: str, signature: tuple[str, ...], content: Mapping[str, Any]) -> Schema:
    return replace(_parse(content, name), name=name, signature=signature)


# CMS NanoAOD, versions 5 to 15 (CMS data set documentation "NanoAOD content"): GeV.
_NANOAOD = {
    "tree": "Events",
    "collections": {
        "jets": {
            "pt": "Jet_pt", "eta": "Jet_eta", "phi": "Jet_phi", "m": "Jet_mass",
            "btag": _maybe("Jet_btagDeepFlavB", "Jet_btagUParTAK4B", "Jet_btagPNetB", "Jet_btagDeepB", "Jet_btagCSVV2"),
        },
        "fatjets": {
            "pt": _maybe("FatJet_pt"), "eta": _maybe("FatJet_eta"), "phi": _maybe("FatJet_phi"),
            "m": _maybe("FatJet_mass"), "msoftdrop": _maybe("FatJet_msoftdrop"),
            "tau1": _maybe("FatJet_tau1"), "tau2": _maybe("FatJet_tau2"), "tau3": _maybe("FatJet_tau3"),
        },
        "electrons": {
            "pt": "Electron_pt", "eta": "Electron_eta", "phi": "Electron_phi", "m": _maybe("Electron_mass"),
            "charge": "Electron_charge", "pdgid": {"branch": "Electron_charge", "scale": -11},
        },
        "muons": {
            "pt": "Muon_pt", "eta": "Muon_eta", "phi": "Muon_phi", "m": _maybe("Muon_mass"),
            "charge": "Muon_charge", "pdgid": {"branch": "Muon_charge", "scale": -13},
        },
        "photons": {"pt": "Photon_pt", "eta": "Photon_eta", "phi": "Photon_phi", "m": {"value": 0}},
    },
    "union": {"leptons": ["electrons", "muons"]},
    "columns": {
        "met": ["MET_pt", "PFMET_pt", "PuppiMET_pt"], "met_phi": ["MET_phi", "PFMET_phi", "PuppiMET_phi"],
        "run": "run", "luminosity_block": "luminosityBlock", "event": "event",
    },
    "weight": _maybe("genWeight"),
}  # fmt: skip

# ATLAS DAOD_PHYSLITE (ATL-PHYS-PUB-2019-040; Run 3 names as on atlas-physlite-content-opendata): MeV.
_PHYSLITE = {
    "tree": "CollectionTree",
    "momentum_unit": "MeV",
    "collections": {
        "jets": {
            "pt": "AnalysisJetsAuxDyn.pt", "eta": "AnalysisJetsAuxDyn.eta", "phi": "AnalysisJetsAuxDyn.phi",
            "m": "AnalysisJetsAuxDyn.m",
        },
        "fatjets": {
            "pt": _maybe("AnalysisLargeRJetsAuxDyn.pt"), "eta": _maybe("AnalysisLargeRJetsAuxDyn.eta"),
            "phi": _maybe("AnalysisLargeRJetsAuxDyn.phi"), "m": _maybe("AnalysisLargeRJetsAuxDyn.m"),
        },
        "electrons": {
            "pt": "AnalysisElectronsAuxDyn.pt", "eta": "AnalysisElectronsAuxDyn.eta",
            "phi": "AnalysisElectronsAuxDyn.phi",
            "m": {"value": ELECTRON_MASS, "scale": 1e3}, "charge": "AnalysisElectronsAuxDyn.charge",
            "pdgid": {"branch": "AnalysisElectronsAuxDyn.charge", "scale": -11},
        },
        "muons": {
            "pt": "AnalysisMuonsAuxDyn.pt", "eta": "AnalysisMuonsAuxDyn.eta",
            "phi": "AnalysisMuonsAuxDyn.phi",
            "m": {"value": MUON_MASS, "scale": 1e3}, "charge": "AnalysisMuonsAuxDyn.charge",
            "pdgid": {"branch": "AnalysisMuonsAuxDyn.charge", "scale": -13},
        },
        "photons": {
            "pt": "AnalysisPhotonsAuxDyn.pt", "eta": "AnalysisPhotonsAuxDyn.eta",
            "phi": "AnalysisPhotonsAuxDyn.phi",
            "m": {"value": 0},
        },
    },
    "union": {"leptons": ["electrons", "muons"]},
    # the last entry of the MET container is the total
    "columns": {
        "met_x": _maybe("MET_Core_AnalysisMETAuxDyn.mpx", scale=1e-3, index=-1),
        "met_y": _maybe("MET_Core_AnalysisMETAuxDyn.mpy", scale=1e-3, index=-1),
    },
    "weight": _maybe("EventInfoAuxDyn.mcEventWeights", index=0),
}  # fmt: skip

# Delphes 3 (de Favereau et al., JHEP 02 (2014) 057): TClonesArrays, GeV.
_DELPHES = {
    "tree": "Delphes",
    "collections": {
        "jets": {
            "pt": "Jet.PT", "eta": "Jet.Eta", "phi": "Jet.Phi", "m": "Jet.Mass", "btag": _maybe("Jet.BTag"),
        },
        "fatjets": {
            "pt": _maybe("FatJet.PT"), "eta": _maybe("FatJet.Eta"), "phi": _maybe("FatJet.Phi"),
            "m": _maybe("FatJet.Mass"),
        },
        "electrons": {
            "pt": "Electron.PT", "eta": "Electron.Eta", "phi": "Electron.Phi", "m": {"value": ELECTRON_MASS},
            "charge": "Electron.Charge", "pdgid": {"branch": "Electron.Charge", "scale": -11},
        },
        "muons": {
            "pt": "Muon.PT", "eta": "Muon.Eta", "phi": "Muon.Phi", "m": {"value": MUON_MASS},
            "charge": "Muon.Charge", "pdgid": {"branch": "Muon.Charge", "scale": -13},
        },
        "photons": {"pt": "Photon.PT", "eta": "Photon.Eta", "phi": "Photon.Phi", "m": {"value": 0}},
    },
    "union": {"leptons": ["electrons", "muons"]},
    "columns": {"met": "MissingET.MET", "met_phi": "MissingET.Phi"},
    "weight": _maybe("Event.Weight", index=0),
}  # fmt: skip

SCHEMAS: dict[str, Schema] = {
    "flat": Schema("flat", flat=True),
    "hepaa": Schema("hepaa"),
    "nanoaod": _build("nanoaod", ("nJet", "Jet_pt", "Jet_mass", "Muon_pt", "luminosityBlock"), _NANOAOD),
    "physlite": _build("physlite", ("AnalysisJetsAuxDyn.pt", "AnalysisMuonsAuxDyn.pt"), _PHYSLITE),
    "delphes": _build("delphes", ("Jet.PT", "Muon.PT", "MissingET.MET"), _DELPHES),
}
