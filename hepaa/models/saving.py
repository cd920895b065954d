"""Saved detectors: arrays as safetensors, all else as a JSON file beside them. Nothing is ever unpickled."""

from __future__ import annotations

import hashlib
import json
import platform
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import safetensors
import safetensors.numpy
import sklearn
import torch

from hepaa._version import __version__
from hepaa.errors import InputError, NotFittedError, nearest
from hepaa.io.files import atomic_path, write_json
from hepaa.models.processes import is_first
from hepaa.table.preprocess import SkewLogStandardize

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from hepaa.models.base import Detector

FORMAT = "hepaa-detector"
FORMAT_VERSION = 1
_NOT_SAVED = ("callback", "checkpoint", "device", "metrics", "verbose")  # they belong to a session, not to a model


def _sidecar(path: str | Path) -> tuple[Path, Path]:
    path = Path(path)
    if path.suffix != ".safetensors":
        raise InputError(f"{path}: a detector's file name ends in .safetensors (its JSON part then ends in .json)")
    return path, path.with_suffix(".json")


class Savable(Protocol):
    """What a detector that can be saved has besides the state that every detector has."""

    def _arrays(self) -> dict[str, NDArray[Any]]:
        """What `fit` has learned, as arrays."""
        ...

    def _record(self) -> dict[str, Any]:
        """What else there is to keep, as JSON."""
        ...

    def _take_back(self, arrays: Mapping[str, NDArray[Any]], record: Mapping[str, Any]) -> None:
        """Become what `_arrays` and `_record` describe; the common state is there already."""
        ...


def save(detector: Any, path: str | Path) -> None:
    """Write `path` (arrays) and the JSON file beside it; each appears under its name only when complete.

    Of several processes that train together, the first one writes.
    """
    arrays_path, json_path = _sidecar(path)
    if not hasattr(detector, "threshold_"):
        raise NotFittedError(f"this {type(detector).__name__} is not fitted yet: there is nothing to save")
    if not is_first():
        return
    arrays: dict[str, Any] = detector._arrays()
    if detector.preprocessor_ is not None:
        for name in ("mean_", "scale_", "skewness_", "log_"):
            arrays[f"preprocess.{name}"] = np.asarray(getattr(detector.preprocessor_, name))
    blob = safetensors.numpy.save(arrays)
    names = detector._names()
    parameters = {k: v for k, v in detector.get_params(deep=False).items() if k not in _NOT_SAVED}
    record = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "class": type(detector).__name__,
        "parameters": parameters,
        "feature_names": None if names is None else list(names),
        "n_features": detector.n_features_in_,
        "threshold": detector.threshold_,
        **detector._record(),
        "data": detector.data_,
        "arrays_sha256": hashlib.sha256(blob).hexdigest(),
        "versions": {
            "hepaa": __version__,
            "numpy": np.__version__,
            "python": platform.python_version(),
            "scikit-learn": sklearn.__version__,
            "torch": torch.__version__,
        },
    }
    with atomic_path(arrays_path) as partial:
        partial.write_bytes(blob)
    write_json(record, json_path)


def load(path: str | Path, classes: Mapping[str, type[Detector]]) -> Detector:
    """Read what `save` wrote.

    Parameters
    ----------
    path : str or Path
        The .safetensors file; its JSON part lies beside it.
    classes : mapping of name -> class
        Detectors that can be saved.

    Raises
    ------
    InputError
        If a part is missing, damaged, of another pair, or of a newer format.
    """
    arrays_path, json_path = _sidecar(path)
    try:
        record = json.loads(json_path.read_text())
        blob = arrays_path.read_bytes()
    except OSError as error:
        raise InputError(
            f"{error.filename} cannot be read ({error.strerror}); a detector is a pair of files"
        ) from error
    except ValueError as error:
        raise InputError(f"{json_path} is no JSON file ({error}); save the detector again") from error
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        raise InputError(f"{json_path} does not describe a hepaa detector")
    if record["format_version"] > FORMAT_VERSION:
        raise InputError(
            f"{json_path} has format version {record['format_version']} of hepaa {record['versions']['hepaa']}; this "
            f"hepaa {__version__} reads up to version {FORMAT_VERSION}: upgrade it"
        )
    if hashlib.sha256(blob).hexdigest() != record["arrays_sha256"]:
        raise InputError(f"{arrays_path} is not the file that {json_path.name} was written with, or it is damaged")
    if record["class"] not in classes:
        raise InputError(
            f"{json_path}: detector class {record['class']!r} is unknown; {nearest(record['class'], classes)}"
        )
    arrays = safetensors.numpy.load(blob)
    parameters: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in record["parameters"].items()}
    if isinstance(parameters.get("balance"), dict):  # JSON has no numbers as keys
        parameters["balance"] = {int(k) if k.isdecimal() else k: v for k, v in parameters["balance"].items()}
    detector: Any = classes[record["class"]](**parameters)
    detector.n_features_in_ = record["n_features"]
    if record["feature_names"] is not None:
        detector.feature_names_in_ = np.array(record["feature_names"], dtype=object)
    detector.preprocessor_ = _preprocessor(detector, arrays)
    detector.data_ = record["data"]
    detector.threshold_ = record["threshold"]
    detector._take_back(arrays, record)
    loaded: Detector = detector
    return loaded


def _preprocessor(detector: Detector, arrays: Mapping[str, Any]) -> SkewLogStandardize | None:
    if detector.preprocess is None:
        return None
    fitted = SkewLogStandardize(1.0 if detector.preprocess == "skewlog" else None)
    for name in ("mean_", "scale_", "skewness_", "log_"):
        setattr(fitted, name, arrays[f"preprocess.{name}"])
    fitted.n_features_in_ = detector.n_features_in_
    if hasattr(detector, "feature_names_in_"):
        fitted.feature_names_in_ = detector.feature_names_in_
    return fitted
