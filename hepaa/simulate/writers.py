"""Writes simulated events: LHE 3.0 with named weights, LHCO HDF5 as the public files have it, a ROOT ntuple."""

from __future__ import annotations

import gzip
import html
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hepaa.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from hepaa.simulate.pythia import DijetEvents, PartonEvents

LHCO_SLOTS = 700
_PT_BITS, _ANGLE_BITS = 11, 10
# NNPDF2.3 QCD+QED LO, alpha_s(MZ) = 0.130: Pythia's default set, in LHAPDF's numbering
_PDF_ID = 247000


def write_lhe(
    path: str | Path,
    events: PartonEvents,
    *,
    provenance: Mapping[str, Any],
    weights: Mapping[str, tuple[str, NDArray[np.float64]]] | None = None,
    alpha_em: float,
) -> None:
    """Gzipped LHE 3.0 file of unweighted events (IDWTUP = -4: every XWGTUP is the cross-section, in pb).

    Parameters
    ----------
    path : path
        File to write; the bytes depend on the arguments alone.
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
    named = dict(weights or {})
    for name, (_, values) in named.items():
        if len(values) != len(events):
            raise InputError(f"weight {name!r} has {len(values)} values for {len(events)} events")
    with Path(path).open("wb") as raw, gzip.GzipFile("", "wb", compresslevel=9, fileobj=raw, mtime=0) as out:
        for text in _lhe_text(events, provenance, named, alpha_em):
            out.write(text.encode("ascii"))


def _lhe_text(
    events: PartonEvents,
    provenance: Mapping[str, Any],
    named: Mapping[str, tuple[str, NDArray[np.float64]]],
    alpha_em: float,
) -> Iterator[str]:
    sigma, error = events.cross_section_pb, events.error_pb
    facts = json.dumps(provenance, indent=1, ensure_ascii=True)
    yield f'<LesHouchesEvents version="3.0">\n<header>\n<provenance>\n<![CDATA[\n{facts}\n]]>\n</provenance>\n'
    if named:
        yield "<initrwgt>\n<weightgroup name='chw' combine='none'>\n"
        for name, (text, _) in named.items():
            yield f"<weight id='{name}'> {html.escape(text)} </weight>\n"
        yield "</weightgroup>\n</initrwgt>\n"
    generator, version = provenance["generator"], provenance["version"]
    yield (
        f"</header>\n<init>\n2212 2212 6.500000e+03 6.500000e+03 0 0 {_PDF_ID} {_PDF_ID} -4 1\n"
        f"{sigma:.6e} {error:.6e} {sigma:.6e} 1\n"
        f"<generator name='{generator}' version='{version}'>arXiv:2203.11601</generator>\n</init>\n"
    )
    for i, (ids, momenta) in enumerate(zip(events.pdgid.tolist(), events.momentum.tolist(), strict=True)):
        lines = [f"<event>\n8 1 {sigma:.6e} {events.scale[i]:.6e} {alpha_em:.6e} {events.alpha_s[i]:.6e}"]
        for slot, (pid, (px, py, pz, e, m)) in enumerate(zip(ids, momenta, strict=True)):
            if slot < 2:
                origin, colour = "-1 0 0", "501 0" if pid > 0 else "0 501"
            elif slot < 4:
                origin, colour = "2 1 2", "0 0"
            else:
                origin = "1 4 4" if slot < 6 else "1 3 3"
                colour = "0 0" if slot < 6 else ("502 0" if pid > 0 else "0 502")
            lines.append(f"{pid} {origin} {colour} {px:.8e} {py:.8e} {pz:.8e} {e:.8e} {m:.6e} 0. 9.")
        if named:
            lines.append("<rwgt>")
            lines += [f"<wgt id='{name}'> {values[i]:.7e} </wgt>" for name, (_, values) in named.items()]
            lines.append("</rwgt>")
        yield "\n".join(lines) + "\n</event>\n"
    yield "</LesHouchesEvents>\n"


def write_lhco(path: str | Path, events: DijetEvents, provenance: Mapping[str, Any]) -> None:
    """LHC Olympics HDF5: pandas' fixed layout under the key `df`, 700 x (pT [GeV], eta, phi) zero padded + label.

    pandas.read_hdf and h5py both read it; no pickled object is inside. pT is rounded to 11 bits of mantissa (at most
    2.5e-4 relative), eta and phi to multiples of 2^-10, which is below the detector's resolution and lets gzip work.

    Raises
    ------
    InputError
        An event with more than 700 particles: nothing is dropped in silence.
    """
    import h5py

    table = np.zeros((len(events), 3 * LHCO_SLOTS + 1))
    for i, p in enumerate(events.particles):
        if len(p) > LHCO_SLOTS:
            raise InputError(f"event {i} has {len(p)} particles; the LHCO layout holds {LHCO_SLOTS}")
        table[i, 0 : 3 * len(p) : 3] = _round_mantissa(p[:, 0], _PT_BITS)
        for axis in (1, 2):
            table[i, axis : 3 * len(p) : 3] = np.round(p[:, axis] * 2.0**_ANGLE_BITS) / 2.0**_ANGLE_BITS
    table[:, -1] = events.label
    rounding = {"pt": f"{_PT_BITS} bits of mantissa", "eta, phi": f"multiples of 2^-{_ANGLE_BITS}"}
    facts = json.dumps({**provenance, "rounding": rounding})
    group_attributes = {"CLASS": "GROUP", "TITLE": "", "VERSION": "1.0"}
    with h5py.File(path, "w") as out:
        _attributes(out, {**group_attributes, "PYTABLES_FORMAT_VERSION": "2.1", "provenance": facts})
        df = out.create_group("df")
        _attributes(df, {**group_attributes, "pandas_type": "frame", "pandas_version": "0.15.2", "encoding": "UTF-8"})
        _attributes(df, {"errors": "strict", "ndim": 2, "nblocks": 1, "block0_items_variety": "regular"})
        _attributes(df, {"axis0_variety": "regular", "axis1_variety": "regular"})
        for name, size in (("axis0", table.shape[1]), ("block0_items", table.shape[1]), ("axis1", len(table))):
            index = df.create_dataset(name, data=np.arange(size), compression="gzip", shuffle=True)
            _attributes(index, {"CLASS": "CARRAY", "TITLE": "", "VERSION": "1.1", "kind": "integer", "transposed": 1})
        block = df.create_dataset(
            "block0_values",
            data=table,
            chunks=(min(50, len(table)), table.shape[1]),
            compression="gzip",
            compression_opts=9,
            shuffle=True,
        )
        _attributes(block, {"CLASS": "CARRAY", "TITLE": "", "VERSION": "1.1", "transposed": 1})


def _attributes(node: Any, values: Mapping[str, str | int]) -> None:
    """Fixed-length UTF-8 strings and integers, as PyTables writes them."""
    import h5py

    for name, value in values.items():
        if isinstance(value, int):
            node.attrs[name] = np.uint8(value) if name == "transposed" else np.int64(value)
        else:
            text = value.encode()
            kind = h5py.string_dtype("utf-8", max(len(text), 1))
            node.attrs.create(name, text if text else h5py.Empty(kind), dtype=kind)


def _round_mantissa(x: NDArray[np.float64], bits: int) -> NDArray[np.float64]:
    mantissa, exponent = np.frexp(x)
    return np.ldexp(np.round(mantissa * 2.0**bits) / 2.0**bits, exponent)


def write_ntuple(
    path: str | Path,
    events: PartonEvents,
    *,
    provenance: Mapping[str, Any],
    weights: Mapping[str, tuple[str, NDArray[np.float64]]] | None = None,
) -> None:
    """ROOT file with a TTree `events`: jagged `lepton_*` and `bjet_*` (pt, eta, phi, mass, pdgid; GeV), hardest first.

    `weight` is float64 in pb and sums to the cross-section; named weights are branches `weight_<name>` on the same
    scale. A TObjString `provenance` holds JSON.
    """
    import awkward as ak
    import uproot

    n = len(events)
    columns: dict[str, Any] = {
        "event": np.arange(n, dtype=np.int64),
        "lepton": ak.zip(_objects(events, slice(4, 6))),
        "bjet": ak.zip(_objects(events, slice(6, 8))),
        "weight": np.full(n, events.cross_section_pb / n),
    }
    for name, (_, values) in (weights or {}).items():
        columns[f"weight_{name}"] = values / n
    with uproot.recreate(path, compression=uproot.LZMA(9)) as out:
        out["provenance"] = json.dumps(provenance)
        tree = out.mktree(
            "events", {k: (v.type.content if isinstance(v, ak.Array) else v.dtype) for k, v in columns.items()}
        )
        tree.extend(columns)


def _objects(events: PartonEvents, slots: slice) -> dict[str, Any]:
    """pt, eta, phi, mass, pdgid of the particles in some slots as jagged arrays, hardest first."""
    import awkward as ak

    px, py, pz, _, mass = np.moveaxis(events.momentum[:, slots], 2, 0)
    pt = np.hypot(px, py)
    order = np.argsort(-pt, axis=1, kind="stable")
    floats = {"pt": pt, "eta": np.arcsinh(pz / pt), "phi": np.arctan2(py, px), "mass": mass}
    out: dict[str, NDArray[Any]] = {k: v.astype(np.float32) for k, v in floats.items()}
    out["pdgid"] = events.pdgid[:, slots].astype(np.int32)
    return {k: ak.from_regular(np.take_along_axis(v, order, axis=1)) for k, v in out.items()}
