"""Figures of a resonant search: spectra, the scan, the threshold, the signal and the closure."""

from __future__ import annotations

from itertools import cycle
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.ticker import MaxNLocator
from scipy import special

from hepaa.plots.style import LINES, Look, corners, drawing, header, line_colours, single

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import ArrayLike, NDArray

    from hepaa.search.injection import Injection
    from hepaa.search.result import ResonantResult, SpectrumFit
    from hepaa.search.scans import ScanResult
    from hepaa.search.toys import Calibrated

_WINDOW, _SIGNAL = "#f0d9a8", "#8f0d2c"
_MARKERS = "osD^v<>"


def spectra(
    fits: Sequence[SpectrumFit],
    signal: tuple[float, float],
    *,
    mass: str = "$m$ [GeV]",
    title: str | None = None,
    quoted: bool = True,
    look: Look | None = None,
) -> Figure:
    """Mass spectrum after each cut with its fit and the fit's band, the window, and pulls of the tightest cut below.

    Parameters
    ----------
    fits : sequence of SpectrumFit
        One for each efficiency, loosest first; the last is the one whose pulls are drawn.
    signal : (low, high)
        Signal region, GeV; its bins are not fitted.
    mass : str
        Label of the axis.
    title : str, optional
        Of the legend, such as "signal region: toy".
    quoted : bool
        Whether z stands in the legend.
    look : Look, optional
    """
    with drawing(look) as new_figure:
        figure = new_figure(figsize=(6.4, 6.2))
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3.2, 1))
        figure.subplots_adjust(left=0.13, right=0.96, top=0.94, bottom=0.1, hspace=0.05)
        highest = 1.0
        for colour, marker, line, fit in zip(
            line_colours(len(fits)), cycle(_MARKERS), cycle(LINES), fits, strict=False
        ):
            centres = (fit.edges[1:] + fit.edges[:-1]) / 2
            rate = np.diff(fit.edges) / 100
            label = f"{fit.efficiency:.3g} of background" + (f": $z$ = {fit.z:.1f}" if quoted else "")
            points = fit.counts > 0
            low, high = _poisson(fit.counts)
            upper.errorbar(
                centres[points], (fit.counts / rate)[points],
                (np.stack([fit.counts - low, high - fit.counts]) / rate)[:, points],
                fmt=marker, color=colour, markersize=3.5, linewidth=1.0, label=label,
            )  # fmt: skip
            upper.plot(centres, fit.fitted / rate, color=colour, linestyle=line, linewidth=1.3)
            band = (fit.fitted - fit.fitted_error) / rate, (fit.fitted + fit.fitted_error) / rate
            upper.fill_between(centres, *band, color=colour, alpha=0.2, linewidth=0)
            highest = max(highest, float((fit.counts / rate).max()))
        last = fits[-1]
        pull = (last.counts - last.fitted) / np.sqrt(last.fitted + last.fitted_error**2)
        lower.stairs(pull, last.edges, fill=True, color="#b9b9b9", edgecolor="#5a5a5a")
        lower.axhline(0, color="black", linewidth=0.8)
        for axes in (upper, lower):
            axes.axvspan(*signal, color=_WINDOW, alpha=0.6, zorder=0, linewidth=0)
        lowest = min(float((f.fitted / np.diff(f.edges) * 100).min()) for f in fits)
        upper.set(yscale="log", ylim=(max(0.3 * lowest, 0.05), 30 * highest), ylabel="Events / 100 GeV")
        lower.set(xlabel=mass, ylabel="Pull", xlim=(last.edges[0], last.edges[-1]))
        lower.set_ylim(*(np.array([-1, 1]) * max(3.5, 1.15 * float(np.abs(pull).max()))))
        lower.yaxis.set_major_locator(MaxNLocator(4))
        upper.legend(loc="upper right", title=title)
        header(upper, look)
    return figure


