"""Style, header, palette and saving of all figures."""

from __future__ import annotations

import io
import logging
import re
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import matplotlib as mpl
import mplhep
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cbook import is_math_text
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from matplotlib.mathtext import MathTextParser
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from hepaa.errors import InputError, nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.backend_bases import RendererBase
    from matplotlib.legend import Legend
    from numpy.typing import NDArray

STYLES = ("plain", "CMS", "ATLAS", "LHCb", "ALICE")
HATCHES = ("", "////", "\\\\\\\\", "....", "xxxx", "----")
LINES: tuple[Any, ...] = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 1)))
BESIDE: dict[str, Any] = {"loc": "upper left", "bbox_to_anchor": (1.01, 1.0), "borderaxespad": 0.0}
"""Options of a legend beside its frame."""
_INSIDE = "label inside"
_MOST = 0.45
"""Of a frame's height, for its legend: a taller one stands beside the frame."""
_GAP = 4.0
"""Points between a legend or label and what is drawn below it."""
_EDGE = 0.03
"""Inches between a text and the edge of the figure at least."""
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
    "xtick.major.pad": 7,  # so far from the frame, numbers of both axes do not meet in its corner
    "xtick.top": True,
    "ytick.right": True,
}
_TICKS = {"labelsize": 11, "direction": "in", "minor.visible": True, "major.size": 6, "minor.size": 3}
_COMMON |= {f"{axis}tick.{name}": value for axis in "xy" for name, value in _TICKS.items()}


class _Rule(NamedTuple):
    """How an experiment labels figures, as mplhep does it: place of label and beam, fonts of name and label."""

    inside: bool
    beam_inside: bool
    name: dict[str, str]
    label: dict[str, str]


_ABOVE: dict[str, Any] = {"xy": (0, 1), "xytext": (0, 5)}
_IN: dict[str, Any] = {"xy": (0, 1), "xytext": (12, -20)}
_BOLD = {"fontweight": "bold"}
_RULES = {
    "plain": _Rule(False, False, {}, {}),
    "CMS": _Rule(False, False, _BOLD, {"fontstyle": "italic"}),
    "ATLAS": _Rule(True, True, {**_BOLD, "fontstyle": "italic"}, {}),
    "LHCb": _Rule(True, False, {}, {}),
    "ALICE": _Rule(True, False, _BOLD, {}),
}


@dataclass(frozen=True)
class Look:
    """Style and labels of a figure.

    Attributes
    ----------
    style : "plain", "CMS", "ATLAS", "LHCb" or "ALICE"
        Fonts and frames by mplhep; an experiment's name is printed only by its own style.
    label : str
        Such as "Work in progress" or "Simulation"; above the frame on the left, or where the experiment has it.
    luminosity : float or None
        In fb^-1; printed above the frame on the right, of figures of yields alone.
    sqrt_s : float or None
        Centre-of-mass energy in TeV; printed beside the luminosity.
    names : mapping of process -> str
        What processes are called in figures, as text or mathtext; by default as they are. Data of any name are `data`.
    """

    style: str = "plain"
    label: str = ""
    luminosity: float | None = None
    sqrt_s: float | None = None
    names: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.style not in STYLES:
            raise InputError(f"there is no figure style {self.style!r}; {nearest(self.style, STYLES)}")

    def called(self, process: str) -> str:
        """What a process is called in figures."""
        return self.names.get(process, process)

    @property
    def beam(self) -> str:
        """Luminosity and sqrt(s) as text, in the experiment's order."""
        luminosity = "" if self.luminosity is None else rf"{self.luminosity:g} fb$^\mathrm{{-1}}$"
        sqrt_s = "" if self.sqrt_s is None else rf"$\sqrt{{s}}$ = {self.sqrt_s:g} TeV"
        if luminosity and sqrt_s and not _RULES[self.style].beam_inside:
            return f"{luminosity} ({self.sqrt_s:g} TeV)"
        return ", ".join(filter(None, (sqrt_s, luminosity)))


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
    """Within it matplotlib has the style of `look`; gives the function that makes a figure.

    In the end no legend or label in the frame covers what is drawn, and the figure is large enough for all its texts.
    """
    look = look or Look()
    style: dict[str, Any] = {} if look.style == "plain" else dict(getattr(mplhep.style, look.style))
    style = {key: value for key, value in style.items() if key.startswith("font.")}
    settings: Any = style | _COMMON | {"mathtext.fontset": _MATH[look.style]}
    made: list[Figure] = []

    def new_figure(**options: Any) -> Figure:
        made.append(StyledFigure(settings, **options))
        return made[-1]

    with mpl.rc_context(settings):
        yield new_figure
        for figure in made:
            renderer = _renderer(figure)
            for axes in figure.axes:
                _make_room(axes, renderer)
            _enlarge(figure, renderer)


