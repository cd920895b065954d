"""Where data differ from a reference: every feature with the reference and the ratio that a test has learned."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.ticker import MaxNLocator

from hepaa.errors import InputError
from hepaa.plots.style import Look, corners, drawing

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.figure import Figure
    from numpy.typing import ArrayLike

    from hepaa.table import EventTable

_ACROSS = 4
_COLOUR = "#c2554f"


def two_samples(
    data: EventTable,
    reference: EventTable,
    log_ratio: ArrayLike,
    *,
    columns: Sequence[str] | None = None,
    labels: Mapping[str, tuple[str, str]] | None = None,
    bins: int = 20,
    look: Look | None = None,
) -> Figure:
    """Data, reference, and reference reweighted by a learned ratio; below each, both over the reference.

    Parameters
    ----------
    data, reference : EventTable
        With weights such that the totals can be compared.
    log_ratio : (n,)
        Of each event of the reference.
    columns : sequence of str, optional
        Default: all features of the reference.
    labels : mapping of column -> (symbol, unit), optional
    bins : int
    look : Look, optional

    Raises
    ------
    InputError
        If lengths differ or a column is unknown.
    """
    f = np.asarray(log_ratio, dtype=np.float64)
    if f.shape != (reference.n,):
        raise InputError(f"the log-ratio has shape {f.shape} for {reference.n} events of the reference")
    names = tuple(columns or reference.columns)
    across = min(len(names), _ACROSS)
    down = -(-len(names) // across)
    look = look or Look()
    processes = [reference.processes[i] for i in np.unique(reference.process)]
    named = [look.names[name] for name in processes if name in look.names]
    called = f"reference: {', '.join(named)}" if named else "reference"
    with drawing(look) as new_figure:
        width, height = 0.5 + 2.75 * across, 1.1 + 2.75 * down
        figure = new_figure(figsize=(width, height))
        outer = figure.add_gridspec(
            down, across, left=0.65 / width, right=1 - 0.1 / width, top=1 - 0.75 / height, bottom=0.55 / height,
            wspace=0.26, hspace=0.3,
        )  # fmt: skip
        for i, name in enumerate(names):
            inner = outer[i // across, i % across].subgridspec(2, 1, height_ratios=(2.2, 1), hspace=0.06)
            top, low = figure.add_subplot(inner[0]), figure.add_subplot(inner[1])
            x, y = (table[name].astype(np.float64) for table in (reference, data))
            start, end = np.quantile(np.concatenate([x, y]), [0.003, 0.997])
            edges = np.linspace(start, end if end > start else start + 1.0, bins + 1)
            centres = (edges[1:] + edges[:-1]) / 2
            m, tilted, n, error = (
                np.histogram(values, edges, weights=w)[0]
                for values, w in (
                    (x, reference.weight), (x, reference.weight * np.exp(f)), (y, data.weight), (y, data.weight**2),
                )
            )  # fmt: skip
            top.stairs(m, edges, fill=True, facecolor="#d9d9d9", edgecolor="#8c8c8c", label=called)
            top.stairs(tilted, edges, color=_COLOUR, linestyle="--", linewidth=1.6, label="reference x learned ratio")
            top.errorbar(centres, n, np.sqrt(error), fmt="o", color="black", markersize=3, label=look.called("data"))
            over = np.where(m > 0, m, np.inf)
            low.axhline(1.0, color="#8a8a8a", linewidth=0.9)
            low.stairs(tilted / over, edges, color=_COLOUR, linestyle="--", linewidth=1.4)
            drawn = (m > 0) & (n > 0)
            low.errorbar(
                centres[drawn], (n / over)[drawn], (np.sqrt(error) / over)[drawn], fmt="o", color="black", markersize=3
            )
            top.set(xlim=(edges[0], edges[-1]), ylim=(0, None), xticklabels=[])
            highest = float(np.max(tilted / over, initial=1.0))
            low.set(xlim=(edges[0], edges[-1]), ylim=(0.4, np.clip(1.15 * highest, 1.6, 3.9)))
            symbol, unit = (labels or {}).get(name, (name, reference.units.get(name, "")))
            low.set_xlabel(f"{symbol} [{unit}]" if unit else symbol)
            for axes in (top, low):
                axes.yaxis.set_major_locator(MaxNLocator(3))
                axes.xaxis.set_major_locator(MaxNLocator(4))
                axes.tick_params(labelsize=9.5)
                axes.minorticks_off()
            if i % across == 0:
                top.set_ylabel("Events / bin")
                low.set_ylabel("Ratio")
            if i == 0:
                handles, words = top.get_legend_handles_labels()
            if i == 0:
                first = top
            if i == across - 1:  # label above the first panel of the row, sqrt(s) above its last
                corners(first, top, look)
        figure.legend(handles, words, loc="upper center", ncols=len(words) if across > 2 else 1)
    return figure
