"""The figures of a run by name: each drawn from its folder alone."""

from __future__ import annotations

from contextlib import nullcontext
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np

from hepaa import plots
from hepaa.errors import InputError, nearest
from hepaa.io.files import file_names
from hepaa.stats.reach import z_versus_luminosity
from hepaa.stats.response import Response
from hepaa.stats.sculpting import Gate
from hepaa.stats.transfer import cuts_for
from hepaa.table import BACKGROUND

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from hepaa.plots import Look
    from hepaa.report.saved import SavedRun

    Figures = Iterator[tuple[str, Figure]]
    Maker = Callable[[SavedRun, Look], Figures]

MOST_ANOMALOUS = 12
"""Events in the figure and the table of pulls."""


def look_of(run: SavedRun, *, style: str | None = None, label: str | None = None) -> Look:
    """Style, label and luminosity as the card says, unless they are given."""
    figures = run.card.figures
    return plots.Look(
        figures.style if style is None else style,
        run.card.label if label is None else label,
        run.card.luminosity_fb,
        run.card.sqrt_s_tev,
        run.card.process_labels,
    )


def score(run: SavedRun, look: Look) -> Figures:
    """Score histogram with the significance of each bin, or data over prediction, of each detector."""
    for name in run.detectors:
        figure = plots.score_histogram(
            run.histograms(name),
            systematic=run.card.significance.background_uncertainty,
            shifts=run.shifts(name),
            response=run.response(name),
            xlabel=f"{name} anomaly score",
            look=look,
        )
        yield f"score-{run.card.file_names[name]}", figure


def regions(run: SavedRun, look: Look) -> Figures:
    """Score histogram of each control and validation region, of each detector; none without regions."""
    files = file_names(run.card.regions)
    for name in run.detectors:
        for region in run.results["detectors"][name].get("regions", {}):
            figure = plots.score_histogram(
                run.region(name, region),
                systematic=run.card.significance.background_uncertainty,
                shifts=run.shifts(name, region),
                lower_panel=run.card.has_data,
                xlabel=f"{name} anomaly score, {region}",
                look=look,
            )
            yield f"regions-{files[region]}-{run.card.file_names[name]}", figure


def generators(run: SavedRun, look: Look) -> Figures:
    """Score by generator of the background, with the signals, of each detector; none where there is one generator."""
    signals = run.signal_groups()
    weight = run.test.weight
    for name in run.detectors:
        values = run.score(name)
        groups = {g: (values[rows], weight[rows]) for g, rows in run.groups().items()}
        backgrounds = {g: v for g, v in groups.items() if g not in signals}
        if len(backgrounds) < 2:
            return
        drawn = {g: v for g, v in groups.items() if g in signals}
        figure = plots.score_by_generator(backgrounds, drawn, xlabel=f"{name} anomaly score", look=look)
        yield f"generators-{run.card.file_names[name]}", figure


def roc(run: SavedRun, look: Look) -> Figures:
    """ROC curves of all detectors, one figure a signal."""
    for signal, suffix in _signals(run):
        numbers = {n: run.results["detectors"][n]["signals"][signal]["performance"] for n in run.detectors}
        errors = {n: p["auc_error"] for n, p in numbers.items()}
        curves = {n: run.roc(n, signal) for n in run.detectors}
        yield f"roc{suffix}", plots.roc(curves, errors=errors, look=look)


def sic(run: SavedRun, look: Look) -> Figures:
    """Significance improvement of all detectors, one figure a signal."""
    for signal, suffix in _signals(run):
        yield f"sic{suffix}", plots.sic({n: run.sic(n, signal) for n in run.detectors}, look=look)


def features(run: SavedRun, look: Look) -> Figures:
    """Features before and after a cut on the score, of each detector."""
    labels = {c: run.axis(c) for c in run.test.columns}
    for name in run.detectors:
        score, share = run.score(name), run.card.figures.cut_background_efficiency
        if signals := run.signals(name):
            curve = run.roc(name, signals[0])
            cut = curve.threshold[curve.at(share)]
        else:
            rows = run.test.label == BACKGROUND
            below = cuts_for((score[rows], run.test.weight[rows]), targets=(share,), min_events=0)[share]
            cut = np.nextafter(below, np.inf)
        figure = plots.feature_distributions(run.test, score, cut, labels=labels, look=look)
        yield f"features-{run.card.file_names[name]}", figure


