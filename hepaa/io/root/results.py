"""ROOT files of a run: a TTree of columns, and histograms with variances."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np
import uproot

from hepaa.io.files import atomic_path, distinct

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    import hist
    from numpy.typing import NDArray


def write_columns_root(
    columns: Mapping[str, NDArray[Any]], names: Mapping[str, Sequence[str]], path: str | Path
) -> None:
    """TTree `events` of columns (n,), and beside it each list of names as a TObjString, one name a line."""
    spelt = distinct(columns, identifier, joint="_")
    branches = {spelt[name]: np.ascontiguousarray(values) for name, values in columns.items()}
    with atomic_path(path) as partial, uproot.recreate(partial) as file:
        tree = file.mktree("events", {name: values.dtype for name, values in branches.items()})
        tree.extend(branches)
        for name, texts in names.items():
            file[name] = "\n".join(texts)


def write_histograms_root(histograms: Mapping[str, hist.Hist[Any] | tuple[Any, Any]], path: str | Path) -> None:
    """TH1 with sums of weights and of squared weights, or of (counts, edges); a name `a/b` puts b in the folder a."""
    with atomic_path(path) as partial, uproot.recreate(partial) as file:
        paths = _paths(histograms)
        for name, content in histograms.items():
            file[paths[name]] = content


def _paths(names: Iterable[str]) -> dict[str, str]:
    """Paths in a ROOT file, with distinct folders and distinct names in each folder."""
    inside: dict[str, list[str]] = {}
    for name in names:
        folder, _, rest = name.rpartition("/")
        inside.setdefault(folder, []).append(rest)
    spelt_folder = distinct(
        filter(None, inside), lambda folder: "/".join(map(identifier, folder.split("/"))), joint="_"
    )
    paths = {}
    for folder, rests in inside.items():
        for rest, spelt in distinct(rests, identifier, joint="_").items():
            paths[f"{folder}/{rest}" if folder else rest] = f"{spelt_folder[folder]}/{spelt}" if folder else spelt
    return paths


def identifier(name: str) -> str:
    """A name that ROOT's TTree::Draw and file paths take: letters, digits and underscores."""
    return re.sub(r"\W+", "_", name).strip("_") or "x"
