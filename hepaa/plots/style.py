"""Style, header, palette and saving of all figures."""

from __future__ import annotations

import io
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import mplhep
import numpy as np
from matplotlib.cbook import is_math_text
from matplotlib.figure import Figure
from matplotlib.mathtext import MathTextParser

from hepaa.errors import InputError, nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

STYLES = ("plain", "CMS", "ATLAS", "LHCb", "ALICE")
HATCHES = ("", "////", "\\\\\\\\", "....", "xxxx", "----")
LINES: tuple[Any, ...] = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 1)))
SIGNAL_COLOURS = ("#8f0d2c", "#000000", "#3b1f6b", "#0b4f3c")

# the styles' own mathematical fonts have no root sign that grows: these are their closest relatives that have
_MATH = {"plain": "dejavusans", "CMS": "stixsans", "ATLAS": "stixsans", "LHCb": "stix", "ALICE": "stixsans"}
_COMMON: dict[str, Any] = {
    "font.size": 12,
    "axes.labelsize": 13,
    "axes.titlesize": 12,
    "axes.autolimit_mode": "data",
    "axes.linewidth": 0.9,
    "figure.facecolor": "white",
    "hatch.linewidth": 0.6,
    "legend.fontsize": 10.5,
    "legend.frameon": False,
    "legend.borderpad": 0.3,
    "legend.handlelength": 2.2,
    "lines.linewidth": 1.7,
    "xaxis.labellocation": "right",
    "yaxis.labellocation": "top",
    "xtick.top": True,
    "ytick.right": True,
}
_TICKS = {"labelsize": 11, "direction": "in", "minor.visible": True, "major.size": 6, "minor.size": 3}
_COMMON |= {f"{axis}tick.{name}": value for axis in "xy" for name, value in _TICKS.items()}


@dataclass(frozen=True)
class Look:
    """Style and labels of a figure.

    Attributes
    ----------
    style : "plain", "CMS", "ATLAS", "LHCb" or "ALICE"
        Fonts and frames by mplhep; an experiment's name is printed only by its own style.
    label : str
        Printed above the frame on the left, such as "Work in progress" or "Simulation".
    luminosity : float or None
        In fb^-1; printed above the frame on the right.
    sqrt_s : float or None
        Centre-of-mass energy in TeV; printed beside the luminosity.
    """

    style: str = "plain"
    label: str = ""
    luminosity: float | None = None
    sqrt_s: float | None = None

    def __post_init__(self) -> None:
        if self.style not in STYLES:
            raise InputError(f"there is no figure style {self.style!r}; {nearest(self.style, STYLES)}")

    @property
    def beam(self) -> str:
        """Luminosity and sqrt(s) as text."""
        parts = [] if self.luminosity is None else [rf"{self.luminosity:g} fb$^\mathrm{{-1}}$"]
        if self.sqrt_s is not None:
            parts.append(f"({self.sqrt_s:g} TeV)" if parts else rf"$\sqrt{{s}}$ = {self.sqrt_s:g} TeV")
        return " ".join(parts)


class StyledFigure(Figure):
    """A Figure that is always drawn with the settings it was made with: matplotlib looks up fonts and ticks late."""

    def __init__(self, settings: dict[str, Any], **options: Any) -> None:
        super().__init__(**options)
        self.settings = settings

    def draw(self, renderer: Any) -> None:
        """Draw with this figure's own settings."""
        settings: Any = self.settings
        with mpl.rc_context(settings):
            super().draw(renderer)


@contextmanager
def drawing(look: Look | None) -> Iterator[Callable[..., Figure]]:
    """Within it matplotlib has the style of `look`; gives the function that makes the figure."""
    look = look or Look()
    style: dict[str, Any] = {} if look.style == "plain" else dict(getattr(mplhep.style, look.style))
    style = {key: value for key, value in style.items() if key.startswith("font.")}
    settings: Any = style | _COMMON | {"mathtext.fontset": _MATH[look.style]}
    with mpl.rc_context(settings):
        yield partial(StyledFigure, settings)


