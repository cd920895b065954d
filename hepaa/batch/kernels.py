"""Compiling the loops of readers and feature sets ahead of the first job that needs them."""

from __future__ import annotations

import warnings

import numpy as np

from hepaa import io
from hepaa.demo import path
from hepaa.features.registry import features

_SAMPLES = {
    "zh_sm.lhe.gz": ("zh-paper", "zh", "zh-invariant"),
    "zh_sm.root": ("zh-paper", "zh"),
    "dijet_wprime.h5": ("dijet", "dijet-hl", "dijet-invariant"),
}
"""Embedded samples, and the feature sets that are computed of each."""


_EVENTS = 50


def compile_all() -> list[str]:
    """Compute features of the embedded samples: what this needs is compiled into numba's cache where it is not there.

    Returns
    -------
    list of str
        What was computed, as "SAMPLE SET".
    """
    computed = []
    for name, sets in _SAMPLES.items():
        events = io.open(path(name), schema=str(path("zh_ntuple.yaml")) if name.endswith(".root") else None)
        events = events.select(np.arange(events.n) < _EVENTS)
        for feature_set in sets:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of features that 50 events cannot give
                features(events, feature_set)
            computed.append(f"{name} {feature_set}")
    return computed