def _renderer(figure: Figure) -> RendererBase:
    canvas: Any = figure.canvas if isinstance(figure.canvas, FigureCanvasAgg) else FigureCanvasAgg(figure)
    renderer: RendererBase = canvas.get_renderer()
    return renderer


def _make_room(axes: Axes, renderer: RendererBase) -> None:
    """Raise the upper end of the y axis until nothing that is drawn lies behind the legend or a label in the frame."""
    axes.get_ylim()  # limits that are still to be chosen are chosen now
    legend, frame = axes.get_legend(), axes.bbox
    gap = _GAP * axes.figure.dpi / 72
    boxes = [text.get_window_extent(renderer) for text in axes.texts if text.get_gid() == _INSIDE]
    if legend is not None:
        box = legend.get_window_extent(renderer)
        if any(box.x0 < label.x1 + gap and label.y0 < box.y1 for label in boxes):  # a wide one goes below the label
            lowest = min(label.y0 for label in boxes) - gap
            legend.set_bbox_to_anchor((0, 0, 1, (lowest - frame.y0) / frame.height), transform=axes.transAxes)
            box = legend.get_window_extent(renderer)
        boxes.append(box)
    for _ in range(2):  # texts beside curves keep their size when the axis changes
        ratios = [
            (_highest(axes, box.x0 - gap, box.x1 + gap, renderer) - frame.y0) / (box.y0 - gap - frame.y0)
            for box in boxes
            if box.x0 < frame.x1 and box.y0 > (frame.y0 + frame.y1) / 2  # others stand beside the frame, or low in it
        ]
        if max(ratios, default=0.0) <= 1:
            break
        scale = axes.yaxis.get_transform()
        low, high = scale.transform(np.asarray(axes.get_ylim()))
        axes.set_ylim(top=float(scale.inverted().transform(np.asarray(low + max(ratios) * (high - low)))))


def _highest(axes: Axes, left: float, right: float, renderer: RendererBase) -> float:
    """Largest y, in pixels, of what is drawn of data between two x; a segment counts with its higher end."""
    highest = -np.inf
    for artist in (*axes.lines, *axes.patches, *axes.collections):
        if not artist.get_transform().contains_branch_seperately(axes.transData)[1] and not _is_scatter(artist):
            continue
        for x, y in _outlines(artist):
            ends = np.stack([x[:-1], x[1:]]), np.stack([y[:-1], y[1:]])
            inside = (ends[0].min(axis=0) <= right) & (ends[0].max(axis=0) >= left)
            heights = ends[1][:, inside]
            highest = max(highest, np.max(heights[np.isfinite(heights)], initial=-np.inf))
    for text in axes.texts:
        box = text.get_window_extent(renderer)
        if (
            text.get_text()
            and text.get_gid() != _INSIDE
            and box.y0 < axes.bbox.y1
            and box.x0 <= right
            and box.x1 >= left
        ):
            highest = max(highest, box.y1)
    return float(highest)


def _is_scatter(artist: Any) -> bool:
    return isinstance(artist, PathCollection)


