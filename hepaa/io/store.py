"""Parquet files of event tables, content hashes, and writing that never leaves half a file behind."""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from hepaa._version import __version__
from hepaa.errors import InputError
from hepaa.io.pieces import one_line
from hepaa.table import ROW_ARRAYS, CutflowRow, EventTable, Source

if TYPE_CHECKING:
    from collections.abc import Iterator

_KEY = b"hepaa"
_FORMAT = 1
_FEW_VALUES = ["label", "process", "generator", "file"]
"""Columns worth a dictionary. One of numbers that all differ doubles the time of writing, and adds to the size."""


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """A temporary name beside `path`; it becomes `path` when the block ends, and is removed if the block fails."""
    with atomic_paths(path) as (partial,):
        yield partial


@contextmanager
def atomic_paths(*paths: str | Path) -> Iterator[tuple[Path, ...]]:
    """`atomic_path` of several files: all are on the disk before the first gets its name, and they get them in order.

    The disk is waited for once: a file system writes what belongs to one file while another waits.
    """
    finals, partials, kept = [Path(path) for path in paths], list[Path](), 0
    try:
        for final in finals:
            if not final.parent.is_dir():
                raise InputError(f"{final}: the folder {final.parent} does not exist; make it first")
            handle, name = tempfile.mkstemp(prefix=f".{final.name}.", suffix=final.suffix, dir=final.parent)
            os.close(handle)
            partials.append(Path(name))
        yield tuple(partials)
        for partial in partials:
            partial.chmod(0o666 & ~_umask())
        _flush(partials)
        for partial, final in zip(partials, finals, strict=True):
            partial.replace(final)
            kept += 1
    finally:
        for partial in partials[kept:]:
            partial.unlink(missing_ok=True)


def _flush(paths: list[Path]) -> None:
    """Wait until files are on the disk; for all of them at once, which takes as long as for one."""
    if len(paths) == 1:
        _flush_one(paths[0])
        return
    with ThreadPoolExecutor(len(paths) - 1) as pool:
        others = [pool.submit(_flush_one, path) for path in paths[1:]]
        _flush_one(paths[0])
        for other in others:
            other.result()


def _flush_one(path: Path) -> None:
    with path.open("rb") as stream:
        os.fsync(stream.fileno())


@lru_cache(maxsize=1)
def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


_KNOWN: dict[tuple[str, int, int], str] = {}


def sha256(path: str | Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal; remembered while size and time of change stay the same."""
    state = _state(path)
    return _KNOWN.get(state) or _sha256(*state)


def remember_sha256(path: str | Path, digest: str) -> None:
    """Take `digest` for the SHA-256 of a file as it is now: who has read it elsewhere need not read it here again."""
    _KNOWN[_state(path)] = digest


def _state(path: str | Path) -> tuple[str, int, int]:
    stat = Path(path).stat()
    return os.path.realpath(path), stat.st_size, stat.st_mtime_ns


@lru_cache(maxsize=4096)
def _sha256(path: str, _size: int, _mtime_ns: int) -> str:
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def write_json(content: Any, path: str | Path, *, indent: int | None = 2) -> None:
    """JSON with sorted layout left to the caller; NaN and infinity are refused, for no reader agrees on them.

    Without `indent` it is written several times faster.
    """
    with atomic_path(path) as partial:
        partial.write_text(json.dumps(content, indent=indent, allow_nan=False) + "\n", encoding="utf-8")


def write_text(content: str, path: str | Path) -> None:
    """Text in UTF-8."""
    with atomic_path(path) as partial:
        partial.write_text(content, encoding="utf-8")


def file_name(name: str) -> str:
    """A name of a detector or process as part of a file's name."""
    return re.sub(r"[^\w.+-]+", "-", name).strip("-")


def write_table(table: EventTable, path: str | Path) -> None:
    """Write an EventTable as Parquet with names, sources and cutflow in its metadata."""
    with atomic_path(path) as partial:
        write_rows(table, partial)


def write_rows(table: EventTable, path: Path) -> None:
    """What `write_table` writes, to a file that is given its name later."""
    arrays: dict[str, Any] = {c: table[c] for c in (*table.columns, *table.spectators)}
    arrays |= {k: getattr(table, k) for k in ROW_ARRAYS}
    meta = {
        "format": _FORMAT,
        "version": __version__,
        "columns": table.columns,
        "spectators": list(table.spectators),
        "processes": table.processes,
        "generators": table.generators,
        "sources": [vars(s) for s in table.sources],
        "cutflow": [vars(r) for r in table.cutflow],
        "feature_set": table.feature_set,
    }
    content = pa.table({k: pa.array(np.ascontiguousarray(v)) for k, v in arrays.items()})
    content = content.replace_schema_metadata({_KEY: json.dumps(meta).encode()})
    pq.write_table(
        content,
        path,
        compression="zstd",
        use_dictionary=_FEW_VALUES,
        column_encoding={"event": "DELTA_BINARY_PACKED"},
    )


def count_rows(path: str | Path) -> int:
    """Rows of a Parquet file, from its description alone.

    Raises
    ------
    InputError
        If it is missing or no Parquet file.
    """
    try:
        return int(pq.read_metadata(path).num_rows)
    except (pa.ArrowInvalid, OSError) as broken:
        raise InputError(f"{path}: not a readable Parquet file ({one_line(broken)})") from broken


def read_table(path: str | Path) -> EventTable:
    """Read what `write_table` wrote.

    Raises
    ------
    InputError
        If the file is missing, is no Parquet file, was not written by hepaa, or by a newer format of it.
    """
    where = Path(path)
    if not where.is_file():
        raise InputError(f"{where}: no such file")
    try:
        content = pq.read_table(where)
    except (pa.ArrowInvalid, OSError) as broken:
        raise InputError(f"{where}: not a readable Parquet file ({one_line(broken)})") from broken
    packed = (content.schema.metadata or {}).get(_KEY)
    if packed is None:
        raise InputError(f"{where}: a Parquet file, but not an event table of hepaa; make one with `hepaa features`")
    meta = json.loads(packed)
    if meta["format"] > _FORMAT:
        raise InputError(f"{where}: written by hepaa {meta['version']} in a newer format; update hepaa to read it")

    def column(name: str) -> Any:
        return content.column(name).to_numpy()

    return EventTable(
        X=np.column_stack([column(c) for c in meta["columns"]])
        if meta["columns"]
        else np.empty((content.num_rows, 0), np.float32),
        columns=tuple(meta["columns"]),
        spectators={c: column(c) for c in meta["spectators"]},
        processes=tuple(meta["processes"]),
        generators=tuple(meta["generators"]),
        sources=tuple(Source(**s) for s in meta["sources"]),
        cutflow=tuple(CutflowRow(**r) for r in meta["cutflow"]),
        feature_set=meta["feature_set"],
        **{k: column(k) for k in ROW_ARRAYS},
    )
