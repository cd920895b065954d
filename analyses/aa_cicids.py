"""Anomaly Awareness on network traffic: CICIDS 2017, arXiv:2504.11520, section 3.2.

Background: benign flows; fine-tuning anomalies: FTP and SSH brute force; test: four denial-of-service attacks, which no
stage has seen. Published AUC: 0.75 (VAE) and 0.79 (fine-tuned). The flows here are the corrected re-extraction (Liu et
al., IEEE CNS 2022) of the two days with attacks; addresses, ports, identifiers, times and label-side columns are
dropped, and columns that are constant on benign training flows. "Published" settings are those of the source (16-2-16,
batch 512, 50 + 20 epochs, lambda_max 5, clip 200, skewness of more than 1 -> log). The spread is over seeds, each with
a split of the benign flows and a choice of labels of its own.

With the published settings tuning loses here, and the reason is the size of the sample: 1,354 benign flows for training
make 3 steps an epoch in batches of 512, where the source had hundreds. In batches of 64, 21 steps an epoch, the same
settings gain what is published. "aa-traffic" has the same network in batches of 128 for 100 + 200 epochs, five
members, clip 1,000, lambda_max 0.3, and mixtures (1 - u) anomaly + u benign flow, u in [0, 2] (`mixup`): from the
anomaly through the benign flow to the mirror image of the anomaly.

It was chosen on training parts alone (split seeds from 100 on, a quarter of the benign flows held out). Criteria, AUC:
each brute force when tuned on the other, whole and with half of its columns from benign flows (attack, half); benign
flows with half of the columns from another flow, a fifth of them times 10 or 1/10, or noise of 0.5 sigma, tuned on one
brute force (shuffled, scaled, noised); and clusters of benign flows left out of training, tuned on both (cluster), as
unknowns that are no attacks. Rule: the best mean of the three groups, and of what lies within 0.005 the simplest.

    5 seeds                              attack  half   shuffled  scaled  noised  cluster  mean
    untuned, 100 epochs                  0.928   0.943  0.756     0.812   0.765   0.900    0.871
    untuned, 300 epochs                  0.936   0.958  0.785     0.841   0.811   0.929    0.896
    u to 1, lambda 0.1, 40 epochs        0.997   0.976  0.763     0.816   0.781   0.902    0.892
    u to 2, lambda 0.3, 200 epochs       0.991   0.980  0.879     0.938   0.941   0.980    0.962
    benign + u (anomaly - other benign)  0.994   0.981  0.878     0.938   0.945   0.986    0.965

The last, u in [-1, 1], is not simple enough for what it gains. Mean of 2 seeds, on which the rows above have 0.887,
0.904, 0.909, 0.962 and 0.964; lambda 0.1 unless given:

    40 epochs: each column from one of the two / its own share / shuffled flows beside  0.911 / 0.905 / 0.911
    40 epochs, benign + u (...), u in [0, 1], lambda 0.05 / 0.2 / 0.5 / 1               0.913 / 0.916 / 0.901 / 0.874
    200 epochs: u to 1 / 1.5 / 2 / 3                                                    0.936 / 0.949 / 0.957 / 0.955
    200 epochs, u to 2: clip 300 / half of a batch anomalies                            0.942 / 0.958
    200 epochs, u to 2: lambda 0.5 / 1 / clip 3,000 and lambda 0.3                      0.960 / 0.958 / 0.963
    100 / 300 epochs, u to 2, lambda 0.3                                                0.951 / 0.960
    noised benign flows for the labels / beside them                                    0.972 / 0.971
    untuned for 600 epochs; network 64-8-64: untuned for 300 epochs / tuned             0.918; 0.964 / 0.964

Labels are not all of it. Noised flows do more for flows that are spoilt and nothing for the other attack (0.930, the
choice 0.982; beside the labels 0.960): they need no labels, so they are a row of the table and no part of the detector.
By these criteria a wider network, which the source does not have, is as good untuned, and tuning adds nothing to it.

Not all of this is blind. The denial-of-service flows are those of all seeds, and settings that came before had been
looked at (u to 1 with clip 200 or 1,000 and lambda 0.1, 0.2 or 1; noised flows beside them); benign test flows of one
seed train another. The settings here were looked at once, with nothing left to choose; the wider network was not. They
gain 0.09 on the same detector untuned and 0.06 on it trained for 300 epochs without labels (before, with u to 1 for 40
epochs: 0.037, and 0.030 on 140 epochs), and 0.03 on noised flows for the labels.

Run: python analyses/aa_cicids.py [--data FOLDER] [--seeds 5] [--quick]
"""

