"""AnoRand against w and against its noise (arXiv:2305.18389, Figs. 3 and 4), and how the noise was chosen.

- AUC-PR on scikit-learn's make_classification against w, with labels, and against the noise of the pseudo-anomalies,
  without, for the published form (noise in each feature, on 2 % of the rows, grown to 5 %, w = 0.2, learning rate 1e-4,
  200 epochs) and for the preset "anorand" (noise along principal components, on all rows). The source shows curves and
  no numbers for its own draws, and finds noise above 0.52 stable and w = 0.2 the best. Neither is found here: with
  labels the precision rises with w up to about 0.8 and stays there up to w = 1, where no autoencoder is left, and
  without labels the published noise makes no difference from 0.1 to 4. Nothing is taken from these.
- The second panels. The text at hand does not show what the source's Figs. 3b and 4b are; here they have the same scans
  on real data, as means over three sets of ADBench: 70/30 splits, one a seed, at most 700 rows of the training part
  (the source trains on all, so the published form makes fewer steps here), scored on the whole test part.
- The same noises on ADBench's sets at hand without labels (of at most 200 features, and with 5 anomalies there at
  least): the training part of the first split, at most 700 rows of it, fitted to 70 % of these and scored on the rest.
  Its labels decide between settings, which is more than a user without labels has, and other splits test some of its
  rows. But what is chosen is one setting for all sets, and the line printed last says how often it is still the best
  when all labels of the set itself are left out of the choice.

Tried besides, on the same parts: noise along principal components without the uniform half, log-uniform and Student
noise, rows shuffled within each feature, noise on some features alone or in units of the distance to neighbours; w of
0.05 to 0.9, learning rates of 3e-4 to 3e-3, noise on the inputs, 20 to 100 epochs; sums of -log of the share of
background above (Fisher), the larger of the two, and other weights of the two parts, on one or two splits each. Kept
were the kind of noise, the share of pseudo-anomalies, the combination of the scores and the averaging of four networks.

Run: python analyses/anorand_scans.py [--data FOLDER] [--seeds 5] [--quick]
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from adbench import Split, chosen, divided, sets, split, varying
from sklearn.datasets import make_classification
from sklearn.metrics import average_precision_score, roc_auc_score
from study import Study
from table import Line

import hepaa
from hepaa.models.anorand.together import fit_together
from hepaa.plots.style import LINES, Look, drawing, line_colours

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.figure import Figure

WEIGHTS = (0.0, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 0.9, 1.0)
NOISES = (0.1, 0.3, 0.6, 1.0, 1.5, 2.0, 3.0, 4.0)
ROWS, FEATURES, ANOMALIES = 3000, 20, 0.1
SYNTHETIC, REAL = "make_classification", "three ADBench sets"
REAL_SETS = ("annthyroid", "fault", "Wilt")
MOST_ROWS, MOST_FEATURES, LEAST_ANOMALIES, HELD_OUT = 700, 200, 5, 0.3
FORMS: dict[str, tuple[str, dict[str, Any]]] = {
    "published form (rerun)": ("anorand-published", {}),
    "here": ("anorand", {}),
}
ON_SETS: dict[str, tuple[str, dict[str, Any]]] = {
    "published form (rerun), noise 0.6": ("anorand-published", {}),
    "published form (rerun), noise 2": ("anorand-published", {"sigma": 2.0}),
    "noise of 0.5 along principal components": ("anorand", {"sigma": 0.5}),
    "noise of 1 along principal components": ("anorand", {"sigma": 1.0}),
    "noise of 2 along principal components": ("anorand", {"sigma": 2.0}),
    "noise of 4 along principal components": ("anorand", {"sigma": 4.0}),
    "noise of 2 along principal components, one network": ("anorand", {"sigma": 2.0, "seeds": 1}),
}
COMBINATIONS = ("quartiles", "standardised")
SETTINGS = [f"{name}, {combination}" for name in ON_SETS for combination in COMBINATIONS]
QUICK = ("glass", "wine")


def synthetic(seed: int) -> Split:
    """Ten informative and five redundant features of twenty, two clusters a class; 70 % for training."""
    X, y = make_classification(
        ROWS, FEATURES, n_informative=10, n_redundant=5, weights=[1 - ANOMALIES], flip_y=0, random_state=seed
    )
    return divided(X, y, HELD_OUT, seed)


def parts(data: Path, seed: int) -> dict[str, np.ndarray]:
    """The synthetic data, for the audit."""
    del data
    train, test, _, _ = synthetic(seed)
    return {"train": train, "test": test}


def real(path: Path, seeds: range) -> list[Split]:
    """Splits of a data set with few training rows, and the columns that vary among the normal ones."""
    draws = []
    for seed in seeds:
        train, test, y, truth = split(path, seed)
        few = chosen(y, min(1.0, MOST_ROWS / len(y)), seed)
        draws.append((train[few], test, y[few], truth))
    return varying(draws, labelled=True)


def drawn(study: Study) -> dict[str, list[list[Split]]]:
    """What each panel of the scans is a mean over: data sets, and of each a split for every seed."""
    paths = sets(study.data)
    names = REAL_SETS[: 1 if study.quick else None]
    return {
        SYNTHETIC: [[synthetic(seed) for seed in study.seeds]],
        REAL: [real(paths[name][0], study.seeds) for name in names],
    }


def fitted(study: Study, draws: list[Split], preset: str, options: dict[str, Any]) -> list[Any]:
    """A detector for each draw, trained together."""
    given = {"labels": "pseudo"} | options
    given["epochs"] = study.epochs(given.get("epochs", 50))
    models = [hepaa.detector(preset, seed=100 * seed, **given) for seed in range(len(draws))]
    labels = [draw[2] for draw in draws] if given["labels"] == "given" else None
    fit_together(models, [draw[0] for draw in draws], labels)
    return models


def curve(study: Study, of: list[list[Split]], preset: str, options: dict[str, Any]) -> dict[str, float]:
    """AUC-PR in percent of each seed, mean over the data sets."""
    found = np.zeros(len(study.seeds))
    for draws in of:
        models = fitted(study, draws, preset, options)
        scores = [average_precision_score(d[3], m.anomaly_score(d[1])) for d, m in zip(draws, models, strict=True)]
        found += 100 * np.array(scores) / len(of)
    return {f"{seed}": float(value) for seed, value in zip(study.seeds, found, strict=True)}


def scan(study: Study, parameter: str, values: tuple[float, ...], labels: str) -> dict[str, dict[str, list[Any]]]:
    """AUC-PR of each seed at each value of a parameter, of each form, in each panel."""
    curves: dict[str, dict[str, list[Any]]] = {}
    for panel, of in drawn(study).items():
        for form, (preset, fixed) in FORMS.items():
            rows = []
            for value in values:
                compute = partial(curve, study, of, preset, fixed | {parameter: value, "labels": labels})
                name = f"{panel}, {form}, {parameter} {value:g}, seeds below {len(study.seeds)}"
                rows.append(list(study.values(name, 0, compute).values()))
            curves.setdefault(panel, {})[form] = rows
    return curves


def figure(x: tuple[float, ...], curves: dict[str, dict[str, list[Any]]], label: str, labels: str) -> Figure:
    """Mean and standard deviation over the seeds of each curve, a panel for each kind of data."""
    with drawing(Look()) as new_figure:
        both = new_figure(figsize=(10, 4.6))
        panels = both.subplots(1, len(curves), sharey=True)
        for axes, (panel, forms) in zip(panels, curves.items(), strict=True):
            for (form, rows), colour, line in zip(forms.items(), line_colours(len(forms)), LINES, strict=False):
                mean, spread = np.mean(rows, axis=1), np.std(rows, axis=1, ddof=min(1, len(rows[0]) - 1))
                axes.plot(x, mean, color=colour, linestyle=line, label=form)
                axes.fill_between(x, mean - spread, mean + spread, color=colour, alpha=0.2, linewidth=0)
            axes.set(xlabel=label, ylim=(0, 100))
            axes.set_title(f"{panel}, {labels}", loc="left")
        panels[0].set_ylabel("AUC-PR in %")
        panels[0].legend()
        both.tight_layout()
    return both


def on_training_part(study: Study, path: Path) -> dict[str, float]:
    """AUC-PR and AUC-ROC of every setting on the held-out rows of a training part; nothing if that has too few."""
    rows, _, y, _ = split(path, 0)
    if len(rows) > MOST_ROWS:
        kept = chosen(y, MOST_ROWS / len(rows), 0)
        rows, y = rows[kept], y[kept]
    if y.sum() < LEAST_ANOMALIES or rows.shape[1] > MOST_FEATURES:
        return {}
    part = varying([divided(rows, y, HELD_OUT, 0)], labelled=False)
    found = {}
    for name, (preset, options) in ON_SETS.items():
        (model,) = fitted(study, part, preset, options)
        for combination in COMBINATIONS:
            score = model.set_params(combination=combination).anomaly_score(part[0][1])
            found[f"{name}, {combination} pr"] = 100 * float(average_precision_score(part[0][3], score))
            found[f"{name}, {combination} roc"] = 100 * float(roc_auc_score(part[0][3], score))
    return found


def choice(study: Study) -> list[Line]:
    """Means over the sets of every setting, and how often a choice without the set's own labels is the same."""
    files = {name: paths[0] for name, paths in sets(study.data).items() if not study.quick or name in QUICK}
    tables = [study.values(f"training part of {n}", 0, partial(on_training_part, study, p)) for n, p in files.items()]
    tables = [table for table in tables if table]
    grid = {kind: np.array([[one[f"{name} {kind}"] for name in SETTINGS] for one in tables]) for kind in ("pr", "roc")}
    lines = [
        Line(name, {"AUC-PR in %": [grid["pr"][:, i].mean()], "AUC-ROC in %": [grid["roc"][:, i].mean()]}, digits=1)
        for i, name in enumerate(SETTINGS)
    ]
    total = grid["pr"] + grid["roc"]
    best = total.sum(axis=0).argmax()
    same = np.mean((total.sum(axis=0) - total).argmax(axis=1) == best)
    print(f"best by the sum of both: {SETTINGS[best]}; the same without the set's own labels: {100 * same:.0f} %")
    return lines


def main() -> None:
    """Scan, draw, print the tables."""
    study = Study.from_command_line(__doc__)
    lines = []
    for parameter, grid, labels, symbol, label in (
        ("classifier_weight", WEIGHTS, "given", "w", "w"),
        ("sigma", NOISES, "pseudo", "noise", "noise in standard deviations"),
    ):
        x = grid[:: 4 if study.quick else 1]
        curves = scan(study, parameter, x, labels)
        for i, value in enumerate(x):
            cells = {f"{form}, {panel}": rows[i] for panel, forms in curves.items() for form, rows in forms.items()}
            lines.append(Line(f"{symbol} = {value:g}", cells, digits=1))
        title = "with labels" if labels == "given" else "without labels"
        study.draw(figure(x, curves, label, title), f"anorand_{symbol}")
    study.publish("AnoRand against w and noise, AUC-PR in %", lines)
    study.publish("AnoRand without labels on training parts", choice(study), key="anorand_choice")


if __name__ == "__main__":
    main()
