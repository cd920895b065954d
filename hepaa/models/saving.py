"""Saved detectors: arrays as safetensors, all else as a JSON file beside them. Nothing is ever unpickled.

The JSON part has the checksum of the arrays and, since hepaa 0.2, one of itself.
"""

from __future__ import annotations

import hashlib
import json
import platform
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import safetensors
import safetensors.numpy
import sklearn
import torch

from hepaa._version import __version__
from hepaa.errors import HepaaError, InputError, NotFittedError, nearest
from hepaa.io.files import atomic_paths, one_line, regular_file
from hepaa.io.sealed import SEAL, digest, sealed, unsealed
from hepaa.io.texts import parse_json
from hepaa.models.processes import is_first

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from hepaa.models.base import Detector

FORMAT = "hepaa-detector"
FORMAT_VERSION = 1
_FILES = ("checkpoint", "metrics")
"""Parameters that name files which a training writes: no model brings them along."""


def pair(path: str | Path) -> tuple[Path, Path]:
    """The two files of a detector: arrays, and the JSON beside them."""
    path = Path(path)
    if path.suffix != ".safetensors":
        raise InputError(f"{path}: a detector's file name ends in .safetensors (its JSON part then ends in .json)")
    return path, path.with_suffix(".json")


def save(detector: Detector, path: str | Path) -> None:
    """Write `path` (arrays) and the JSON file beside it; each appears under its name only when complete.

    Of several processes that train together, the first one writes.
    """
    arrays_path, json_path = pair(path)
    if not detector.__sklearn_is_fitted__():
        raise NotFittedError(f"this {type(detector).__name__} is not fitted yet: there is nothing to save")
    if not is_first():
        return
    blob = safetensors.numpy.save(detector.to_arrays())
    record = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "class": type(detector).__name__,
        **detector.to_record(),
        "arrays_sha256": hashlib.sha256(blob).hexdigest(),
        "versions": {
            "hepaa": __version__,
            "numpy": np.__version__,
            "python": platform.python_version(),
            "scikit-learn": sklearn.__version__,
            "torch": torch.__version__,
        },
    }
    with atomic_paths(arrays_path, json_path) as (arrays, text):
        arrays.write_bytes(blob)
        text.write_text(json.dumps(sealed(record), indent=2) + "\n", encoding="utf-8")


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
        If a part is missing, damaged, of another pair, or of a newer format, or an array holds NaN or infinity.
    """
    arrays_path, json_path = map(regular_file, pair(path))
    try:
        record = parse_json(json_path.read_text(encoding="utf-8"))
        blob = arrays_path.read_bytes()
    except OSError as error:
        raise InputError(
            f"{error.filename} cannot be read ({error.strerror}); a detector is a pair of files"
        ) from error
    except ValueError as error:
        raise InputError(f"{json_path} is no JSON file ({error}); save the detector again") from error
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        raise InputError(f"{json_path} does not describe a hepaa detector")
    try:
        return _restored(record, blob, (arrays_path, json_path), classes)
    except HepaaError:
        raise
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RuntimeError, MemoryError,
            safetensors.SafetensorError) as damage:  # fmt: skip
        # whatever a constructor or an array says to values that no `save` has written
        raise InputError(
            f"{json_path} does not describe the detector in {arrays_path.name} ({one_line(damage)}); save it again"
        ) from damage


def _restored(
    record: dict[str, Any], blob: bytes, paths: tuple[Path, Path], classes: Mapping[str, type[Detector]]
) -> Detector:
    arrays_path, json_path = paths
    if record["format_version"] > FORMAT_VERSION:
        raise InputError(
            f"{json_path} has format version {record['format_version']} of hepaa {record['versions']['hepaa']}; this "
            f"hepaa {__version__} reads up to version {FORMAT_VERSION}: upgrade it"
        )
    if SEAL in record:
        record = unsealed(record)
    digest(record)  # NaN has none
    if hashlib.sha256(blob).hexdigest() != record["arrays_sha256"]:
        raise InputError(f"{arrays_path} is not the file that {json_path.name} was written with, or it is damaged")
    if record["class"] not in classes:
        raise InputError(
            f"{json_path}: detector class {record['class']!r} is unknown; {nearest(record['class'], classes)}"
        )
    arrays = safetensors.numpy.load(blob)
    for name, values in arrays.items():
        if not np.isfinite(values).all():
            raise InputError(f"{arrays_path}: the array {name!r} holds NaN or infinity; train the detector again")
    for name in _FILES:
        if name in record["parameters"]:
            raise InputError(f"{json_path}: a model does not say where a training writes; remove {name!r} from it")
    return _made(record["class"], arrays, record, classes)


def _made(
    name: str, arrays: Mapping[str, NDArray[Any]], record: Mapping[str, Any], classes: Mapping[str, type[Detector]]
) -> Detector:
    """The detector of checked arrays and their record, and before it the pre-trained encoder that it has."""
    _refuse_other_types(record, arrays)
    parameters: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in record["parameters"].items()}
    if isinstance(parameters.get("balance"), dict):  # JSON has no numbers as keys
        parameters["balance"] = {int(k) if k.isdecimal() else k: v for k, v in parameters["balance"].items()}
    if "encoder" in record:
        own = {key.removeprefix("encoder."): v for key, v in arrays.items() if key.startswith("encoder.")}
        parameters["encoder"] = _made("ContrastiveEncoder", own, record["encoder"], classes)
    return classes[name].from_arrays(arrays, {**record, "parameters": parameters})


def _refuse_other_types(record: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> None:
    """Raise TypeError or ValueError for what would be taken as it is, and fail only when the model is used."""
    n, names, threshold = record["n_features"], record.get("feature_names"), record.get("threshold", 0.0)
    if not isinstance(n, int) or not isinstance(threshold, float | int):
        raise TypeError(f"n_features is {n!r}, the threshold {threshold!r}")
    if names is not None and not (isinstance(names, list) and all(isinstance(name, str) for name in names)):
        raise TypeError(f"feature_names is {names!r}")
    if names is not None and len(names) != n:
        raise ValueError(f"{len(names)} feature_names for {n} features")
    width = record.get("width", n)
    for name, values in arrays.items():
        if name.startswith("preprocess.") and values.shape != (width,):
            raise ValueError(f"{name} has shape {values.shape} for {width} features")
