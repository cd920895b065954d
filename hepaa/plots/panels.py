"""Figures of many small panels: losses against the epoch, and distributions of the features."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.ticker import MaxNLocator

from hepaa.errors import InputError
from hepaa.plots.style import Look, add_legend, corners, drawing

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import ArrayLike, NDArray

    from hepaa.table import EventTable


AFTER = ", after the cut"


def loss_curves(
    history: Mapping[str, Sequence[float]], *, boundary: int | None = None, look: Look | None = None
) -> Figure:
    """Loss terms against the epoch, one panel a term, so that terms of different size stay readable.

    Parameters
    ----------
    history : mapping of term -> values, one an epoch
        A term named "val_x" or "validation_x" is drawn dashed in the panel of "x".
    boundary : int, optional
        Last epoch of the first training stage: marked by a line.
    look : Look, optional

    Raises
    ------
    InputError
        If the history is empty.
    """
    terms: dict[str, dict[str, Sequence[float]]] = {}
    for key, values in history.items():
        name = key.removeprefix("validation_").removeprefix("val_")
        terms.setdefault(name, {})["training" if name == key else "validation"] = values
    if not terms:
        raise InputError("the training history is empty: there is no loss to draw")
    with drawing(look) as new_figure:
        columns = min(len(terms), 3)
        panel = (2.75, 2.1) if columns > 1 else (4.9, 3.4)
        figure, grid = _grid(new_figure, len(terms), columns, panel, gap=(0.85, 0.65), top=0.4)
        for axes, (name, lines) in zip(grid, terms.items(), strict=False):
            for part, style, colour in (("training", "-", "#000000"), ("validation", "--", "#8f0d2c")):
                if part in lines:
                    epochs = np.arange(1, len(lines[part]) + 1)
                    marker = "o" if len(epochs) < 4 else None
                    axes.plot(
                        epochs, lines[part], linestyle=style, color=colour, label=part, marker=marker, markersize=4
                    )
            if boundary is not None:
                axes.axvline(boundary + 0.5, color="#7a7a7a", linestyle=":", linewidth=1.2)
            axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
            words = f"{name.replace('_', ' ')} {'' if name.endswith('loss') else 'loss'}".strip()
            axes.set(xlabel="Epoch", ylabel=words)
            axes.margins(y=0.12)
        if any(len(lines) > 1 for lines in terms.values()):
            add_legend(grid[0], loc="upper right")
        corners(grid[0], grid[columns - 1], look)
    return figure


def feature_distributions(
    table: EventTable,
    score: ArrayLike | None = None,
    cut: float | None = None,
    *,
    labels: Mapping[str, tuple[str, str]] | None = None,
    columns: Sequence[str] | None = None,
    bins: int | None = None,
    look: Look | None = None,
) -> Figure:
    """Distributions of the features of background and signal, all events and those that pass a cut on the score.

    Each is normalised to unit area: what changes with the cut is the shape, which is what a cut may sculpt.

    Parameters
    ----------
    table : EventTable
        Weighted events with labels 0 and 1.
    score : (n,), optional
    cut : float, optional
        Events with score >= cut pass. Both or neither are given.
    labels : mapping of column -> (symbol, unit), optional
        For the axis titles; the unit may be empty. A column that is not in it is named as it stands.
    columns : sequence of str, optional
        Default: all features of the table.
    bins : int, optional
        Default: 30, or fewer where few events are drawn.
    look : Look, optional

    Raises
    ------
    InputError
        If only one of score and cut is given, lengths differ, or a column is unknown.
    """
    if (score is None) != (cut is None):
        raise InputError("a cut needs a score and a score needs a cut: give both or neither")
    passed = np.ones(len(table), bool)
    if score is not None and cut is not None:
        passed = np.asarray(score, dtype=np.float64) >= cut
    if passed.shape != (len(table),):
        raise InputError(f"{len(passed)} scores for a table of {len(table)} events")
    names = tuple(columns or table.columns)
    groups = [
        (role + stage, (table.label == label) & rows, draw)
        for role, label, all_events, after in (
            ("Background", 0, {"fill": True, "facecolor": "#d9d9d9", "edgecolor": "#8c8c8c"}, {"color": "#404040"}),
            ("Signal", 1, {"color": "#c2554f", "linestyle": "--"}, {"color": "#6d0019", "linestyle": "-."}),
        )
        for stage, rows, draw in (
            ("", np.ones(len(table), bool), all_events),
            (AFTER, passed, {**after, "linewidth": 1.7}),
        )
        if (stage == "" or score is not None) and np.any((table.label == label) & rows)
    ]
    if bins is None:
        fewest = min((int(np.sum(rows)) for _, rows, _ in groups), default=0)
        bins = int(np.clip(fewest / 5, 8, 30))
    with drawing(look) as new_figure:
        across = min(len(names), 4)
        figure, grid = _grid(new_figure, len(names), across, (2.2, 1.55), gap=(0.6, 0.6), top=0.75)
        for axes, name in zip(grid, names, strict=False):
            symbol, unit = (labels or {}).get(name, (name, ""))
            _feature_panel(axes, np.asarray(table[name], dtype=np.float64), table.weight, groups, bins)
            axes.set_xlabel(f"{symbol} [{unit}]" if unit else symbol)
        for i in range(0, len(names), across):
            grid[i].set_ylabel("Fraction / bin")
        handles, words = grid[0].get_legend_handles_labels()
        figure.legend(handles, words, loc="upper center", ncols=len(words) if across > 2 else 1)
        corners(grid[0], grid[across - 1], look)
    return figure


def _grid(
    new_figure: Callable[..., Figure],
    n: int,
    columns: int,
    panel: tuple[float, float],
    *,
    gap: tuple[float, float],
    top: float,
) -> tuple[Figure, NDArray[Any]]:
    """A figure with n panels of fixed size, row by row, and the panels; lengths in inches.

    Fixed lengths place the panels as well as matplotlib's layout engines do, which draw everything twice.
    """
    rows = -(-n // columns)
    left, right, bottom = gap[0] + 0.05, 0.15, gap[1]
    width = left + columns * panel[0] + (columns - 1) * gap[0] + right
    height = bottom + rows * panel[1] + (rows - 1) * gap[1] + top
    figure = new_figure(figsize=(width, height))
    figure.subplots_adjust(
        left=left / width,
        right=1 - right / width,
        bottom=bottom / height,
        top=1 - top / height,
        wspace=gap[0] / panel[0],
        hspace=gap[1] / panel[1],
    )
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for spare in axes[n:]:
        spare.remove()
    return figure, axes[:n]


def _feature_panel(
    axes: Axes, values: NDArray[np.float64], weight: NDArray[np.float64], groups: Sequence[Any], bins: int
) -> None:
    everything = np.concatenate([values[rows] for _, rows, _ in groups])
    low, high = np.quantile(everything, [0.003, 0.997])
    if low == high:
        low, high = low - 0.5, high + 0.5
    edges = np.linspace(low, high, bins + 1)
    top = 0.0
    for name, rows, draw in groups:
        counts = np.histogram(values[rows], edges, weights=weight[rows])[0]
        total = np.sum(weight[rows])
        share = counts / total if total > 0 else counts
        axes.stairs(share, edges, label=name, **draw)
        error = np.zeros(bins)
        if name.endswith(AFTER):  # few events pass
            error = np.sqrt(np.histogram(values[rows], edges, weights=weight[rows] ** 2)[0]) / max(total, 1e-300)
            axes.errorbar((edges[1:] + edges[:-1]) / 2, share, error, fmt="none", ecolor=draw["color"], elinewidth=0.9)
        top = max(top, float(np.max(share + error)))
    axes.set(xlim=(low, high), ylim=(0, 1.12 * top if top > 0 else 1))
    axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.yaxis.set_major_locator(MaxNLocator(4))
    axes.tick_params(labelsize=9.5)
    axes.minorticks_off()  # small panels: they would be most of the figure's ink and time
