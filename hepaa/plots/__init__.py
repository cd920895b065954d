"""Figures for a paper: one function a figure, each takes histograms, curves or a table and returns a matplotlib Figure.

All figures are vector graphics, are told apart without colour (line styles, hatches, a palette ordered by lightness),
and leave matplotlib's global state as it was. Only `save_figure` writes files.
"""

from hepaa.plots.diagnostics import feature_pulls, latent_space, mass_sculpting, score_by_generator
from hepaa.plots.panels import feature_distributions, loss_curves
from hepaa.plots.scores import luminosity_reach, roc, score_histogram, sic
from hepaa.plots.style import STYLES, Look, figure_svg, refuse_unreadable, save_figure

__all__ = [
    "STYLES",
    "Look",
    "feature_distributions",
    "feature_pulls",
    "figure_svg",
    "latent_space",
    "loss_curves",
    "luminosity_reach",
    "mass_sculpting",
    "refuse_unreadable",
    "roc",
    "save_figure",
    "score_by_generator",
    "score_histogram",
    "sic",
]


def __dir__() -> list[str]:
    return __all__
