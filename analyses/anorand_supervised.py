"""AnoRand with labels among classifiers with labels: the peers of Table 2 of arXiv:2305.18389, by precision and rank.

Naive Bayes, a support vector machine, a perceptron, a random forest and gradient boosting of scikit-learn, LightGBM,
XGBoost and CatBoost on the splits of `anorand_adbench.py`, whose results file gives AnoRand's numbers, so run that
first. Defaults, on standardised features, but for balanced classes where the classifier knows the word and early
stopping of the perceptron; nothing was tuned, where AnoRand chose epochs and combination on a quarter of each training
part. On the embeddings of images, of up to 512 features, two peers would take over half an hour with their
defaults: there scikit-learn's boosting and CatBoost have 32 bins in place of 255 and 254, and CatBoost 200 trees
in place of 1,000. On one split of CIFAR10 these bins change the AUC-PR of the first from 43.8 to 47.1 %, and that of
200 trees of CatBoost from 45.3 to 42.9 %; from split to split boosting varies by 2.

A rank is that on a data set, of means over the seeds.

Run: python analyses/anorand_supervised.py [--data FOLDER] [--seeds 5] [--quick]
"""

from __future__ import annotations

import json
import sys
import warnings
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np
from adbench import sets, split, splits
from anorand_adbench import EMBEDDINGS, PRINTED, QUICK
from anorand_peers import ranks
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.metrics import average_precision_score
from sklearn.naive_bayes import GaussianNB
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from study import Study
from table import RESULTS, Line

if TYPE_CHECKING:
    from pathlib import Path

OURS = "AnoRand"
LIBRARIES = ("lightgbm", "xgboost", "catboost")
COARSE_BINS, FEW_TREES = 32, 200


def need_libraries() -> None:
    """End here, before any training, if a library of the peers is missing."""
    missing = [name for name in LIBRARIES if find_spec(name) is None]
    if missing:
        sys.exit(f"{', '.join(missing)} not installed, peers of AnoRand: pip install 'hepaa[baselines]'")


def peers(seed: int, y: np.ndarray, *, embedded: bool) -> dict[str, Any]:
    """The classifiers, for labels `y`, and for embeddings of images or tables."""
    from catboost import CatBoostClassifier
    from lightgbm import LGBMClassifier
    from xgboost import XGBClassifier

    bins = {"max_bins": COARSE_BINS} if embedded else {}
    trees = {"border_count": COARSE_BINS, "iterations": FEW_TREES} if embedded else {}
    silent = {"verbose": False, "allow_writing_files": False}
    balance = float((y == 0).sum() / (y == 1).sum())
    return {
        "naive Bayes": GaussianNB(),
        "support vector machine": SVC(class_weight="balanced"),
        "perceptron": MLPClassifier(early_stopping=True, random_state=seed),
        "random forest": RandomForestClassifier(class_weight="balanced", random_state=seed),
        "gradient boosting": HistGradientBoostingClassifier(class_weight="balanced", random_state=seed, **bins),
        "LightGBM": LGBMClassifier(class_weight="balanced", random_state=seed, n_jobs=1, verbosity=-1),
        "XGBoost": XGBClassifier(scale_pos_weight=balance, random_state=seed, n_jobs=1, verbosity=0),
        "CatBoost": CatBoostClassifier(
            auto_class_weights="Balanced", random_seed=seed, thread_count=1, **silent, **trees
        ),
    }


def parts(data: Path, seed: int) -> dict[str, np.ndarray]:
    """The split of one set, for the audit."""
    train, test, _, _ = split(sets(data)["Wilt"][0], seed)
    return {"train": train, "test": test}


def precision(model: Any, train: np.ndarray, test: np.ndarray, y: np.ndarray, truth: np.ndarray) -> float:
    """AUC-PR in percent of a classifier that is fitted here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(train, y)
        margin = hasattr(model, "decision_function")
        score = model.decision_function(test) if margin else model.predict_proba(test)[:, 1]
    return 100 * float(average_precision_score(truth, score))


def measure(files: list[Path], seed: int, *, embedded: bool) -> dict[str, float]:
    """AUC-PR in percent of every peer, mean over the files of a set."""
    found: list[dict[str, float]] = []
    for path in files:
        ((train, test, y, truth),) = splits(path, [seed], labelled=True)
        scale = StandardScaler().fit(train)
        part = scale.transform(train), scale.transform(test), y, truth
        models = peers(seed, y, embedded=embedded)
        found.append({name: precision(model, *part) for name, model in models.items()})
    return {name: float(np.mean([one[name] for one in found])) for name in found[0]}


def ours(n: int) -> dict[str, list[float]]:
    """AnoRand's AUC-PR of the first seeds on each set, as `anorand_adbench.py` left them."""
    lines = json.loads((RESULTS / "anorand_adbench.json").read_text(encoding="utf-8"))["rows"]
    return {line["name"]: line["cells"]["here"][:n] for line in lines}


def main() -> None:
    """Fit, score, print the table."""
    study = Study.from_command_line(__doc__)
    need_libraries()
    files, kept = sets(study.data), ours(len(study.seeds))
    columns: dict[str, dict[str, list[float]]] = {}
    for name in QUICK if study.quick else PRINTED:
        paths = files[name][: 1 if study.quick else None]
        columns[name] = {OURS: kept[name]} | study.over_seeds(
            name, partial(measure, paths, embedded=name in EMBEDDINGS)
        )
    names = tuple(columns[name])
    ranked = ranks(np.array([[np.mean(of[name]) for name in names] for of in columns.values()])).mean(axis=0)
    lines = [Line(name, {p: of[p] for p in names}, digits=1) for name, of in columns.items()]
    means = {p: np.mean([of[p] for of in columns.values()], axis=0).tolist() for p in names}
    lines.append(Line("mean", means, digits=1))
    lines.append(Line("mean rank", {p: [float(rank)] for p, rank in zip(names, ranked, strict=True)}, digits=1))
    study.publish("with labels, AUC-PR in %", lines)


if __name__ == "__main__":
    main()
