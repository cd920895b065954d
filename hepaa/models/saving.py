"""Saved detectors: arrays as safetensors, all else as a JSON file beside them. Nothing is ever unpickled."""

from __future__ import annotations

import hashlib
import platform
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import safetensors
import safetensors.numpy
import sklearn
import torch

from hepaa._version import __version__
from hepaa.errors import InputError, NotFittedError, nearest
from hepaa.io.files import atomic_path, write_json
from hepaa.io.texts import parse_json
from hepaa.models.processes import is_first

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hepaa.models.base import Detector

FORMAT = "hepaa-detector"
FORMAT_VERSION = 1


def _sidecar(path: str | Path) -> tuple[Path, Path]:
    path = Path(path)
    if path.suffix != ".safetensors":
        raise InputError(f"{path}: a detector's file name ends in .safetensors (its JSON part then ends in .json)")
    return path, path.with_suffix(".json")


def save(detector: Detector, path: str | Path) -> None:
    """Write `path` (arrays) and the JSON file beside it; each appears under its name only when complete.

    Of several processes that train together, the first one writes.
    """
    arrays_path, json_path = _sidecar(path)
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
        record = parse_json(json_path.read_text())
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
    return classes[record["class"]].from_arrays(arrays, {**record, "parameters": parameters})
