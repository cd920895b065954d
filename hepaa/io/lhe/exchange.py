"""Events of LHE files from the objects of pylhe."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import numpy as np

from hepaa.errors import InputError
from hepaa.events import Events
from hepaa.io.lhe import extras
from hepaa.io.lhe.header import parse
from hepaa.io.lhe.read import particles as records
from hepaa.io.lhe.write import head
from hepaa.lhef import COLUMNS, INTEGERS, REALS

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pylhe
    from numpy.typing import NDArray


def from_pylhe(source: pylhe.LHEFile | Iterable[pylhe.LHEEvent]) -> Events:
    """Events of what pylhe has read or a user has made with it.

    Parameters
    ----------
    source : pylhe.LHEFile, or iterable of pylhe.LHEEvent
        Events alone have no header: they cannot be written as LHE again. A generator is used up.

    Returns
    -------
    Events
        As `hepaa.open` gives them of an LHE file, all named weights included. "comments", "attributes" and "scales" are
        there if one event has some.

    Raises
    ------
    InputError
        If events have different named weights.

    Examples
    --------
    >>> import hepaa, pylhe
    >>> from hepaa.demo import path
    >>> hepaa.from_pylhe(pylhe.LHEFile.fromfile(str(path("zh_chw.lhe.gz")))).n
    4000
    """
    import pylhe

    file = source if isinstance(source, pylhe.LHEFile) else None
    events: list[pylhe.LHEEvent] = list(source.events if isinstance(source, pylhe.LHEFile) else source)
    particles = [particle for event in events for particle in event.particles]
    heads = [event.eventinfo for event in events]
    collections = {"particles": _particles([len(event.particles) for event in events], particles)}
    if any(event.optional or event.attributes or event.scales for event in events):
        collections |= extras.records(
            [e.optional for e in events], [e.attributes for e in events], [e.scales for e in events]
        )
    return Events(
        path="pylhe",
        format="lhe",
        index=np.arange(len(events)),
        weight=np.array([head.weight for head in heads], dtype=float),
        weights=_weights(events),
        header={} if file is None else _header(file),
        collections=collections,
        columns={name: np.array([getattr(head, name) for head in heads], dtype=float) for name in COLUMNS},
    )


def _particles(counts: list[int], particles: list[pylhe.LHEParticle]) -> Any:
    rows = list(map(attrgetter("id", *INTEGERS[1:], *REALS), particles))
    columns = zip(*rows, strict=True) if rows else ((),) * len((*INTEGERS, *REALS))
    dtypes = [np.int64] * len(INTEGERS) + [np.float64] * len(REALS)
    arrays = [np.array(values, dtype) for values, dtype in zip(columns, dtypes, strict=True)]
    return records(np.cumsum([0, *counts], dtype=np.int64), arrays)


def _weights(events: list[pylhe.LHEEvent]) -> dict[str, NDArray[np.float64]]:
    names = list(events[0].weights) if events else []
    for i, event in enumerate(events):
        if event.weights.keys() != set(names):
            different = ", ".join(sorted(event.weights.keys() ^ set(names)))
            raise InputError(f"event {i} and the first event have different named weights ({different})")
    return {name: np.array([event.weights[name] for event in events], dtype=float) for name in names}


def _header(file: pylhe.LHEFile) -> dict[str, Any]:
    """As the reader of LHE files gives it, of the text that the file would have."""
    import pylhe

    declared = pylhe.LHEHeader(pylhe.LHEInitRWGT()) if file.header is None else file.header
    blocks = {element.tag: _text(element) for element in declared.extra_elements}
    text = head(file.version, file.comment, blocks, declared.initrwgt, file.init)
    preamble, _, init = text.partition("<init>")
    info = parse(preamble, init.partition("</init>")[0]).info
    for process, tags in zip(info["init"]["processes"], file.init.procInfo, strict=True):
        # multiplicities, which LHEH5 alone has
        process |= {k: value for k in ("npLO", "npNLO") if (value := getattr(tags, k)) is not None}
    return {**info, "version": file.version, "compression": "none", "complete": True}


def _text(element: ET.Element) -> str:
    """What stands inside an element of the header; as XML if it has elements of its own."""
    inside = "".join(ET.tostring(child, encoding="unicode") for child in element)
    return f"{element.text or ''}{inside}".strip()
