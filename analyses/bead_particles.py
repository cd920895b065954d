"""BEAD's question about particles, on more events: simulated dijets of three showers and tunes.

The data pack has 750 raw events of each generator for training (`bead_map.py`, "features or particles"). Here
`hepaa.simulate` makes 4,000 for training and 2,500 for the test, of Pythia 8 with the Monash tune, with A14, and with
the Vincia shower, all through one detector; and 2,500 of W'(500, 100) and of semi-visible jets for the test alone.

Inputs are the 14 features, or the 20 hardest particles of both leading jets (shares of pT, angles about the axis)
through DeepSets and a transformer; as in the data pack, there are neither pdg codes nor b-tags. The networks are those
of `bead_map.py`, trained as many epochs. The contrast has the middle one of the three weights that are scanned there,
0.1, and the lower one of the two temperatures, 0.07, fixed before anything here was trained. A seed draws the division
and the start of the training.

Run: python analyses/bead_particles.py [--data FOLDER] [--seeds 5] [--quick]
"""

from __future__ import annotations

from functools import partial
from itertools import product
from typing import TYPE_CHECKING, Any

import foundation
import numpy as np
import samples
import simulated
from bead_map import BASELINES, CLUSTER, CONTRASTS, INPUTS, RECONSTRUCTION, Scores, clouds, separation, vae
from study import Study, subset
from table import Line

import hepaa
from hepaa.stats.separability import linear_probe

if TYPE_CHECKING:
    from pathlib import Path

GENERATORS = {"monash": "pythia8_monash", "A14": "pythia6_perugia0", "Vincia": "pythia8_vincia"}
SIGNALS = {samples.W500: "wprime_500_100", samples.SVJ: "svj"}
STORED = {samples.SVJ: "SVJ"}
TRAINING, TEST = 4000, 2500
CHOICE = (0.1, 0.07)
SHOWN = {RECONSTRUCTION: "reconstruction", CLUSTER: "Mahalanobis"}
FEATURES = next(iter(INPUTS))


def divided(data: Path, seed: int, store: Path | None) -> samples.Parts:
    """Training and test events; without a store raw events of the data pack, in the place of A14 those of Perugia 0."""
    found = {}
    for name, file in {**GENERATORS, **SIGNALS}.items():
        learned = 0 if name in SIGNALS else TRAINING if store else foundation.QUICK // 2
        if store:
            table = simulated.jets(store, STORED.get(name, name), learned + TEST)
        else:
            table = foundation.pack(data, file)[: foundation.QUICK]
        order = subset(table.n, table.n, seed)
        if learned:
            found[f"train {name}"] = table[order[:learned]]
        found[f"test {name}"] = table[order[learned:]]
    return found


def parts(data: Path, seed: int, store: Path) -> samples.Parts:
    """For the audit, which simulates nothing."""
    signals = [STORED.get(name, name) for name in SIGNALS]
    there = simulated.are_kept(store, TRAINING + TEST, GENERATORS) and simulated.are_kept(store, TEST, signals)
    if not there:
        print("bead_particles: events of the data pack alone, for the simulated ones are not in the store")
    return divided(data, seed, store if there else None)


_EVENTS: dict[int, samples.Parts] = {}


def events_of(study: Study, seed: int) -> samples.Parts:
    """The parts of a seed; one seed's are in memory."""
    if seed not in _EVENTS:
        _EVENTS.clear()
        _EVENTS[seed] = divided(study.data, seed, None if study.quick else study.store.parent)
    return _EVENTS[seed]


def measure(study: Study, name: str, contrast: str, seed: int) -> dict[str, float]:
    """AUC of both signals by two scores, and the linear probe for the generator, of an input and contrast."""
    events = events_of(study, seed)
    inputs = FEATURES if name in BASELINES else name
    learned = [clouds(events[f"train {generator}"], inputs) for generator in GENERATORS]
    rows = {key: clouds(events[f"test {key}"], inputs) for key in (*GENERATORS, *SIGNALS)}
    groups = np.repeat(np.arange(len(learned)), [len(X) for X in learned])
    X = np.concatenate(learned)
    if name in BASELINES:
        model = hepaa.detector(name, seed=seed).fit(X)
        scores = {key: {RECONSTRUCTION: model.anomaly_score(x)} for key, x in rows.items()}
        points = rows
    else:
        options = INPUTS[name] | {"epochs": study.epochs(INPUTS[name]["epochs"]), "seed": seed, "batch_size": 128}
        model = vae(contrast, CHOICE, options).fit(X, groups=groups)
        of = Scores(model, X, groups)
        scores = {key: of(x) for key, x in rows.items()}
        points = {key: model.outputs(rows[key])["mu"][0] for key in GENERATORS}
    probe = linear_probe(
        np.concatenate([points[key] for key in GENERATORS]),
        np.repeat([*GENERATORS], [len(points[key]) for key in GENERATORS]),
        folds=3,
        seed=seed,
    )
    found = {"probe": 100 * probe.accuracy}
    for signal, kind in product(SIGNALS, SHOWN):
        if kind in scores[signal]:
            background = np.sort(np.concatenate([scores[key][kind] for key in GENERATORS]))
            found[f"{kind} {signal}"] = separation(background, scores[signal][kind])
    return found


def main() -> None:
    """Train, score, print the table."""
    study = Study.from_command_line(__doc__)
    rounds: dict[tuple[str, str], list[dict[str, float]]] = {}
    for seed in study.seeds:  # seed by seed, for one seed's events are in memory
        for name, contrast in (*product(INPUTS, CONTRASTS), *((name, "") for name in BASELINES)):
            compute = partial(measure, study, name, contrast, seed)
            rounds.setdefault((name, contrast), []).append(study.values(f"{name} {contrast}", seed, compute))
    lines = []
    for (name, contrast), each in rounds.items():
        cells: dict[str, Any] = {
            f"{signal}, {SHOWN[kind]}": [of[f"{kind} {signal}"] for of in each]
            for kind, signal in product(SHOWN, SIGNALS)
            if f"{kind} {signal}" in each[0]
        }
        shown = f"{FEATURES}, {BASELINES[name]}" if name in BASELINES else f"{name}, {CONTRASTS[contrast]}"
        lines.append(Line(shown, {**cells, "generator, %": [of["probe"] for of in each]}))
    study.publish("AUC by input, 12,000 simulated training events of three generators", lines)


if __name__ == "__main__":
    main()
