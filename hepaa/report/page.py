"""One self-contained HTML page of a run: no network, no files beside it."""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib.resources import files
from typing import TYPE_CHECKING
from urllib.parse import quote

import jinja2
from markupsafe import Markup

from hepaa._version import __version__
from hepaa.io.files import write_text
from hepaa.plots import figure_svg
from hepaa.report import tables
from hepaa.report.figures import FIGURES, OF_ALL_DETECTORS, look_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from matplotlib.figure import Figure

    from hepaa.card import Card
    from hepaa.plots import Look
    from hepaa.report.saved import SavedRun
    from hepaa.report.tables import Table


TITLES = {
    "score": "Score histogram with the significance of each bin",
    "regions": "Score in a control or validation region",
    "generators": "Score by generator",
    "roc": "ROC curves",
    "sic": "Significance improvement",
    "luminosity": "Expected significance against luminosity",
    "sculpting": "Mass of background before and after the cut",
    "features": "Features before and after the cut",
    "training": "Loss against epoch",
    "latent": "Latent space",
}
"""Titles of the figures of the page, by their name."""


@dataclass
class Folded:
    """Figures and tables of one detector, to unfold."""

    id: str
    title: str
    tables: list[Table]
    figures: list[tuple[str, str]]


@dataclass
class Section:
    """A part of the page: figures are pairs of image and words, blocks are titles with text to unfold.

    The first figure of a `top` section stands beside its tables; `links` are titles with addresses, by detector.
    """

    id: str
    title: str
    words: list[str] = field(default_factory=list)
    alarms: list[str] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    figures: list[tuple[str, str]] = field(default_factory=list)
    folds: list[Folded] = field(default_factory=list)
    blocks: dict[str, str] = field(default_factory=dict)
    links: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    top: bool = False
    wide: bool = False
    copy: str = ""


def write_report(run: SavedRun, path: Path, *, style: str | None = None, label: str | None = None) -> None:
    """Write the page of a run.

    Parameters
    ----------
    run : SavedRun
    path : Path
    style, label : str, optional
        Of the figures; by default those of the card.

    Raises
    ------
    InputError
        If a file of the run is missing or cannot be read.
    """
    look = look_of(run, style=style, label=label)
    write_page(run.card, sections(run, look), path, label=look.label)


def write_page(card: Card, parts: list[Section], path: Path, *, label: str) -> None:
    """Write a page of these sections under the title of a card."""
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    page = environment.from_string(files("hepaa.report").joinpath("page.html").read_text(encoding="utf-8"))
    write_text(page.render(card=card, version=__version__, label=label, sections=parts), path)


