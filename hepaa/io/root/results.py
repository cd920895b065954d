"""ROOT files of a run: a TTree of scored events, and histograms with variances."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np
import uproot

from hepaa.io.files import atomic_path
from hepaa.table import ROW_ARRAYS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import hist

    from hepaa.table import EventTable


def write_scores_root(table: EventTable, path: str | Path) -> None:
    """TTree `events`: features, spectators (scores among them), weight, label, process, generator, file and event.

    Names of processes, generators and files stand in the TObjStrings `processes`, `generators`, `sources`, one name a
    line in the order of the indices.
    """
    branches: dict[str, Any] = {_identifier(c): table[c] for c in (*table.columns, *table.spectators)}
    branches |= {k: getattr(table, k) for k in ROW_ARRAYS}
    with atomic_path(path) as partial, uproot.recreate(partial) as file:
        tree = file.mktree("events", {k: v.dtype for k, v in branches.items()})
        tree.extend({k: np.ascontiguousarray(v) for k, v in branches.items()})
        file["processes"] = "\n".join(table.processes)
        file["generators"] = "\n".join(table.generators)
        file["sources"] = "\n".join(s.path for s in table.sources)


def write_histograms_root(histograms: Mapping[str, hist.Hist[Any] | tuple[Any, Any]], path: str | Path) -> None:
    """TH1 with sums of weights and of squared weights, or of (counts, edges); a name `a/b` puts b in the folder a."""
    with atomic_path(path) as partial, uproot.recreate(partial) as file:
        for name, content in histograms.items():
            file["/".join(_identifier(part) for part in name.split("/"))] = content


def _identifier(name: str) -> str:
    """A name that ROOT's TTree::Draw and file paths take: letters, digits and underscores."""
    return re.sub(r"\W+", "_", name).strip("_")
