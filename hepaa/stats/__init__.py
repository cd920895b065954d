"""From scores to numbers: performance, histograms, significance, calibration, background and likelihood.

Names are imported when they are first used. A function of the name of its module stays in it, such as
`hepaa.stats.abcd.abcd`.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_PUBLIC = {
    "abcd": ("abcd_contamination",),
    "binning": ("Binning", "choose_binning"),
    "bumps": ("bump_hunt", "gross_vitells", "mass_scan"),
    "calibration": ("benjamini_hochberg", "combine_pvalues", "conformal_pvalues", "mass_slices"),
    "fit": ("infer", "validate"),
    "flattening": ("QuantileFlattening",),
    "histogram": ("BinnedSignificance", "ScoreHistograms", "score_histograms"),
    "likelihood": ("discovery_test", "separation", "separation_luminosity", "simple_test"),
    "limits": ("median_limit_error", "upper_limit"),
    "observed": ("Observed", "excess"),
    "performance": ("auc", "auc_error", "auc_pr", "clopper_pearson", "roc", "sic", "signal_efficiency"),
    "reach": ("luminosity_error", "luminosity_for", "z_versus_luminosity"),
    "response": ("Response",),
    "sculpting": ("Gate", "jensen_shannon", "sculpting_gate", "spectrum_edges"),
    "separability": ("linear_probe",),
    "sidebands": ("sideband_fit",),
    "significance": (
        "asimov", "asimov_correlated", "asimov_correlated_error", "asimov_error", "combine", "combine_error", "li_ma",
        "p_to_z", "poisson_z", "s_over_sqrt_b", "z_to_p",
    ),
    "systematics": ("Normalisation", "Shape", "generator_spread", "one_sided", "relative_shifts"),
    "transfer": ("cuts_for", "false_positives"),
    "workspace": ("datacard",),
}  # fmt: skip
_HOME = {name: module for module, names in _PUBLIC.items() for name in names}


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        return import_module(f"hepaa.stats.{name}")
    if name in _HOME:
        return getattr(import_module(f"hepaa.stats.{_HOME[name]}"), name)
    raise AttributeError(f"module 'hepaa.stats' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*_PUBLIC, *_HOME])
