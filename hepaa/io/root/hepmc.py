"""HepMC3 events in ROOT trees, as its WriterRootTree writes them: the same full records as those of the text."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import awkward as ak
import numpy as np

from hepaa.errors import InputError
from hepaa.io.hepmc import PARTICLE_FIELDS, event_columns

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from hepaa.events import Events

TREE = "hepmc3_tree"

_MOMENTUM, _PLACE = ("px", "py", "pz", "e"), ("x", "y", "z", "t")
_RAW = ("pid", "status", "is_mass_set", "mass")
SCHEMA: dict[str, Any] = {
    "tree": TREE,
    "collections": {
        "raw": {
            **{name: f"particles.{name}" for name in _RAW},
            **{name: f"particles.momentum.m_v{i}" for i, name in enumerate(_MOMENTUM, start=1)},
        },
        "vertices": {name: f"vertices.position.m_v{i}" for i, name in enumerate(_PLACE, start=1)},
        "links": {"begin": "links1", "end": "links2"},
        "weights": {"value": "weights"},
    },
    "columns": {
        "momentum_unit": "momentum_unit",
        "length_unit": "length_unit",
        **{name: f"event_pos.m_v{i}" for i, name in enumerate(_PLACE, start=1)},
    },
}
"""What is read of the tree, for `hepaa.io.root.plan`."""

_IN_GEV, _IN_MM = (0.001, 1.0), (1.0, 10.0)  # MeV, GeV and mm, cm, as HepMC numbers its units


def run_info(tree: Any, n: int) -> dict[str, Any]:
    """What the run of a tree with n events says: "weight_names", "generators", "generator" and the cross-section of the
    last event, as the header of a HepMC text file has them."""
    names = set(tree.keys(recursive=True, full_paths=True))
    first: dict[str, list[Any]] = {
        part: tree[f"GenRunInfo/{part}"].array(entry_stop=1).to_list() if f"GenRunInfo/{part}" in names else []
        for part in ("weight_names", "tool_name", "tool_version", "tool_description")
    }
    weights, *tools = ([] if not entries else entries[0] for entries in first.values())
    generators = [dict(zip(("name", "version", "description"), tool, strict=True)) for tool in zip(*tools, strict=True)]
    said: list[list[str]] = [
        tree[f"hepmc3_event/attribute_{part}"].array(entry_start=n - 1).to_list()[0]
        for part in ("name", "string")
        if n and f"hepmc3_event/attribute_{part}" in names
    ]
    section = dict(zip(*said, strict=True)).get("GenCrossSection", "") if said else ""
    value, error = (*map(float, section.split()[:2]), 0.0, 0.0)[:2]
    known = np.isfinite(value) and value > 0
    return {
        "weight_names": weights, "generators": generators,
        "generator": f"{generators[0]['name']} {generators[0]['version']}".strip() if generators else None,
        "cross_section_pb": value if known else None, "cross_section_error_pb": error if known else None,
    }  # fmt: skip


def as_records(events: Events, run: dict[str, Any], weight: str | None) -> Events:
    """Events of `SCHEMA` as full records: particles of `hepaa.io.hepmc.PARTICLE_FIELDS`, in GeV and mm.

    Parameters
    ----------
    events : Events
    run : dict
        From `run_info`.
    weight : str or None
        Named weight to take as the nominal one, instead of the first.

    Raises
    ------
    InputError
        If links lead to particles or vertices that are not there, or events have different numbers of weights.
    """
    raw, vertices, links = (events.arrays[name] for name in ("raw", "vertices", "links"))
    gev, mm = (
        np.array(factors)[events.columns[unit].astype(int)]
        for factors, unit in ((_IN_GEV, "momentum_unit"), (_IN_MM, "length_unit"))
    )
    origin = np.stack([events.columns[name] for name in _PLACE], axis=1) * mm[:, None]
    particles_of, vertices_of, links_of = (_parts(records) for records in (raw, vertices, links))
    made = []
    for i, (one, place, link) in enumerate(zip(particles_of, vertices_of, links_of, strict=True)):
        one |= {name: one[name] * gev[i] for name in (*_MOMENTUM, "mass")}
        places = np.stack([place[name] for name in _PLACE], axis=1) * mm[i]
        begin, end = link["begin"].astype(np.int64), link["end"].astype(np.int64)
        particle, vertex = np.maximum(begin, end), -np.minimum(begin, end)
        if np.any((particle < 1) | (particle > len(one["pid"])) | (vertex < 1) | (vertex > len(places))):
            raise InputError(f"{events.path}: event {events.index[i]} links what it lacks; write the file again")
        made.append(event_columns(one, places, (begin, end), origin[i]))
    counts = ak.num(raw)
    particles = ak.zip({
        name: ak.unflatten(np.concatenate([np.empty(0), *(m[name] for m in made)]).astype(_dtype(name)), counts)
        for name in PARTICLE_FIELDS
    })  # fmt: skip
    weights = _weights(events, run["weight_names"])
    if weight is not None and weight not in weights:
        raise InputError(f"{events.path}: no weight {weight!r}; it has {', '.join(weights)}")
    nominal = weights[weight] if weight else next(iter(weights.values()), np.ones(events.n))
    last = events.n == 0 or events.index[-1] + 1 == events.header["events"]
    stated = {name: run[name] if last else None for name in ("cross_section_pb", "cross_section_error_pb")}
    header = {"generator": run["generator"], "generators": run["generators"], "layout": "HepMC3", "complete": True,
              "tree": events.header["tree"], "events": events.header["events"], **stated}  # fmt: skip
    return replace(
        events, format="hepmc", weight=nominal.copy(), weights=weights, header=header,
        collections={"particles": particles}, columns={},
    )  # fmt: skip


def _parts(records: ak.Array) -> Iterator[dict[str, NDArray[Any]]]:
    """The columns of the records of each event."""
    ends = np.cumsum(ak.to_numpy(ak.num(records)))
    columns = {name: np.split(ak.to_numpy(ak.flatten(records[name])), ends)[:-1] for name in ak.fields(records)}
    for values in zip(*columns.values(), strict=True):
        yield dict(zip(columns, values, strict=True))


def _dtype(field: str) -> type:
    return np.int64 if field in ("pdgid", "status") else np.float64


def _weights(events: Events, names: list[str]) -> dict[str, Any]:
    values = events.arrays["weights"]["value"]
    numbers = np.unique(ak.to_numpy(ak.num(values)))
    if len(numbers) > 1:
        raise InputError(f"{events.path}: events have {numbers[0]} to {numbers[-1]} weights; write the file again")
    table = ak.to_numpy(values) if len(numbers) and numbers[0] else np.empty((events.n, 0))
    if len(names) != table.shape[1] or len(set(names)) != len(names):
        names = [str(i) for i in range(table.shape[1])]
    return {name: np.ascontiguousarray(table[:, i], dtype=np.float64) for i, name in enumerate(names)}
