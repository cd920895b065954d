"""Trainings that processes share in `test_parallel.py`: `torchrun --nproc-per-node=2 parallel.py FOLDER`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hepaa.cli import main as hepaa
from hepaa.detectors import VAE, AnomalyAwareVAE, AnoRand, ContrastiveVAE, Flow
from hepaa.errors import InputError
from hepaa.models.engine.parallel import of_first
from hepaa.models.processes import rank
from hepaa.table.streamed import StreamedTable

CASES: dict[str, tuple[Any, dict[str, Any]]] = {
    "weights": (VAE, {"epochs": 2}),
    "anomalies": (AnomalyAwareVAE, {"epochs": 1, "finetune_epochs": 2, "clip": 5.0}),
    "literal": (AnomalyAwareVAE, {"epochs": 1, "finetune_epochs": 2, "normalisation": "literal", "penalty": "log"}),
    "members": (VAE, {"epochs": 2, "seeds": 2, "gradient_clip": 1.0, "posterior": "planar"}),
    "shared output": (VAE, {"epochs": 2, "reconstruction": "gaussian", "prior": "mixture"}),
    "capacity": (VAE, {"epochs": 2, "capacity": 1.0, "balance": "groups"}),
    "pairs": (ContrastiveVAE, {"epochs": 2, "contrastive": "supcon"}),
    "views": (ContrastiveVAE, {"epochs": 2, "contrastive": "ntxent"}),
    "stopping": (VAE, {"epochs": 30, "validation_fraction": 0.3, "patience": 2, "learning_rate": 0.05}),
    "flow": (Flow, {"epochs": 1, "kind": "maf", "transforms": 1, "hidden": (8,)}),
    "classifier": (AnoRand, {"epochs": 2}),
}
COMMAND = ("train", "--detector", "VAE", "--option", "epochs=1")


def events() -> tuple[Any, Any, Any, Any]:
    """342 events of background, so that the last batch of 31 is one event; 60 anomalies; weights; groups."""
    rng = np.random.default_rng(3)
    y = np.repeat([0, 1], [342, 60])
    x = rng.normal(size=(402, 5)) + 1.5 * y[:, None]
    return x, y, rng.uniform(0.5, 2, 402), np.arange(402) % 3


def fit(name: str, **more: Any) -> Any:
    """Detector `name`, trained."""
    cls, parameters = CASES[name]
    x, y, weight, groups = events()
    return cls(**{"batch_size": 31} | parameters | more).fit(x, y, weight, groups)


def fit_stream(folder: Path) -> Any:
    """A detector trained on a table in windows."""
    return VAE(epochs=2, batch_size=31).fit(StreamedTable(folder / "train.parquet", window=100))


def main(folder: Path) -> None:
    """Train and save all; write what this process has learned, and how it refuses to train with one that differs."""
    learned, report = {}, {}
    for name in CASES:
        detector = fit(name, metrics=folder / f"{name}.jsonl", checkpoint=folder / f"{name}.checkpoint.safetensors")
        detector.save(folder / f"{name}.safetensors")
        learned[name] = detector.parameters_.flat.numpy()
        report[name] = detector.history_
    learned["streamed"] = fit_stream(folder).parameters_.flat.numpy()
    report["of first"] = of_first(torch.tensor([float(rank())])).tolist()
    x, y, weight, groups = events()
    for what in ("data", "parameters"):
        data = x.copy()
        data[0, 0] += rank() * (what == "data")
        try:
            VAE(epochs=1, batch_size=31 + rank() * (what == "parameters")).fit(data, y, weight, groups)
        except InputError as refused:
            report[what] = str(refused)
    own = folder / f"{'weights' if rank() == 0 else 'none'}.checkpoint.safetensors"
    try:
        fit("weights", checkpoint=own)
    except InputError as refused:
        report["checkpoint"] = str(refused)
    np.savez(folder / f"{rank()}.npz", **learned)
    (folder / f"{rank()}.json").write_text(json.dumps(report), encoding="utf-8")
    hepaa([*COMMAND, str(folder / "train.parquet"), "--output", str(folder / "command.safetensors")])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
