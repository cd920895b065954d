"""Search data without knowing the signal: for a resonance in a window of a mass, or for any difference of two samples.

Names are imported when they are first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hepaa.search.checks import check
    from hepaa.search.folds import cross_fit
    from hepaa.search.injection import Injection, inject
    from hepaa.search.methods.classifiers import Anode, Cathode, Cwola, Idealised
    from hepaa.search.methods.combined import Combined
    from hepaa.search.methods.residual import Residual
    from hepaa.search.result import CombinedResult, ResonantResult
    from hepaa.search.scans import ScanResult, scan
    from hepaa.search.toys import Background, Calibrated
    from hepaa.search.two_sample import BinnedScores, KernelRatio, Nuisances, TreeRatio, TwoSample
    from hepaa.search.windows import Window, sliding

__all__ = [
    "Anode",
    "Background",
    "BinnedScores",
    "Calibrated",
    "Cathode",
    "Combined",
    "CombinedResult",
    "Cwola",
    "Idealised",
    "Injection",
    "KernelRatio",
    "Nuisances",
    "Residual",
    "ResonantResult",
    "ScanResult",
    "TreeRatio",
    "TwoSample",
    "Window",
    "check",
    "cross_fit",
    "inject",
    "scan",
    "sliding",
]

_HOME = {
    "checks": ("check",),
    "folds": ("cross_fit",),
    "injection": ("Injection", "inject"),
    "methods.classifiers": ("Anode", "Cathode", "Cwola", "Idealised"),
    "methods.combined": ("Combined",),
    "methods.residual": ("Residual",),
    "result": ("CombinedResult", "ResonantResult"),
    "scans": ("ScanResult", "scan"),
    "toys": ("Background", "Calibrated"),
    "two_sample": ("BinnedScores", "KernelRatio", "Nuisances", "TreeRatio", "TwoSample"),
    "windows": ("Window", "sliding"),
}


def __getattr__(name: str) -> Any:
    for module, names in _HOME.items():
        if name in names:
            return getattr(import_module(f"hepaa.search.{module}"), name)
    raise AttributeError(f"module 'hepaa.search' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
