"""LHE writer: every number as the shortest text that reads back as the same double.

Format: Les Houches Event Files 1.0 (hep-ph/0609017), weights as in 3.0 (arXiv:1405.1067).
"""

from __future__ import annotations

import html
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import awkward as ak
import numpy as np

from hepaa.errors import InputError
from hepaa.io.files import atomic_path

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from hepaa.events import Events

_GZIP_LEVEL = 2
_INTEGERS = ("pdgid", "status", "mother1", "mother2", "color1", "color2")
_REALS = ("px", "py", "pz", "e", "m", "lifetime", "spin")
_COLUMNS = ("pid", "scale", "aqed", "aqcd")
_BEAMS = (
    "beamA", "beamB", "energyA", "energyB", "PDFgroupA", "PDFgroupB", "PDFsetA", "PDFsetB",
    "weightingStrategy", "numProcesses",
)  # fmt: skip


def write(pieces: Iterable[Events], path: str | Path, *, compress: bool) -> int:
    """Write events as LHE, under the final name only when complete.

    Parameters
    ----------
    pieces : iterable of Events
        With the `particles`, `columns` and `header` that the LHE reader gives.
    path : str or Path
    compress : bool
        Through gzip; the same events give the same bytes.

    Returns
    -------
    int
        Events written.

    Raises
    ------
    InputError
        If there is no piece, or it lacks something that an LHE file must have.
    """
    n = 0
    with atomic_path(path) as partial, _sink(partial, compress) as stream:
        for i, piece in enumerate(pieces):
            if i == 0:
                _check(piece)
                stream.write(_head(piece.header).encode())
            stream.writelines(event.encode() for event in _blocks(piece))
            n += piece.n
        if not n:
            raise InputError(f"{path}: there are no events to write")
        stream.write(b"</LesHouchesEvents>\n")
    return n


@contextmanager
def _sink(path: Path, compress: bool) -> Iterator[Any]:
    with path.open("wb") as plain:
        if not compress:
            yield plain
            return
        from isal import igzip

        # no name and no time in the gzip header, so that equal events make equal files
        with igzip.IGzipFile("", "wb", _GZIP_LEVEL, plain, 0) as squeezed:  # type: ignore[no-untyped-call]
            yield squeezed


def _check(events: Events) -> None:
    particles = events.collections.get("particles")
    have = [] if particles is None else ak.fields(particles)
    missing = [f for f in (*_INTEGERS, *_REALS) if f not in have] + [c for c in _COLUMNS if c not in events.columns]
    missing += [k for k in ("init",) if k not in events.header]
    if missing:
        raise InputError(
            f"{events.path} ({events.format}) cannot be written as LHE, it lacks {', '.join(missing)}; only "
            "events that came from "
            "an LHE file can: write .root or .parquet"
        )


def _head(header: Mapping[str, Any]) -> str:
    version = header.get("version") or "3.0"
    lines = [f'<LesHouchesEvents version="{version}">']
    if header.get("comment"):
        lines += ["<!--", header["comment"], "-->"]
    lines.append("<header>")
    for name, text in header.get("blocks", {}).items():
        lines += [f"<{name}>", text, f"</{name}>"]
    lines += _declarations(header)
    init = header["init"]
    lines += ["</header>", "<init>", " ".join(_number(init[b]) for b in _BEAMS)]
    lines += [
        " ".join(_number(process[k]) for k in ("xSection", "error", "unitWeight", "procId"))
        for process in init["processes"]
    ]
    for generator in header.get("generators", []):
        extra = {"name": generator["name"], "version": generator["version"], **generator["attributes"]}
        lines.append(f"<generator{_attributes(extra)}>{html.escape(generator['description'])}</generator>")
    return "\n".join([*lines, "</init>"]) + "\n"


def _declarations(header: Mapping[str, Any]) -> Iterator[str]:
    """`<initrwgt>`: groups as they were, then weights that were in none."""
    info = header.get("weight_info", {})
    if not info:
        return
    yield "<initrwgt>"
    grouped: set[str] = set()
    for group in header.get("weight_groups", []):
        extra = dict(group["attributes"])
        if group["name"] is not None and extra.get("type") != group["name"]:
            extra = {"name": group["name"], **extra}
        if group["combine"] is not None:
            extra["combine"] = group["combine"]
        yield f"<weightgroup{_attributes(extra)}>"
        yield from (_declared(name, info[name]) for name in group["weights"])
        yield "</weightgroup>"
        grouped.update(group["weights"])
    yield from (_declared(name, about) for name, about in info.items() if name not in grouped)
    yield "</initrwgt>"


def _declared(name: str, about: Mapping[str, Any]) -> str:
    return (
        f"<weight{_attributes({'id': name, **about['attributes']})}>{html.escape(about['text'], quote=False)}</weight>"
    )


def _attributes(values: Mapping[str, Any]) -> str:
    return "".join(f' {k}="{html.escape(str(v))}"' for k, v in values.items())


def _number(value: float) -> str:
    return repr(int(value)) if isinstance(value, int | np.integer) else repr(float(value))


def _blocks(events: Events) -> Iterator[str]:
    """Text of each event."""
    particles = events.particles
    flat = {f: ak.to_numpy(ak.flatten(particles[f])).tolist() for f in (*_INTEGERS, *_REALS)}
    text = [map(str, map(int, flat[f])) for f in _INTEGERS] + [map(repr, map(float, flat[f])) for f in _REALS]
    lines = list(map(" ".join, zip(*text, strict=True)))
    edges = np.concatenate([[0], np.cumsum(ak.to_numpy(ak.num(particles)))]).tolist()
    scale, aqed, aqcd = (events.columns[c].tolist() for c in _COLUMNS[1:])
    process = [_number(int(p)) for p in events.columns["pid"].tolist()]
    nominal = events.weight.tolist()
    names = [html.escape(name) for name in events.weights]
    named = np.column_stack(list(events.weights.values())).tolist() if names else None
    for i in range(events.n):
        body = lines[edges[i] : edges[i + 1]]
        head = f"{len(body)} {process[i]} {nominal[i]!r} {scale[i]!r} {aqed[i]!r} {aqcd[i]!r}"
        rwgt = []
        if named is not None:
            rwgt = ["<rwgt>", *(f'<wgt id="{k}">{v!r}</wgt>' for k, v in zip(names, named[i], strict=True)), "</rwgt>"]
        yield "\n".join(["<event>", head, *body, *rwgt, "</event>"]) + "\n"
