"""What the detectors that estimate a density share: the units in which a density is one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
import torch

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from hepaa.table.preprocess import SkewLogStandardize

Measure = Literal["features", "preprocessed"]
MEASURES: tuple[Measure, ...] = get_args(Measure)


def log_volume(
    preprocessor: SkewLogStandardize | None, x: NDArray[np.float32], measure: Measure
) -> NDArray[np.float64] | float:
    """log |dX / dx| of preprocessed rows x (n, d), X being the features as given: (n,), or one number for all.

    Added to -log p(x), it makes the density one in the units of the features. A density is always one against a
    reference: -log p is the likelihood ratio of a flat distribution to the background. Preprocessing would decide what
    is flat: after a logarithm, an event at a mass ten times the usual is as expected as one at a tenth of it. In the
    features' own units the reference is flat in GeV, and the score is the same, up to a constant, whatever monotonic
    preprocessing the model has learned with. A value that was cut off at 0 before log1p counts as 0. With
    `measure` "preprocessed" the volume is 0.
    """
    if measure == "preprocessed" or preprocessor is None:
        return 0.0
    scale, log = preprocessor.scale_, preprocessor.log_
    constant = float(np.log(scale).sum())
    if not log.any():
        return constant
    logged = x[:, log].astype(np.float64) * scale[log] + preprocessor.mean_[log]
    return np.asarray(np.maximum(logged, 0.0).sum(axis=1) + constant)


def traced_log_volume(preprocessor: SkewLogStandardize | None, x: Tensor, measure: Measure) -> Tensor:
    """`log_volume` as float64 torch operations (n,), for ONNX."""
    if measure == "preprocessed" or preprocessor is None:
        return x.new_zeros(1, dtype=torch.float64)
    # one weight a feature: 0 for those that are not logged
    log = preprocessor.log_.astype(np.float64)
    scale, mean = (torch.from_numpy(v * log) for v in (preprocessor.scale_, preprocessor.mean_))
    return (x.double() * scale + mean).clamp(min=0).sum(-1) + float(np.log(preprocessor.scale_).sum())
