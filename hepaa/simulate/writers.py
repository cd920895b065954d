"""Simulated events as the events of a file, written by the writers of `hepaa.io` with their provenance inside."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import awkward as ak
import numpy as np
import uproot

from hepaa.events import Events
from hepaa.io.lhco import write as lhco
from hepaa.io.lhe import write as lhe
from hepaa.io.root import write as root

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from hepaa.events import Sample
    from hepaa.simulate.pythia import DijetEvents, PartonEvents

    Weights = Mapping[str, tuple[str, NDArray[np.float64]]]

_PT_BITS, _ANGLE_BITS = 11, 10
# NNPDF2.3 QCD+QED LO, alpha_s(MZ) = 0.130: Pythia's default set, in LHAPDF's numbering
_PDF_ID = 247000
_INIT = {
    "beamA": 2212, "beamB": 2212, "energyA": 6500.0, "energyB": 6500.0, "PDFgroupA": 0, "PDFgroupB": 0,
    "PDFsetA": _PDF_ID, "PDFsetB": _PDF_ID, "weightingStrategy": -4, "numProcesses": 1,
}  # fmt: skip
# q q' H Z l+ l- b bbar
_STATUS = np.array([-1, -1, 2, 2, 1, 1, 1, 1])
_MOTHERS = np.array([[0, 0, 1, 1, 4, 4, 3, 3], [0, 0, 2, 2, 4, 4, 3, 3]])
_COLOUR = np.array([501, 501, 0, 0, 0, 0, 502, 502])


def write_lhe(
    path: str | Path,
    events: PartonEvents,
    *,
    provenance: Mapping[str, Any],
    weights: Weights | None = None,
    alpha_em: float,
) -> None:
    """Gzipped LHE 3.0 file of unweighted events (IDWTUP = -4: every XWGTUP is the cross-section, in pb).

    Momenta are rounded to 9 digits, other numbers to 7 or 8.

    Parameters
    ----------
    path : path
        File to write, `.lhe.gz`; the bytes depend on the arguments alone.
    events : PartonEvents
        q q' H Z l+ l- b bbar, momenta in GeV; its cross-section goes into `<init>` and XWGTUP.
    provenance : mapping
        Written as JSON in the header block `<provenance>`.
    weights : mapping of name -> (description, (n,) weights in pb), optional
        For `<initrwgt>` and `<rwgt>`.
    alpha_em : float
        Electromagnetic coupling, for every event's AQEDUP.

    Raises
    ------
    InputError
        A named weight of another length than the events.
    """
    n, named = len(events), weights or {}
    sigma, error = _rounded([events.cross_section_pb, events.error_pb], 7).tolist()
    colour, quark = np.broadcast_to(_COLOUR, (n, 8)), events.pdgid > 0
    px, py, pz, e = np.moveaxis(_rounded(events.momentum[..., :4], 9), 2, 0)
    fields: dict[str, Any] = {
        "pdgid": events.pdgid, "status": _STATUS, "mother1": _MOTHERS[0], "mother2": _MOTHERS[1],
        "color1": np.where(quark, colour, 0), "color2": np.where(quark, 0, colour),
        "px": px, "py": py, "pz": pz, "e": e, "m": _rounded(events.momentum[..., 4], 7), "lifetime": 0.0, "spin": 9.0,
    }  # fmt: skip
    particles = ak.zip({k: ak.from_regular(np.broadcast_to(v, (n, 8))) for k, v in fields.items()})
    facts = json.dumps(provenance, indent=1)
    group = {"name": "chw", "combine": "none", "weights": list(named), "attributes": {}}
    description = {"version": provenance["version"], "description": "arXiv:2203.11601", "attributes": {}}
    header = {
        "version": "3.0",
        "blocks": {"provenance": f"<![CDATA[\n{facts}\n]]>"},
        "init": {**_INIT, "processes": [{"xSection": sigma, "error": error, "unitWeight": sigma, "procId": 1}]},
        "generators": [{"name": provenance["generator"], **description}],
        "weight_info": {k: {"group": "chw", "text": text, "attributes": {}} for k, (text, _) in named.items()},
        "weight_groups": [group] if named else [],
    }
    scale, alpha_s = _rounded(events.scale, 7), _rounded(events.alpha_s, 7)
    record = Events(
        path="simulation",
        format="lhe",
        index=np.arange(n),
        weight=np.full(n, sigma),
        weights={k: _rounded(values, 8) for k, (_, values) in named.items()},
        header=header,
        collections={"particles": particles},
        columns={"pid": np.ones(n), "scale": scale, "aqed": np.full(n, _rounded(alpha_em, 7)), "aqcd": alpha_s},
    )
    lhe.write([record], path)


def _rounded(values: Any, digits: int) -> NDArray[np.float64]:
    """The doubles nearest to decimal numbers of so many significant digits, which are short as text."""
    return np.asarray(np.vectorize(lambda value: float(f"{value:.{digits - 1}e}"), otypes=[float])(values))


def rounded_particles(objects: NDArray[np.float64]) -> NDArray[np.float64]:
    """pT, eta, phi (m, 3) as LHCO files get them; rounding twice changes nothing."""
    mantissa, exponent = np.frexp(objects[:, 0])
    angles = np.round(objects[:, 1:] * 2.0**_ANGLE_BITS) / 2.0**_ANGLE_BITS
    pt = np.ldexp(np.round(mantissa * 2.0**_PT_BITS) / 2.0**_PT_BITS, exponent)
    return np.concatenate([pt[:, None], angles], axis=1)


def detected_record(
    events: DijetEvents, objects: NDArray[np.float64], *, path: str = "simulation", first: int = 0,
    sample: Sample | None = None,
) -> Events:  # fmt: skip
    """Detector-level events as those of a file; `objects` (m, 3) are all their particles, `first` numbers them."""
    n = len(events)
    fields = dict(zip(("pt", "eta", "phi"), objects.T, strict=True))
    return Events(
        path=path,
        format="lhco",
        index=first + np.arange(n),
        weight=np.ones(n),
        label=np.full(n, events.label, np.int8),
        collections={"particles": ak.unflatten(ak.Array(fields), [len(p) for p in events.particles])},
        sample=sample,
    )


def write_lhco(path: str | Path, events: DijetEvents, provenance: Mapping[str, Any]) -> None:
    """LHC Olympics HDF5: pandas' fixed layout under the key `df`, 700 x (pT [GeV], eta, phi) zero padded + label.

    pT is rounded to 11 bits of mantissa (at most 2.5e-4 relative), eta and phi to multiples of 2^-10, which is below
    the detector's resolution and lets gzip work. The root's attribute `provenance` holds JSON.

    Raises
    ------
    InputError
        An event with more than 700 particles: nothing is dropped in silence.
    """
    record = detected_record(events, rounded_particles(np.concatenate(events.particles)))
    rounding = {"pt": f"{_PT_BITS} bits of mantissa", "eta, phi": f"multiples of 2^-{_ANGLE_BITS}"}
    lhco.write([record], path, provenance={**provenance, "rounding": rounding})


def write_ntuple(
    path: str | Path, events: PartonEvents, *, provenance: Mapping[str, Any], weights: Weights | None = None
) -> None:
    """ROOT file with a TTree `events`: jagged `lepton_*` and `bjet_*` (pt, eta, phi, mass, pdgid; GeV), hardest first.

    `weight` is float64 in pb and sums to the cross-section; named weights are branches `weight_<name>` on the same
    scale. A TObjString `provenance` holds JSON.
    """
    n = len(events)
    record = Events(
        path="simulation",
        format="root",
        index=np.arange(n),
        weight=np.full(n, events.cross_section_pb / n),
        columns={f"weight_{name}": values / n for name, (_, values) in (weights or {}).items()},
        collections={"lepton": _objects(events, slice(4, 6)), "bjet": _objects(events, slice(6, 8))},
    )
    root.write([record], path, provenance=provenance, compression=uproot.LZMA(9))


def _objects(events: PartonEvents, slots: slice) -> ak.Array:
    """pt, eta, phi, mass, pdgid of the particles in some slots as jagged arrays, hardest first."""
    px, py, pz, _, mass = np.moveaxis(events.momentum[:, slots], 2, 0)
    pt = np.hypot(px, py)
    order = np.argsort(-pt, axis=1, kind="stable")
    momenta = {"pt": pt, "eta": np.arcsinh(pz / pt), "phi": np.arctan2(py, px), "mass": mass}
    fields: dict[str, NDArray[Any]] = {k: v.astype(np.float32) for k, v in momenta.items()}
    fields["pdgid"] = events.pdgid[:, slots].astype(np.int32)
    return ak.zip({k: ak.from_regular(np.take_along_axis(v, order, axis=1)) for k, v in fields.items()})
