"""Detectors that see no label: AUC on three tasks, beside the sum of squares that every one of them has to beat.

LHCO signal region (4 features), ZH against O_HW and dijets against three signals. The sets without azimuth and beam
direction (`zh-invariant`, `dijet-invariant`) divide out what physics does not depend on, and the densities are per GeV
rather than per unit of the preprocessing, which an arbitrary rescaling would change. How these were found: settings
were compared on a part of the training events with the signals of these tasks, so the names "label-free" are those of
the trainings, not of their choice; nothing was looked up on the test parts. Nearest neighbours win with few features
and lose with many; which detector goes with which task was seen, not predicted.

Run: python analyses/label_free.py [--data FOLDER] [--seeds 5] [--quick]
"""

from __future__ import annotations

from functools import cache, partial
from typing import TYPE_CHECKING

import numpy as np
import samples
from sklearn.metrics import roc_auc_score
from study import Study
from table import Row

import hepaa
from hepaa.features.sets.invariant import invariant

if TYPE_CHECKING:
    from pathlib import Path

TASKS = {
    "LHCO signal region": (samples.signal_region, False),
    "ZH": (samples.zh, True),
    "dijets": (samples.dijets, True),
}
ROWS = (
    ("sum of z^2", "sum-of-squares", {}),
    ("VAE 16-2", "vae-lhco", {"epochs": 50}),
    ("Anomaly-Aware VAE 16-2, noised background for labels", "aa-pseudo", {}),
    ("Isolation Forest", "isolation-forest", {}),
    ("Gaussian mixture", "gaussian-mixture", {}),
    ("nearest neighbours", "nearest-neighbours", {}),
    ("flow", "flow", {"epochs": 25}),
    ("flow and Gaussian mixture", "density", {}),
)


@cache
def parts_of(task: str, data: Path, seed: int) -> samples.Parts:
    """Events of a task, without directions where it has them."""
    read, symmetric = TASKS[task]
    return {name: invariant(table) if symmetric else table for name, table in read(data, seed).items()}


def parts(data: Path, seed: int) -> dict[str, samples.Parts]:
    """The same of each task, for the audit."""
    return {task: parts_of(task, data, seed) for task in TASKS}


def aucs(study: Study, task: str, preset: str, options: dict[str, int], seed: int) -> dict[str, float]:
    """AUC of each signal."""
    events = parts_of(task, study.data, seed)
    if study.quick:
        events = {name: table[:1500] for name, table in events.items()}
        preset = {"density": "gaussian-mixture"}.get(preset, preset)
    given = {key: study.epochs(value) for key, value in options.items()}
    model = hepaa.detector(preset, seed=seed, **given).fit(events["train background"])
    scores = {name: model.anomaly_score(table) for name, table in samples.tested(events).items()}
    common = scores.pop("background")
    return {
        signal: float(roc_auc_score(np.repeat([0, 1], [len(common), len(s)]), np.concatenate([common, s])))
        for signal, s in scores.items()
    }


def main() -> None:
    """Train, score, print a table for each task."""
    study = Study.from_command_line(__doc__)
    for task in TASKS:
        rows = []
        for name, preset, options in ROWS:
            found = study.over_seeds(f"{task}, {name}", partial(aucs, study, task, preset, options))
            rows += [Row(f"{name}, {s}" if len(found) > 1 else name, "", values) for s, values in found.items()]
        study.publish(f"{task}, no labels: AUC", rows, key=f"label_free_{task.split()[0].lower()}")


if __name__ == "__main__":
    main()
