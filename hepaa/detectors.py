"""Detectors by name: the estimators that users fit, published settings as presets, and how to load a saved one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hepaa.models import saving
from hepaa.models.anorand.anorand import AnoRand
from hepaa.models.base import DETECTORS, Detector
from hepaa.models.combined.ensemble import Ensemble
from hepaa.models.combined.pseudo_labelled import PseudoLabelled
from hepaa.models.combined.relevant_density import RelevantDensity
from hepaa.models.combined.trees import TreeEnsemble
from hepaa.models.density.anomaly_aware import AnomalyAwareFlow
from hepaa.models.density.flow import Flow
from hepaa.models.density.mixture import GaussianMixture, NearestNeighbours
from hepaa.models.embedding.classifier import NeuralClassifier
from hepaa.models.embedding.encoder import ContrastiveEncoder
from hepaa.models.engine.neural import NeuralDetector
from hepaa.models.peers.baselines import IsolationForest, SumOfSquares, SupervisedBoosting
from hepaa.models.peers.outliers import OutlierModel
from hepaa.models.presets import PRESETS, detector
from hepaa.models.vae.anomaly_aware import AnomalyAwareVAE
from hepaa.models.vae.contrastive import ContrastiveVAE
from hepaa.models.vae.vae import VAE

if TYPE_CHECKING:
    from pathlib import Path

__all__ = [
    "DETECTORS",
    "PRESETS",
    "VAE",
    "AnoRand",
    "AnomalyAwareFlow",
    "AnomalyAwareVAE",
    "ContrastiveEncoder",
    "ContrastiveVAE",
    "Detector",
    "Ensemble",
    "Flow",
    "GaussianMixture",
    "IsolationForest",
    "NearestNeighbours",
    "NeuralClassifier",
    "NeuralDetector",
    "OutlierModel",
    "PseudoLabelled",
    "RelevantDensity",
    "SumOfSquares",
    "SupervisedBoosting",
    "TreeEnsemble",
    "detector",
    "load_detector",
]


def load_detector(path: str | Path) -> Detector:
    """A fitted detector from the pair of files that its `save` wrote.

    Parameters
    ----------
    path : str or Path
        The .safetensors file.

    Raises
    ------
    InputError
        If a file is missing, damaged, or written by a newer version.
    """
    return saving.load(path, {name: cls for name, cls in DETECTORS.items() if cls.savable})
