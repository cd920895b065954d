"""Rows of stored tables to sums of weights in bins."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from hepaa.batch.shard import Part
from hepaa.batch.tasks.rows import rows_of
from hepaa.errors import InputError
from hepaa.io.parquet.columns import count_rows
from hepaa.table.mixing import Tally

if TYPE_CHECKING:
    from hepaa.batch.shard import Shard


@dataclass(frozen=True)
class HistogramTask:
    """Rows of a stored table to sums w and w^2 in fixed bins, for each process, generator and label.

    Attributes
    ----------
    column : str
    edges : tuple of k + 1 floats
        Chosen on other events; rows beyond the ends count in the end bins.
    """

    kind: ClassVar[str] = "histogram"
    needs: ClassVar[tuple[str, ...]] = ()
    column: str
    edges: tuple[float, ...]

    def to_dict(self) -> dict[str, Any]:
        """For JSON and for keys."""
        return {"kind": self.kind, "column": self.column, "edges": list(self.edges)}

    @classmethod
    def from_dict(cls, options: dict[str, Any]) -> HistogramTask:
        """From what `to_dict` gave, without `kind`."""
        return cls(options["column"], tuple(options["edges"]))

    def count(self, path: str) -> int | None:
        """Rows of a table."""
        return count_rows(path)

    def code(self) -> dict[str, str]:
        """All of it is hepaa's."""
        return {}

    def compute(self, shard: Shard) -> Part:
        """Cells `process, generator, label` with value, variance and events, (k,) each."""
        from hepaa.stats.binning import Binning

        table = rows_of(shard)
        values = table[self.column]
        if not np.all(np.isfinite(values)):
            raise InputError(f"{shard.path}: {self.column!r} is not finite in some rows; mend the table")
        binning = Binning(self.edges)
        index, bins = binning.index(values), len(binning)
        cells = []
        kinds = np.stack([table.process, table.generator, table.label.astype(np.int16)], axis=1)
        for process, generator, label in np.unique(kinds, axis=0).tolist():
            mine = (table.process == process) & (table.generator == generator) & (table.label == label)
            w = table.weight[mine]
            cells.append(
                {
                    "process": table.processes[process],
                    "generator": table.generators[generator],
                    "label": label,
                    "value": np.bincount(index[mine], w, bins).tolist(),
                    "variance": np.bincount(index[mine], w**2, bins).tolist(),
                    "events": np.bincount(index[mine], minlength=bins).tolist(),
                }
            )
        return Part(Tally.of(table.weight), result={"cells": cells})
