"""Files: readers that recognise a format by its content, and the writers. The only place that touches a
disk."""

from __future__ import annotations

import inspect
from dataclasses import replace
from glob import glob, has_magic
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hepaa.errors import InputError, TruncatedInputError, nearest
from hepaa.io.files import sha256 as sha256

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from hepaa.events import Events, Sample
    from hepaa.io.sniff import EventFile

READERS: Mapping[str, str] = {
    "lhe": "hepaa.io.lhe.read",
    "lheh5": "hepaa.io.lhe.hdf5",
    "hepmc": "hepaa.io.hepmc",
    "lhco": "hepaa.io.lhco.read",
    "lhco-features": "hepaa.io.columns.read",
    "bead": "hepaa.io.bead",
    "root": "hepaa.io.root.read",
    "events": "hepaa.io.parquet.events",
    "table": "hepaa.io.parquet.rows",
}
"""Module that reads each format.

It has `iterate(path, *, step_bytes, ...)`, which yields Events in pieces of about `step_bytes` and ends with a
TruncatedInputError where the file breaks; its keywords are the options of the format. Some have `count(path, ...)`,
where a file can be entered at any event, and `describe(events)`: what the header of a piece says to `probe`. The
sample, the named weight, `keep_partial` and the joining of pieces are done here, for all formats.
"""

_NARROWING = ("needs", "weights", "missing")
"""Options that spare reading, and what is missing; a format that reads all at once, or misses nothing, goes without."""

_EVERYTHING = 1 << 62
_PROBED = 16_000_000


def open(
    path: Any,
    *,
    schema: str | Path | Mapping[str, Any] | None = None,
    sample: Sample | None = None,
    weight: str | None = None,
    columns: Sequence[str] | None = None,
    objects: Mapping[str, Any] | None = None,
    keep_partial: bool = False,
    **options: Any,
) -> Events:
    """All events of one file, whatever its format, which is recognised by content.

    Parameters
    ----------
    path : str or Path
        A file; `file:name` for a tree, data set or array inside it; an address (root://, https://, s3://), or those of
        copies with bars between: root://a//file.root|root://b//file.root. Or what is open or in memory already: a TTree
        or RNTuple of uproot, coffea's NanoEvents, arrays of `tree.arrays()` and `pylhe.to_awkward`.
    schema : name, YAML file or mapping, optional
        Which branch of a ROOT file is what; recognised for the usual ntuples.
    sample : Sample, optional
        What the file stands for; travels with the events.
    weight : str, optional
        Named weight, branch or column to take as the nominal weight.
    columns : sequence of str, optional
        Columns to read, any branch with one number an event of a ROOT tree; names of all columns for arrays that have
        none.
    keep_partial : bool
        Keep the events before a break in the file instead of raising.
    **options
        What one format takes besides, such as `dtype="float32"` for LHCO or `label="column"` for feature
        files. ROOT files: `weights`, names of weights in arrays, such as ["LHEScaleWeight_8"], that are read; `needs`,
        names of the collections and columns to read, in place of all; formats that hold no arrays of weights, or are
        read as a whole, ignore both. CSV: `missing="nan"`. `varied`: see `hepaa.io.root.read`.

    Raises
    ------
    InputError
        If the file is missing, empty or not recognised, or an option means nothing for its format.
    TruncatedInputError
        If the file breaks off and `keep_partial` is not set.
    """
    from hepaa.io.pieces import merge

    settings = {
        "schema": schema, "sample": sample, "weight": weight, "columns": columns, "objects": objects,
        "keep_partial": keep_partial,
    }  # fmt: skip
    if not isinstance(path, str | Path):
        from hepaa.io import memory

        place = memory.path_of(path)
        if place is None:
            return _in_memory(path, settings | options)
        path = place
    return merge(_pieces(path, _EVERYTHING, settings | options))