def scan_p_values(
    scan: ScanResult, calibrated: Calibrated | None = None, *, mass: str = "$m$ [GeV]", look: Look | None = None
) -> Figure:
    """Local p-value against the mass, for each look the smallest of a window marked, and the global one as a line."""
    with drawing(look) as new_figure:
        figure, axes = single(new_figure)
        looks = [result.looks for result in scan.results]
        names = list(looks[0])
        centres = [(low + high) / 2 for low, high in scan.windows]
        lowest = 1e-3
        for colour, line, marker, name in zip(
            line_colours(len(names)), cycle(LINES), cycle(_MARKERS), names, strict=False
        ):
            z = np.array([fits[name].z for fits in looks])
            p = np.maximum(special.ndtr(-z), 1e-300)
            axes.plot(centres, p, color=colour, linestyle=line, marker=marker, markersize=3.5, label=name)
            lowest = min(lowest, float(p.min()))
        if calibrated is not None:
            sign = "<" if calibrated.overall.bound else "="
            axes.axhline(calibrated.overall.p, color="black", linestyle=(0, (6, 2)), linewidth=1.2,
                         label=f"global: $p$ {sign} {calibrated.overall.p:.2g}")  # fmt: skip
        _sigma_lines(axes, lowest)
        share = _legend_share(len(names) + (calibrated is not None))
        top = (0.05 * lowest) ** (-share / (1 - share))
        axes.set(yscale="log", ylim=(0.05 * lowest, top), xlabel=mass, ylabel="Local $p$-value")
        axes.legend(loc="upper left", ncols=2)
        header(axes, look)
    return figure