from __future__ import annotations

from functools import cache, partial
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
SMALLER: dict[str, int | str] = {"batch_size": 64}
ROWS: tuple[tuple[str, str, str, int, dict[str, int | str]], ...] = (
    ("VAE, published settings", "0.75", "vae-cicids", 0, {}),
    ("Anomaly-Aware VAE, published settings, 4,622 labels", "0.79", "aa-cicids", 10_000, {}),
    ("Anomaly-Aware VAE, published settings, 100 labels", "", "aa-cicids", 100, {}),
    ("VAE, published settings in batches of 64", "", "vae-cicids", 0, SMALLER),
    ("Anomaly-Aware VAE, published settings in batches of 64, 4,622 labels", "", "aa-cicids", 10_000, SMALLER),
    ("VAE", "", "vae-traffic", 0, {}),
    ("VAE, trained as long as with labels", "", "vae-traffic", 0, {"epochs": 300}),
    ("Anomaly-Aware VAE, 4,622 labels", "", "aa-traffic", 10_000, {}),
    ("Anomaly-Aware VAE, 100 labels", "", "aa-traffic", 100, {}),
    ("Anomaly-Aware VAE, noised benign flows for labels", "", "aa-pseudo", 0, {"detector": "aa-traffic"}),
    ("sum of z^2 (no model)", "", "sum-of-squares", 0, {}),
    ("Isolation Forest", "", "isolation-forest", 0, {}),
    ("boosting on brute-force labels", "", "boosting", 10_000, {}),
)
SHORT = {
    "vae-cicids": ("epochs",),
    "vae-traffic": ("epochs",),
    "aa-cicids": ("epochs", "finetune_epochs"),
    "aa-traffic": ("epochs", "finetune_epochs"),
}


@cache
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
    benign = np.unique(flows(folder, "BENIGN", days=ATTACK_DAYS), axis=0)  # some differ in dropped columns alone
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

    def auc(preset: str, labels: int, changes: dict[str, int | str], seed: int) -> dict[str, float]:
        rows = parts(study.data, seed)
        background, anomalies = rows["train background"], rows["train anomalies"][:labels]
        X = np.concatenate([background, anomalies])
        y = np.repeat([0, 1], [len(background), len(anomalies)])
        short = dict.fromkeys(SHORT.get(preset, ()), 2) if study.quick else {}
        model = hepaa.detector(preset, seed=seed, **{**changes, **short}).fit(X, y)
        score = {name: model.anomaly_score(rows[name]) for name in rows if name.startswith("test")}
        common = score.pop("test background")

        def one(scores: np.ndarray) -> float:
            truth = np.repeat([0, 1], [len(common), len(scores)])
            return float(roc_auc_score(truth, np.concatenate([common, scores])))

        return {"all": one(np.concatenate(list(score.values())))} | {name: one(s) for name, s in score.items()}

    rows = [
        Row(name, published, study.over_seeds(name, partial(auc, preset, labels, changes))["all"])
        for name, published, preset, labels, changes in (ROWS[:-1] if study.quick else ROWS)
    ]
    study.publish("CICIDS 2017: benign against denial of service, tuned on brute force: AUC", rows)


if __name__ == "__main__":
    main()
