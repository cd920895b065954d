"""Files: readers that recognise a format by its content, and the writers. The only place that touches a
disk."""

from __future__ import annotations

import inspect
from glob import glob, has_magic
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hepaa.errors import InputError, nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from hepaa.events import Events, Sample

READERS: Mapping[str, str] = {
    "lhe": "hepaa.io.lhe.read",
    "lheh5": "hepaa.io.lhe.hdf5",
    "lhco": "hepaa.io.lhco.read",
    "lhco-features": "hepaa.io.columns.read",
    "bead": "hepaa.io.bead",
    "root": "hepaa.io.root.read",
    "events": "hepaa.io.parquet.events",
    "table": "hepaa.io.parquet.rows",
}
"""Module that reads each format; it has `open`, `iterate` and `probe`."""


def open(
    path: str | Path,
    *,
    schema: str | Path | Mapping[str, Any] | None = None,
    sample: Sample | None = None,
    weight: str | None = None,
    columns: Sequence[str] | None = None,
    keep_partial: bool = False,
    **options: Any,
) -> Events:
    """All events of one file, whatever its format, which is recognised by content.

    Parameters
    ----------
    path : str or Path
        A file; `file:name` for a tree, data set or array inside it; root://host//file.root:tree.
    schema : name, YAML file or mapping, optional
        Which branch of a ROOT file is what; recognised for the usual ntuples.
    sample : Sample, optional
        What the file stands for; travels with the events.
    weight : str, optional
        Named weight, branch or column to take as the nominal weight.
    columns : sequence of str, optional
        Columns of a feature file or ROOT tree to read; names of all columns for arrays that have none.
    keep_partial : bool
        Keep the events before a break in the file instead of raising.
    **options
        What one format takes besides, such as `dtype="float32"` for LHCO or `label="column"` for feature
        files.

    Raises
    ------
    InputError
        If the file is missing, empty or not recognised, or an option means nothing for its format.
    TruncatedInputError
        If the file breaks off and `keep_partial` is not set.
    """
    asked = _asked(schema=schema, sample=sample, weight=weight, columns=columns, keep_partial=keep_partial, **options)
    name, reader, more = _reader(path, "open", asked)
    events: Events = reader(name, **more)
    return events


def iterate(
    paths: str | Path | Iterable[str | Path],
    *,
    step_size: str | int = "100 MB",
    schema: str | Path | Mapping[str, Any] | None = None,
    sample: Sample | None = None,
    weight: str | None = None,
    columns: Sequence[str] | None = None,
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
    schema, sample, weight, columns, keep_partial, **options
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

    asked = _asked(schema=schema, sample=sample, weight=weight, columns=columns, keep_partial=keep_partial, **options)
    step_bytes = parse_size(step_size)
    for path in expand(paths):
        name, reader, more = _reader(path, "iterate", asked)
        yield from reader(name, step_bytes=step_bytes, **more)


def probe(path: str | Path, **options: Any) -> dict[str, Any]:
    """What is in a file: format, events, sums of weights, effective events, negative fraction,
    cross-section, columns.

    Reads the file once in bounded memory.

    Returns
    -------
    dict
        At least `path`, `format`, `events`, `sum_weights`, `sum_weights2`, `n_eff`, `negative_fraction`,
        `weights` (names), `labels` (events of each truth label, or None), `cross_section_pb` (or None),
        `columns`, `collections` (fields of each).
    """
    name, reader, more = _reader(path, "probe", _asked(**options))
    return {"path": str(path), **reader(name, **more)}


def count(path: str | Path, *, schema: str | Path | Mapping[str, Any] | None = None) -> int | None:
    """Events in a file whose format lets a reader begin at any event (`start=`, `stop=` of `iterate`); else None.

    Raises
    ------
    InputError
        As `open`.
    """
    from hepaa.io.sniff import sniff

    module = import_module(READERS[sniff(path).format])
    if not hasattr(module, "count"):
        return None
    name, counter, more = _reader(path, "count", _asked(schema=schema))
    return int(counter(name, **more))


def expand(paths: str | Path | Iterable[str | Path]) -> list[str]:
    """Files that paths and patterns stand for, each pattern sorted, in the order given.

    Raises
    ------
    InputError
        If there is no path, or a pattern matches no file.
    """
    from hepaa.io.sniff import is_remote, split_key

    given = [paths] if isinstance(paths, str | Path) else list(paths)
    if not given:
        raise InputError("no files were given")
    found: list[str] = []
    for path in map(str, given):
        if is_remote(path) or Path(path).exists() or not has_magic(path):
            found.append(path)
            continue
        key = ""
        matches = _matches(path)
        if not matches:
            pattern, key = split_key(path)
            matches = _matches(pattern) if key else []
        if not matches:
            raise InputError(f"no file matches {path!r} (the current folder is {Path.cwd()})")
        found += [f"{m}:{key}" if key else m for m in matches]
    return found


def _matches(pattern: str) -> list[str]:
    return sorted(glob(pattern, recursive=True))  # noqa: PTH207  (Path.glob takes no absolute pattern)


def sha256(path: str | Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    from hepaa.io.files import sha256 as of_file

    return of_file(path)


def _asked(**options: Any) -> dict[str, Any]:
    """Options that were set to something."""
    return {k: v for k, v in options.items() if v is not None and v is not False}


def _reader(path: str | Path, action: str, asked: dict[str, Any]) -> tuple[str, Callable[..., Any], dict[str, Any]]:
    """File, function of the module that reads it, and the arguments for that."""
    from hepaa.io.sniff import sniff

    found = sniff(path)
    function: Callable[..., Any] = getattr(import_module(READERS[found.format]), action)
    taken = [k for k in inspect.signature(function).parameters if k not in ("path", "step_bytes", "key")]
    for option in asked:
        if option not in taken:
            raise InputError(
                f"{found.path}: the format {found.format} takes no option {option!r}; {nearest(option, taken)}"
            )
    arguments = dict(asked)
    if found.key:
        if "key" not in inspect.signature(function).parameters:
            raise InputError(f"{found.path}: the format {found.format} has nothing inside to be called {found.key!r}")
        arguments["key"] = found.key
    return found.path, function, arguments
