"""Features: `hepaa.features(events, "zh-paper")` gives an EventTable; the modules hold the sets and their kernels.

This package can be called, so that the name of the step is the name of its room: a call goes to `registry.features`.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING

from hepaa.features.registry import Feature, FeatureSet, feature_info, feature_set, feature_sets, features

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from hepaa.events import Events
    from hepaa.table import EventTable

__all__ = ["Feature", "FeatureSet", "feature_info", "feature_set", "feature_sets", "features"]


class _Features(ModuleType):
    def __call__(
        self,
        events: Events | Iterable[Events],
        name: str | Sequence[str],
        *,
        selection: str | None = None,
        inputs: Sequence[str] | None = None,
    ) -> EventTable:
        return features(events, name, selection=selection, inputs=inputs)


sys.modules[__name__].__class__ = _Features
