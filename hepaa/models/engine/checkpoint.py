"""Checkpoints: a training that was killed goes on as if it had not been, to the same bits on the CPU.

One safetensors file holds the arrays, and in its header, as JSON, all else; it appears under its name only when
complete. Nothing is ever unpickled.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import safetensors
import safetensors.torch
import torch

from hepaa._version import __version__
from hepaa.errors import InputError
from hepaa.io.files import atomic_path

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from hepaa.models.engine.training import Stage, StageRun, Trainer

_KEY = "hepaa-checkpoint"
_VERSION = 1
_GENERATORS = ("order", "noise", "anomalies")


def fingerprint(trainer: Trainer, stages: Sequence[Stage]) -> str:
    """Hash of all that decides a training: model, data, seeds, settings and stages."""
    s = trainer.settings
    words = [
        repr((trainer.parameters.layout, tuple(trainer.seeds), trainer.device.type)),
        repr((s.batch_size, s.learning_rate, s.gradient_clip, s.validation_fraction, s.patience, s.balance, s.amp)),
        *(repr((g.epochs, g.anomaly_fraction, g.watch, [_words(t) for t in g.terms])) for g in stages),
        "" if trainer.stream is None else repr(trainer.stream),
    ]
    digest = hashlib.sha256("\n".join(words).encode())
    for pool in (trainer.background, trainer.anomalies):
        for values in () if pool is None else (pool.x, pool.weight, pool.group, pool.stratum):
            digest.update(b"-" if values is None else values.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _words(term: Any) -> str:
    words = repr(term)
    return words if " at 0x" not in words else f"{type(term).__name__} {term.name}"


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
        self.record: dict[str, Any] | None = None
        self.arrays: dict[str, Tensor] = {}
        if self.path.exists():
            self._read()

    def _read(self) -> None:
        try:
            with safetensors.safe_open(self.path, framework="pt") as content:
                packed = (content.metadata() or {}).get(_KEY)
                self.arrays = {name: content.get_tensor(name) for name in content.keys()}  # noqa: SIM118
        except (safetensors.SafetensorError, OSError) as error:
            raise InputError(f"checkpoint {self.path} cannot be read ({error}); delete it to start anew") from error
        if packed is None:
            raise InputError(f"{self.path} is no checkpoint of a training; give another name")
        record = json.loads(packed)
        if record["version"] > _VERSION:
            raise InputError(f"checkpoint {self.path} is of hepaa {record['hepaa']}, in a newer format; upgrade hepaa")
        if record["fingerprint"] != self.fingerprint:
            raise InputError(
                f"checkpoint {self.path} is of another training: data, model or parameters differ; delete it to start "
                "anew, or give another name"
            )
        self.record = record

    def save(self, run: StageRun) -> None:
        """Write where the training stands."""
        trainer, stopper = run.trainer, run.stopper
        arrays = {"parameters": run.optimiser.flat, "mean": run.optimiser.mean, "square": run.optimiser.square}
        for i, name in enumerate(_GENERATORS):
            arrays[f"random.{name}"] = torch.stack([m.generators[i].get_state() for m in trainer.members])
        if stopper is not None:
            arrays |= {f"stopper.{name}": getattr(stopper, name) for name in stopper.STATE}
        record = {
            "version": _VERSION,
            "hepaa": __version__,
            "fingerprint": self.fingerprint,
            "stage": run.index,
            "done": run.done,
            "finished": run.finished,
            "steps": run.optimiser.steps,
            "past": run.past,
            "epoch": trainer.epoch,
            "history": trainer.history,
            "stage_starts": trainer.stage_starts,
        }
        content = {name: t.detach().cpu().contiguous() for name, t in arrays.items()}
        blob = safetensors.torch.save(content, {_KEY: json.dumps(record)})
        with atomic_path(self.path) as partial:
            partial.write_bytes(blob)

    def restore(self, run: StageRun) -> None:
        """Put a stage where the file says it stood: at its end, in its middle, or at its beginning."""
        record, trainer = self.record, run.trainer
        if record is None or run.index > record["stage"]:
            return
        if run.index < record["stage"]:
            run.finished = True
            return
        run.done, run.finished, run.past = record["done"], record["finished"], record["past"]
        run.optimiser.flat.copy_(self.arrays["parameters"])
        run.optimiser.mean.copy_(self.arrays["mean"])
        run.optimiser.square.copy_(self.arrays["square"])
        run.optimiser.steps = record["steps"]
        for i, name in enumerate(_GENERATORS):
            for member, state in zip(trainer.members, self.arrays[f"random.{name}"], strict=True):
                member.generators[i].set_state(state.clone())  # torch wants a state in memory of its own
        if run.stopper is not None:
            for name in run.stopper.STATE:
                getattr(run.stopper, name).copy_(self.arrays[f"stopper.{name}"])
        trainer.epoch, trainer.history = record["epoch"], record["history"]
        trainer.stage_starts = record["stage_starts"]
