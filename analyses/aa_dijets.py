"""Does Anomaly Awareness find what it was not tuned on? As published, no: tuned on W', it loses semi-visible jets.

With the published settings, tuning on W'(500, 100) takes the AUC on semi-visible jets from 0.60 to 0.43, below one half
in four of five seeds: they look more like background than background does. The cure is a density beside it that no
label has bent ("AA or density" below).

Three dijet signals, tuned on one, tested on each. The source (arXiv:2504.11520) tests on the class whose labels it has
seen. Here every detector is a row of three numbers, and the untuned rows are what an entry must not fall below.
"16-2" are the source's settings on its 14 inputs, and the published AUCs, of LHCO's W'(500, 100), stand beside
both rows of them; "AA" is `aa-dijets`, five members on the inputs without azimuth, "VAE" the same without labels.

"AA or density" (`aa-or-density`) gives the labels two things to say. They choose features of the density, a flow and a
Gaussian mixture (`relevant-density`): what labelled anomalies share with the background is left out, on the fifth the
two pseudorapidities, whichever signal the labels are of. And AA speaks for an event that it finds much rarer than the
density does: -log of the share of background above, times 1.5 and less a handicap of 3.25. The untuned detector is "VAE
or density, untuned", joined likewise; "density, untuned" is better than that and the harder bar.

Chosen on a fifth of the training events (seed 0), AUC on W'(500, 100), semi-visible jets, W'(1000, 400):

                                density with all features    features chosen by the labels
    density alone               0.781  0.777  0.797          0.803  0.798  0.816
    tuned on W'(500, 100)       0.943  0.767  0.797          0.945  0.788  0.813
    tuned on semi-visible jets  0.763  0.957  0.780          0.785  0.959  0.800
    tuned on W'(1000, 400)      0.796  0.769  0.875          0.814  0.791  0.882

A detector that lifts one signal lifts the background that looks like it, and an unlike signal has to stand out from
that too: with all features the join loses 0.01 .. 0.02, and what the choice of features gives pays for that. It is
hindsight in part: without pseudorapidities the density knows no label either, and against that one ("density, tuned on
...") the join still loses up to 0.02 on signals unlike the labelled. On the test part, in the mean over five seeds,
nothing falls below "VAE or density, untuned"; below "density, untuned" W'(500, 100) does by 0.002 +- 0.005 when tuned
on semi-visible jets: by 0.008 and 0.007 in the two seeds that leave out tau32 of the second jet too, or one
pseudorapidity alone. 100 labels are too few for the choice to be sure: 0.000 +- 0.012 on semi-visible jets, -0.021 in
the seed that leaves out the acoplanarity too.

These choices had all three signals in view. "Join chosen without the tested signal" repeats that of slope and handicap
for every tested signal, by the mean AUC on training events of the labelled signal and of the others but the tested one,
against training background; the rule by which labels choose features stays as it is. So chosen, a detector tuned on
W'(500, 100) has 0.768 on semi-visible jets (0.785 with all in view), one tuned on W'(1000, 400) 0.677 (0.796): both W'
trust AA more, each for the sake of the other.

Tried besides, on the same fifth: a likelihood ratio calibrated on the AA score and mixed with a power law of the
density's rank (W'(500, 100) 0.946, and 0.021 lost on semi-visible jets: no better than ranks); boosting in place of AA
(0.967 and 0.016 lost); weights of flow, mixture and VAE by regression on labels (falls of 0.01); features by the gain
in AUC alone (falls of 0.3: it keeps what sees one signal); larger distances at which a feature counts as shared (0.25,
or 0.19 with 100 labels: falls of 0.03 and more). A setting with slope 1, handicap 1.4 and 15 epochs of fine-tuning was
tested on one seed (0.937 on W'(500, 100)) before slope and epochs were chosen, again on the fifth.

Run: python analyses/aa_dijets.py [--data FOLDER] [--seeds 5] [--quick]
"""

from __future__ import annotations

import itertools
from copy import deepcopy
from dataclasses import dataclass
from functools import cache, partial
from typing import TYPE_CHECKING

import numpy as np
import samples
from samples import SVJ, W500, W1000
from sklearn.metrics import roc_auc_score
from study import Study
from table import Row

import hepaa
from hepaa.features.sets.invariant import invariant
from hepaa.models.combined.ensemble import Rarity
from hepaa.models.presets import PRESETS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hepaa.models.combined.relevant_density import RelevantDensity

    Scores = dict[str, NDArray[np.float64]]

parts = samples.dijets
MANY = 14_000
TUNED = (
    ("tuned on W'(500, 100)", W500, MANY),
    ("100 labels of W'(500, 100)", W500, 100),
    ("tuned on semi-visible jets", SVJ, MANY),
    ("tuned on W'(1000, 400)", W1000, MANY),
)
AA, DENSITY, EITHER, BLIND = "aa-dijets", "relevant-density", "aa-or-density", "join chosen without the tested signal"
OTHERS = {tested: tuple(name for name in samples.DIJETS if name != tested) for tested in samples.DIJETS}
SLOPES, HANDICAPS, CHOICE = (1.0, 1.5, 2.0), (0.0, 1.0, 2.0, 3.0, 4.0, 5.0), 3000
ROWS = (
    ("VAE 16-2, 14 inputs, untuned", "vae-lhco", W500, 0),
    ("AA 16-2, 14 inputs, tuned on W'(500, 100)", "aa-lhco", W500, MANY),
    ("density, untuned", DENSITY, W500, 0),
    *((f"density, {how}", DENSITY, signal, n) for how, signal, n in TUNED),
    ("VAE, untuned", AA, W500, 0),
    *((f"AA, {how}", AA, signal, n) for how, signal, n in TUNED),
    ("VAE or density, untuned", EITHER, W500, 0),
    *((f"AA or density, {how}", EITHER, signal, n) for how, signal, n in TUNED),
    *((f"AA or density, {BLIND}, {how}", BLIND, signal, n) for how, signal, n in TUNED),
    ("boosting, tuned on W'(500, 100)", "boosting", W500, MANY),
)


