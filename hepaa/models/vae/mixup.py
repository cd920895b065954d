"""Mixtures of labelled anomalies and background, for detectors that are to find more than the labelled anomalies."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from hepaa.models.parameters import between

if TYPE_CHECKING:
    from hepaa.models.base import Training


def mixed(training: Training, most: float, seed: int) -> Training:
    """Training whose anomalies are (1 - u) anomaly + u background, u uniform in [0, most], preprocessed.

    Mixup (Zhang et al., arXiv:1710.09412) across the two classes, with the label of the anomaly: whatever leaves the
    background in the direction of an anomaly counts as one. With u above 1 a mixture lies on the far side of its
    background event, u = 2 being the mirror image of the anomaly: what leaves the background in the opposite direction
    counts too. There are as many mixtures as anomalies or background events, whichever are more, so that a few labels
    make many; each takes a random background event. A mixture keeps weight and group of its anomaly.

    Parameters
    ----------
    most : float
        Largest share of the background event, 0 .. 2. 0 changes nothing.
    seed : int

    Raises
    ------
    InputError
        If `most` is not in [0, 2].
    """
    between("mixup", most, 0, 2)
    rare, common = training.anomalies, training.background
    if not most or not len(rare):
        return training
    rng = np.random.default_rng([seed, 7])
    rows = np.arange(max(len(rare), len(common))) % len(rare)
    share = rng.uniform(0.0, most, (len(rows), 1)).astype(np.float32)
    other = common[rng.integers(len(common), size=len(rows))]
    weight, group = training.anomaly_weight, training.anomaly_group
    return replace(
        training,
        anomalies=rare[rows] + share * (other - rare[rows]),
        anomaly_weight=None if weight is None else weight[rows] / weight[rows].mean(),
        anomaly_group=None if group is None else group[rows],
    )