def sections(run: SavedRun, look: Look) -> list[Section]:
    """The parts of the page, in order, results first; a figure that a run has none of is left out."""
    gates = [(name, result["sculpting"]) for name, result in run.results["detectors"].items() if result["sculpting"]]
    alarms = [f"{name}: {gate['message']}" for name, gate in gates if not gate["passed"]]
    kept = 100 * run.card.figures.cut_background_efficiency
    cut = f"All events, and those after a cut on the score that keeps {kept:g} % of the background."
    several = len({s.generator for s in run.card.samples if s.role == "background"}) > 1
    parts = [
        Section(
            "summary",
            "Summary",
            [*tables.verdict(run), *_blindness(run)],
            [*_looked_before(run), *alarms],
            tables.summary(run),
            _pictures(run.only(tables.best(run)), "score", look),
            top=True,
        ),
        Section(
            "separation",
            "Separation of signal and background",
            tables=tables.performance(run),
            figures=_pictures(run, "roc", look) + _pictures(run, "sic", look),
        ),
        Section(
            "significance",
            "Binned significance",
            [
                "The binning is chosen on the validation part and quoted on the test part. Uncertainties of the "
                f"background: simulation statistics in each bin; shared by all bins: {tables.uncertainties(run)}."
            ],
            tables=[*tables.reach(run), *tables.fits(run)],
            figures=_pictures(run, "luminosity", look),
            folds=_folds(run, "significance", look, ["score"], tables.bins, tables.observed_bins),
        ),
        Section("regions", "Control and validation regions", folds=_folds(run, "regions", look, ["regions"])),
        Section(
            "sculpting",
            "Does the cut sculpt the mass?",
            [gate["message"] for _, gate in gates if gate["passed"]]
            or ([] if gates else ["Not asked for: name the mass in the card's section `sculpting`."]),
            alarms,
            [tables.sculpting(run)] if gates else [],
            folds=_folds(run, "sculpting", look, ["sculpting"]),
        ),
        Section(
            "events",
            "Most anomalous events, and why",
            ["For each detector, the test events with the highest scores and how far each of their features lies off."],
            folds=_folds(run, "events", look, [], tables.events),
        ),
        Section("features", "Features", [cut], folds=_folds(run, "features", look, ["features"])),
        Section(
            "scores",
            "Generators and latent space" if several else "Latent space",
            ["Generators of one process should agree: where they do not, their spread is an uncertainty."] * several,
            tables=tables.generators(run),
            folds=_folds(run, "scores", look, ["generators", "latent"]),
        ),
        Section("training", "Training", folds=_folds(run, "training", look, ["training"])),
        Section(
            "run",
            "What was run",
            tables=[tables.samples(run), tables.parts(run), tables.sources(run)],
            blocks={"The card, with all defaults": run.card.to_yaml()},
        ),
        Section("cutflow", "Cutflow", tables=[tables.cutflow(run)]),
        Section("numbers", "Numbers to copy", copy="\n".join(map(tables.as_text, tables.summary(run)))),
    ]
    for part in parts:
        for fold in part.folds:
            parts[0].links.setdefault(fold.title, []).append((part.title, fold.id))
    return [p for p in parts if p.words or p.tables or p.figures or p.folds or p.copy]


def _folds(
    run: SavedRun, section: str, look: Look, figures: list[str], *makers: Callable[[SavedRun], list[Table]]
) -> list[Folded]:
    """For each detector its figures of these names and its tables, where it has any."""
    folds = []
    for name in run.detectors:
        one = run.only(name)
        pictures = [picture for figure in figures for picture in _pictures(one, figure, look)]
        fold = Folded(
            f"{section}-{run.card.file_names[name]}", name, [t for make in makers for t in make(one)], pictures
        )
        folds += [fold] if fold.tables or fold.figures else []
    return folds


def _looked_before(run: SavedRun) -> list[str]:
    """What is said of data that somebody had seen before."""
    return run.results["warnings"] if "blind" in run.results else []


def _blindness(run: SavedRun) -> list[str]:
    """Who has looked at the data, in a sentence; nothing without data."""
    if "blind" not in run.results:
        return []
    if run.results["blind"]:
        share = 100 * run.card.blinding.above_background_efficiency
        return [
            f"Blind: data are not shown in bins of the score that reach into the highest {share:g} % of background."
        ]
    return [f"Unblinded at {run.results['unblinded'][-1]['time']}."]


def _pictures(run: SavedRun, name: str, look: Look) -> list[tuple[str, str]]:
    """The figures of a name, each with its title and with what tells it from the others of that name."""
    pictures = []
    title = "Score histogram with data over prediction" if name == "score" and run.card.has_data else TITLES[name]
    for stem, figure in FIGURES[name](run, look):
        rest = stem.removeprefix(name).lstrip("-")
        of_one = rest.removesuffix(run.card.file_names[run.detectors[0]])
        if name not in OF_ALL_DETECTORS and of_one != rest:
            rest = f"{of_one.replace('-', ' ')}{run.detectors[0]}"
        else:
            rest = rest.replace("-", " ")
        pictures.append((picture(figure), f"{title}: {rest}".rstrip(": ")))
    return pictures


def picture(figure: Figure) -> str:
    """A figure as an address that holds it."""
    svg = figure_svg(figure).replace("'", "&apos;").replace('"', "'")
    # quotes and what an address would read otherwise are escaped, which takes less than base64
    return Markup("data:image/svg+xml," + quote(svg, safe=" '=/:;,()!*+-.@$?[]{}|^~<>"))