@dataclass
class Matrix:
    """Detectors, each trained once a seed: the rows share them."""

    study: Study

    def __post_init__(self) -> None:
        self.events, self.density, self.scores = cache(self._events), cache(self._density), cache(self._scores)

    def _events(self, seed: int, turned: bool) -> samples.Parts:
        events = parts(self.study.data, seed)
        return {part: invariant(table) for part, table in events.items()} if turned else events

    def _train(self, signal: str, labels: int, seed: int, turned: bool) -> hepaa.EventTable:
        rows = samples.labelled(self.events(seed, turned), signal, labels)
        return rows[np.flatnonzero((rows.label == 1) | (np.arange(rows.n) < 2000))] if self.study.quick else rows

    def _density(self, seed: int) -> RelevantDensity:
        short = {"members": ("gaussian-mixture",)} if self.study.quick else {}
        return hepaa.detector(DENSITY, seed=seed, **short).fit(self._train(W500, 0, seed, True))

    def _scores(self, preset: str, signal: str, labels: int, seed: int) -> Scores:
        """Of the tested events, of the background for training, and of training events of each signal."""
        turned = not preset.endswith("lhco")
        train = self._train(signal, labels, seed, turned)
        if preset == DENSITY:
            model = self.density(seed)
            model = deepcopy(model).tell(train) if labels else model
        else:
            short = {"epochs": 2} if self.study.quick and preset.startswith(("vae", "aa")) else {}
            if preset == AA and not labels:
                preset, short = "vae-invariant", {"learning_rate": 3e-3} | short
            model = hepaa.detector(preset, seed=seed, **short).fit(train)
        events = self.events(seed, turned)
        tested = {part: model.anomaly_score(table) for part, table in samples.tested(events).items()}
        others = {f"choice {name}": model.anomaly_score(events[f"train {name}"][-CHOICE:]) for name in samples.DIJETS}
        return tested | others | {"fit": model.anomaly_score(train[train.label == 0])}

    def aucs(self, preset: str, signal: str, labels: int, seed: int) -> dict[str, float]:
        """AUC of each signal."""
        if preset not in (EITHER, BLIND):
            scores = self.scores(preset, signal, labels, seed)
            return {name: auc(scores["background"], scores[name]) for name in samples.DIJETS}
        rare = {}
        for member in (AA, DENSITY):
            scores = self.scores(member, signal, labels, seed)
            rarity = Rarity(scores["fit"])
            rare[member] = {part: rarity(s) for part, s in scores.items()}
        join = PRESETS[EITHER][1]
        slope, handicap = join["slope"][0], join["handicap"][0]
        found = {}
        for tested in samples.DIJETS:
            if preset == BLIND:
                slope, handicap = chosen(rare, [name for name in samples.DIJETS if name in (signal, *OTHERS[tested])])
            found[tested] = auc(*(joined(rare, part, slope, handicap) for part in ("background", tested)))
        return found


def joined(rare: dict[str, Scores], part: str, slope: float, handicap: float) -> NDArray[np.float64]:
    """The larger of what AA, discounted, and the density say of a part."""
    return np.maximum(slope * rare[AA][part] - handicap, rare[DENSITY][part])


def chosen(rare: dict[str, Scores], signals: list[str]) -> tuple[float, float]:
    """Slope and handicap of the best mean AUC on training events of these signals."""

    def mean(setting: tuple[float, float]) -> float:
        background = joined(rare, "fit", *setting)
        return float(np.mean([auc(background, joined(rare, f"choice {name}", *setting)) for name in signals]))

    return max(itertools.product(SLOPES, HANDICAPS), key=mean)


def auc(background: NDArray[np.float64], signal: NDArray[np.float64]) -> float:
    """Area under the ROC curve."""
    truth = np.repeat([0, 1], [len(background), len(signal)])
    return float(roc_auc_score(truth, np.concatenate([background, signal])))


def main() -> None:
    """Train, score, print one table for each tested signal."""
    study = Study.from_command_line(__doc__)
    matrix = Matrix(study)
    found = {
        name: study.over_seeds(name, partial(matrix.aucs, preset, signal, labels))
        for name, preset, signal, labels in ROWS
        if preset != "boosting" or not study.quick
    }
    printed = {ROWS[0][0]: "0.64", ROWS[1][0]: "0.90"}
    for key, signal in (("w500", W500), ("svj", SVJ), ("w1000", W1000)):
        rows = [Row(n, printed.get(n, "") if signal == W500 else "", v[signal]) for n, v in found.items()]
        study.publish(f"dijets, tested on {signal}: AUC", rows, key=f"aa_dijets_{key}")


if __name__ == "__main__":
    main()
