"""LHE: Les Houches Event files, plain or compressed, as columns. The front door of the reader.

Format: Les Houches Event Files 1.0 (hep-ph/0609017) to 3.0 (arXiv:1405.1067), as generators write them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hepaa.errors import TruncatedInputError
from hepaa.events import Events
from hepaa.io.lhe.extras import collections as text_collections
from hepaa.io.lhe.kernel import codes
from hepaa.io.lhe.loop import Reader
from hepaa.io.stream import BLOCK, ByteStream

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Iterator

    import awkward as ak
    from numpy.typing import NDArray

PARTICLE_FIELDS = (*codes.INTEGERS, *codes.REALS)
"""Fields of `Events.particles`: integers to `color2`, then doubles in GeV, mm (lifetime) and helicity (spin)."""


def iterate(path: str | os.PathLike[str], *, step_bytes: int, extras: bool = False) -> Iterator[Events]:
    """Read an LHE file in pieces of about `step_bytes` of uncompressed text, in bounded memory.

    Parameters
    ----------
    path : path
        Plain, gzip, zstd, xz or bz2; recognised by content.
    step_bytes : int
    extras : bool
        Also read what is free text: collections "comments" (`#` lines), "attributes" (of `<event>`) and "scales".

    Yields
    ------
    Events
        `particles`: awkward records of `PARTICLE_FIELDS`, momenta in GeV. `columns`: "pid", "scale", "aqed", "aqcd".
        `weights`: every weight of `<rwgt>` and `<weights>`. `header`: "init" (beams and the list "processes"),
        "cross_section_pb" and "cross_section_error_pb" (sum over processes; None when none is listed), "generator"
        (str or None), "generators", "weight_info" (id -> group, text, attributes), "weight_groups", "version",
        "comment", "blocks" (text of the elements of `<header>`), "complete" (was `</LesHouchesEvents>` seen).
        A file without events gives one piece without events.

    Raises
    ------
    TruncatedInputError
        After the pieces before it: the file breaks or ends in an event, or an event contradicts itself or lacks a
        weight that others have.
    InputError
        The file cannot be read or is no LHE file.
    """
    with ByteStream(path, block=min(BLOCK, max(step_bytes, 1 << 16))) as stream:
        reader = Reader(stream, texts=extras)
        size, pieces = 0, 0
        try:
            for length in reader.read():
                size += length
                if size >= step_bytes:
                    yield _events(reader, extras=extras)
                    size, pieces = 0, pieces + 1
        except TruncatedInputError:
            if reader.waiting:
                yield _events(reader, extras=extras)
            raise
        if reader.waiting or not pieces:
            yield _events(reader, extras=extras)


def describe(events: Events) -> dict[str, Any]:
    """What the header of an LHE or LHEH5 file says: cross-section, generator, beams, processes, weights."""
    header = events.header
    names = ("compression", "cross_section_error_pb", "generator", "weight_info", "complete")
    return {
        **{name: header[name] for name in names},
        "beams": {k: v for k, v in header["init"].items() if k != "processes"},
        "processes": header["init"]["processes"],
    }


def particles(offsets: NDArray[np.int64], columns: Iterable[NDArray[Any]]) -> ak.Array:
    """Records of `PARTICLE_FIELDS` with these columns (total,); event i has the rows offsets[i]:offsets[i + 1]."""
    import awkward as ak
    from awkward.contents import ListOffsetArray, NumpyArray, RecordArray
    from awkward.index import Index64

    records = RecordArray([NumpyArray(column) for column in columns], list(PARTICLE_FIELDS))
    return ak.Array(ListOffsetArray(Index64(offsets), records))


def _events(reader: Reader, *, extras: bool) -> Events:
    batch = reader.take()
    columns = dict(zip(codes.EVENT_COLUMNS, batch.head, strict=True))
    return Events(
        path=reader.path,
        format="lhe",
        index=np.arange(batch.first, batch.first + batch.n, dtype=np.int64),
        weight=columns.pop("weight"),
        weights={name: batch.weights[:, i] for i, name in enumerate(reader.names)},
        header={**reader.header.info, "compression": reader.stream.compression, "complete": reader.complete},
        collections={
            "particles": particles(batch.offsets, batch.particles),
            **(text_collections(batch.texts) if extras else {}),
        },
        columns=columns,
    )