def _outlines(artist: Any) -> Iterator[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Points (x, y), in pixels, of each outline of an artist."""
    if _is_scatter(artist):
        points = artist.get_offset_transform().transform(np.asarray(artist.get_offsets()))
        yield points.T.repeat(2, axis=1)
        return
    paths = artist.get_paths() if hasattr(artist, "get_paths") else [artist.get_path()]
    for path in paths:
        with np.errstate(divide="ignore"):  # what is not positive has no place on a logarithmic axis
            points = artist.get_transform().transform(path.vertices)
        if len(points) > 1:
            yield points.T


def _enlarge(figure: Figure, renderer: RendererBase) -> None:
    """Make the figure so much larger on each side that no text is cut; frames keep their size."""
    width, height = figure.get_size_inches()
    drawn = figure.get_tightbbox(renderer)
    left, low = max(0.0, _EDGE - drawn.x0), max(0.0, _EDGE - drawn.y0)
    right, top = max(0.0, drawn.x1 + _EDGE - width), max(0.0, drawn.y1 + _EDGE - height)
    if not any(side > _EDGE for side in (left, low, right, top)):
        return
    places = [axes.get_position() for axes in figure.axes]
    wide, high = width + left + right, height + low + top
    figure.set_size_inches(wide, high)
    for axes, place in zip(figure.axes, places, strict=True):
        x, y = (place.x0 * width + left) / wide, (place.y0 * height + low) / high
        axes.set_position((x, y, place.width * width / wide, place.height * height / high))


def add_legend(axes: Axes, *, ncols: int = 1, **options: Any) -> Legend:
    """A legend in the frame, or beside it where it would take more than half of it.

    Parameters
    ----------
    axes : Axes
    ncols : int
        Columns at most: as many as the frame is wide enough for.
    **options
        Of matplotlib's legend.
    """
    figure: Any = axes.figure
    renderer = _renderer(figure)
    for columns in range(ncols, 0, -1):
        legend = axes.legend(ncols=columns, **options)
        if legend.get_window_extent(renderer).width <= axes.bbox.width:
            break
    if legend.get_window_extent(renderer).height > _MOST * axes.bbox.height:
        options |= BESIDE | {"fontsize": 9}
        for columns in range(1, len(legend.get_texts()) + 1):
            legend = axes.legend(ncols=columns, **options)
            if legend.get_window_extent(renderer).height <= axes.bbox.height:
                break
    return legend


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


def header(axes: Axes, look: Look | None, *, luminosity: bool = True) -> None:
    """Label, luminosity and sqrt(s), above the frame or in it, as the experiment has them.

    Parameters
    ----------
    axes : Axes
    look : Look or None
    luminosity : bool
        Whether what is drawn depends on it: a yield does, an efficiency does not.
    """
    look = look or Look()
    look = look if luminosity else replace(look, luminosity=None)
    rule = _RULES[look.style]
    _label(axes, look, _IN if rule.inside else _ABOVE, inside=rule.inside)
    if rule.beam_inside:
        _write(axes, look.beam, inside=True, **_IN | {"xytext": (12, -37)})
    else:
        _write(axes, look.beam, **_ABOVE | {"xy": (1, 1), "ha": "right"})


def corners(left: Axes, right: Axes, look: Look | None, *, luminosity: bool = False) -> None:
    """The header of small panels, above the first row of them: label at its left end, the rest at its right."""
    look = look or Look()
    _label(left, look, _ABOVE)
    beam = replace(look, style="plain", luminosity=look.luminosity if luminosity else None).beam
    _write(right, beam, **_ABOVE | {"xy": (1, 1), "ha": "right"})


def _label(axes: Axes, look: Look, place: dict[str, Any], *, inside: bool = False) -> None:
    """The experiment's name and the label behind it."""
    if look.style == "plain":
        _write(axes, look.label, **place)
        return
    rule = _RULES[look.style]
    name = _write(axes, look.style, inside=inside, fontsize=14, **place, **rule.name)
    behind = {"xy": (1, 1), "xycoords": (name, "axes fraction"), "xytext": (5, place["xytext"][1])}
    _write(axes, look.label, inside=inside, **behind, **rule.label)


def _write(axes: Axes, words: str, *, inside: bool = False, **options: Any) -> Any:
    place: dict[str, Any] = {"xycoords": "axes fraction", "textcoords": "offset points", "va": "baseline"}
    gid = _INSIDE if inside and words else None
    return axes.annotate(words, annotation_clip=False, gid=gid, **place | {"fontsize": 12} | options)


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


def plain_logarithm(axis: Axis) -> None:
    """Numbers 1, 2, 5, 10, 20 ... on a logarithmic axis of few decades."""
    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def signed(number: str) -> str:
    """A number with the minus sign that axes have."""
    return number.replace("-", "\N{MINUS SIGN}")


def thin(x: NDArray[np.float64], most: int = 800) -> NDArray[np.int64]:
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
            with mpl.rc_context({"pdf.fonttype": 42, "svg.fonttype": "none"}), _no_word_of_old_fonts():
                figure.savefig(unfinished, format=suffix, dpi=200, metadata=metadata)
            unfinished.replace(final)
        finally:
            unfinished.unlink(missing_ok=True)
        written.append(final)
    return written


@contextmanager
def _no_word_of_old_fonts() -> Iterator[None]:
    """Within it fontTools does not warn of the dates in matplotlib's own fonts, which say nothing of a figure."""
    logger = logging.getLogger("fontTools.ttLib.tables._h_e_a_d")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def figure_svg(figure: Figure) -> str:
    """The figure as SVG that needs no fonts and bears no date: same figure, same text.

    Without comments and names of groups, coordinates to a hundredth of a point: half of what matplotlib writes.
    """
    stream = io.StringIO()
    with mpl.rc_context({"svg.fonttype": "path", "svg.hashsalt": "hepaa", "savefig.dpi": 100}):
        figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": "hepaa"})
    text = re.sub(r"<\?.*?\?>|<!--.*?-->|<!DOCTYPE[^>]*>|<metadata>.*?</metadata>", "", stream.getvalue(), flags=re.S)
    text = re.sub(r'<g id="[^"]*"', "<g", text)
    text = re.sub(r"-?\d+\.\d{3,}", _short, text)
    return re.sub(r"\s+", " ", re.sub(r"([:;])\s+", r"\1", text.replace("xlink:href", "href"))).replace("> <", "><")


def _short(number: re.Match[str]) -> str:
    """A coordinate to a hundredth; what is below one, such as a scale, with six digits."""
    value = float(number[0])
    return f"{round(value, 2) if abs(value) >= 1 else value:.6g}"
