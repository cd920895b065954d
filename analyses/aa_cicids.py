"""Anomaly Awareness on network traffic: CICIDS 2017, arXiv:2504.11520, section 3.2.

Background: benign flows; fine-tuning anomalies: FTP and SSH brute force; test: four denial-of-service attacks, which no
stage has seen. Published AUC: 0.75 (VAE) and 0.79 (fine-tuned). The flows here are the corrected re-extraction (Liu et
al., IEEE CNS 2022) of the two days with attacks; addresses, ports, identifiers, times and label-side columns are
dropped, and columns that are constant on benign training flows. Settings are those of the source (16-2-16, batch 512,
50 + 20 epochs, lambda_max 5, clip 200, skewness of more than 1 -> log). The spread is over seeds, each with a split of
the benign flows and a choice of labels of its own.

Run: python analyses/aa_cicids.py [--data FOLDER] [--seeds 5] [--quick]
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv
from sklearn.metrics import roc_auc_score
from study import Study, subset
from table import Row

import hepaa

if TYPE_CHECKING:
    from pathlib import Path

BRUTE_FORCE = ("FTP-Patator", "SSH-Patator")
DENIAL_OF_SERVICE = ("DoS_GoldenEye", "DoS_Hulk", "DoS_Slowhttptest", "DoS_Slowloris")
DROPPED = (
    "id", "Flow ID", "Src IP", "Src Port", "Dst IP", "Dst Port", "Protocol", "Timestamp", "Label", "Attempted Category",
)  # fmt: skip
ATTACK_DAYS = ("2017-07-04", "2017-07-05")  # Tuesday and Wednesday
TRAINING_FRACTION = 0.7


def flows(folder: Path, name: str, *, days: tuple[str, ...] = ()) -> np.ndarray:
    """Features (n, 81) of the flows in a file, of the days asked."""
    table = csv.read_csv(folder / f"{name}.csv.gz")
    if days:
        day = pc.strftime(table["Timestamp"], "%Y-%m-%d")
        table = table.filter(pc.is_in(day, value_set=pa.array(days)))
    table = table.drop_columns(list(DROPPED))
    return np.column_stack([column.to_numpy().astype(np.float64) for column in table.columns])


def parts(data: Path, seed: int) -> dict[str, np.ndarray]:
    """Flows that are trained and tested on."""
    folder = data / "cicids"
    benign = flows(folder, "BENIGN", days=ATTACK_DAYS)
    order = subset(len(benign), len(benign), seed)
    cut = round(TRAINING_FRACTION * len(benign))
    known = np.concatenate([flows(folder, name) for name in BRUTE_FORCE])
    found = {
        "train background": benign[order[:cut]],
        "train anomalies": known[subset(len(known), len(known), seed)],
        "test background": benign[order[cut:]],
    } | {f"test {name}": flows(folder, name) for name in DENIAL_OF_SERVICE}
    varies = np.ptp(found["train background"], axis=0) > 0
    return {name: rows[:, varies] for name, rows in found.items()}


def main() -> None:
    """Train, score, print the table."""
    study = Study.from_command_line(__doc__)

    def auc(preset: str, labels: int, seed: int) -> dict[str, float]:
        rows = parts(study.data, seed)
        background, anomalies = rows["train background"], rows["train anomalies"][:labels]
        X = np.concatenate([background, anomalies])
        y = np.repeat([0, 1], [len(background), len(anomalies)])
        short = {"epochs": study.epochs(50)} if preset.endswith("cicids") else {}
        model = hepaa.detector(preset, seed=seed, **short).fit(X, y)
        score = {name: model.anomaly_score(rows[name]) for name in rows if name.startswith("test")}
        common = score.pop("test background")

        def one(scores: np.ndarray) -> float:
            truth = np.repeat([0, 1], [len(common), len(scores)])
            return float(roc_auc_score(truth, np.concatenate([common, scores])))

        return {"all": one(np.concatenate(list(score.values())))} | {name: one(s) for name, s in score.items()}

    rows = []
    for name, published, preset, labels in (
        ("VAE", "0.75", "vae-cicids", 0),
        ("Anomaly-Aware VAE, 4,622 labels", "0.79", "aa-cicids", 10_000),
        ("Anomaly-Aware VAE, 100 labels", "", "aa-cicids", 100),
        ("sum of z^2 (no model)", "", "sum-of-squares", 0),
        ("Isolation Forest", "", "isolation-forest", 0),
        ("boosting on brute-force labels", "", "boosting", 10_000),
    ):
        rows.append(Row(name, published, study.over_seeds(name, partial(auc, preset, labels))["all"]))
    study.publish("CICIDS 2017: benign against denial of service, tuned on brute force: AUC", rows)


if __name__ == "__main__":
    main()
