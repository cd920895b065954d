"""Rows of stored tables to sums of weights in bins."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from hepaa.batch.shard import Part
from hepaa.batch.tasks.rows import TableTask, rows_of
from hepaa.run.blinding import seen
from hepaa.stats.binning import Binning
from hepaa.stats.histogram import count
from hepaa.table.mixing import Tally

if TYPE_CHECKING:
    from hepaa.batch.shard import Shard


@dataclass(frozen=True)
class HistogramTask(TableTask):
    """Rows of a stored table to sums w and w^2 in fixed bins, for each process, generator and label.

    Attributes
    ----------
    column : str
    edges : tuple of k + 1 floats
        Chosen on other events; rows beyond the ends count in the end bins.
    cuts : tuple of floats
        Cuts above which the rows are counted too.
    blind_above : float or None
        Data are not counted in bins that reach above this score.
    """

    kind: ClassVar[str] = "histogram"
    column: str
    edges: tuple[float, ...]
    cuts: tuple[float, ...] = ()
    blind_above: float | None = None

    def compute(self, shard: Shard) -> Part:
        """The `hepaa.stats.histogram.Counts` of each process, generator and label, as lists."""
        table = rows_of(shard)
        binning = Binning(self.edges)
        shown = seen(table, self.column, binning, self.blind_above)
        counts = count(shown, shown[self.column], binning, self.cuts, blind_above=self.blind_above)
        entries = [
            {"process": process, "generator": generator, "label": label}
            | {name: values.tolist() for name, values in vars(counted).items()}
            for (process, generator, label), counted in counts.items()
        ]
        return Part(Tally.of(table.weight), result={"counts": entries})