def training(run: SavedRun, look: Look) -> Figures:
    """Loss terms against the epoch, of each detector that is trained in epochs."""
    for name in run.detectors:
        model = run.model(name)
        if model is not None:
            figure = plots.loss_curves(model.history_, boundary=model.finetune_from, look=look)
            yield f"training-{run.card.file_names[name]}", figure


def latent(run: SavedRun, look: Look) -> Figures:
    """Latent means by generator and signal, of each detector with a latent space; more than two dimensions by PCA."""
    for name, z in _latent_means(run):
        if z.shape[1] == 2:
            points, words = z, ("$z_1$", "$z_2$")
        elif z.shape[1] == 1:
            points, words = np.column_stack([z, run.score(name)]), ("$z_1$", "anomaly score")
        else:
            centred = z - z.mean(axis=0)
            _, size, axes = np.linalg.svd(centred, full_matrices=False)
            share = size**2 / np.sum(size**2)
            points = centred @ axes[:2].T
            words = (f"PCA 1 ({share[0]:.0%} of variance)", f"PCA 2 ({share[1]:.0%} of variance)")
        yield f"latent-{run.card.file_names[name]}", _latent_figure(run, points, words, look)


def latent_umap(run: SavedRun, look: Look) -> Figures:
    """The same by UMAP (McInnes et al., arXiv:1802.03426), of 5000 events at most; needs the package umap-learn."""
    if find_spec("umap") is None:
        raise InputError("UMAP is not installed: `pip install umap-learn`, or draw `latent`, which needs nothing")
    import umap

    rows = np.sort(np.random.default_rng(0).permutation(run.test.n)[:5000])
    for name, z in _latent_means(run):
        points = np.full((run.test.n, 2), np.nan)
        points[rows] = umap.UMAP(random_state=0, n_jobs=1).fit_transform(z[rows])
        yield f"latent-umap-{run.card.file_names[name]}", _latent_figure(run, points, ("UMAP 1", "UMAP 2"), look)


def pulls(run: SavedRun, look: Look) -> Figures:
    """Pulls of the features of the most anomalous test events, of each detector."""
    for name in run.detectors:
        rows = most_anomalous(run, name)
        values, _ = run.pulls(name, rows)
        symbols = [run.axis(c)[0] for c in run.test.columns]
        events = [f"{i}. {event_name(run, row, look)}" for i, row in enumerate(rows, 1)]
        yield f"pulls-{run.card.file_names[name]}", plots.feature_pulls(values, symbols, events, look=look)


def luminosity(run: SavedRun, look: Look) -> Figures:
    """Expected significance of all detectors against luminosity, with all uncertainties, one figure a signal."""
    now = run.card.luminosity_fb
    x = np.geomspace(now / 30, max(30 * now, 3000.0), 60)
    for signal, suffix in _signals(run):
        curves, bands = {}, {}
        for name in run.detectors:
            numbers = run.results["detectors"][name]["signals"][signal]["significance"]
            shared = run.response(name)
            if shared is None:
                shared = Response.linear([*run.shifts(name).values()], len(numbers["b"]), [1 + numbers["systematic"]])
            z = z_versus_luminosity(numbers["s"], numbers["b"], numbers["stat_b"], x, at=now, shifts=shared)
            error = z * (numbers["total_error"] / numbers["total"] if numbers["total"] > 0 else 0.0)
            curves[name], bands[name] = z, (z - error, z + error)
        yield f"luminosity{suffix}", plots.luminosity_reach(x, curves, bands=bands, now=now, look=look)


def sculpting(run: SavedRun, look: Look) -> Figures:
    """Mass of background before and after the cut of the sculpting gate, of each detector; none if not asked for."""
    for name in run.detectors:
        gate = run.results["detectors"][name]["sculpting"]
        if gate is not None and run.card.sculpting is not None:
            symbol, unit = run.axis(run.card.sculpting.mass)
            xlabel = f"{symbol} [{unit}]" if unit else symbol
            figure = plots.mass_sculpting(Gate.from_dict(gate), xlabel=xlabel, look=look)
            yield f"sculpting-{run.card.file_names[name]}", figure


