"""AnoRand without labels (arXiv:2305.18389) among 15 detectors of PyOD: ADBench's data sets at hand, identical splits.

ADBench's protocol (`adbench.py`): detectors are fitted to the training part with the anomalies in it, and scored on the
test part by AUC-PR and AUC-ROC. What differs from it, to keep the time in bounds: of the training part, 1,500 rows at
most, for all; seeds as few as the table says. PyOD's detectors have its defaults, but for principal components without
variance (PCA divides by them) and a floor to the covariance (GMM). Its COF and SOD compare the rows that they score
with each other and never with the training rows, so they are fitted to 100, and score 1,000 at a time; its DeepSVDD,
which takes longer than all the others together, is fitted to 500.

A detector's rank on a data set is that of its mean over the seeds; the figure is that of Demsar (JMLR 7, 2006): mean
ranks, and bars over groups whose ranks differ by less than Nemenyi's critical difference at 5 %.

What is published of the pseudo-label mode (noise of 0.6 in each feature on 2 % of the rows, grown to 5 %) does worse
than chance on many sets. A reading that was not tested: independent noise leaves the correlations at once, so the
classifier learns little about what is further out. Settings here are those of the preset "anorand",
which `anorand_scans.py` compares on training parts, with one network in place of four where there are more than 200
features; both modes are trained for 50 epochs.

Run: python analyses/anorand_peers.py [--data FOLDER] [--seeds 2] [--quick]
"""

from __future__ import annotations

import warnings
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from adbench import Split, chosen, sets, split, varying
from scipy.stats import friedmanchisquare, rankdata, studentized_range
from sklearn.metrics import average_precision_score, roc_auc_score
from study import Study
from table import Line

import hepaa
from hepaa.models.together import fit_together
from hepaa.plots.style import Look, drawing
from hepaa.preprocess import SkewLogStandardize

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.figure import Figure

MOST_TRAINING, MOST_OF_SVDD, AT_ONCE, FEW, WIDE = 1500, 500, 1000, 100, 200
PEERS: dict[str, dict[str, Any]] = {
    "CBLOF": {},
    "HBOS": {},
    "KNN": {},
    "IForest": {},
    "LOF": {},
    "OCSVM": {},
    "PCA": {"n_components": 1 - 1e-6},
    "COF": {},
    "SOD": {},
    "COPOD": {},
    "ECOD": {},
    "AutoEncoder": {},
    "DeepSVDD": {},
    "GMM": {"reg_covar": 1e-3},
    "LODA": {},
}
AMONG_THEMSELVES = ("COF", "SOD")
OURS, PUBLISHED = "AnoRand", "AnoRand, as published"
PARTS_OF_OURS = ("its classifier alone", "its autoencoder alone")
QUICK, QUICK_PEERS = ("glass", "Stamps"), ("KNN", "IForest", "PCA", "COF", "ECOD", "GMM")


def prepared(path: Path, seeds: list[int]) -> list[Split]:
    """The splits, with so many training rows at most."""
    found = []
    for seed in seeds:
        train, test, y_train, y_test = split(path, seed)
        rows = chosen(y_train, min(1.0, MOST_TRAINING / len(train)), seed)
        found.append((train[rows], test, y_train[rows], y_test))
    return varying(found, labelled=False)


