"""Checkpoints: a training that was killed goes on as if it had not been, to the same bits on the CPU.

One safetensors file holds the arrays, and in its header, as JSON, all else; it appears under its name only when
complete. Nothing is ever unpickled.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import safetensors
import safetensors.torch
import torch

from hepaa._version import __version__
from hepaa.errors import InputError
from hepaa.io.files import atomic_path, one_line, regular_file
from hepaa.io.texts import parse_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

_KEY, _SEAL = "hepaa-checkpoint", "hepaa-sha256"
_VERSION = 1


class State(NamedTuple):
    """Where a training stands: tensors, and all else as JSON."""

    arrays: dict[str, Tensor]
    record: dict[str, Any]


class Checkpoint:
    """The file of one training.

    Parameters
    ----------
    path : str or Path
        Name ending in .safetensors.
    fingerprint : str
        Of the training that is to go on.

    Raises
    ------
    InputError
        If the file is there, but is no checkpoint, of a newer format, or of another training.
    """

    def __init__(self, path: str | Path, fingerprint: str) -> None:
        self.path, self.fingerprint = Path(path), fingerprint
        if self.path.suffix != ".safetensors":
            raise InputError(f"checkpoint {self.path}: its name must end in .safetensors")
        if not self.path.parent.is_dir():
            raise InputError(f"checkpoint {self.path}: the folder {self.path.parent} does not exist; make it first")
        self.state = self._read() if regular_file(self.path).exists() else None

    def _read(self) -> State:
        try:
            with safetensors.safe_open(self.path, framework="pt") as content:
                packed = (content.metadata() or {}).get(_KEY)
                arrays = {name: content.get_tensor(name) for name in content.keys()}  # noqa: SIM118
                seal = (content.metadata() or {}).get(_SEAL)
        except (safetensors.SafetensorError, OSError, TypeError) as error:
            raise InputError(f"checkpoint {self.path} cannot be read ({error}); delete it to start anew") from error
        if packed is None:
            raise InputError(f"{self.path} is no checkpoint of a training; give another name")
        try:
            record = parse_json(packed)
            newer, other = record["version"] > _VERSION, record.get("fingerprint") != self.fingerprint
        except (ValueError, LookupError, TypeError, AttributeError) as damage:
            reason = one_line(damage)
            raise InputError(f"checkpoint {self.path} is damaged ({reason}); delete it to start anew") from damage
        if newer:
            raise InputError(f"checkpoint {self.path} is in a newer format; upgrade hepaa")
        if seal != _digest(packed, arrays):
            raise InputError(f"checkpoint {self.path} is damaged: its checksum is another; delete it to start anew")
        if other:
            raise InputError(
                f"checkpoint {self.path} is of another training: data, model or parameters differ; delete it to start "
                "anew, or give another name"
            )
        return State(arrays, record)

    def save(self, state: State) -> None:
        """Write where the training stands."""
        record = {"version": _VERSION, "hepaa": __version__, "fingerprint": self.fingerprint, **state.record}
        content = {name: t.detach().cpu().contiguous() for name, t in state.arrays.items()}
        packed = json.dumps(record)
        blob = safetensors.torch.save(content, {_KEY: packed, _SEAL: _digest(packed, content)})
        with atomic_path(self.path) as partial:
            partial.write_bytes(blob)


def _digest(packed: str, arrays: Mapping[str, Tensor]) -> str:
    """SHA-256 of all that is in a checkpoint."""
    state = hashlib.sha256(packed.encode())
    for name, values in sorted(arrays.items()):
        state.update(f"{name} {values.dtype} {tuple(values.shape)} ".encode())
        state.update(values.reshape(-1).view(torch.uint8).numpy().data)
    return state.hexdigest()
