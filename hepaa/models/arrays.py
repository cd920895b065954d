"""Detectors whose state is a few arrays, and how these are saved."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from hepaa.models import saving as serialise
from hepaa.models.base import Detector

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray


class ArrayDetector(Detector, abstract=True):
    """A detector that has learned arrays alone, named in `fitted_arrays`, so that it can be saved."""

    fitted_arrays: ClassVar[tuple[str, ...]] = ()

    def save(self, path: str | Path) -> None:
        """Write the fitted detector: arrays as safetensors to `path`, all else as JSON beside it (suffix .json).

        Raises
        ------
        NotFittedError
            Before `fit`.
        InputError
            If `path` does not end in .safetensors.
        """
        serialise.save(self, path)

    def _arrays(self) -> dict[str, NDArray[Any]]:
        return {name: np.ascontiguousarray(getattr(self, name)) for name in self.fitted_arrays}

    def _record(self) -> dict[str, Any]:
        return {}

    def _take_back(self, arrays: Mapping[str, NDArray[Any]], record: Mapping[str, Any]) -> None:
        del record
        for name in self.fitted_arrays:
            setattr(self, name, arrays[name])