def refuse_unreadable(text: str) -> None:
    """Raise InputError for a text whose mathematics, between $ signs, matplotlib cannot draw."""
    if not is_math_text(text):
        return
    try:
        MathTextParser("path").parse(text)
    except (ValueError, RecursionError) as wrong:
        reason = str(wrong).strip().splitlines()[-1] if str(wrong).strip() else "it is nested too deep"
        raise InputError(
            f"{text!r} cannot be drawn ({reason}); write it in matplotlib's mathtext, or a dollar sign as \\$"
        ) from None


def header(axes: Axes, look: Look | None) -> None:
    """Label above the frame on the left, luminosity and sqrt(s) on the right."""
    look = look or Look()
    place: dict[str, Any] = {"transform": axes.transAxes, "va": "bottom", "fontsize": 12}
    if look.style == "plain":
        axes.text(0.0, 1.015, look.label, **place)
    else:
        name = axes.text(0.0, 1.015, look.style, fontweight="bold", **place)
        axes.annotate(look.label, (1, 0), (4, 0), xycoords=name, textcoords="offset points", va="bottom", fontsize=12)
    axes.text(1.0, 1.015, look.beam, ha="right", **place)


def fills(n: int) -> list[Any]:
    """n fill colours, light to dark, evenly spaced in lightness."""
    return [mpl.colormaps["GnBu"](x) for x in np.linspace(0.22, 0.88, max(n, 2))[:n]]


def line_colours(n: int) -> list[Any]:
    """n line colours, dark to light, evenly spaced in lightness."""
    return [mpl.colormaps["inferno"](x) for x in np.linspace(0.0, 0.72, max(n, 2))[:n]]


def single(new_figure: Callable[..., Figure]) -> tuple[Figure, Axes]:
    """A figure with one frame."""
    figure = new_figure(figsize=(6.4, 5.2))
    axes = figure.subplots()
    figure.subplots_adjust(left=0.13, right=0.96, top=0.93, bottom=0.13)
    return figure, axes


def thin(x: NDArray[np.float64], most: int = 1500) -> NDArray[np.int64]:
    """Indices of about `most` points, evenly spread along x and dense at its start: keeps vector files small."""
    if len(x) <= most:
        return np.arange(len(x))
    along = np.searchsorted(np.maximum.accumulate(x), np.linspace(x[0], x[-1], most // 2)).clip(max=len(x) - 1)
    return np.unique(np.concatenate([along, np.geomspace(1, len(x), most // 2).astype(int) - 1]))


def save_figure(figure: Figure, stem: str | Path) -> list[Path]:
    """Write `stem`.pdf (vector, fonts embedded, no date: same figure, same bytes) and `stem`.png (200 dots an inch).

    Each file gets its final name only when it is complete.

    Returns
    -------
    [pdf, png]
    """
    stem = Path(stem)
    stem.parent.mkdir(parents=True, exist_ok=True)
    written = []
    for suffix, metadata in (("pdf", {"CreationDate": None, "Creator": "hepaa"}), ("png", {"Software": "hepaa"})):
        final = stem.with_name(f"{stem.name}.{suffix}")
        unfinished = final.with_name(f".{final.name}.partial")
        try:
            with mpl.rc_context({"pdf.fonttype": 42, "svg.fonttype": "none"}):
                figure.savefig(unfinished, format=suffix, dpi=200, metadata=metadata)
            unfinished.replace(final)
        finally:
            unfinished.unlink(missing_ok=True)
        written.append(final)
    return written


def figure_svg(figure: Figure) -> str:
    """The figure as SVG that needs no fonts and bears no date: same figure, same text."""
    stream = io.StringIO()
    with mpl.rc_context({"svg.fonttype": "path", "svg.hashsalt": "hepaa", "savefig.dpi": 150}):
        figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": "hepaa"})
    return stream.getvalue()