def _legend_share(entries: int) -> float:
    """Part of the height that a legend of so many entries takes, in two columns."""
    return 0.08 + 0.065 * -(-entries // 2)


def threshold(injection: Injection, *, signal: str = "", look: Look | None = None) -> Figure:
    """Significance after the search against the injected one, the median of the draws and its 68 % band; `signal` is
    what the injected process is called.
    """
    with drawing(look) as new_figure:
        figure, axes = single(new_figure)
        x = injection.strengths
        top = 3.0
        for colour, line, name in zip(line_colours(len(injection.looks)), cycle(LINES), injection.looks, strict=False):
            low, middle, high = injection.band(name)
            axes.plot(x, middle, color=colour, linestyle=line, label=name)
            axes.fill_between(x, low, high, color=colour, alpha=0.18, linewidth=0)
            top = max(top, float(high.max()))
        axes.plot(x, x, color="#8a8a8a", linestyle=":", linewidth=1.2, label="no cut")
        axes.axhline(3, color="black", linewidth=0.7)
        injected = f"Injected {signal}," if signal else "Injected"
        axes.set(xlabel=rf"{injected} $S/\sqrt{{B}}$ in the window", xlim=(x.min(), x.max()))
        axes.set_ylabel("Significance found")
        bottom = min(-1.0, float(np.nanmin(injection.z)))
        axes.set_ylim(bottom, bottom + (top - bottom) / (1 - _legend_share(len(injection.looks) + 1)))
        axes.legend(loc="upper left", ncols=2)
        header(axes, look)
    return figure


def signal_panel(
    result: ResonantResult,
    *,
    efficiency: float | None = None,
    labels: Mapping[str, tuple[str, str]] | None = None,
    look: Look | None = None,
) -> Figure:
    """Inputs of the signal region's events that pass a cut, over what the background predicts for them.

    With a method that models a signal, the signal found is drawn too, with the number of events found.

    Parameters
    ----------
    result : ResonantResult
        Of data that may be looked at.
    efficiency : float, optional
        Of the cut; default the tightest.
    labels : mapping of column -> (symbol, unit), optional
    look : Look, optional
    """
    eps = result.efficiencies[-1] if efficiency is None else efficiency
    rows = result.rows
    inside = result.method.window.in_signal(rows.mass)
    passing = inside & result.passing(eps)
    rng = np.random.default_rng(result.seed)
    # what the background looks like after the same cut: samples of p(x | m), scored by every fold's models
    samples = result.background().draw_at(np.tile(rows.mass[inside], 4), rng)
    kept = result.tails(samples) <= eps
    weight = kept.mean(axis=0)
    fit = result.fit(eps)
    weight *= fit.expected / max(weight.sum(), 1e-9)
    data = (look or Look()).called("data")
    with drawing(look) as new_figure:
        figure, panels = _panels(new_figure, len(rows.columns))
        for i, (axes, name) in enumerate(zip(panels, rows.columns, strict=True)):
            edges = _edges([rows.x[inside, i]])
            axes.stairs(np.histogram(samples.x[:, i], edges, weights=weight)[0], edges, fill=True, facecolor="#d9d9d9",
                        edgecolor="#8c8c8c", label="background, predicted")  # fmt: skip
            modelling = [m for m in result.modelling if name in m.columns]
            signals = [m.signal_.sample(4000, rng)[:, m.columns.index(name)] for m in modelling]
            if signals:
                x = np.concatenate(signals)
                size = max(fit.observed - fit.expected, 0.0) / len(x)
                axes.stairs(np.histogram(x, edges)[0] * size, edges, color=_SIGNAL, linestyle="--", linewidth=1.8,
                            label="signal, as fitted")  # fmt: skip
            n = np.histogram(rows.x[passing, i], edges)[0]
            low, high = _poisson(n)
            axes.errorbar((edges[1:] + edges[:-1]) / 2, n, np.stack([n - low, high - n]), fmt="o", color="black",
                          markersize=3, linewidth=1.0, label=f"{data}, cut at {eps:g}")  # fmt: skip
            _name(axes, name, labels)
        _finish(figure, panels, "Events", look)
    return figure


def closure_panel(
    samples: NDArray[np.float64],
    events: NDArray[np.float64],
    columns: Sequence[str],
    *,
    labels: Mapping[str, tuple[str, str]] | None = None,
    look: Look | None = None,
) -> Figure:
    """Samples of p(x | m) (n, d) and sideband events (k, d), one panel an input."""
    with drawing(look) as new_figure:
        figure, panels = _panels(new_figure, len(columns))
        for i, (axes, name) in enumerate(zip(panels, columns, strict=True)):
            edges = _edges([samples[:, i], events[:, i]])
            size = len(events) / len(samples)
            axes.stairs(np.histogram(samples[:, i], edges)[0] * size, edges, fill=True, facecolor="#d9d9d9",
                        edgecolor="#8c8c8c", label="samples of $p(x\\,|\\,m)$")  # fmt: skip
            n = np.histogram(events[:, i], edges)[0]
            axes.errorbar((edges[1:] + edges[:-1]) / 2, n, np.sqrt(n), fmt="o", color="black", markersize=3,
                          linewidth=1.0, label="sideband events")  # fmt: skip
            _name(axes, name, labels)
        _finish(figure, panels, "Events", look)
    return figure


def _panels(new_figure: object, n: int) -> tuple[Figure, list[Axes]]:
    across = min(n, 4)
    down = -(-n // across)
    width, height = max(0.95 + 2.6 * across, 6.6), 0.9 + 2.5 * down  # no narrower than the legend
    figure: Figure = new_figure(figsize=(width, height))  # type: ignore[operator]
    grid = figure.subplots(down, across, squeeze=False).ravel()
    figure.subplots_adjust(left=0.85 / width, right=1 - 0.12 / width, top=1 - 0.65 / height, bottom=0.55 / height,
                           wspace=0.28, hspace=0.42)  # fmt: skip
    for spare in grid[n:]:
        spare.remove()
    return figure, list(grid[:n])


def _finish(figure: Figure, panels: list[Axes], ylabel: str, look: Look | None) -> None:
    for axes in panels:
        axes.set_ylim(0, None)
        axes.xaxis.set_major_locator(MaxNLocator(4))
        axes.yaxis.set_major_locator(MaxNLocator(4))
        axes.tick_params(labelsize=9.5)
    panels[0].set_ylabel(ylabel)
    corners(panels[0], panels[: min(len(panels), 4)][-1], look, luminosity=True)
    handles, names = panels[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="upper right", ncols=len(names))


def _name(axes: Axes, column: str, labels: Mapping[str, tuple[str, str]] | None) -> None:
    symbol, unit = (labels or {}).get(column, (column, ""))
    axes.set_xlabel(f"{symbol} [{unit}]" if unit else symbol)


def _edges(values: Sequence[ArrayLike], bins: int = 24) -> NDArray[np.float64]:
    low, high = np.quantile(np.concatenate([np.asarray(v) for v in values]), [0.002, 0.998])
    return np.linspace(low, high if high > low else low + 1.0, bins + 1)


def _poisson(n: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Central 68 % interval of the mean of a Poisson count (Garwood 1936)."""
    tail = special.ndtr(-1.0)
    low = np.where(n > 0, special.gammaincinv(np.maximum(n, 1), tail), 0.0)
    return low, special.gammainccinv(n + 1, tail)


def _sigma_lines(axes: Axes, lowest: float) -> None:
    for z in range(1, 39):
        p = float(special.ndtr(-z))
        if p < 0.05 * lowest:
            break
        axes.axhline(p, color="#b0b0b0", linewidth=0.6, zorder=0)
        axes.annotate(rf"${z}\sigma$", (1, p), xycoords=("axes fraction", "data"), xytext=(-4, 2), fontsize=9,
                      textcoords="offset points", ha="right", color="#6a6a6a")  # fmt: skip
