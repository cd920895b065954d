"""Data against a reference, without a signal model and without a resonance."""

from hepaa.search.two_sample.binned import BinnedScores
from hepaa.search.two_sample.comparison import TwoSample
from hepaa.search.two_sample.kernel import KernelRatio
from hepaa.search.two_sample.nuisances import Nuisances
from hepaa.search.two_sample.result import ExpectedTwoSample, NullToys, Outcome, TwoSampleResult
from hepaa.search.two_sample.trees import TreeRatio

__all__ = [
    "BinnedScores",
    "ExpectedTwoSample",
    "KernelRatio",
    "Nuisances",
    "NullToys",
    "Outcome",
    "TreeRatio",
    "TwoSample",
    "TwoSampleResult",
]
