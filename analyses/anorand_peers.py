"""AnoRand without labels (arXiv:2305.18389) among 15 detectors of PyOD: ADBench's data sets at hand, identical splits.

ADBench's protocol (`adbench.py`): detectors are fitted to the training part with the anomalies in it, and scored on the
test part by AUC-PR and AUC-ROC. What differs from it, to keep the whole in bounds: of both parts 1,000 rows at most,
the same for all detectors, with one anomaly at least. PyOD's detectors have its defaults, but for

- principal components without variance (PCA divides by them) and a floor to the covariance (GMM);
- CBLOF where its eight clusters are too even for its rule, which then gives up: ten, of which one is small enough;
- AutoEncoder and DeepSVDD above 500 rows: batches of 128 in place of 32, with learning rates four and ten times as
  high, and 25 epochs of DeepSVDD in place of 100. On held-out training rows of eight sets that gives, for a fifth and a
  tenth of the time, mean AUC-PR of 46.5 and 49.5 % in place of 45.8 and 48.8 %, AUC-ROC of 77.0 and 77.9 % in place of
  76.1 and 77.1 %;
- COF and SOD compare the rows that they score with each other and never with the training rows, of which they are
  given 100.

A detector's rank on a data set is that of its mean over the seeds. The figure is that of Demsar (JMLR 7, 2006): mean
ranks, and bars over groups whose ranks differ by less than Nemenyi's critical difference at 5 %.

Settings of AnoRand are those of the preset "anorand", which `anorand_scans.py` compares on training parts, with one
network in place of four where there are more than 200 features, trained for 50 epochs. The published form (noise of 0.6
in each feature on 2 % of the rows, grown to 5 %; learning rate 1e-4, 200 epochs) is run beside it. A reading that was
not tested: independent noise leaves the correlations at once, so the classifier learns little about what is further
out.

The preset's settings have seen labels of the training parts of these sets, which the peers' defaults have not. It is
among the first by mean rank, not by mean AUC-PR: ranks count sets, means count the sets where precision is high.

`results/anorand_peers.csv` has every set and detector; the box plots are those of the source's Fig. 8, the columns
"first" and "second" its counts.

Run: python analyses/anorand_peers.py [--data FOLDER] [--seeds 5] [--quick]
"""

from __future__ import annotations

import csv
import warnings
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from adbench import Split, chosen, sets, split, varying
from scipy.stats import friedmanchisquare, rankdata, studentized_range
from sklearn.metrics import average_precision_score, roc_auc_score
from study import Study
from table import RESULTS, Line

import hepaa
from hepaa.models.anorand.together import fit_together
from hepaa.plots.style import Look, drawing
from hepaa.table.preprocess import SkewLogStandardize

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.figure import Figure

MOST_ROWS, FEW, WIDE = 1000, 100, 200
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
MANY = 500
OF_MANY: dict[str, dict[str, Any]] = {
    "AutoEncoder": {"batch_size": 128, "lr": 4e-3},
    "DeepSVDD": {"batch_size": 128, "learning_rate": 1e-3, "epochs": 25},
}
EVEN: dict[str, dict[str, Any]] = {"CBLOF": {"n_clusters": 10}}
AMONG_THEMSELVES = ("COF", "SOD")
OURS, PUBLISHED = "AnoRand", "AnoRand, published form (rerun)"
EPOCHS = {"anorand": 50, "anorand-published": 200}
OURS_COLOUR = "#8f0d2c"
PARTS_OF_OURS = ("its classifier alone", "its autoencoder alone")
PLACES = {1: "first", 2: "second"}
QUICK, QUICK_PEERS = ("glass", "Stamps"), ("KNN", "IForest", "PCA", "COF", "ECOD", "GMM")


def parts(data: Path, seed: int) -> dict[str, np.ndarray]:
    """The split of one set, for the audit."""
    ((train, test, _, _),) = prepared(sets(data)["Wilt"][0], [seed])
    return {"train": train, "test": test}


