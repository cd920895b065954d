"""Figures that ask why: scores by generator, latent spaces, pulls of single events, a mass before and after a cut."""

from __future__ import annotations

from itertools import cycle
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.ticker import MaxNLocator

from hepaa.errors import InputError
from hepaa.plots.style import (
    BESIDE,
    LINES,
    SIGNAL_COLOURS,
    Look,
    add_legend,
    corners,
    drawing,
    header,
    line_colours,
    plain_logarithm,
    signed,
    single,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.figure import Figure
    from numpy.typing import ArrayLike, NDArray

    from hepaa.stats.sculpting import Gate

MARKERS = ("o", "s", "^", "D", "v", "P")


def score_by_generator(
    backgrounds: Mapping[str, tuple[ArrayLike, ArrayLike]],
    signals: Mapping[str, tuple[ArrayLike, ArrayLike]],
    *,
    xlabel: str = "anomaly score",
    bins: int = 30,
    look: Look | None = None,
) -> Figure:
    """Score of each generator's background and of each signal, normalised, and the ratio of generators to their mean.

    Parameters
    ----------
    backgrounds, signals : mapping of name -> (scores, weights)
    xlabel : str
    bins : int
        Of equal counts in all background together, so that each bin of the ratio says something.
    look : Look, optional

    Raises
    ------
    InputError
        If there are not two backgrounds, or all their scores are equal.
    """
    look = look or Look()
    if len(backgrounds) < 2:
        raise InputError(f"{len(backgrounds)} backgrounds: give the scores of two generators or more to compare")
    everything = np.concatenate([np.asarray(x, dtype=np.float64) for x, _ in backgrounds.values()])
    edges = np.unique(np.quantile(everything, np.linspace(0, 1, max(2, min(bins, len(everything) // 40)) + 1)))
    if len(edges) < 2:
        raise InputError(f"all scores of the background equal {edges[0]:g}: there is nothing to compare")
    k = np.arange(len(edges))
    with drawing(look) as new_figure:
        figure = new_figure(figsize=(6.4, 6.2))
        top, low = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1.1))
        figure.subplots_adjust(left=0.13, right=0.97, top=0.94, bottom=0.11, hspace=0.06)
        shares = {name: _share(*pair, edges) for name, pair in backgrounds.items()}
        mean = np.mean([share for share, _ in shares.values()], axis=0)
        for (name, (share, error)), colour, line in zip(
            shares.items(), line_colours(len(shares)), cycle(LINES), strict=False
        ):
            top.stairs(share, k, color=colour, linestyle=line, linewidth=1.7, label=look.called(name))
            ratio, spread = (np.divide(x, mean, out=np.ones_like(x), where=mean > 0) for x in (share, error))
            low.stairs(ratio, k, color=colour, linestyle=line, linewidth=1.5)
            low.stairs(ratio + spread, k, baseline=ratio - spread, fill=True, color=colour, alpha=0.18, lw=0)
        for i, (name, pair) in enumerate(signals.items()):
            share, _ = _share(*pair, edges)
            colour = SIGNAL_COLOURS[i % len(SIGNAL_COLOURS)]
            top.stairs(share, k, color=colour, linestyle=":", linewidth=2.1, label=f"{look.called(name)} (signal)")
        top.set_yscale("log")
        top.margins(y=0.1)
        top.set_ylabel("Fraction / bin")
        low.axhline(1.0, color="#8a8a8a", linewidth=0.9)
        low.yaxis.set_major_locator(MaxNLocator(4, prune="upper"))
        low.set(xlim=(0, len(edges) - 1), ylim=(0.55, 1.45))
        shown = np.unique(np.linspace(0, len(edges) - 1, 7).round().astype(int))
        low.set_xticks(shown, [signed(f"{edges[i]:.3g}") for i in shown])
        low.minorticks_off()
        low.set(xlabel=f"{xlabel}, bins of equal background", ylabel="Ratio to mean")
        header(top, look, luminosity=False)
        add_legend(top, ncols=2, loc="upper left" if look.style == "plain" else "upper right")
    return figure


def _share(x: ArrayLike, w: ArrayLike, edges: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Fraction of the sum of weights in each bin, events beyond the ends in the end bins, and its statistical error."""
    values, weight = np.asarray(x, dtype=np.float64), np.asarray(w, dtype=np.float64)
    index = np.searchsorted(edges[1:-1], values, side="right")
    total = float(np.sum(weight)) or 1.0
    share, squares = (np.bincount(index, y, minlength=len(edges) - 1) for y in (weight, weight**2))
    return share / total, np.sqrt(squares) / total


def latent_space(
    points: Mapping[str, ArrayLike],
    signals: Sequence[str] = (),
    *,
    axes_labels: tuple[str, str] = ("$z_1$", "$z_2$"),
    most: int = 1500,
    seed: int = 0,
    look: Look | None = None,
) -> Figure:
    """Latent means of events in two dimensions: each group with a marker and a colour of its own, signals on top.

    Parameters
    ----------
    points : mapping of group -> (n, 2)
        Such as generators and signals.
    signals : sequence of str
        The groups that are signals.
    axes_labels : (str, str)
    most : int
        Events drawn of each group at most, a random choice.
    seed : int
        Of that choice.
    look : Look, optional

    Raises
    ------
    InputError
        If a group is not of shape (n, 2).
    """
    look = look or Look()
    rng = np.random.default_rng(seed)
    groups = {name: np.asarray(p, dtype=np.float64) for name, p in points.items()}
    for name, p in groups.items():
        if p.ndim != 2 or p.shape[1] != 2:
            raise InputError(f"latent points of {name!r} have shape {p.shape}: give two numbers an event")
    order = sorted(groups, key=lambda name: name in signals)
    background = [name for name in order if name not in signals]
    colours = dict(zip(background, line_colours(max(len(background), 1) + 1)[1:], strict=False))
    colours |= {name: SIGNAL_COLOURS[i % len(SIGNAL_COLOURS)] for i, name in enumerate(signals)}
    with drawing(look) as new_figure:
        figure, axes = single(new_figure)
        for i, name in enumerate(order):
            p = groups[name]
            p = p[rng.permutation(len(p))[:most]]
            style: dict[str, Any] = {"marker": MARKERS[i % len(MARKERS)], "linewidths": 0.5, "s": 9, "alpha": 0.55}
            if name in signals:
                axes.scatter(p[:, 0], p[:, 1], facecolors="none", edgecolors=colours[name], label=look.called(name),
                             rasterized=True, **style)  # fmt: skip
            else:
                axes.scatter(p[:, 0], p[:, 1], color=colours[name], label=look.called(name), rasterized=True, **style)
        everything = np.concatenate(list(groups.values()))
        for axis, scale in ((0, axes.set_xlim), (1, axes.set_ylim)):
            low, high = np.quantile(everything[:, axis], [0.002, 0.998])
            pad = 0.08 * (high - low) or 0.5
            scale(low - pad, high + pad)
        axes.set(xlabel=axes_labels[0], ylabel=axes_labels[1])
        header(axes, look, luminosity=False)
        # points lie everywhere: the legend stands beside them
        axes.legend(**BESIDE, markerscale=2)
    return figure


def feature_pulls(
    pulls: ArrayLike, features: Sequence[str], events: Sequence[str], *, limit: float = 5.0, look: Look | None = None
) -> Figure:
    """Pulls of single events, feature by feature: a coloured table with numbers.

    Parameters
    ----------
    pulls : (n, d)
        In standard deviations.
    features : d names
    events : n names
    limit : float
        Pull of the strongest colour.
    look : Look, optional

    Raises
    ------
    InputError
        If shapes do not match.
    """
    values = np.asarray(pulls, dtype=np.float64)
    if values.shape != (len(events), len(features)) or not values.size:
        raise InputError(f"pulls have shape {values.shape} for {len(events)} events and {len(features)} features")
    with drawing(look) as new_figure:
        width, height = 1.9 + 0.55 * len(features), 1.0 + 0.3 * len(events)
        figure = new_figure(figsize=(width, height))
        axes = figure.subplots()
        figure.subplots_adjust(left=1.3 / width, right=1 - 0.25 / width, top=1 - 0.45 / height, bottom=0.45 / height)
        image = axes.imshow(values, cmap="RdBu_r", vmin=-limit, vmax=limit, aspect="auto")
        for i, row in enumerate(values):
            for j, value in enumerate(row):
                strong = abs(value) > 0.7 * limit
                axes.text(
                    j,
                    i,
                    signed(f"{value:+.1f}"),
                    ha="center",
                    va="center",
                    fontsize=8,
                    color="white" if strong else "black",
                )
        axes.set_xticks(range(len(features)), features, rotation=45, ha="right", fontsize=9)
        axes.set_yticks(range(len(events)), events, fontsize=8.5)
        axes.tick_params(which="both", length=0)
        axes.minorticks_off()
        inches = 0.15 / width
        place = axes.get_position()
        scale = figure.add_axes((place.x1 + inches, place.y0, inches, place.height))
        figure.colorbar(image, cax=scale, extend="both", label="Pull [standard deviations]")
        corners(axes, axes, look)
    return figure


def mass_sculpting(gate: Gate, *, xlabel: str = "$m$ [GeV]", look: Look | None = None) -> Figure:
    """Mass of background before and after a cut on the score, and the largest bump that was found in it.

    Parameters
    ----------
    gate : Gate
        As from `hepaa.stats.sculpting.sculpting_gate`.
    xlabel : str
    look : Look, optional
    """
    edges, after, before = (np.asarray(x, dtype=np.float64) for x in (gate.edges, gate.counts, gate.counts_all))
    scale = float(np.sum(after)) / max(float(np.sum(before)), 1.0)
    with drawing(look) as new_figure:
        figure, axes = single(new_figure)
        axes.stairs(before * scale, edges, fill=True, facecolor="#d9d9d9", edgecolor="#8c8c8c",
                    label=rf"background, all ($\times${scale:.3g})")  # fmt: skip
        centres = (edges[1:] + edges[:-1]) / 2
        axes.errorbar(centres, after, np.sqrt(after), fmt="o", color="black", markersize=4, label="after the cut")
        if gate.bump is not None:
            words = f"largest bump: {gate.bump.overall} overall"
            axes.axvspan(gate.bump.low, gate.bump.high, color="#c2554f", alpha=0.25, label=words)
        verdict = "passed" if gate.passed else "not tested" if gate.bump is None else "FAILED"
        colour = "#1b5e20" if gate.passed else "#b00020"
        highest = max(float(np.max(after)), float(np.max(before)) * scale, 1.0)
        axes.set(yscale="log", xlim=(edges[0], edges[-1]), ylim=(0.3, highest * 2))
        if highest < 100:  # powers of ten alone would be one or two ticks
            plain_logarithm(axes.yaxis)
        axes.set(xlabel=xlabel, ylabel="Simulated events / bin")
        header(axes, look, luminosity=False)
        legend = add_legend(axes, loc="upper right", title=f"sculpting gate {verdict}",
                   title_fontproperties={"weight": "bold", "size": 12})  # fmt: skip
        legend.get_title().set_color(colour)
    return figure