def _in_memory(source: Any, settings: Mapping[str, Any]) -> Events:
    from hepaa.io import memory
    from hepaa.io.sniff import EventFile

    settings = {name: value for name, value in settings.items() if name not in ("keep_partial", "missing")}
    options = _arguments(EventFile("awkward", "awkward array"), memory.events, settings, ("sample",))
    sample = options.pop("sample", None)
    events = memory.events(source, **options)
    return events if sample is None else replace(events, sample=sample)


def iterate(
    paths: str | Path | Iterable[str | Path],
    *,
    step_size: str | int = "100 MB",
    schema: str | Path | Mapping[str, Any] | None = None,
    sample: Sample | None = None,
    weight: str | None = None,
    columns: Sequence[str] | None = None,
    objects: Mapping[str, Any] | None = None,
    keep_partial: bool = False,
    **options: Any,
) -> Iterator[Events]:
    """Events of files in bounded memory, one piece of one file after another.

    Parameters
    ----------
    paths : path or pattern, or several
        `*`, `?`, `[...]` and `**` are expanded and sorted; `*.root:tree` too.
    step_size : str or int
        Size of a piece in uncompressed bytes, such as "100 MB".
    schema, sample, weight, columns, objects, keep_partial, **options
        As for `open`.

    Yields
    ------
    Events
        `index` numbers the events of each file from 0.

    Raises
    ------
    InputError
        As `open`; also if a pattern matches nothing.
    """
    from hepaa.io.pieces import parse_size

    settings = {
        "schema": schema, "sample": sample, "weight": weight, "columns": columns, "objects": objects,
        "keep_partial": keep_partial,
    }  # fmt: skip
    step_bytes = parse_size(step_size)
    for path in expand(paths):
        yield from _pieces(path, step_bytes, settings | options)


def probe(path: str | Path, **options: Any) -> dict[str, Any]:
    """What is in a file: format, events, sums of weights, effective events, negative fraction,
    cross-section, columns.

    Reads the file once in bounded memory.

    Parameters
    ----------
    path : str or Path
    **options
        As for `open`.

    Returns
    -------
    dict
        At least `path`, `format`, `events`, `sum_weights`, `sum_weights2`, `n_eff`, `negative_fraction`,
        `weights` (names), `labels` (events of each truth label, or None), `cross_section_pb` (or None),
        `columns`, `collections` (fields of each), `objects` (how many each has); and what else the header says.
    """
    from hepaa.io.pieces import summary

    content, last = summary(_pieces(path, _PROBED, options))
    describe = getattr(import_module(READERS[last.format]), "describe", None)
    return {"path": str(path), "format": last.format, **content, **(describe(last) if describe else {})}


def count(path: str | Path, *, schema: str | Path | Mapping[str, Any] | None = None) -> int | None:
    """Events in a file whose format lets a reader begin at any event (`start=`, `stop=` of `iterate`); else None.

    Raises
    ------
    InputError
        As `open`.
    """
    from hepaa.io.sniff import sniff

    file = sniff(path)
    counter = getattr(import_module(READERS[file.format]), "count", None)
    return None if counter is None else int(counter(file.path, **_arguments(file, counter, {"schema": schema})))


def expand(paths: str | Path | Iterable[str | Path]) -> list[str]:
    """Files that paths and patterns stand for, each pattern sorted, in the order given.

    Raises
    ------
    InputError
        If there is no path, or a pattern matches no file.
    """
    from hepaa.io.remote import is_remote
    from hepaa.io.sniff import split_key

    patterns = [paths] if isinstance(paths, str | Path) else list(paths)
    if not patterns:
        raise InputError("no files were given")
    files: list[str] = []
    for path in map(str, patterns):
        if is_remote(path):
            files += _on_servers(path)
            continue
        if Path(path).exists() or not has_magic(path):
            files.append(path)
            continue
        key, matches = "", _matches(path)
        if not matches:
            pattern, key = split_key(path)
            matches = _matches(pattern)
        if not matches:
            raise InputError(f"no file matches {path!r} (the current folder is {Path.cwd()})")
        files += [f"{m}:{key}" if key else m for m in matches]
    return files


