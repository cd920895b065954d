"""Events of LHE files as the objects of pylhe."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from itertools import islice
from math import isnan
from typing import TYPE_CHECKING, Any

from hepaa.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import pylhe

    from hepaa.events import Events

INTEGERS = ("pdgid", "status", "mother1", "mother2", "color1", "color2")
REALS = ("px", "py", "pz", "e", "m", "lifetime", "spin")
"""Fields of LHE particles, in the order of the format and of pylhe, which calls the first `id`."""
COLUMNS = ("pid", "scale", "aqed", "aqcd")
"""What an event has besides its weight."""


def check(events: Events) -> None:
    """Raise InputError unless the events hold all that LHE events consist of."""
    particles = events.arrays.get("particles")
    fields = [] if particles is None else particles.fields
    missing = [f for f in (*INTEGERS, *REALS) if f not in fields] + [c for c in COLUMNS if c not in events.columns]
    missing += [k for k in ("init",) if k not in events.header]
    if missing:
        raise InputError(
            f"{events.path} ({events.format}) cannot be written as LHE, it lacks {', '.join(missing)}; only events "
            "that came from an LHE file can: write .root or .parquet"
        )


def file_of(events: Events) -> pylhe.LHEFile:
    """What pylhe makes of the file that these events came from; see `Events.to_pylhe`."""
    import pylhe

    check(events)
    blocks = [_element(name, text) for name, text in events.header.get("blocks", {}).items()]
    return pylhe.LHEFile(
        init=init_of(events.header),
        events=list(events_of(events)),
        header=pylhe.LHEHeader(declarations_of(events.header), blocks),
        comment=events.header.get("comment") or None,
        version=events.header.get("version"),
    )


def _element(name: str, text: str) -> ET.Element:
    """An element of the header; text that is not XML (real headers hold raw `<`) stays text."""
    try:
        return ET.fromstring(f"<{name}>{text}</{name}>")
    except ET.ParseError:
        element = ET.Element(name)
        element.text = text
        return element


def init_of(header: Mapping[str, Any]) -> pylhe.LHEInit:
    """The `<init>` block."""
    import pylhe

    beams = {name: value for name, value in header["init"].items() if name != "processes"}
    processes = [pylhe.LHEProcInfo(**_known(process)) for process in header["init"]["processes"]]
    generators = [
        pylhe.LHEGenerator(g["name"], g["version"], g["description"], dict(g["attributes"]))
        for g in header.get("generators", [])
    ]
    return pylhe.LHEInit(pylhe.LHEInitInfo(**beams), processes, generators)


def _known(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values without those that are NaN: LHEH5 has columns for what a process or an event may lack."""
    return {name: value for name, value in values.items() if not isnan(value)}


def declarations_of(header: Mapping[str, Any]) -> pylhe.LHEInitRWGT:
    """The `<initrwgt>` block: weights in the order in which they were declared, with their groups."""
    import pylhe

    info = header.get("weight_info", {})
    groups = header.get("weight_groups", [])
    group_of = {name: i for i, group in reversed(list(enumerate(groups))) for name in group["weights"]}

    def weight(name: str) -> pylhe.LHEInitRWGTWeight:
        return pylhe.LHEInitRWGTWeight(name, info[name]["text"], dict(info[name]["attributes"]))

    entries: dict[str | int, Any] = {}
    for key in [*(group_of.get(name, name) for name in info), *range(len(groups))]:
        if key in entries:
            continue
        if isinstance(key, str):
            entries[key] = weight(key)
            continue
        group = groups[key]
        # MadGraph 2.0 names its groups by `type`
        name = None if group["attributes"].get("type") == group["name"] else group["name"]
        members = [weight(member) for member in group["weights"]]
        entries[key] = pylhe.LHEInitRWGTWeightGroup(name, group["combine"], members, dict(group["attributes"]))
    return pylhe.LHEInitRWGT(list(entries.values()))


def events_of(events: Events) -> Iterator[pylhe.LHEEvent]:
    """The events, with all named weights; comments, attributes and scales where they were read."""
    import awkward as ak
    import pylhe

    particles = events.arrays["particles"]
    columns = [ak.to_numpy(ak.flatten(particles[f])).astype(int).tolist() for f in INTEGERS]
    columns += [ak.to_numpy(ak.flatten(particles[f])).astype(float).tolist() for f in REALS]
    records = iter(map(pylhe.LHEParticle, *columns))
    pid, *reals = (events.columns[c].tolist() for c in COLUMNS)
    heads = zip(ak.num(particles).tolist(), map(int, pid), events.weight.tolist(), *reals, strict=True)
    weights = {name: values.tolist() for name, values in events.weights.items()}
    # of LHEH5
    scales = {name: events.columns[name].tolist() for name in ("fscale", "rscale") if name in events.columns}
    extras = ("comments", "attributes", "scales")
    texts = {name: events.arrays[name].to_list() for name in extras if name in events.arrays}
    for i, head in enumerate(heads):
        of_event = (
            {s["name"]: s["value"] for s in texts["scales"][i]} if texts else {k: v[i] for k, v in scales.items()}
        )
        yield pylhe.LHEEvent(
            pylhe.LHEEventInfo(*head),
            list(islice(records, head[0])),
            {name: values[i] for name, values in weights.items()},
            _known(of_event),
            {a["name"]: a["value"] for a in texts["attributes"][i]} if texts else {},
            texts["comments"][i] if texts else [],
        )
