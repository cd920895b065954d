"""Digits 1 against 7 without labels: autoencoder, VAE and AnoRand, by their errors and by their latent vectors.

After Figs. 6 and 7 of arXiv:2305.18389, which show latent spaces and print no number. Trained on the ones among 30,000
digits of MNIST, tested on the 1,135 ones and 1,028 sevens of the test files; pixels in [0, 1]. "Latent distance" is
Mahalanobis' from the mean of the training ones in the latent space: two dimensions of autoencoder and VAE, the 32 of
AnoRand's two blocks. Nothing was tuned: 30 epochs, else the defaults of the presets. The figure has the first two
principal components of each latent space, first seed.

Run: python analyses/anorand_images.py [--data FOLDER] [--seeds 5] [--quick]
"""

from __future__ import annotations

import gzip
from functools import cache, partial
from typing import TYPE_CHECKING, Any

import numpy as np
from aa_images import idx_images
from sklearn.metrics import average_precision_score, roc_auc_score
from study import Study
from table import Line

import hepaa
from hepaa.plots.style import Look, drawing

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.figure import Figure

NORMAL, ANOMALY = 1, 7
UNIT = {"preprocess": None, "epochs": 30}
DETECTORS: dict[str, tuple[str, dict[str, Any]]] = {
    "autoencoder": ("VAE", {"hidden": (128,), "latent": 2, "beta": 0.0, **UNIT}),
    "VAE": ("VAE", {"hidden": (128,), "latent": 2, "reconstruction": "bce", **UNIT}),
    "AnoRand": ("anorand", {"labels": "pseudo", **UNIT}),
    "Isolation Forest": ("isolation-forest", {"preprocess": None}),
    "nearest neighbours": ("nearest-neighbours", {"preprocess": None}),
}
LATENT = {"autoencoder": "mu", "VAE": "mu", "AnoRand": "latent"}


@cache
def digits(folder: Path, part: str, digit: int) -> np.ndarray:
    """Images (n, 784) of one digit."""
    labels = np.frombuffer(gzip.decompress((folder / f"{part}-labels-idx1-ubyte.gz").read_bytes())[8:], np.uint8)
    return idx_images(folder / f"{part}-images-idx3-ubyte.gz")[labels == digit]


def parts(data: Path, seed: int) -> dict[str, np.ndarray]:
    """Ones to train on, in the order of the seed; ones and sevens to test on."""
    ones = digits(data / "mnist", "train-sub30k", NORMAL)
    return {
        "train": ones[np.random.default_rng(seed).permutation(len(ones))],
        "test normal": digits(data / "mnist", "t10k", NORMAL),
        "test anomalies": digits(data / "mnist", "t10k", ANOMALY),
    }


def latent_distance(known: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """Mahalanobis distance (n,) from the mean of `known` (m, d), averaged over the members (members, n, d)."""
    distances = []
    for one, other in zip(known, asked, strict=True):
        offset = other - one.mean(axis=0)
        inverse = np.linalg.pinv(np.atleast_2d(np.cov(one.T)), rcond=1e-6, hermitian=True)
        distances.append(np.sqrt(np.maximum(np.einsum("ni,ij,nj->n", offset, inverse, offset), 0)))
    return np.mean(distances, axis=0)


def fitted(study: Study, name: str, seed: int) -> tuple[Any, np.ndarray, np.ndarray, np.ndarray]:
    """The detector, its training rows, the test rows and their truth: columns that vary among the ones."""
    images = parts(study.data, seed)
    varies = np.ptp(images["train"], axis=0) > 0
    train, normal, anomalies = (rows[:, varies] for rows in images.values())
    preset, options = DETECTORS[name]
    if study.quick and "epochs" in options:
        options = options | {"epochs": 2}
    model = hepaa.detector(preset, seed=seed, **options).fit(train)
    return model, train, np.concatenate([normal, anomalies]), np.repeat([0, 1], [len(normal), len(anomalies)])


def measure(study: Study, name: str, seed: int) -> dict[str, float]:
    """AUC and AUC-PR in percent of the detector's score, and of the distance in its latent space."""
    model, train, test, truth = fitted(study, name, seed)
    scores = {"score": model.anomaly_score(test)}
    if name in LATENT:
        scores["latent distance"] = latent_distance(*(model.outputs(x)[LATENT[name]] for x in (train, test)))
    found = {f"{kind}: AUC": 100 * roc_auc_score(truth, s) for kind, s in scores.items()}
    return found | {f"{kind}: AUC-PR": 100 * average_precision_score(truth, s) for kind, s in scores.items()}


def figure(study: Study) -> Figure:
    """Ones and sevens of the test in the first two principal components of each latent space."""
    with drawing(Look()) as new_figure:
        drawn = new_figure(figsize=(10.5, 3.5))
        for axes, (name, output) in zip(drawn.subplots(1, len(LATENT)), LATENT.items(), strict=True):
            model, train, test, truth = fitted(study, name, 0)
            known, asked = (model.outputs(x)[output][0] for x in (train, test))
            main_axes = np.linalg.svd(known - known.mean(axis=0), full_matrices=False)[2][:2]
            shown = (asked - known.mean(axis=0)) @ main_axes.T
            for digit, colour in ((NORMAL, "#3f90da"), (ANOMALY, "#bd1f01")):
                rows = truth == (digit == ANOMALY)
                axes.plot(*shown[rows].T, ".", markersize=2, color=colour, label=f"{digit}")
            axes.set_title(name)
            axes.set(xlabel="first component", ylabel="second component")
            axes.legend(markerscale=5)
        drawn.tight_layout()
    return drawn


def main() -> None:
    """Train, score, print the table, draw the latent spaces."""
    study = Study.from_command_line(__doc__)
    found = {name: study.over_seeds(name, partial(measure, study, name)) for name in DETECTORS}
    study.publish("MNIST, 1 against 7 without labels, in %", [Line(n, values, digits=1) for n, values in found.items()])
    if not study.quick:
        study.draw(figure(study), "anorand_latent")


if __name__ == "__main__":
    main()
