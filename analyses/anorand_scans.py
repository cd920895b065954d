"""AnoRand against w and against its noise (arXiv:2305.18389, Figs. 3 and 4), and how the noise was chosen.

- AUC-PR on scikit-learn's make_classification against w, with labels, and against the noise of the pseudo-anomalies,
  without, for the published form (noise in each feature, on 2 % of the rows, grown to 5 %, w = 0.2, learning rate 1e-4,
  200 epochs) and for the preset "anorand" (noise along principal components, on all rows). The source shows curves and
  no numbers for its own draws, and finds noise above 0.52 stable and w = 0.2 the best. Neither is found here: with
  labels the precision rises with w up to w = 1, where no autoencoder is left, and without labels the published noise
  makes no difference from 0.1 to 4. Nothing is taken from these.
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
from hepaa.plots.style import LINES, Look, drawing, line_colours, single

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.figure import Figure

WEIGHTS = (0.0, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 0.9, 1.0)
NOISES = (0.1, 0.3, 0.6, 1.0, 1.5, 2.0, 3.0, 4.0)
ROWS, FEATURES, ANOMALIES = 3000, 20, 0.1
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


def fitted(study: Study, draws: list[Split], preset: str, options: dict[str, Any]) -> list[Any]:
    """A detector for each draw, trained together."""
    given = {"labels": "pseudo"} | options
    given["epochs"] = study.epochs(given.get("epochs", 50))
    models = [hepaa.detector(preset, seed=100 * seed, **given) for seed in range(len(draws))]
    labels = [draw[2] for draw in draws] if given["labels"] == "given" else None
    fit_together(models, [draw[0] for draw in draws], labels)
    return models


def curve(study: Study, preset: str, options: dict[str, Any]) -> dict[str, float]:
    """AUC-PR in percent of each seed on the synthetic data."""
    draws = [synthetic(seed) for seed in study.seeds]
    models = fitted(study, draws, preset, options)
    return {
        f"{seed}": 100 * float(average_precision_score(draw[3], model.anomaly_score(draw[1])))
        for seed, draw, model in zip(study.seeds, draws, models, strict=True)
    }


def scan(study: Study, what: str, values: tuple[float, ...], form: str, labels: str) -> list[list[float]]:
    """AUC-PR of each seed at each value of a parameter."""
    preset, fixed = FORMS[form]
    found = []
    for value in values[:: 4 if study.quick else 1]:
        compute = partial(curve, study, preset, fixed | {what: value, "labels": labels})
        numbers = study.values(f"{form}, {what} {value:g}, seeds below {len(study.seeds)}", 0, compute)
        found.append(list(numbers.values()))
    return found


def figure(x: tuple[float, ...], curves: dict[str, list[list[float]]], label: str, title: str) -> Figure:
    """Mean and standard deviation over the seeds of each curve."""
    with drawing(Look()) as new_figure:
        drawn, axes = single(new_figure)
        for (name, rows), colour, line in zip(curves.items(), line_colours(len(curves)), LINES, strict=False):
            mean, spread = np.mean(rows, axis=1), np.std(rows, axis=1, ddof=min(1, len(rows[0]) - 1))
            axes.plot(x, mean, color=colour, linestyle=line, label=name)
            axes.fill_between(x, mean - spread, mean + spread, color=colour, alpha=0.2, linewidth=0)
        axes.set(xlabel=label, ylabel="AUC-PR in %", ylim=(0, 100))
        axes.set_title(title, loc="left")
        axes.legend()
    return drawn


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
    weights = {form: scan(study, "classifier_weight", WEIGHTS, form, "given") for form in FORMS}
    noises = {form: scan(study, "sigma", NOISES, form, "pseudo") for form in FORMS}
    lines = []
    for values, curves, symbol in ((WEIGHTS, weights, "w"), (NOISES, noises, "noise")):
        x = values[:: 4 if study.quick else 1]
        for i, value in enumerate(x):
            lines.append(Line(f"{symbol} = {value:g}", {form: rows[i] for form, rows in curves.items()}, digits=1))
        label = "w" if symbol == "w" else "noise in standard deviations"
        title = "with labels" if symbol == "w" else "without labels"
        study.draw(figure(x, curves, label, f"make_classification, {title}"), f"anorand_{symbol}")
    study.publish("AnoRand on make_classification, AUC-PR in %", lines)
    study.publish("AnoRand without labels on training parts", choice(study), key="anorand_choice")


if __name__ == "__main__":
    main()
