"""Data against a reference, without a signal model and without a resonance."""

from hepaa.search.two_sample.binned import BinnedScores
from hepaa.search.two_sample.comparison import TwoSample
from hepaa.search.two_sample.kernel import KernelRatio
from hepaa.search.two_sample.nuisances import Nuisances
from hepaa.search.two_sample.result import AmongToys, ExpectedTwoSample, NullToys, TwoSampleResult
from hepaa.search.two_sample.trees import TreeRatio

__all__ = [
    "AmongToys",
    "BinnedScores",
    "ExpectedTwoSample",
    "KernelRatio",
    "Nuisances",
    "NullToys",
    "TreeRatio",
    "TwoSample",
    "TwoSampleResult",
]
