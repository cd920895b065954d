"""hepaa: finds anomalies in collider data and says what they are worth in sigmas.

Names are imported when they are first used, so that `import hepaa` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from hepaa._version import __version__

if TYPE_CHECKING:
    from hepaa import batch, features, plots, search, stats
    from hepaa.detectors import (
        VAE,
        AnomalyAwareFlow,
        AnomalyAwareVAE,
        AnoRand,
        ContrastiveEncoder,
        ContrastiveVAE,
        Ensemble,
        Flow,
        GaussianMixture,
        IsolationForest,
        NearestNeighbours,
        NeuralClassifier,
        OutlierModel,
        PseudoLabelled,
        RelevantDensity,
        SumOfSquares,
        SupervisedBoosting,
        TreeEnsemble,
        load_detector,
    )
    from hepaa.errors import (
        CardError,
        HepaaError,
        IncompleteError,
        InputError,
        TruncatedInputError,
    )
    from hepaa.events import Events, Sample
    from hepaa.io import iterate, open, probe
    from hepaa.io.lhe.exchange import from_pylhe
    from hepaa.io.objects import select_objects
    from hepaa.models.presets import detector
    from hepaa.stats import significance
    from hepaa.stats.calibration import conformal_pvalues
    from hepaa.table import EventTable, Source, concatenate
    from hepaa.table.mixing import leave_one_generator_out, mix, split
    from hepaa.table.preprocess import SkewLogStandardize
    from hepaa.table.streamed import StreamedTable

__all__ = [
    "VAE",
    "AnoRand",
    "AnomalyAwareFlow",
    "AnomalyAwareVAE",
    "CardError",
    "ContrastiveEncoder",
    "ContrastiveVAE",
    "Ensemble",
    "EventTable",
    "Events",
    "Flow",
    "GaussianMixture",
    "HepaaError",
    "IncompleteError",
    "InputError",
    "IsolationForest",
    "NearestNeighbours",
    "NeuralClassifier",
    "OutlierModel",
    "PseudoLabelled",
    "RelevantDensity",
    "Sample",
    "SkewLogStandardize",
    "Source",
    "StreamedTable",
    "SumOfSquares",
    "SupervisedBoosting",
    "TreeEnsemble",
    "TruncatedInputError",
    "__version__",
    "batch",
    "concatenate",
    "conformal_pvalues",
    "detector",
    "features",
    "from_pylhe",
    "iterate",
    "leave_one_generator_out",
    "load_detector",
    "mix",
    "open",
    "plots",
    "probe",
    "search",
    "select_objects",
    "significance",
    "split",
    "stats",
]

_HOME = {
    "hepaa.detectors": (
        "VAE", "AnoRand", "AnomalyAwareFlow", "AnomalyAwareVAE", "ContrastiveEncoder", "ContrastiveVAE", "Ensemble",
        "Flow", "GaussianMixture", "IsolationForest", "NearestNeighbours", "NeuralClassifier", "OutlierModel",
        "PseudoLabelled", "RelevantDensity", "SumOfSquares", "SupervisedBoosting", "TreeEnsemble", "detector",
        "load_detector",
    ),
    "hepaa.errors": ("CardError", "HepaaError", "IncompleteError", "InputError", "TruncatedInputError"),
    "hepaa.io": ("iterate", "open", "probe"),
    "hepaa.io.lhe.exchange": ("from_pylhe",),
    "hepaa.io.objects": ("select_objects",),
    "hepaa.events": ("Events", "Sample"),
    "hepaa.table.streamed": ("StreamedTable",),
    "hepaa.table.preprocess": ("SkewLogStandardize",),
    "hepaa.table.mixing": ("leave_one_generator_out", "mix", "split"),
    "hepaa.stats.calibration": ("conformal_pvalues",),
    "hepaa.table": ("EventTable", "Source", "concatenate"),
}  # fmt: skip
_MODULES = {name: f"hepaa.{name}" for name in ("batch", "features", "plots", "search", "stats")}
_MODULES |= {"significance": "hepaa.stats.significance"}


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(_MODULES[name])
    for module, names in _HOME.items():
        if name in names:
            return getattr(import_module(module), name)
    raise AttributeError(f"module 'hepaa' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
