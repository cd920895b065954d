"""AnoRand with labels among classifiers with labels: the peers of Table 2 of arXiv:2305.18389, by precision and rank.

Naive Bayes, a support vector machine, a perceptron, a random forest and gradient boosting of scikit-learn on the splits
of `anorand_adbench.py` (seeds 0 to 4 of its ten), whose results file gives AnoRand's numbers, so run that first.
Defaults, on standardised features, but for balanced classes where the classifier knows the word and early stopping of
the perceptron; nothing was tuned, where AnoRand chose epochs and combination on a quarter of each training part.
LightGBM, XGBoost and CatBoost, peers in the source too, are no dependency of this project.

A rank is that on a data set, of means over the seeds.

Run: python analyses/anorand_supervised.py [--data FOLDER] [--seeds 5] [--quick]
"""

from __future__ import annotations

import json
import warnings
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from adbench import sets, split, splits
from anorand_adbench import PRINTED, QUICK
from anorand_peers import ranks
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.metrics import average_precision_score
from sklearn.naive_bayes import GaussianNB
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from study import Study
from table import RESULTS, Line

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

OURS = "AnoRand"
PEERS: dict[str, Callable[[int], Any]] = {
    "naive Bayes": lambda _seed: GaussianNB(),
    "support vector machine": lambda _seed: SVC(class_weight="balanced"),
    "perceptron": lambda seed: MLPClassifier(early_stopping=True, random_state=seed),
    "random forest": lambda seed: RandomForestClassifier(class_weight="balanced", random_state=seed),
    "gradient boosting": lambda seed: HistGradientBoostingClassifier(class_weight="balanced", random_state=seed),
}


def parts(data: Path, seed: int) -> dict[str, np.ndarray]:
    """The split of one set, for the audit."""
    train, test, _, _ = split(sets(data)["Wilt"][0], seed)
    return {"train": train, "test": test}


def measure(files: list[Path], name: str, seed: int) -> dict[str, float]:
    """AUC-PR in percent, mean over the files of a set."""
    total = 0.0
    for path in files:
        ((train, test, y, truth),) = splits(path, [seed], labelled=True)
        model = make_pipeline(StandardScaler(), PEERS[name](seed))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model.fit(train, y)
        margin = hasattr(model, "decision_function")
        score = model.decision_function(test) if margin else model.predict_proba(test)[:, 1]
        total += 100 * float(average_precision_score(truth, score))
    return {"ap": total / len(files)}


def ours(n: int) -> dict[str, list[float]]:
    """AnoRand's AUC-PR of the first seeds on each set, as `anorand_adbench.py` left them."""
    lines = json.loads((RESULTS / "anorand_adbench.json").read_text(encoding="utf-8"))["rows"]
    return {line["name"]: line["cells"]["here"][:n] for line in lines}


def main() -> None:
    """Fit, score, print the table."""
    study = Study.from_command_line(__doc__)
    files, kept = sets(study.data), ours(len(study.seeds))
    names = (OURS, *PEERS)
    columns: dict[str, dict[str, list[float]]] = {}
    for name in QUICK if study.quick else PRINTED:
        paths = files[name][: 1 if study.quick else None]
        peers = {p: study.over_seeds(f"{name}, {p}", partial(measure, paths, p))["ap"] for p in PEERS}
        columns[name] = {OURS: kept[name]} | peers
    ranked = ranks(np.array([[np.mean(of[name]) for name in names] for of in columns.values()])).mean(axis=0)
    lines = [Line(name, {p: of[p] for p in names}, digits=1) for name, of in columns.items()]
    means = {p: np.mean([of[p] for of in columns.values()], axis=0).tolist() for p in names}
    lines.append(Line("mean", means, digits=1))
    lines.append(Line("mean rank", {p: [float(rank)] for p, rank in zip(names, ranked, strict=True)}, digits=1))
    study.publish("with labels, AUC-PR in %", lines)


if __name__ == "__main__":
    main()
