"""Pieces of a file: how large they are, and how they are joined again."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np

from hepaa.errors import InputError
from hepaa.events import Events

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

_LARGEST = 1e150
_UNITS = {"b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "kib": 2**10, "mib": 2**20, "gib": 2**30}


def parse_size(size: str | int) -> int:
    """Bytes in `size`: a number of bytes, or text such as "100 MB" (10^6) or "64 MiB" (2^20).

    Raises
    ------
    InputError
        If the text is no size, or the size is not positive.
    """
    if isinstance(size, str):
        match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kmg]?i?b)\s*", size, re.IGNORECASE)
        if not match:
            raise InputError(f"step_size {size!r} is not a size; write it as '100 MB' or '64 MiB'")
        size = int(float(match[1]) * _UNITS[match[2].lower()])
    if size < 1:
        raise InputError(f"step_size must be at least one byte, not {size}")
    return size


def row_ranges(n: int, rows: int, first: int = 0) -> Iterator[tuple[int, int]]:
    """Consecutive (start, stop) that cover first .. n in steps of `rows`; one empty range when there is no
    row."""
    if n == first:
        yield n, n
    for start in range(first, n, rows):
        yield start, min(start + rows, n)


def event_range(path: str | Path, n: int, start: int, stop: int | None) -> tuple[int, int]:
    """The range start .. stop of a file's n events; `stop` None is its end.

    Raises
    ------
    InputError
        If it reaches beyond the file: fewer events than were asked for are never given in silence.
    """
    last = n if stop is None else stop
    if not 0 <= start <= last <= n:
        raise InputError(f"{path}: events {start} .. {last} are asked for, but the file has {n}; list the file again")
    return start, last


def to_write(pieces: Iterable[Events], path: str | Path) -> tuple[Events, Iterator[Events]]:
    """The first piece, which says what a file has to hold, and all of them.

    Raises
    ------
    InputError
        If there is none.
    """
    rest = iter(pieces)
    first = next(rest, None)
    if first is None:
        raise InputError(f"{path}: there are no events to write")
    return first, chain([first], rest)


def merge(pieces: Iterable[Events]) -> Events:
    """One record of consecutive pieces of one file; path, format and header are those of the last piece.

    Raises
    ------
    InputError
        If there is no piece, or pieces differ in what they hold.
    """
    import awkward as ak

    parts = list(pieces)
    if not parts:
        raise InputError("there are no events to join")
    first, last = parts[0], parts[-1]
    if len(parts) == 1:
        return first

    def joined(attribute: str, concatenate: Any) -> dict[str, Any]:
        names = list(getattr(first, attribute))
        for part in parts:
            if list(getattr(part, attribute)) != names:
                raise InputError(
                    f"{part.path}: pieces hold different {attribute}: {names} and {list(getattr(part, attribute))}"
                )
        return {name: concatenate([getattr(p, attribute)[name] for p in parts]) for name in names}

    labels = [p.label for p in parts if p.label is not None]
    if labels and len(labels) != len(parts):
        raise InputError(f"{last.path}: only some pieces have a truth label")
    return Events(
        path=last.path,
        format=last.format,
        index=np.concatenate([p.index for p in parts]),
        weight=np.concatenate([p.weight for p in parts]),
        weights=joined("weights", np.concatenate),
        label=np.concatenate(labels) if labels else None,
        header=last.header,
        collections=joined("collections", ak.concatenate),
        columns=joined("columns", np.concatenate),
        sample=last.sample,
        objects=last.objects,
    )


def summary(pieces: Iterable[Events]) -> tuple[dict[str, Any], Events]:
    """What a file holds, in one pass and bounded memory, and its last piece.

    Returns
    -------
    dict
        `events`; `sum_weights`, `sum_weights2`, `n_eff` = (sum w)^2 / sum w^2, `negative_fraction` of events
        with w < 0; `weights`: names of the weights, `sum_named_weights`: their sums; `labels`: events of each
        truth label, or None where the file has none; `cross_section_pb`, or None; `columns`; `collections`:
        fields of each, `objects`: how many there are in each.

    Raises
    ------
    InputError
        If there is no piece.
    """
    import awkward as ak

    n, negative = 0, 0
    total, squares = 0.0, 0.0
    named: defaultdict[str, float] = defaultdict(float)
    labels, objects = Counter[int](), Counter[str]()
    last = None
    for part in pieces:
        last = part
        n += part.n
        total += float(np.sum(part.weight))
        with np.errstate(over="ignore"):
            squares += float(np.sum(part.weight**2))
        negative += int(np.count_nonzero(part.weight < 0))
        for name, values in part.weights.items():
            named[name] += float(np.sum(values))
        objects.update({name: int(ak.sum(ak.num(records))) for name, records in part.arrays.items()})
        if part.label is not None:
            labels.update(part.label.tolist())
    if last is None:
        raise InputError("there are no events to describe")
    if max(abs(total), squares) > _LARGEST:
        raise InputError(f"{last.path}: weights are too large to be squared (sum {total:g}); mend the file")
    return {
        "events": n,
        "sum_weights": total,
        "sum_weights2": squares,
        "n_eff": total**2 / squares if squares else 0.0,
        "negative_fraction": negative / n if n else 0.0,
        "weights": list(named),
        "sum_named_weights": dict(named),
        "labels": dict(sorted(labels.items())) or None,
        "cross_section_pb": last.header.get("cross_section_pb"),
        "columns": list(last.columns),
        "collections": {name: ak.fields(records) for name, records in last.arrays.items()},
        "objects": dict(objects),
    }, last
