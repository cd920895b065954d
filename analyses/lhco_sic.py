"""Significance improvement in the LHCO R&D signal region 3.3 .. 3.7 TeV, at S/B = 0.6 %, with the literature beside it.

Four inputs: mass of the lighter jet, mass difference, tau21 of both (CATHODE's arrays, in the data pack). Label-free
detectors are trained on the mixed data of the signal region, where 395 of 60,000 events are signal that nobody has
labelled; few-label detectors know some labelled anomalies besides; the ceiling knows 20,000 labels of each class.
Literature, maximal SIC in this window with these inputs (CATHODE: arXiv:2109.00546): supervised 17.65, idealised 15.08,
CATHODE 13.99, CWoLa 10.75, ANODE 6.46. The last three use the mass sidebands, which no detector here looks at.
Test: 40,000 background and 20,000 signal events that no training saw; SIC only where 25 background events pass.

Run: python analyses/lhco_sic.py [--data FOLDER] [--seeds 3] [--output FOLDER] [--quick]
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

import numpy as np

import hepaa
from hepaa import plots
from hepaa.stats.performance import SIC, auc, sic

LITERATURE = {"supervised": 17.65, "idealised": 15.08, "CATHODE": 13.99, "CWoLa": 10.75, "ANODE": 6.46}
COLUMNS = ["mj1", "dmj", "tau21j1", "tau21j2"]
HERE = Path(__file__).parent

# name, detector, labelled anomalies it knows
ROWS = (
    ("VAE, label-free", "vae-lhco", 0),
    ("Flow, label-free", "flow", 0),
    ("Isolation Forest, label-free", "IsolationForest", 0),
    ("Anomaly-Aware VAE, 100 labels", "aa-lhco", 100),
    ("Anomaly-Aware VAE, 1000 labels", "aa-lhco", 1000),
    ("Boosting, 100 labels", "SupervisedBoosting", 100),
    ("Boosting, 20,000 labels (ceiling)", "SupervisedBoosting", 20_000),
)


def load(folder: Path, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Inputs (n, 4), masses in GeV, and labels (n,) of one of CATHODE's arrays."""
    values = np.load(folder / "lhco" / f"cathode_innerdata_{name}.npy")
    return values[:, 1:5] * np.array([1000.0, 1000.0, 1.0, 1.0]), values[:, 5].astype(int)


def measure(data: Path, seed: int, *, quick: bool) -> dict[str, tuple[SIC, float]]:
    """SIC curve and AUC of every row."""
    mixed, _ = load(data, "train")
    extra, extra_label = load(data, "extrasig_train")
    test, truth = load(data, "test")
    anomalies = extra[extra_label == 1][np.random.default_rng(seed).permutation(int(np.sum(extra_label)))]
    found = {}
    for name, kind, labels in ROWS:
        neural = kind in ("vae-lhco", "aa-lhco", "flow")
        options = {"seed": seed} | ({"epochs": 2} if quick and neural else {})
        known = anomalies[:labels]
        X = np.concatenate([mixed, known])
        y = np.repeat([0, 1], [len(mixed), len(known)])
        model = hepaa.detector(kind, **options)
        score = model.fit(X, y if labels else None).anomaly_score(test)
        found[name] = sic(truth, score), auc(truth, score)
    return found


def main() -> None:
    """Measure over seeds, print beside the literature, draw, keep."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    pack = Path(os.environ.get("HEPAA_DATA", Path(__file__).parents[2] / "shared" / "data"))
    words.add_argument("--data", type=Path, default=pack, help="folder of the data pack")
    words.add_argument("--seeds", type=int, default=3)
    words.add_argument("--output", type=Path, default=Path("lhco-sic"), help="folder of the figure")
    words.add_argument("--quick", action="store_true", help="one seed, short trainings; nothing is kept")
    given = words.parse_args()
    seeds = range(1 if given.quick else given.seeds)
    rounds = [measure(given.data, seed, quick=given.quick) for seed in seeds]
    kept = {}
    for name, *_ in ROWS:
        best = [r[name][0].max for r in rounds]
        areas = [r[name][1] for r in rounds]
        kept[name] = {"max_sic": best, "max_sic_error": [r[name][0].max_error for r in rounds], "auc": areas}
        print(f"{name:36} max SIC {np.mean(best):6.2f}   AUC {np.mean(areas):.3f}   ({len(best)} seeds)")
    for name, value in LITERATURE.items():
        print(f"{name + ' (literature)':36} max SIC {value:6.2f}")
    look = plots.Look(label="LHCO R&D, signal region, S/B = 0.6 %", sqrt_s=13)
    plots.save_figure(plots.sic({n: curve for n, (curve, _) in rounds[0].items()}, look=look), given.output / "sic")
    if not given.quick:
        place = HERE / "results" / "other"
        place.mkdir(parents=True, exist_ok=True)
        content = {"literature_max_sic": LITERATURE, "here": kept}
        (place / "lhco_sic.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
