"""Significance improvement in the LHCO R&D signal region 3.3 .. 3.7 TeV, at S/B = 0.6 %, with the literature beside it.

Four inputs: mass of the lighter jet, mass difference, tau21 of both (CATHODE's arrays, in the data pack). Label-free
detectors are trained on the mixed data of the signal region, where 395 of 60,000 events are signal that nobody has
labelled; few-label detectors know some labelled anomalies besides; the ceiling knows 20,000 labels. Literature, maximal
SIC in this window with these inputs (CATHODE: arXiv:2109.00546): supervised 17.65, idealised 15.08, CATHODE 13.99,
CWoLa 10.75, ANODE 6.46. All but the first learn from the mass sidebands, or from background known to be pure, what
background looks like; no detector here does, so those three are goals and not peers of the label-free rows.
Test: 40,000 background and 20,000 signal events that no training saw; SIC only where 25 background events pass.

Run: python analyses/lhco_sic.py [--data FOLDER] [--seeds 5] [--quick]
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from samples import GEV
from study import Study
from table import Row

import hepaa
from hepaa import plots
from hepaa.stats.performance import SIC, auc, sic

if TYPE_CHECKING:
    from pathlib import Path

LITERATURE = {"supervised": 17.65, "idealised": 15.08, "CATHODE": 13.99, "CWoLa": 10.75, "ANODE": 6.46}

# name, published, detector, labelled anomalies it knows
ROWS = (
    ("VAE 16-2, no labels", "", "vae-lhco", 0),
    ("flow, no labels", "", "flow", 0),
    ("Gaussian mixture, no labels", "", "gaussian-mixture", 0),
    ("Isolation Forest, no labels", "", "isolation-forest", 0),
    ("Anomaly-Aware VAE 16-2, 100 labels", "", "aa-lhco", 100),
    ("Anomaly-Aware ensemble, 100 labels", "", "aa-invariant", 100),
    ("Anomaly-Aware ensemble, 1,000 labels", "", "aa-invariant", 1000),
    ("boosting, 100 labels", "", "boosting", 100),
    ("boosting, 20,000 labels (ceiling)", "17.65", "boosting", 20_000),
)


def load(folder: Path, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Inputs (n, 4), masses in GeV, and labels (n,) of one of CATHODE's arrays."""
    values = np.load(folder / "lhco" / f"cathode_innerdata_{name}.npy")
    return values[:, 1:5] * GEV, values[:, 5].astype(int)


def scored(study: Study, kind: str, labels: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Truth and score of the test events."""
    mixed, _ = load(study.data, "train")
    extra, extra_label = load(study.data, "extrasig_train")
    test, truth = load(study.data, "test")
    known = extra[extra_label == 1][np.random.default_rng(seed).permutation(int(np.sum(extra_label)))][:labels]
    X, y = np.concatenate([mixed, known]), np.repeat([0, 1], [len(mixed), len(known)])
    if study.quick:
        X, y = X[-23_000::4], y[-23_000::4]
    short = {"epochs": 2} if study.quick and kind in ("vae-lhco", "aa-lhco", "aa-invariant", "flow") else {}
    model = hepaa.detector(kind, seed=seed, **short)
    return truth, model.fit(X, y if labels else None).anomaly_score(test)


def main() -> None:
    """Measure over seeds, print beside the literature, draw the curves of the first seed."""
    study = Study.from_command_line(__doc__)
    curves: dict[str, SIC] = {}

    def measure(name: str, kind: str, labels: int, seed: int) -> dict[str, float]:
        truth, score = scored(study, kind, labels, seed)
        curve = sic(truth, score)
        if seed == 0:
            curves[name] = curve
        return {"max SIC": curve.max or np.nan, "auc": auc(truth, score)}

    rows = []
    for name, published, kind, labels in ROWS:
        found = study.over_seeds(name, partial(measure, name, kind, labels))
        rows.append(Row(name, published, found["max SIC"], digits=2))
    rows += [Row(f"{name} (literature)", f"{value:.2f}", []) for name, value in LITERATURE.items()]
    study.publish("LHCO signal region, S/B = 0.6 %: maximal SIC", rows)
    if not study.quick:
        for name, _, kind, labels in ROWS:
            if name not in curves:
                curves[name] = sic(*scored(study, kind, labels, 0))
        look = plots.Look(label="LHCO R&D, S/B = 0.6 %, one seed", sqrt_s=13)
        study.draw(plots.sic({name: curves[name] for name, *_ in ROWS}, levels=LITERATURE, look=look))


if __name__ == "__main__":
    main()
