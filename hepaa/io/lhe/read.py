"""LHE: Les Houches Event files, plain or compressed, as columns. The front door of the reader.

Format: Les Houches Event Files 1.0 (hep-ph/0609017) to 3.0 (arXiv:1405.1067), as generators write them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hepaa.errors import InputError, TruncatedInputError, nearest
from hepaa.events import Events
from hepaa.io.lhe import extras as lhe_extras
from hepaa.io.lhe.kernel import codes
from hepaa.io.lhe.loop import Reader
from hepaa.io.stream import BLOCK, ByteStream

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Iterator

    from hepaa.events import Sample

PARTICLE_FIELDS = (*codes.INTEGERS, *codes.REALS)
"""Fields of `Events.particles`: integers to `color2`, then doubles in GeV, mm (lifetime) and helicity (spin)."""


def open(
    path: str | os.PathLike[str],
    *,
    weight: str | None = None,
    sample: Sample | None = None,
    keep_partial: bool = False,
    extras: bool = False,
) -> Events:
    """Read a whole LHE file.

    Parameters
    ----------
    path : path
        Plain, gzip, zstd, xz or bz2; recognised by content.
    weight : str, optional
        Named weight to take as nominal instead of XWGTUP.
    sample : Sample, optional
        The physics the file stands for.
    keep_partial : bool
        Keep the events before a break instead of raising; `header["broken"]` then says what is wrong.
    extras : bool
        Also read what is free text: collections "comments" (`#` lines), "attributes" (of `<event>`) and "scales".

    Returns
    -------
    Events
        `particles`: awkward records of `PARTICLE_FIELDS`, momenta in GeV. `columns`: "pid", "scale", "aqed", "aqcd".
        `weights`: every weight of `<rwgt>` and `<weights>`. `header`: "init" (beams and the list "processes"),
        "cross_section_pb" and "cross_section_error_pb" (sum over processes; None when none is listed), "generator"
        (str or None), "generators", "weight_info" (id -> group, text, attributes), "weight_groups", "version",
        "comment", "blocks" (text of the elements of `<header>`), "complete" (was `</LesHouchesEvents>` seen).

    Raises
    ------
    TruncatedInputError
        The file breaks or ends in an event, or an event contradicts itself or lacks a weight that others have.
    InputError
        The file cannot be read, is no LHE file, or has no such weight.
    """
    (events,) = _read(path, None, weight=weight, sample=sample, keep_partial=keep_partial, extras=extras)
    return events


def iterate(
    path: str | os.PathLike[str],
    *,
    step_bytes: int = 100_000_000,
    weight: str | None = None,
    sample: Sample | None = None,
    keep_partial: bool = False,
    extras: bool = False,
) -> Iterator[Events]:
    """Read an LHE file in pieces of about `step_bytes` of uncompressed text, in bounded memory.

    Parameters are those of `open`. `Events.index` counts through the file. A file without events gives one piece
    without events. The error of a broken file comes after the pieces before the break. The columns of the particles of
    a small piece are one block of memory (see `hepaa.io.lhe.columns.SHARED`): copy a column that is kept for long.
    """
    if step_bytes < 1:
        raise InputError(f"step_bytes has to be positive, not {step_bytes}")
    return _read(path, step_bytes, weight=weight, sample=sample, keep_partial=keep_partial, extras=extras)


def probe(path: str | os.PathLike[str]) -> dict[str, Any]:
    """What is in the file: counts, sums of weights, cross-section, columns and named weights. Reads all of it.

    Raises
    ------
    InputError
        As `open`.
    """
    return summary(iterate(path, step_bytes=16_000_000))


def summary(pieces: Iterable[Events]) -> dict[str, Any]:
    """What the pieces of one file, LHE or LHEH5, amount to; there has to be at least one.

    Raises
    ------
    InputError
        There is none.
    """
    n, total, squares, negative = 0, 0.0, 0.0, 0
    events = None
    for events in pieces:
        n += events.n
        total += float(events.weight.sum())
        squares += float((events.weight**2).sum())
        negative += int((events.weight < 0).sum())
    if events is None:
        raise InputError("no piece of a file was given")
    return {
        "format": events.format,
        "path": events.path,
        "compression": events.header["compression"],
        "events": n,
        "sum_weights": total,
        "sum_weights2": squares,
        "n_eff": total**2 / squares if squares else 0.0,
        "negative_fraction": negative / n if n else 0.0,
        "cross_section_pb": events.header["cross_section_pb"],
        "cross_section_error_pb": events.header["cross_section_error_pb"],
        "generator": events.header["generator"],
        "beams": {k: v for k, v in events.header["init"].items() if k != "processes"},
        "processes": events.header["init"]["processes"],
        "collections": {name: list(array.fields) for name, array in events.collections.items()},
        "columns": list(events.columns),
        "weights": list(events.weights),
        "labels": None,
        "weight_info": events.header["weight_info"],
        "complete": events.header["complete"],
    }


def _read(
    path: str | os.PathLike[str],
    step: int | None,
    *,
    weight: str | None,
    sample: Sample | None,
    keep_partial: bool,
    extras: bool,
) -> Iterator[Events]:
    block = BLOCK if step is None else min(BLOCK, max(step, 1 << 16))
    with ByteStream(path, block=block) as stream:
        reader = Reader(stream, texts=extras)
        size = given = 0
        broken = None

        def flush() -> Events:
            nonlocal size, given
            events = _events(reader, weight=weight, sample=sample, extras=extras, broken=broken)
            size = 0
            given += 1
            return events

        try:
            for length in reader.read():
                size += length
                if step is not None and size >= step:
                    yield flush()
        except TruncatedInputError as error:
            if not keep_partial or not reader.good:
                if reader.waiting and step is not None:
                    yield flush()
                raise
            broken = str(error)
        if reader.waiting or not given or broken:
            yield flush()


def _events(
    reader: Reader,
    *,
    weight: str | None,
    sample: Sample | None,
    extras: bool,
    broken: str | None,
) -> Events:
    import awkward as ak
    from awkward.contents import ListOffsetArray, NumpyArray, RecordArray
    from awkward.index import Index64

    batch = reader.take()
    contents = [NumpyArray(column) for column in batch.particles]
    particles = ak.Array(ListOffsetArray(Index64(batch.offsets), RecordArray(contents, list(PARTICLE_FIELDS))))
    columns = dict(zip(codes.EVENT_COLUMNS, batch.head, strict=True))
    nominal = columns.pop("weight")
    weights = {name: batch.weights[:, i] for i, name in enumerate(reader.names)}
    if weight is not None:
        known = weights or reader.header.info["weight_info"]
        if weight not in known:
            raise InputError(f"{reader.path}: no weight {weight!r}; {nearest(weight, known)}")
        nominal = weights[weight].copy() if weight in weights else nominal
    header = {
        **reader.header.info,
        "compression": reader.stream.compression,
        "complete": reader.complete,
    }
    if broken is not None:
        header["broken"] = broken
    collections = {"particles": particles}
    if extras:
        collections |= lhe_extras.collections(batch.texts)
    return Events(
        path=reader.path,
        format="lhe",
        index=np.arange(batch.first, batch.first + batch.n, dtype=np.int64),
        weight=nominal,
        weights=weights,
        header=header,
        collections=collections,
        columns=columns,
        sample=sample,
    )