def _on_servers(path: str) -> list[str]:
    """The files that an address stands for, with the name inside that stands behind it."""
    from hepaa.io import remote
    from hepaa.io.sniff import split_key

    pattern, key = split_key(path)
    if not remote.has_magic(pattern):
        return [path]
    if not (matches := remote.glob(pattern)):
        raise InputError(f"no file matches {pattern!r} there")
    return [f"{match}:{key}" if key else match for match in matches]


def _matches(pattern: str) -> list[str]:
    return sorted(glob(pattern, recursive=True))  # noqa: PTH207  (Path.glob takes no absolute pattern)


def _pieces(path: str | Path, step_bytes: int, settings: Mapping[str, Any]) -> Iterator[Events]:
    """Events of one file, with the sample and the weight that were asked for; the good ones of a broken file."""
    from hepaa.io.objects import parse_objects
    from hepaa.io.sniff import sniff

    file = sniff(path)
    reader = import_module(READERS[file.format])
    taken = inspect.signature(reader.iterate).parameters
    settings = {name: value for name, value in settings.items() if name in taken or name not in _NARROWING}
    options = _arguments(file, reader.iterate, settings, ("sample", "weight", "columns", "keep_partial", "objects"))
    sample, keep_partial = options.pop("sample", None), options.pop("keep_partial", False)
    weight = None if "weight" in taken else options.pop("weight", None)
    objects = None if "objects" in taken or "objects" not in options else parse_objects(options.pop("objects"))
    columns = None if "columns" in taken else options.pop("columns", None)
    pieces = reader.iterate(file.path, step_bytes=step_bytes, **options)
    for events in _good(pieces) if keep_partial else pieces:
        chosen = events if columns is None else _with_columns(events, columns)
        chosen = chosen if objects is None else replace(chosen, objects=objects)
        yield chosen if sample is weight is None else replace(_weighted(chosen, weight), sample=sample)


def _good(pieces: Iterator[Events]) -> Iterator[Events]:
    """The pieces before a break, of which the last says in `header["broken"]` what is wrong."""
    last = None
    try:
        for events in pieces:
            if last is not None:
                yield last
            last = events
    except TruncatedInputError as error:
        if last is None or not error.good_events:
            raise
        last = replace(last, header={**last.header, "broken": str(error), "complete": False})
    if last is not None:
        yield last


def _with_columns(events: Events, columns: Sequence[str]) -> Events:
    """Events with these columns alone, of a format whose reader does not choose them."""
    for name in columns:
        if name not in events.columns:
            raise InputError(f"{events.path} has no column {name!r}; {nearest(name, events.columns)}")
    return replace(events, columns={name: events.columns[name] for name in columns})


def _weighted(events: Events, weight: str | None) -> Events:
    """Events with a named weight as the nominal one."""
    if weight is None:
        return events
    known = events.weights or events.header.get("weight_info", {})  # a file without events may still declare weights
    if weight not in known:
        raise InputError(f"{events.path}: no weight {weight!r}; {nearest(weight, known)}")
    return replace(events, weight=events.weights[weight].copy() if events.weights else events.weight)


def _arguments(
    file: EventFile, function: Callable[..., Any], settings: Mapping[str, Any], more: Sequence[str] = ()
) -> dict[str, Any]:
    """Options that were set to something, with the key of the file; refused where the format does not take them."""
    known = [name for name in inspect.signature(function).parameters if name not in ("path", "step_bytes")]
    options = {name: value for name, value in settings.items() if value is not None and value is not False}
    for name in options:
        taken = [n for n in dict.fromkeys((*known, *more)) if n != "key"]
        if name not in taken:
            raise InputError(f"{file.path}: the format {file.format} takes no option {name!r}; {nearest(name, taken)}")
    if file.key:
        if "key" not in known:
            raise InputError(f"{file.path}: the format {file.format} has nothing inside to be called {file.key!r}")
        options["key"] = file.key
    return options
