"""Does an enriched background generalise? False positives on a generator that no training has seen, after BEAD.

Dijets of four generators (Pythia 8 Monash and Vincia, Pythia 6 Perugia 0 and Tune A), 14 features, 15,000 training
events in every row. A cut keeps 1 % of held-out events of the generators that were trained on; what does it keep of
Tune A, left out? 1 % is right, more is an excess that is none. Beside it, the share of signal that the same cut keeps,
which a trivial detector would lose. Detectors: VAE, with SupCon on the generators, with NT-Xent, with a planar flow,
and a Gaussian mixture; training on Monash alone or on the three in equal parts. Draft values of BEAD's authors are
AUCs on other signals and cannot stand beside these numbers.

Run: python analyses/bead_generators.py [--data FOLDER] [--seeds 5] [--quick]
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import samples
from study import Study
from table import Row

import hepaa
from hepaa.stats.transfer import false_positives

if TYPE_CHECKING:
    from pathlib import Path

MONASH, LEFT_OUT = "pythia8_monash", "pythia6_tuneA"
MIXED = (MONASH, "pythia8_vincia", "pythia6_perugia0")
EVENTS, TARGET = 15_000, 0.01
ROWS: tuple[tuple[str, str, tuple[str, ...], dict[str, Any]], ...] = (
    ("VAE, Monash alone", "vae-lhco", (MONASH,), {}),
    ("VAE, three generators", "vae-lhco", MIXED, {}),
    ("VAE + SupCon, three generators", "contrastive-vae", MIXED, {"contrastive": "supcon"}),
    ("VAE + NT-Xent, three generators", "contrastive-vae", MIXED, {"contrastive": "ntxent"}),
    ("VAE with planar flow, three generators", "vae-lhco", MIXED, {"posterior": "planar"}),
    ("Gaussian mixture, Monash alone", "gaussian-mixture", (MONASH,), {}),
    ("Gaussian mixture, three generators", "gaussian-mixture", MIXED, {}),
)


def parts(data: Path, seed: int) -> dict[str, hepaa.EventTable]:
    """Background of every generator, and the signals."""
    found = {}
    for name in (*MIXED, LEFT_OUT):
        events = samples.dijets(data, seed, background=name)
        found |= {f"train {name}": events["train background"], f"test {name}": events["test background"]}
        found |= {key: table for key, table in events.items() if key.startswith("test ") and "background" not in key}
    return found


def shares(
    study: Study, preset: str, generators: tuple[str, ...], options: dict[str, Any], seed: int
) -> dict[str, float]:
    """What the cut keeps of the left-out generator and of each signal, in percent."""
    events = parts(study.data, seed)
    size = (1500 if study.quick else EVENTS) // len(generators)
    train = hepaa.concatenate([events[f"train {name}"][:size] for name in generators])
    if study.quick and "vae" in preset:
        options = options | {"epochs": 2}
    model = hepaa.detector(preset, seed=seed, **options).fit(train.with_weight(np.ones(train.n)))
    held_out = hepaa.concatenate([events[f"test {name}"][:2000] for name in generators])
    scores = {name: model.anomaly_score(table) for name, table in events.items() if name.startswith("test ")}
    found = false_positives(
        (model.anomaly_score(held_out), np.ones(held_out.n)),
        {name.removeprefix("test "): (s, np.ones(len(s))) for name, s in scores.items()},
        targets=(TARGET,),
        min_events=10,
    )
    return {name: 100 * found[name][0].rate for name in (LEFT_OUT, *samples.DIJETS)}


def main() -> None:
    """Train, score, print the tables."""
    study = Study.from_command_line(__doc__)
    found = {
        name: study.over_seeds(name, partial(shares, study, preset, generators, options))
        for name, preset, generators, options in ROWS
    }
    titles = {
        LEFT_OUT: "false positives on Tune A, left out, at 1 %: in %",
        samples.SVJ: "semi-visible jets kept: in %",
    }
    for key, title in titles.items():
        rows = [Row(name, "", values[key], digits=2) for name, values in found.items()]
        study.publish(title, rows, key=f"bead_{'left_out' if key == LEFT_OUT else 'svj'}")


if __name__ == "__main__":
    main()
