"""Anomaly Awareness on the LHCO R&D events: 14 features, full range of m_jj, QCD against W', arXiv:2504.11520, 3.3.

Needs the public file of jet features (74 MB), which is not part of the data pack: `hepaa fetch lhco-rd -o FOLDER`,
then `--data FOLDER`. Without it the script says so and measures nothing; `aa_lhco.py` and `aa_dijets.py` have the
signal region and other dijets. "16-2" are the source's settings, the other detector is that of `aa_dijets.py`, on
its inputs without azimuth; nothing is tuned here. 70 % of the events are for training, of the background 200,000 at
most.

Run: python analyses/aa_lhco_full.py --data FOLDER [--seeds 5] [--quick]
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import samples
from study import Study
from table import Row

import hepaa
from hepaa.features.sets.invariant import invariant
from hepaa.io.fetch import DATASETS
from hepaa.stats.performance import auc

if TYPE_CHECKING:
    from pathlib import Path

FILE = DATASETS["lhco-rd"].parts["features"].name
SIGNAL, MOST = "W'", 200_000
ROWS = (
    ("VAE 16-2", "0.64", "vae-lhco", 0),
    ("Anomaly-Aware VAE 16-2, all labels", "0.90", "aa-lhco", MOST),
    ("Anomaly-Aware VAE 16-2, 100 labels", "", "aa-lhco", 100),
    ("VAE ensemble, inputs without azimuth", "", "vae-invariant", 0),
    ("Anomaly-Aware ensemble, inputs without azimuth, all labels", "", "aa-invariant", MOST),
    ("Anomaly-Aware ensemble, inputs without azimuth, 100 labels", "", "aa-invariant", 100),
    ("Isolation Forest", "", "isolation-forest", 0),
    ("boosting, all labels (ceiling)", "", "boosting", MOST),
)


def parts(data: Path, seed: int) -> samples.Parts:
    """Both parts of the file, if it is there."""
    return samples.lhco(data / FILE, seed) if (data / FILE).is_file() else {}


def aucs(study: Study, preset: str, labels: int, seed: int) -> dict[str, float]:
    """AUC on the test events."""
    events = parts(study.data, seed)
    events["train background"] = events["train background"][: 3000 if study.quick else MOST]
    if preset.endswith("invariant"):
        events = {part: invariant(table) for part, table in events.items()}
    short = {"epochs": 2} if study.quick and ("vae" in preset or "aa" in preset) else {}
    model = hepaa.detector(preset, seed=seed, **short).fit(samples.labelled(events, SIGNAL, labels))
    background, signal = (model.anomaly_score(events[f"test {name}"]) for name in ("background", SIGNAL))
    truth = np.repeat([0, 1], [len(background), len(signal)])
    return {"auc": auc(truth, np.concatenate([background, signal]))}


def main() -> None:
    """Train, score, print the table; or say what is missing."""
    study = Study.from_command_line(__doc__)
    if not (study.data / FILE).is_file():
        print(f"{study.key}: nothing measured, for {FILE} is not in the folder of --data; hepaa fetch lhco-rd")
        return
    rows = [
        Row(name, published, study.over_seeds(name, partial(aucs, study, preset, labels))["auc"])
        for name, published, preset, labels in ROWS
    ]
    study.publish("LHCO R&D, 14 features, full range: AUC", rows)


if __name__ == "__main__":
    main()