FIGURES: dict[str, Maker] = {
    "score": score,
    "regions": regions,
    "generators": generators,
    "roc": roc,
    "sic": sic,
    "luminosity": luminosity,
    "sculpting": sculpting,
    "features": features,
    "training": training,
    "latent": latent,
    "latent-umap": latent_umap,
    "pulls": pulls,
}
"""Functions that draw the figures of a name, as (name of the file, figure)."""

OF_A_RUN = ("score", "regions", "roc", "sic", "luminosity", "sculpting", "features", "training")
"""Figures that a run draws by itself; `hepaa plot` and the page draw the others."""

OF_ALL_DETECTORS = ("roc", "sic", "luminosity")
"""Figures that show all detectors beside each other; of the others there is one for each."""


def draw(run: SavedRun, name: str, folder: Path, look: Look | None = None) -> list[Path]:
    """Write the figures of a name, as PDF and PNG.

    Raises
    ------
    InputError
        If the name is unknown, or the run has nothing to draw under it.
    """
    if name not in FIGURES:
        raise InputError(f"there is no figure {name!r}; {nearest(name, FIGURES)}")
    figures = FIGURES[name](run, look or look_of(run))
    written = [path for stem, figure in figures for path in plots.save_figure(figure, folder / stem)]
    if not written:
        reasons = {
            "generators": "its background comes from one generator",
            "sculpting": "its card has no section `sculpting`",
            "training": "no detector of it is trained in epochs",
            "regions": "its card has no section `regions`",
        } | dict.fromkeys(OF_ALL_DETECTORS, "its card has no signal")
        reason = reasons.get(name, "no detector of it has a latent space")
        raise InputError(f"{run.folder}: nothing to draw for {name!r}: {reason}")
    return written


def draw_all(run: SavedRun, folder: Path, *, step: Callable[[str], AbstractContextManager[Any]] = nullcontext) -> None:
    """Write the figures of a run.

    Parameters
    ----------
    step : function of a name, optional
        The context of the figures of a name and detector, such as one that goes on after an error.
    """
    look = look_of(run)
    for name in OF_A_RUN:
        shown = [run] if name in OF_ALL_DETECTORS else [run.only(detector) for detector in run.detectors]
        for part in shown if run.detectors else []:
            with step(f"the figure {name} of {', '.join(part.detectors)}"):
                for stem, figure in FIGURES[name](part, look):
                    plots.save_figure(figure, folder / stem)


def most_anomalous(run: SavedRun, name: str, most: int = MOST_ANOMALOUS) -> NDArray[np.int64]:
    """Rows of the test events with the highest scores, highest first."""
    order: NDArray[np.int64] = np.argsort(-run.score(name), kind="stable")[:most]
    return order


def event_name(run: SavedRun, row: int, look: Look | None = None) -> str:
    """Process, as a figure of a look calls it, and number of an event in its file."""
    t = run.test
    process = t.processes[t.process[row]]
    return f"{look.called(process) if look else process}, event {t.event[row]}"


def _signals(run: SavedRun) -> list[tuple[str, str]]:
    signals = file_names(run.signals(run.detectors[0]) if run.detectors else [])
    return [(s, f"-{name}" if len(signals) > 1 else "") for s, name in signals.items()]


def _latent_means(run: SavedRun) -> Iterator[tuple[str, NDArray[np.float64]]]:
    for name in run.detectors:
        model = run.model(name)
        if model is not None:
            out: dict[str, Any] = model.outputs(run.test)
            if "mu" in out:
                yield name, np.asarray(out["mu"][0], dtype=np.float64)


def _latent_figure(run: SavedRun, points: NDArray[np.float64], words: tuple[str, str], look: Look) -> Figure:
    known = np.isfinite(points[:, 0])
    groups = {name: points[rows[known[rows]]] for name, rows in run.groups().items()}
    return plots.latent_space(groups, list(run.signal_groups()), axes_labels=words, look=look)
