"""Precision and training time on synthetic data of growing size, AnoRand without labels beside detectors of PyOD.

After Fig. 5 of arXiv:2305.18389, which shows curves and prints no number. scikit-learn's make_classification as in
`anorand_scans.py` (20 features, 10 % anomalies, 70 % for training), 1,000 to 10,000 rows. The time is that of the CPU,
of `fit` alone, one thread, on the machine that ran this; kernels are compiled before. PyOD's detectors have its
defaults, but for those that `anorand_peers.py` changes.

Run: python analyses/anorand_synthetic.py [--data FOLDER] [--seeds 5] [--quick]
"""

from __future__ import annotations

import time
import warnings
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from adbench import Split, divided
from anorand_peers import OURS, PEERS
from anorand_scans import ANOMALIES, FEATURES, HELD_OUT
from sklearn.datasets import make_classification
from sklearn.metrics import average_precision_score
from study import Study
from table import Line

import hepaa
from hepaa.plots.style import LINES, Look, drawing, line_colours

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.figure import Figure

SIZES = (1000, 3000, 10_000)
SHOWN = ("KNN", "IForest", "LOF", "OCSVM", "PCA", "COPOD", "ECOD", "HBOS", "GMM")


def synthetic(rows: int, seed: int) -> Split:
    """Ten informative and five redundant features of twenty, two clusters a class."""
    X, y = make_classification(
        rows, FEATURES, n_informative=10, n_redundant=5, weights=[1 - ANOMALIES], flip_y=0, random_state=seed
    )
    return divided(X, y, HELD_OUT, seed)


def parts(data: Path, seed: int) -> dict[str, np.ndarray]:
    """The synthetic data of the middle size, for the audit."""
    del data
    train, test, _, _ = synthetic(SIZES[1], seed)
    return {"train": train, "test": test}


def detector(study: Study, name: str, seed: int) -> Any:
    """AnoRand's preset, or a detector of PyOD."""
    if name == OURS:
        return hepaa.detector("anorand", labels="pseudo", seed=seed, epochs=study.epochs(50))
    return hepaa.detector("OutlierModel", model=f"pyod.{name}", options=PEERS[name], seed=seed)


def measure(study: Study, name: str, rows: int, seed: int) -> dict[str, float]:
    """AUC-PR in percent, and CPU seconds of the training."""
    train, test, _, truth = synthetic(rows, seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        detector(study, name, seed).set_params(**({"epochs": 1} if name == OURS else {})).fit(train[:200])
        model, start = detector(study, name, seed), time.process_time()
        model.fit(train)
        seconds = time.process_time() - start
        return {"AUC-PR": 100 * average_precision_score(truth, model.anomaly_score(test)), "CPU s": seconds}


def figure(found: dict[str, dict[int, dict[str, list[float]]]]) -> Figure:
    """Precision and training time against the number of rows."""
    with drawing(Look()) as new_figure:
        drawn = new_figure(figsize=(9.5, 4))
        for axes, quantity, label in zip(
            drawn.subplots(1, 2), ("AUC-PR", "CPU s"), ("AUC-PR in %", "CPU seconds of the training"), strict=True
        ):
            for i, (name, sizes) in enumerate(found.items()):
                means = [np.mean(values[quantity]) for values in sizes.values()]
                colour = line_colours(len(found))[i]
                width = 2.5 if name == OURS else 1.2
                line = LINES[i % len(LINES)]
                axes.plot(list(sizes), means, linestyle=line, color=colour, linewidth=width, label=name)
            axes.set(xscale="log", xlabel="rows", ylabel=label)
        drawn.axes[1].set_yscale("log")
        drawn.axes[0].legend(fontsize="x-small", ncols=2)
        drawn.tight_layout()
    return drawn


def main() -> None:
    """Fit, score, print the table, draw both curves."""
    study = Study.from_command_line(__doc__)
    sizes = SIZES[:1] if study.quick else SIZES
    found = {
        name: {n: study.over_seeds(f"{name}, {n} rows", partial(measure, study, name, n)) for n in sizes}
        for name in (OURS, *SHOWN)
    }
    lines = [
        Line(name, {f"{q}, {n:,} rows": by_size[n][q] for q in ("AUC-PR", "CPU s") for n in sizes}, digits=2)
        for name, by_size in found.items()
    ]
    study.publish("make_classification without labels, AUC-PR in % and training time", lines)
    if not study.quick:
        study.draw(figure(found), "anorand_synthetic")


if __name__ == "__main__":
    main()