def peer(name: str, part: Split, seed: int) -> np.ndarray:
    """Scores of the test rows by a detector of PyOD."""
    scale = SkewLogStandardize(None).fit(part[0])
    train, test = (scale.transform(rows) for rows in part[:2])
    at_random = np.random.default_rng([seed, 31]).permutation(train)
    options = PEERS[name] | ({"n_features": train.shape[1]} if name == "DeepSVDD" else {})
    model = hepaa.detector("OutlierModel", model=f"pyod.{name}", options=options, preprocess=None, seed=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if name not in AMONG_THEMSELVES:
            return model.fit(at_random[:MOST_OF_SVDD] if name == "DeepSVDD" else train).anomaly_score(test)
        model.fit(at_random[:FEW])
        return np.concatenate([model.anomaly_score(piece) for piece in np.array_split(test, -(-len(test) // AT_ONCE))])


def anorand(study: Study, part: list[Split], preset: str) -> list[Any]:
    """AnoRand fitted to each training part, all together."""
    options = {"epochs": study.epochs(50)} | ({"seeds": 1} if part[0][0].shape[1] > WIDE else {})
    fits = [hepaa.detector(preset, labels="pseudo", seed=100 * s, **options) for s in study.seeds]
    fit_together(fits, [train for train, *_ in part])
    return fits


def peers(study: Study) -> tuple[str, ...]:
    """Names of PyOD's detectors: all of them, or in a quick run those that are ready at once."""
    return QUICK_PEERS if study.quick else tuple(PEERS)


def measure(study: Study, path: Path) -> dict[str, float]:
    """AUC-PR and AUC-ROC of every detector and seed on a file."""
    part = prepared(path, list(study.seeds))
    ours, published = anorand(study, part, "anorand"), anorand(study, part, "anorand-published")
    found = {}
    for k, seed in enumerate(study.seeds):
        test, truth = part[k][1], part[k][3]
        out = ours[k].outputs(test)
        far = np.linalg.norm(out["x"] - out["x_hat"], axis=2).mean(axis=0)
        scores = {name: peer(name, part[k], seed) for name in peers(study)}
        scores |= {OURS: ours[k].anomaly_score(test), PUBLISHED: published[k].anomaly_score(test)}
        scores |= dict(zip(PARTS_OF_OURS, (out["logit"].mean(axis=0), far), strict=True))
        for name, score in scores.items():
            found[f"{name} {seed} pr"] = 100 * average_precision_score(truth, score)
            found[f"{name} {seed} roc"] = 100 * roc_auc_score(truth, score)
    return found


def ranks(means: np.ndarray) -> np.ndarray:
    """Rank of each detector on each data set (sets, detectors); 1 is the best, equal ones share."""
    return rankdata(-means, axis=1)


def critical_difference(detectors: int, data_sets: int) -> float:
    """Nemenyi's, at 5 %: the difference of two mean ranks above which they are called different."""
    q = studentized_range.ppf(0.95, detectors, np.inf) / np.sqrt(2)
    return float(q * np.sqrt(detectors * (detectors + 1) / (6 * data_sets)))


def diagram(names: list[str], mean_ranks: np.ndarray, difference: float, title: str) -> Figure:
    """Detectors from best to worst, each a bar from its mean rank to that plus the critical difference."""
    order = np.argsort(mean_ranks)[::-1]
    with drawing(Look()) as new_figure:
        figure = new_figure(figsize=(6.4, 5.6))
        axes = figure.subplots()
        figure.subplots_adjust(left=0.33, right=0.97, top=0.93, bottom=0.12)
        height = np.arange(len(order))
        colours = ["#8f0d2c" if names[i].startswith(OURS) else "#3b6f8f" for i in order]
        axes.hlines(height, mean_ranks[order], mean_ranks[order] + difference, color=colours, alpha=0.45, linewidth=4)
        axes.scatter(mean_ranks[order], height, c=colours, zorder=3)
        axes.axvline(mean_ranks.min() + difference, color="black", linestyle=":", linewidth=1)
        axes.set_yticks(height, [names[i] for i in order])
        axes.minorticks_off()
        axes.set_xlabel("mean rank, and Nemenyi's critical difference at 5 %")
        axes.set_title(title, loc="left")
    return figure


def main() -> None:
    """Fit, score, print the ranks, draw the diagram."""
    study = Study.from_command_line(__doc__, seeds=2)
    files = {name: paths for name, paths in sets(study.data).items() if not study.quick or name in QUICK}
    n = len(study.seeds)
    found = {
        name: [study.values(f"{path.stem}, seeds below {n}", 0, partial(measure, study, path)) for path in paths]
        for name, paths in files.items()
    }
    names = [*peers(study), OURS, PUBLISHED]

    def values(detector: str, kind: str) -> np.ndarray:
        keys = [f"{detector} {seed} {kind}" for seed in study.seeds]
        return np.array([[np.mean([one[key] for one in each]) for key in keys] for each in found.values()])

    kinds = {"pr": "AUC-PR", "roc": "AUC-ROC"}
    ranked = {kind: ranks(np.stack([values(name, kind).mean(axis=1) for name in names], axis=1)) for kind in kinds}
    average = {kind: ranked[kind].mean(axis=0) for kind in kinds}
    lines = []
    for name in [*sorted(names, key=lambda name: average["pr"][names.index(name)]), *PARTS_OF_OURS]:
        cells = {f"{kinds[kind]} in %": values(name, kind).mean(axis=0).tolist() for kind in kinds}
        if name in names:
            cells |= {f"mean rank by {kinds[kind]}": [float(average[kind][names.index(name)])] for kind in kinds}
        lines.append(Line(name, cells, digits=1))
    study.publish(f"{len(files)} ADBench sets without labels", lines)
    difference = critical_difference(len(names), len(files))
    for kind, long in kinds.items():
        p = friedmanchisquare(*ranked[kind].T).pvalue
        print(f"{long}: Friedman p = {p:.2g}, critical difference {difference:.2f}")
        title = f"{len(files)} ADBench sets, {long}"
        study.draw(diagram(names, average[kind], difference, title), f"anorand_ranks_{kind}")


if __name__ == "__main__":
    main()
