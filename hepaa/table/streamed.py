"""Event tables in Parquet that are larger than memory: read in chunks, pass after pass."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hepaa.errors import InputError
from hepaa.io import remote
from hepaa.io.parquet import columns

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

_CHUNK = 1 << 16  # rows read at once


@dataclass(frozen=True)
class Chunk:
    """Consecutive rows of a part: X float32 (n, d), weight float64 (n,), label int8 (n,), generator int64 (n,)."""

    X: NDArray[np.float32]
    weight: NDArray[np.float64]
    label: NDArray[np.int8]
    generator: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.X)


class StreamedTable:
    """A table in one or more Parquet files, as `EventTable.save` writes them, of which a window at a time is in memory.

    Detectors that are trained by the engine take it in place of an EventTable: labels, weights and generators are the
    table's. Events are shuffled within a window; files ordered by process should be mixed before, or the window be
    large.

    Parameters
    ----------
    paths : str, Path, or several of them
        Parts, in order; a folder stands for the .parquet files in it, by name.
    window : int
        Rows of background in memory at once.

    Attributes
    ----------
    columns : tuple of str
    generators : tuple of str
        Of all parts.
    n : int
        Rows.

    Raises
    ------
    InputError
        If a part is missing, hepaa did not write it, or its columns differ from the first one's.
    """

    def __init__(self, paths: str | Path | Sequence[str | Path], *, window: int = 1_000_000) -> None:
        places = [paths] if isinstance(paths, str | Path) else list(paths)
        self.paths = tuple(part for path in places for part in _parts(str(path)))
        if not self.paths:
            raise InputError("a streamed table needs one Parquet file at least")
        if not isinstance(window, int) or window < 2:
            raise InputError(f"window is {window!r}; it must be a number of rows, 2 or more")
        self.window = window
        described = [columns.metadata(path) for path in self.paths]
        self.columns = tuple(described[0][1]["columns"])
        for path, (_, meta) in zip(self.paths, described, strict=True):
            if tuple(meta["columns"]) != self.columns:
                raise InputError(
                    f"columns differ between {self.paths[0]} {self.columns} and {path} {tuple(meta['columns'])}; "
                    "build both with the same feature set"
                )
        self.generators = tuple(dict.fromkeys(g for _, meta in described for g in meta["generators"]))
        self._meta = [meta for _, meta in described]
        self.n = sum(rows for rows, _ in described)

    def __len__(self) -> int:
        return self.n

    def __repr__(self) -> str:
        return f"StreamedTable({[str(p) for p in self.paths]}, window={self.window})"

    @property
    def sources(self) -> list[str]:
        """SHA-256 of the files that the events come from."""
        return list(dict.fromkeys(source["sha256"] for meta in self._meta for source in meta["sources"]))

    def chunks(self) -> Iterator[Chunk]:
        """All rows, in order.

        Raises
        ------
        InputError
            If a feature or a weight is NaN or infinite, or a part is damaged.
        """
        names = [*self.columns, "weight", "label", "generator"]
        for path, meta in zip(self.paths, self._meta, strict=True):
            to = np.array([self.generators.index(g) for g in meta["generators"]], np.int64)
            row = 0
            for batch in columns.batches(path, names, _CHUNK):
                X = np.empty((len(batch["weight"]), len(self.columns)), np.float32)
                for i, name in enumerate(self.columns):
                    X[:, i] = batch[name]
                for name, values in [*zip(self.columns, X.T, strict=True), ("weight", batch["weight"])]:
                    bad = np.flatnonzero(~np.isfinite(values))
                    if len(bad):
                        raise InputError(
                            f"{name!r} is {values[bad[0]]} in {path}, row {row + bad[0]}; "
                            "cut such events away or mend the file"
                        )
                row += len(X)
                yield Chunk(X, batch["weight"], batch["label"], to[batch["generator"]])


def is_streamed(X: Any) -> bool:
    """Whether `fit` was given a streamed table, or the path or paths of one."""
    if isinstance(X, list | tuple) and len(X):
        return all(isinstance(x, str | Path) for x in X)
    return isinstance(X, StreamedTable | str | Path)


def _parts(path: str) -> list[str]:
    there = remote.is_remote(path)
    if not (remote.is_folder(path) if there else Path(path).is_dir()):
        return [path]
    parts = sorted(remote.glob(f"{path.rstrip('/')}/*.parquet") if there else map(str, Path(path).glob("*.parquet")))
    if not parts:
        raise InputError(f"{path}: no .parquet file in this folder")
    return parts
