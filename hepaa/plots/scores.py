"""Figures of a score: histogram with significance, ROC and SIC curves, reach against luminosity."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import cycle
from typing import TYPE_CHECKING, Any, Literal, get_args

import mplhep
import numpy as np
from hist.intervals import poisson_interval
from matplotlib import patheffects
from matplotlib.ticker import MaxNLocator, NullFormatter

from hepaa.errors import InputError, nearest
from hepaa.plots.style import (
    HATCHES,
    LINES,
    SIGNAL_COLOURS,
    Look,
    add_legend,
    drawing,
    fills,
    header,
    line_colours,
    plain_logarithm,
    signed,
    single,
    thin,
)
from hepaa.stats import performance
from hepaa.stats.significance import combine

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import ArrayLike, NDArray

    from hepaa.stats.histogram import BinnedSignificance, ScoreHistograms
    from hepaa.stats.performance import SIC, Roc
    from hepaa.stats.response import Response

Axis = Literal["auto", "linear", "log", "bins"]
Panel = Literal["ratio", "asimov", "s/sqrt(b)"]
_MANY = 6
"""Curves in a legend beyond which its letters are smaller."""


def score_histogram(
    histograms: ScoreHistograms,
    *,
    signal_scale: float = 1.0,
    panel: Panel | None = None,
    lower_panel: bool = True,
    systematic: float = 0.0,
    shifts: Mapping[str, NDArray[np.float64]] | None = None,
    response: Response | None = None,
    axis: Axis = "bins",
    xlabel: str | None = None,
    look: Look | None = None,
) -> Figure:
    """Score histogram: background stacked, signals as lines, data as points; below data over prediction, or, without
    data, the significance of each bin.

    Parameters
    ----------
    histograms : ScoreHistograms
    signal_scale : float
        Multiplies the drawn signals, as the legend then says; never the significance.
    panel : "ratio", "asimov" or "s/sqrt(b)", optional
        What the lower panel shows: data over prediction, with the uncertainty of the prediction, or what each signal
        alone is worth. Default: "ratio" where there are data, else "asimov".
    lower_panel : bool
        Whether there is one; there is none without data and signal.
    systematic : float
        Relative uncertainty of the background, in the Asimov Z and in the band.
    shifts : mapping of name -> (bins,), optional
        Further relative shifts of the background that bins share, in both as well.
    response : Response, optional
        How the background answers to all of these; for the Z of all bins.
    axis : "auto", "linear", "log" or "bins"
        How the score is drawn; "bins" draws all bins equally wide, with their edges as labels, so that figures of
        different scores are read alike. "auto" takes the first of the others on which the narrowest bin can be seen,
        else this.
    xlabel : str, optional
        Default: the label of the histogram's axis.
    look : Look, optional

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    InputError
        If `panel` is unknown, or shows data or signals that are not there, or a bin has no positive background (see
        `ScoreHistograms.significance`).
    """
    look = look or Look()
    panel = _panel(panel, histograms) if lower_panel else None
    axis = _axis(np.asarray(histograms.binning.edges), axis)
    edges = np.arange(len(histograms.binning) + 1.0) if axis == "bins" else np.asarray(histograms.binning.edges)
    # the largest background lies at the bottom in the lightest colour
    names = sorted(histograms.backgrounds, key=lambda k: -float(np.sum(histograms.backgrounds[k].values())))
    first = histograms.backgrounds[names[0]]
    with drawing(look) as new_figure:
        figure = new_figure(figsize=(6.4, 6.4 if panel else 5.2))
        if panel:
            top, low = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1.05))
            left = 0.15 if panel == "ratio" else 0.13
            figure.subplots_adjust(left=left, right=0.97, top=0.94, bottom=0.1, hspace=0.06)
        else:
            top = low = figure.subplots()
            figure.subplots_adjust(left=0.13, right=0.97, top=0.93, bottom=0.13)
        _stack(top, edges, histograms, names, look)
        shared = np.sqrt(systematic**2 + np.sum([np.square(x) for x in (shifts or {}).values()], axis=0))
        words = f"{100 * systematic:g} % syst." if not shifts else "syst."
        sigma = np.hypot(np.sqrt(histograms.b_variance), shared * histograms.b)
        _band(top, edges, histograms.b, sigma, words if np.any(shared > 0) else "")
        heights = [histograms.b]
        for i, (name, h) in enumerate(histograms.signals.items()):
            scaled = np.asarray(h.values() * signal_scale)
            times = "" if signal_scale == 1 else rf" ($\times${signal_scale:g})"
            line = top.stairs(
                scaled,
                edges,
                label=look.called(name) + times,
                color=SIGNAL_COLOURS[i % 4],
                linestyle=LINES[i % len(LINES)],
                lw=2.1,
            )
            line.set_path_effects([patheffects.Stroke(linewidth=3.6, foreground="white"), patheffects.Normal()])
            heights.append(scaled)
        data = histograms.seen_data()
        if data is not None:
            counts, w2 = data.values(), data.variances()
            mplhep.histplot(
                counts,
                edges[: len(counts) + 1],
                ax=top,
                w2=w2,
                histtype="errorbar",
                color="black",
                label=look.names.get("data", "Data"),
                markersize=5,
            )
            heights.append(np.asarray(counts))
        if not histograms.seen.all():
            for axes, words in {low: "", top: "Blind"}.items():
                first_blind = edges[int(np.sum(histograms.seen))]
                axes.axvspan(first_blind, edges[-1], color="#9a9a9a", alpha=0.18, lw=0, label=words)
        _log_counts(top, heights)
        top.set_ylabel("Events / bin")
        if panel == "ratio":
            _ratio_panel(low, edges, histograms, sigma)
        elif panel:
            rules: dict[str, Any] = {"systematic": systematic, "shifts": shifts, "response": response}
            results = {s: histograms.significance(s, **rules) for s in histograms.signals}
            _significance_panel(low, edges, panel, results)
        if axis == "log":
            low.set_xscale("log")
            if edges[-1] < 100 * edges[0]:  # ticks at powers of ten alone would be one or two
                plain_logarithm(low.xaxis)
            low.xaxis.set_minor_formatter(NullFormatter())
        low.set_xlim(edges[0], edges[-1])
        low.set_xlabel((xlabel or first.axes[0].label) + (", bins of equal width" if axis == "bins" else ""))
        if axis == "bins":
            _edge_ticks(low, np.asarray(histograms.binning.edges))
        header(top, look)
        add_legend(top, ncols=2, loc="upper right")
    return figure


def _edge_ticks(axes: Axes, edges: NDArray[np.float64]) -> None:
    """The score at each edge, or at every second, third ... where they are many."""
    digits = next((d for d in range(3, 9) if len({f"{x:.{d}g}" for x in edges}) == len(edges)), 9)
    words = [signed(f"{x:.{digits}g}") for x in edges]
    most = max(2, 55 // (max(map(len, words)) + 1))  # characters along the axis, with a space between
    shown = range(0, len(edges), -(-len(edges) // most))
    axes.set_xticks(list(shown), labels=[words[i] for i in shown])
    axes.set_xticks(np.arange(len(edges)), minor=True)


def _axis(edges: NDArray[np.float64], axis: Axis) -> Axis:
    if axis not in get_args(Axis):
        raise InputError(f"there is no axis {axis!r}; {nearest(axis, get_args(Axis))}")
    if axis == "log" and edges[0] <= 0:
        raise InputError(f"the first edge {edges[0]:g} is not positive: it has no place on a logarithmic axis")
    if axis != "auto":
        return axis
    candidates: tuple[tuple[Axis, NDArray[np.float64]], ...] = (("linear", edges),)
    if edges[0] > 0:
        candidates += (("log", np.log(edges)),)
    for candidate, drawn in candidates:
        if np.min(np.diff(drawn)) >= 0.03 * (drawn[-1] - drawn[0]):
            return candidate
    return "bins"


def _panel(panel: Panel | None, histograms: ScoreHistograms) -> Panel | None:
    """What the lower panel shows; None where there is nothing to show."""
    if panel is None:
        return "ratio" if histograms.data is not None else "asimov" if histograms.signals else None
    if panel not in get_args(Panel):
        raise InputError(f"there is no lower panel {panel!r}; {nearest(panel, get_args(Panel))}")
    if panel == "ratio" and histograms.data is None:
        raise InputError("there are no data to divide by their prediction; leave `panel` out")
    return panel if panel == "ratio" or histograms.signals else None


def _ratio_panel(
    axes: Axes, edges: NDArray[np.float64], histograms: ScoreHistograms, sigma: NDArray[np.float64]
) -> None:
    """Data over prediction, with central 68 % intervals of their counts, and the band of the prediction."""
    b, data = histograms.b, histograms.seen_data()
    if not np.all(b > 0):
        raise InputError("a bin has no positive background to divide data by: merge it (merge_unusable)")
    band = sigma / b
    axes.stairs(1 + band, edges, baseline=np.maximum(1 - band, 0), fill=True, facecolor="none", edgecolor="#5a5a5a",
                hatch="////////", linewidth=0)  # fmt: skip
    axes.axhline(1.0, color="#202020", linewidth=1.0)
    reach = float(np.max(band))
    if data is not None:
        n = np.asarray(data.values())
        low, high = (np.asarray(x) for x in poisson_interval(n, data.variances()))
        b, middle = b[: len(n)], (edges[1 : len(n) + 1] + edges[: len(n)]) / 2
        errors = np.nan_to_num([n - low, high - n]).clip(min=0) / b
        axes.errorbar(middle, n / b, yerr=errors, fmt="o", color="black", markersize=4.5, linewidth=1.2)
        reach = max(reach, float(np.max(np.abs(n / b - 1) + np.where(n > 0, errors[1], 0))))
    reach = min(max(1.15 * reach, 0.1), 2.0)
    axes.set_ylim(max(1 - reach, 0), 1 + reach)
    axes.yaxis.set_major_locator(MaxNLocator(4, prune="upper"))
    axes.set_ylabel("Data / pred.")


def _stack(
    axes: Axes, edges: NDArray[np.float64], histograms: ScoreHistograms, names: Sequence[str], look: Look
) -> None:
    below = np.zeros(len(histograms.binning))
    for name, colour, hatch in zip(names, fills(len(names)), cycle(HATCHES), strict=False):
        above = below + histograms.backgrounds[name].values()
        axes.stairs(
            above, edges, baseline=below, fill=True, facecolor=colour, edgecolor="#303030",
            hatch=hatch, linewidth=0.6, label=look.called(name),
        )  # fmt: skip
        below = above


def _band(
    axes: Axes, edges: NDArray[np.float64], b: NDArray[np.float64], error: NDArray[np.float64], systematic: str
) -> None:
    words = rf"MC stat. $\oplus$ {systematic}" if systematic else "MC stat. uncertainty"
    axes.stairs(
        b + error, edges, baseline=np.maximum(b - error, 0), fill=True, facecolor="none", edgecolor="#5a5a5a",
        hatch="////////", linewidth=0, label=words,
    )  # fmt: skip
    axes.stairs(b, edges, color="#202020", linewidth=1.0)


def _log_counts(axes: Axes, heights: Sequence[NDArray[np.float64]]) -> None:
    """Logarithmic y axis with room for the smallest drawn bin below."""
    positive = np.concatenate(heights)
    positive = positive[positive > 0]
    if not len(positive):
        return  # nothing is drawn: a logarithm of it has no range
    peak = float(np.max(positive))
    floor = max(float(np.min(positive)) / 3, peak * 1e-7)
    axes.set_yscale("log")
    axes.set_ylim(floor, floor * (peak / floor) ** 1.08)


def _significance_panel(
    axes: Axes, edges: NDArray[np.float64], panel: str, results: Mapping[str, BinnedSignificance]
) -> None:
    top = 0.0
    for i, result in enumerate(results.values()):
        if panel == "asimov":
            values, errors = result.z, result.z_error
            words = rf"all bins: {result.total:.2f} $\pm$ {result.total_error:.2f}"
        else:
            values, errors = result.s_over_sqrt_b, np.zeros(len(result.z))
            words = f"all bins: {combine(values):.2f}"
        colour, line = SIGNAL_COLOURS[i % len(SIGNAL_COLOURS)], LINES[i % len(LINES)]
        axes.stairs(values, edges, color=colour, linestyle=line, linewidth=1.5, label=words)
        axes.stairs(
            values + errors, edges, baseline=np.maximum(values - errors, 0), fill=True, color=colour, alpha=0.22, lw=0
        )
        top = max(top, float(np.max(values + errors)))
    axes.set_ylim(0, 1.1 * top if top > 0 else 1)
    axes.yaxis.set_major_locator(MaxNLocator(4, prune="upper"))
    axes.set_ylabel(r"Asimov $Z$" if panel == "asimov" else r"$S/\sqrt{B}$")
    add_legend(axes, ncols=3, loc="upper left", fontsize=9.5, handlelength=1.8, columnspacing=1.2)


def roc(
    curves: Mapping[str, Roc] | ArrayLike,
    score: ArrayLike | Mapping[str, ArrayLike] | None = None,
    *,
    weight: ArrayLike | None = None,
    errors: Mapping[str, float] | None = None,
    min_events: int = 25,
    look: Look | None = None,
) -> Figure:
    """ROC curves: background rejection 1 / eps_B against signal efficiency, with a band of one standard deviation.

    Parameters
    ----------
    curves : mapping of name -> Roc, or (n,)
        As from `hepaa.stats.performance.roc`; or labels of events, 1 for signal, whose scores come next.
    score : (n,) or mapping of name -> (n,), optional
        Scores of these events by one or several detectors; higher is more anomalous.
    weight : (n,), optional
        Of these events.
    errors : mapping of name -> float, optional
        Errors of the AUC, for the legend.
    min_events : int
        Beyond the cut that fewer raw background events pass, a curve is drawn thin.
    look : Look, optional
    """
    curves = _of_events(curves, score, weight, performance.roc)
    with drawing(look) as new_figure:
        figure, axes = single(new_figure)
        lowest = 1.0
        for (name, curve), colour, line in zip(curves.items(), line_colours(len(curves)), cycle(LINES), strict=False):
            keep = thin(curve.eps_s)
            x, eps, error, n = curve.eps_s[keep], curve.eps_b[keep], curve.error_b[keep], curve.n_b[keep]
            ok = (n >= min_events) & (eps > 0)
            rough = (n >= 1) & (n <= min_events) & (eps > 0)
            spread = f" $\\pm$ {errors[name]:.3f}" if errors and name in errors else ""
            axes.plot(x[ok], 1 / eps[ok], color=colour, linestyle=line, label=f"{name}: AUC {curve.auc:.3f}{spread}")
            axes.plot(x[rough], 1 / eps[rough], color=colour, linestyle=line, linewidth=0.6, alpha=0.6)
            low, high = eps[ok] - error[ok], eps[ok] + error[ok]
            axes.fill_between(x[ok], 1 / high, 1 / np.maximum(low, high * 1e-3), color=colour, alpha=0.18, linewidth=0)
            lowest = min([lowest, *eps[ok]])
        x = np.linspace(0.002, 1, 400)
        axes.plot(x, 1 / x, color="#8a8a8a", linewidth=1.0, linestyle=(0, (1, 2)), label="random")
        axes.set(yscale="log", xlim=(0, 1), ylim=(1, 10 ** (np.log10(max(1 / lowest, 10)) * 1.05)))
        axes.set(xlabel=r"Signal efficiency $\varepsilon_S$", ylabel=r"Background rejection $1/\varepsilon_B$")
        header(axes, look, luminosity=False)
        add_legend(axes, loc="upper right")
    return figure


def sic(
    curves: Mapping[str, SIC] | ArrayLike,
    score: ArrayLike | Mapping[str, ArrayLike] | None = None,
    *,
    weight: ArrayLike | None = None,
    levels: Mapping[str, float] | None = None,
    look: Look | None = None,
) -> Figure:
    """Significance improvement eps_S / sqrt(eps_B) against signal efficiency, where enough background is left.

    Parameters
    ----------
    curves : mapping of name -> SIC, or (n,)
        As from `hepaa.significance.sic`, or labels as for `roc`; only quoted cuts are drawn, with a band of one
        standard deviation.
    score, weight
        As for `roc`.
    levels : mapping of name -> float, optional
        Maxima that others have published: horizontal lines with their names.
    look : Look, optional
    """
    curves = _of_events(curves, score, weight, performance.sic)
    with drawing(look) as new_figure:
        figure, axes = single(new_figure)
        top = max([1.2, *(levels or {}).values()])
        for name, level in (levels or {}).items():
            axes.axhline(level, color="#7a7a7a", linewidth=0.8, linestyle=(0, (5, 3)))
            axes.annotate(
                f"{name} {level:g}", (1, level), (-4, 1), xycoords=("axes fraction", "data"),
                textcoords="offset points", ha="right", va="bottom", color="#4a4a4a", fontsize=9,
            )  # fmt: skip
        for (name, curve), colour, line in zip(curves.items(), line_colours(len(curves)), cycle(LINES), strict=False):
            index = thin(curve.eps_s)
            index = index[curve.quoted[index]]
            x, y, (low, high) = curve.eps_s[index], curve.sic[index], curve.interval(index)
            best = "too few events" if curve.max is None else rf"max {curve.max:.2f} $\pm$ {curve.max_error:.2f}"
            axes.plot(x, y, color=colour, linestyle=line, label=f"{name}: {best}")
            axes.fill_between(x, low, high, color=colour, alpha=0.18, linewidth=0)
            top = max([top, *high])
        x = np.linspace(0, 1, 300)
        axes.plot(x, np.sqrt(x), color="#8a8a8a", linewidth=1.0, linestyle=(0, (1, 2)), label="random")
        axes.set(xlim=(0, 1), ylim=(0, top * 1.05))
        axes.set_xlabel(r"Signal efficiency $\varepsilon_S$")
        axes.set_ylabel(r"Significance improvement $\varepsilon_S/\sqrt{\varepsilon_B}$")
        floors = " / ".join(str(n) for n in sorted({c.min_events for c in curves.values()}))
        header(axes, look, luminosity=False)
        add_legend(
            axes,
            loc="upper right",
            title=f"cuts with at least {floors} background events",
            title_fontsize=10,
            fontsize=None if len(curves) <= _MANY else 9,
        )
    return figure


def _of_events(
    curves: Any, score: ArrayLike | Mapping[str, ArrayLike] | None, weight: ArrayLike | None, curve: Callable[..., Any]
) -> Mapping[str, Any]:
    """Curves by name, as they are or of the scores of labelled events."""
    if isinstance(curves, Mapping) == (score is not None):
        raise InputError("give curves by name, or labels (n,) and scores (n,)")
    if score is None:
        return curves  # type: ignore[no-any-return]
    scores = score if isinstance(score, Mapping) else {"score": score}
    return {name: curve(curves, x, weight) for name, x in scores.items()}


def luminosity_reach(
    luminosity: ArrayLike,
    curves: Mapping[str, ArrayLike],
    *,
    bands: Mapping[str, tuple[ArrayLike, ArrayLike]] | None = None,
    now: float | None = None,
    look: Look | None = None,
) -> Figure:
    """Expected significance against luminosity, with lines at 3 and 5 standard deviations.

    Parameters
    ----------
    luminosity : (k,)
        In fb^-1, ascending and positive.
    curves : mapping of name -> (k,)
        As from `hepaa.stats.reach.z_versus_luminosity`.
    bands : mapping of name -> (low, high), optional
        Ranges of the curves of the same names.
    now : float, optional
        Luminosity of the present data, in fb^-1: marked by a line.
    look : Look, optional

    Raises
    ------
    InputError
        If a curve has another length than `luminosity`, or a luminosity is not positive.
    """
    x = np.asarray(luminosity, dtype=np.float64)
    drawn = {name: np.asarray(z, dtype=np.float64) for name, z in curves.items()}
    if not drawn or not np.all(x > 0) or any(z.shape != x.shape for z in drawn.values()):
        raise InputError(f"give curves of {len(x)} values each, as many as luminosities, which must be positive")
    with drawing(look) as new_figure:
        figure, axes = single(new_figure)
        for (name, z), colour, line in zip(drawn.items(), line_colours(len(drawn)), cycle(LINES), strict=False):
            axes.plot(x, z, color=colour, linestyle=line, label=name)
            if bands and name in bands:
                low, high = (np.asarray(side, dtype=np.float64) for side in bands[name])
                axes.fill_between(x, low, high, color=colour, alpha=0.18, linewidth=0)
        top = max(5.5, 1.05 * max(float(np.max(z)) for z in drawn.values()))
        for level in (3, 5):
            axes.axhline(level, color="#7a7a7a", linewidth=0.9)
            axes.annotate(
                rf"{level}$\sigma$", (1, level), (4, 0), xycoords=("axes fraction", "data"),
                textcoords="offset points", ha="left", va="center", color="#4a4a4a", fontsize=10.5,
            )  # fmt: skip
        if now is not None:
            axes.axvline(now, color="#7a7a7a", linestyle=(0, (1, 2)), linewidth=1.2)
        axes.set(xscale="log", xlim=(x[0], x[-1]), ylim=(0, top))
        # matplotlib labels every digit of a short range, one over the other
        plain_logarithm(axes.xaxis)
        axes.set(xlabel=r"Luminosity [fb$^\mathrm{-1}$]", ylabel=r"Expected significance $Z$")
        header(axes, look, luminosity=False)
        add_legend(axes, loc="upper left")
    return figure
