"""Does Anomaly Awareness find what it was not tuned on? Three dijet signals, tuned on one, tested on each.

The source (arXiv:2504.11520) tests on the class whose labels it has seen. Here every detector is a row of three
numbers. "AA 16-2" are the source's settings on its 14 inputs; "AA" is `aa-invariant`, five members on the inputs
without azimuth, and "AA or density" (`aa-or-density`) takes the rarer of its verdict and of a density that has seen no
label, each as a rank among the training background, which is to keep what tuning would lose. The untuned rows are what
an entry must not fall below. Settings were chosen on a part of the training events.

Run: python analyses/aa_dijets.py [--data FOLDER] [--seeds 5] [--quick]
"""

from __future__ import annotations

from functools import partial

import numpy as np
import samples
from samples import SVJ, W500, W1000
from sklearn.metrics import roc_auc_score
from study import Study
from table import Row

import hepaa
from hepaa.features.invariant import invariant

parts = samples.dijets
ROWS = (
    ("VAE 16-2, 14 inputs, untuned", "vae-lhco", "", 0),
    ("AA 16-2, 14 inputs, tuned on W'(500, 100)", "aa-lhco", W500, 14_000),
    ("VAE 16-2, untuned", "vae-lhco", "", 0),
    ("density, untuned", "density", "", 0),
    ("AA, tuned on W'(500, 100)", "aa-invariant", W500, 14_000),
    ("AA or density, tuned on W'(500, 100)", "aa-or-density", W500, 14_000),
    ("AA or density, 100 labels of W'(500, 100)", "aa-or-density", W500, 100),
    ("AA or density, tuned on semi-visible jets", "aa-or-density", SVJ, 14_000),
    ("AA or density, tuned on W'(1000, 400)", "aa-or-density", W1000, 14_000),
    ("boosting, tuned on W'(500, 100)", "boosting", W500, 14_000),
)
SHORT = {"vae-lhco": "epochs", "aa-lhco": "epochs", "aa-invariant": "epochs"}


def aucs(study: Study, name: str, preset: str, tuned_on: str, labels: int, seed: int) -> dict[str, float]:
    """AUC of each signal."""
    events = parts(study.data, seed)
    if "14 inputs" not in name:
        events = {part: invariant(table) for part, table in events.items()}
    train = samples.labelled(events, tuned_on or W500, labels)
    if study.quick:
        train = train[np.flatnonzero((train.label == 1) | (np.arange(train.n) < 3000))]
    short = {"epochs": 2} if study.quick and preset in SHORT else {}
    model = hepaa.detector(preset, seed=seed, **short).fit(train)
    scores = {part: model.anomaly_score(table) for part, table in samples.tested(events).items()}
    common = scores.pop("background")
    return {
        signal: float(roc_auc_score(np.repeat([0, 1], [len(common), len(s)]), np.concatenate([common, s])))
        for signal, s in scores.items()
    }


def main() -> None:
    """Train, score, print one table for each tested signal."""
    study = Study.from_command_line(__doc__)
    found = {
        name: study.over_seeds(name, partial(aucs, study, name, preset, tuned_on, labels))
        for name, preset, tuned_on, labels in ROWS
    }
    for key, signal, published in (("w500", W500, "0.64"), ("svj", SVJ, ""), ("w1000", W1000, "")):
        rows = [Row(name, published if name.startswith("VAE 16-2, 14") else "", v[signal]) for name, v in found.items()]
        study.publish(f"dijets, tested on {signal}: AUC", rows, key=f"aa_dijets_{key}")


if __name__ == "__main__":
    main()
