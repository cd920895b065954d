"""Enriched background, after BEAD: what do several generators in training, contrast and flows bring?

Dijets of four generators (Pythia 8 Monash and Vincia, Pythia 6 Perugia 0 and Tune A), 14 features, 15,000 training
events and batches of 512 in every row. Two questions:

- Does it generalise? One generator is left out, and one of the others, or all three in equal parts, are trained on. A
  cut keeps 1 % (0.1 %) of their held-out events, each generator counting as much; what does it keep of the generator
  left out? 1 % is right, more is an excess that is none. Beside it, the share of signal that the same cut keeps, which
  a trivial detector would lose.
- Does it find more? AUC of each signal against held-out events of the generators trained on, Tune A left out, and
  beside the median over the three signals the draft values of BEAD's authors: medians over 15 other signals, of
  particles in three jets, so that what compares is the step from row to row.

Detectors: VAE 16-2; with SupCon on the generators, scored by the reconstruction and by the angle in latent space from
the nearest generator's cluster; with NT-Xent; with a planar flow; with Householder-Sylvester flow, SupCon and both
weights annealed over half of the epochs (4 latent dimensions, two steps); a Gaussian mixture. Nothing was tuned.

Run: python analyses/bead_generators.py [--data FOLDER] [--seeds 5] [--quick]
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import samples
from study import Study
from table import Line, Row

import hepaa
from hepaa.scores import LatentDistance
from hepaa.stats.performance import auc
from hepaa.stats.transfer import false_positives

if TYPE_CHECKING:
    from pathlib import Path

MONASH, TUNE_A = "pythia8_monash", "pythia6_tuneA"
GENERATORS = (MONASH, "pythia6_perugia0", "pythia8_vincia", TUNE_A)
LEFT_OUT = {TUNE_A: "Tune A", MONASH: "Monash"}
EVENTS, BATCH, TARGETS = 15_000, 512, (0.01, 0.001)
RECONSTRUCTION, CLUSTER = "reconstruction", "cluster"


@dataclass(frozen=True)
class Training:
    """A preset, on how many of the generators, and the draft value of each score that it is asked for."""

    preset: str
    generators: int
    options: dict[str, Any] = field(default_factory=dict)
    scores: dict[str, str] = field(default_factory=lambda: {RECONSTRUCTION: ""})


ANNEALED = {"beta_epochs": 25, "anneal_epochs": 25, "posterior": "sylvester-householder", "latent": 4, "flow_steps": 2}
TRAININGS = {
    "VAE, one generator": Training("vae-lhco", 1, scores={RECONSTRUCTION: "0.58 to 0.65"}),
    "VAE, three generators": Training("vae-lhco", 3, scores={RECONSTRUCTION: "0.62"}),
    "VAE + SupCon": Training("contrastive-vae", 3, scores={RECONSTRUCTION: "0.70", CLUSTER: ""}),
    "VAE + NT-Xent": Training("contrastive-vae", 3, {"contrastive": "ntxent"}),
    "VAE, planar flow": Training("vae-lhco", 3, {"posterior": "planar"}),
    "VAE, Householder + SupCon, annealed": Training(
        "contrastive-vae", 3, ANNEALED, {RECONSTRUCTION: "0.71", CLUSTER: ""}
    ),
    "Gaussian mixture, one generator": Training("gaussian-mixture", 1),
    "Gaussian mixture, three generators": Training("gaussian-mixture", 3),
}


def parts(data: Path, seed: int) -> dict[str, hepaa.EventTable]:
    """Background of every generator, and the signals."""
    found = {}
    for name in GENERATORS:
        events = samples.dijets(data, seed, background=name)
        found |= {f"train {name}": events["train background"], f"test {name}": events["test background"]}
        found |= {key: table for key, table in events.items() if key.startswith("test ") and "background" not in key}
    return found


def measure(study: Study, training: Training, left_out: str, seed: int) -> dict[str, float]:
    """Of each score: false positives on the generator left out and signal kept, in percent, and AUC of each signal."""
    events = parts(study.data, seed)
    generators = [name for name in GENERATORS if name != left_out][: training.generators]
    size = (1500 if study.quick else EVENTS) // len(generators)
    train = hepaa.concatenate([events[f"train {name}"][:size] for name in generators])
    options = training.options
    if "vae" in training.preset:
        options = {"batch_size": BATCH, **options, "epochs": study.epochs(50)}
    model = hepaa.detector(training.preset, seed=seed, **options).fit(train.with_weight(np.ones(train.n)))
    held_out = [events[f"test {name}"] for name in generators]
    equal = np.concatenate([np.full(table.n, 1 / table.n) for table in held_out])  # each generator counts as much
    tested = {left_out: events[f"test {left_out}"], **{name: events[f"test {name}"] for name in samples.DIJETS}}
    found = {}
    for kind in training.scores:
        score = model.anomaly_score if kind == RECONSTRUCTION else LatentDistance(model, "cosine")
        if isinstance(score, LatentDistance):
            score.fit(train, train.generator)
        common = np.concatenate([score(table) for table in held_out])
        scores = {name: score(table) for name, table in tested.items()}
        unweighted = {name: (s, np.ones(len(s))) for name, s in scores.items()}
        rates = false_positives((common, equal), unweighted, targets=TARGETS, min_events=5)
        found |= {f"{kind} {name} {rate.target}": 100 * rate.rate for name in rates for rate in rates[name]}
        for name in samples.DIJETS:
            truth = np.repeat([0, 1], [len(common), len(scores[name])])
            weight = np.concatenate([equal, np.ones(len(scores[name]))])
            found[f"{kind} {name} auc"] = auc(truth, np.concatenate([common, scores[name]]), weight)
    return found


def main() -> None:
    """Train, score, print the tables."""
    study = Study.from_command_line(__doc__)
    left_out = {TUNE_A: LEFT_OUT[TUNE_A]} if study.quick else LEFT_OUT
    medians, inflation, kept = [], [], []
    for name, training in TRAININGS.items():
        found = {
            left: study.over_seeds(f"{name}, without {short}", partial(measure, study, training, left))
            for left, short in left_out.items()
        }
        for kind, draft in training.scores.items():
            row = name if kind == RECONSTRUCTION else f"{name}, angle from the nearest cluster"
            of = {key.removeprefix(f"{kind} "): v for key, v in found[TUNE_A].items() if key.startswith(kind)}
            aucs = {signal: of[f"{signal} auc"] for signal in samples.DIJETS}
            medians.append(Row(row, draft, np.median([*aucs.values()], axis=0).tolist()))
            false = {
                f"{short}, at {100 * target:g} %": found[left][f"{kind} {left} {target}"]
                for left, short in left_out.items()
                for target in TARGETS
            }
            inflation.append(Line(row, false, digits=2))
            share = {f"{signal}, kept in %": of[f"{signal} {TARGETS[0]}"] for signal in samples.DIJETS}
            kept.append(Line(row, share | {f"{signal}, AUC": values for signal, values in aucs.items()}, digits=2))
    study.publish("enriched dijets: median AUC of three signals (published: a draft, other signals)", medians)
    study.publish("false positives on a generator left out, in %", inflation, key=f"{study.key}_left_out")
    study.publish("signal kept at 1 %, Tune A left out", kept, key=f"{study.key}_signals")


if __name__ == "__main__":
    main()
