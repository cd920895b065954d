"""AnoRand on ADBench: average precision on the data sets of its Table 2 that are at hand, arXiv:2305.18389.

ADBench's protocol: 70/30 split by class, sets above 10,000 rows cut to 10,000, features standardised on the training
part. "Supervised" takes the training labels; "pseudo labels" takes none of them: all training rows count as background,
anomalies among them. The learning rate is 1e-3, for the printed 1e-4 does not reach the printed numbers in 200 epochs.
The peers are fitted on the same rows as the pseudo-label mode, by PyOD's defaults. CIFAR10, SVHN and MVTec-AD are means
over the subsets at hand (2, 2 and 15), the printed ones over all subsets of ADBench. A seed is a split and a training.

Run: python analyses/anorand_adbench.py [--data FOLDER] [--seeds 5] [--quick]
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.metrics import average_precision_score
from sklearn.model_selection import train_test_split
from study import Study
from table import Row

import hepaa

if TYPE_CHECKING:
    from pathlib import Path

MOST_ROWS, TEST = 10_000, 0.3
SETS = {
    "campaign": ("62.92", ["Classical/5_campaign"]),
    "celeba": ("43.43", ["Classical/8_celeba"]),
    "cover": ("99.55", ["Classical/10_cover"]),
    "magic.gamma": ("89.98", ["Classical/22_magic.gamma"]),
    "Wilt": ("93.66", ["Classical/44_Wilt"]),
    "annthyroid": ("87.04", ["Classical/2_annthyroid"]),
    "fault": ("74.5", ["Classical/12_fault"]),
    "CIFAR10": ("47.67", ["CV_by_ResNet18/CIFAR10_0", "CV_by_ResNet18/CIFAR10_4"]),
    "SVHN": ("34.45", ["CV_by_ResNet18/SVHN_0", "CV_by_ResNet18/SVHN_8"]),
    "MVTec-AD": ("94.11", ["CV_by_ResNet18/MVTec-AD_*"]),
}
DETECTORS: dict[str, tuple[str, dict[str, Any], bool]] = {
    "supervised": ("anorand", {"labels": "given"}, True),
    "pseudo labels": ("anorand", {"labels": "pseudo"}, False),
    "Isolation Forest": ("isolation-forest", {"preprocess": "standard"}, False),
    "ECOD": ("OutlierModel", {"model": "pyod.ECOD", "preprocess": "standard"}, False),
    "KNN": ("OutlierModel", {"model": "pyod.KNN", "preprocess": "standard"}, False),
}


def split(path: Path, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Training and test rows, and their labels, without columns that are constant in training."""
    with np.load(path) as file:
        X, y = file["X"].astype(np.float64), file["y"].astype(np.int64)
    if len(X) > MOST_ROWS:
        X, _, y, _ = train_test_split(X, y, train_size=MOST_ROWS, stratify=y, random_state=seed)
    train, test, y_train, y_test = train_test_split(X, y, test_size=TEST, stratify=y, random_state=seed)
    varies = np.ptp(train[y_train == 0].astype(np.float32), axis=0) > 0
    return train[:, varies], test[:, varies], y_train, y_test


def average_precision(study: Study, patterns: list[str], name: str, seed: int) -> dict[str, float]:
    """AUC-PR in percent, the mean over the subsets of a data set."""
    preset, options, labelled = DETECTORS[name]
    if study.quick and preset == "anorand":
        options = options | {"epochs": 2}
    values = []
    for pattern in patterns:
        for path in sorted((study.data / "adbench").glob(f"{pattern}.npz")):
            train, test, y_train, y_test = split(path, seed)
            model = hepaa.detector(preset, seed=seed, **options).fit(train, y_train if labelled else None)
            values.append(100 * average_precision_score(y_test, model.anomaly_score(test)))
    return {"ap": float(np.mean(values))}


def main() -> None:
    """Train, score, print a table of the supervised mode and one of the detectors without labels."""
    study = Study.from_command_line(__doc__)
    found = {
        (data, name): study.over_seeds(f"{data}, {name}", partial(average_precision, study, patterns, name))["ap"]
        for data, (_, patterns) in SETS.items()
        for name in DETECTORS
    }
    supervised = [Row(d, printed, found[d, "supervised"], digits=1) for d, (printed, _) in SETS.items()]
    printed = f"{np.mean([float(p) for p, _ in SETS.values()]):.1f}"
    supervised.append(Row("mean", printed, np.mean([row.values for row in supervised], axis=0).tolist(), digits=1))
    study.publish("AnoRand with labels, AUC-PR in %", supervised)
    rows = [
        Row(f"{name}, mean over the sets", "", np.mean([found[d, name] for d in SETS], axis=0).tolist(), digits=1)
        for name in DETECTORS
        if name != "supervised"
    ]
    study.publish("ADBench sets without labels, AUC-PR in %", rows, key="anorand_unlabelled")


if __name__ == "__main__":
    main()