def prepared(path: Path, seeds: list[int]) -> list[Split]:
    """The splits, with so many rows of each part at most."""
    found = []
    for seed in seeds:
        train, test, y_train, y_test = split(path, seed)
        few, asked = (chosen(y, min(1.0, MOST_ROWS / len(y)), seed) for y in (y_train, y_test))
        found.append((train[few], test[asked], y_train[few], y_test[asked]))
    return varying(found, labelled=False)


def peer(name: str, part: Split, seed: int) -> np.ndarray:
    """Scores of the test rows by a detector of PyOD."""
    scale = SkewLogStandardize(None).fit(part[0])
    train, test = (scale.transform(rows) for rows in part[:2])
    options = PEERS[name] | (OF_MANY.get(name, {}) if len(train) > MANY else {})
    if name == "DeepSVDD":
        options |= {"n_features": train.shape[1]}
    if name in AMONG_THEMSELVES:
        train = np.random.default_rng([seed, 31]).permutation(train)[:FEW]
    model = hepaa.detector("OutlierModel", model=f"pyod.{name}", options=options, preprocess=None, seed=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            model.fit(train)
        except ValueError as reason:
            if name not in EVEN or "cluster separation" not in str(reason):
                raise
            model.set_params(options=options | EVEN[name]).fit(train)
        return model.anomaly_score(test)


def anorand(study: Study, part: list[Split], preset: str) -> list[Any]:
    """AnoRand fitted to each training part, all together."""
    options = {"epochs": study.epochs(EPOCHS[preset])} | ({"seeds": 1} if part[0][0].shape[1] > WIDE else {})
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
    return np.asarray(rankdata(-means, axis=1))


def critical_difference(detectors: int, data_sets: int) -> float:
    """Nemenyi's, at 5 %: the difference of two mean ranks above which they are called different."""
    q = studentized_range.ppf(0.95, detectors, np.inf) / np.sqrt(2)
    return float(q * np.sqrt(detectors * (detectors + 1) / (6 * data_sets)))


def groups(sorted_ranks: np.ndarray, difference: float) -> list[tuple[int, int]]:
    """First and last of each run of detectors, by mean rank, that differ by less than the critical difference."""
    found: list[tuple[int, int]] = []
    for first in range(len(sorted_ranks)):
        last = int(np.searchsorted(sorted_ranks, sorted_ranks[first] + difference)) - 1
        if last > first and (not found or last > found[-1][1]):
            found.append((first, last))
    return found


def diagram(names: list[str], mean_ranks: np.ndarray, difference: float, title: str) -> Figure:
    """Demsar's: detectors along an axis of mean ranks, the better half named on the left; bars over equal ones."""
    order = np.argsort(mean_ranks)
    at = mean_ranks[order]
    low, high = np.floor(at[0]), np.ceil(at[-1])
    bars = groups(at, difference)
    half, step = (len(at) + 1) // 2, 0.5
    below = 0.5 + 0.22 * len(bars)
    with drawing(Look()) as new_figure:
        figure = new_figure(figsize=(7.6, 4.2))
        axes = figure.subplots()
        figure.subplots_adjust(left=0.19, right=0.71, top=0.77, bottom=0.03)
        axes.set(xlim=(low, high), ylim=(below + step * half, 0))
        axes.xaxis.tick_top()
        axes.tick_params(axis="x", which="both", direction="out", bottom=False)
        axes.spines[["left", "right", "bottom"]].set_visible(False)
        axes.yaxis.set_visible(False)
        for i, rank in enumerate(at):
            better = i < half
            height = below + step * (i if better else len(at) - 1 - i)
            colour, above = (OURS_COLOUR, 3) if names[order[i]].startswith(OURS) else ("black", 2)
            side, shift, align = (low, -4, "right") if better else (high, 4, "left")
            axes.plot([rank, rank, side], [0, height, height], color=colour, linewidth=1, clip_on=False, zorder=above)
            axes.annotate(
                f"{names[order[i]]}  {rank:.1f}" if better else f"{rank:.1f}  {names[order[i]]}",
                (side, height),
                (shift, 0),
                textcoords="offset points",
                ha=align,
                va="center",
                color=colour,
                fontsize="small",
                annotation_clip=False,
            )
        for i, (first, last) in enumerate(bars):
            y = 0.3 + 0.22 * i
            axes.plot([at[first] - 0.05, at[last] + 0.05], [y, y], color="0.35", linewidth=3.5, solid_capstyle="butt")
        axes.plot([low, low + difference], [-0.85, -0.85], color="black", marker="|", linewidth=1.5, clip_on=False)
        axes.annotate(
            f"critical difference {difference:.2f}",
            (low + difference, -0.85),
            (6, 0),
            textcoords="offset points",
            va="center",
            fontsize="small",
            annotation_clip=False,
        )
        figure.suptitle(title, x=0.45, y=0.985)
    return figure


def write_csv(study: Study, sets_here: list[str], by_set: dict[str, dict[str, np.ndarray]]) -> None:
    """Mean and standard deviation over the seeds of every set and detector, in percent."""
    if study.quick:
        return
    with (RESULTS / f"{study.key}.csv").open("w", encoding="utf-8", newline="") as file:
        lines = csv.writer(file, lineterminator="\n")
        lines.writerow(["set", "detector", "AUC-PR", "its spread", "AUC-ROC", "its spread"])
        for k, name in enumerate(sets_here):
            for detector in by_set["pr"]:
                numbers = [f(by_set[kind][detector][k]) for kind in by_set for f in (np.mean, partial(np.std, ddof=1))]
                lines.writerow([name, detector, *(f"{number:.2f}" for number in numbers)])


def boxes(values: dict[str, np.ndarray], order: list[str]) -> Figure:
    """AUC-PR over the sets: median, quartiles, and whiskers to the last set within 1.5 of their distance."""
    with drawing(Look()) as new_figure:
        figure = new_figure(figsize=(7.6, 5.2))
        axes = figure.subplots()
        axes.boxplot([values[name].mean(axis=1) for name in order], orientation="horizontal", flierprops={"ms": 3})
        axes.set_yticks(range(1, len(order) + 1), order)
        axes.invert_yaxis()
        axes.set(xlabel="AUC-PR in %", xlim=(0, 100))
        figure.tight_layout()
    return figure


def main() -> None:
    """Fit, score, print the ranks, draw the diagram."""
    study = Study.from_command_line(__doc__)
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
            i = names.index(name)
            cells |= {f"mean rank by {kinds[kind]}": [float(average[kind][i])] for kind in kinds}
            cells |= {f"sets where {place}": [float((ranked["pr"][:, i] == n).sum())] for n, place in PLACES.items()}
        lines.append(Line(name, cells, digits=1))
    study.publish(f"{len(files)} ADBench sets without labels", lines)
    by_set = {kind: {name: values(name, kind) for name in names} for kind in kinds}
    write_csv(study, list(found), by_set)
    study.draw(boxes(by_set["pr"], [names[i] for i in np.argsort(average["pr"])]), "anorand_boxes")
    for name in (OURS, PUBLISHED):
        worse = int((values(name, "roc").mean(axis=1) < 50).sum())
        print(f"{name}: AUC-ROC below 50 % on {worse} of {len(files)} sets")
    difference = critical_difference(len(names), len(files))
    for kind, long in kinds.items():
        p = friedmanchisquare(*ranked[kind].T).pvalue
        place = 1 + int((average[kind] < average[kind][names.index(OURS)]).sum())
        print(f"{long}: Friedman p = {p:.2g}, critical difference {difference:.2f}; {OURS} is {place} of {len(names)}")
        title = f"Mean ranks by {long} on {len(files)} ADBench sets"
        study.draw(diagram(names, average[kind], difference, title), f"anorand_ranks_{kind}")


if __name__ == "__main__":
    main()
