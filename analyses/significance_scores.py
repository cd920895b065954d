"""Luminosity for 3 and 5 sigma from scores, by the two likelihood-ratio tests of arXiv:2203.03669.

- The authors' own saved VAE scores of pp -> Zh (data pack, `scores/`), with their cross-sections of 14.009 fb (SM) and
  17.125 fb (SM + c_HW, interference included). Their figures show curves; no public text at hand prints a luminosity,
  so there is no published column. Spread: bootstrap of the events and another choice of the halves.
- Our detectors on ZH -> llbb: 21.468 fb (SM) against SM + 5.247 c^2 fb at c_HW = 1 TeV^-2 (24 % more events, about as
  many as theirs; quadratic term alone, so a statement about scores and not about nature). Spread: seeds (split, labels,
  training).

Simple test: both hypotheses known, rate and shape; at the symmetric point, where both errors are equal (the paper's
choice), and at the mean of the alternative. Generalised: strength of the signal unknown, median discovery significance;
a deficit in a bin counts as no signal. Beside the formulas, Z from 20,000 toys of each hypothesis at the luminosity
that the formula gives for 3 sigma, where 27 toys lie beyond: 0.06 of error. For 5 sigma toys could only give a bound.
"Counting alone" has one bin: what the score adds is the difference. The AUC of the saved scores is 0.518 and they still
halve the luminosity, by their tail. Ten bins at most, chosen on half of the events and filled with the other half. No
systematic uncertainty, as in the source; `zh_luminosity.py` has one.

Run: python analyses/significance_scores.py [--data FOLDER] [--seeds 5] [--quick]
"""

from __future__ import annotations

from functools import cache, partial
from typing import TYPE_CHECKING, Any

import numpy as np
import samples
from study import Study
from table import Line

import hepaa
from hepaa import plots
from hepaa.features.sets.invariant import invariant
from hepaa.stats.binning import choose_binning
from hepaa.stats.likelihood import discovery_test, separation_luminosity, simple_test
from hepaa.stats.reach import luminosity_for

if TYPE_CHECKING:
    from collections.abc import Callable

Hypothesis = tuple[np.ndarray, np.ndarray]
AT, TOYS = 10.0, 20_000
THEIRS, OURS = (14.009, 17.125), (21.468, 21.468 + 5.247)
AUTHORS = "saved scores of arXiv:2203.03669"
DETECTORS: dict[str, tuple[str, int, dict[str, Any]]] = {
    "VAE": ("vae-zh", 0, {}),
    "Anomaly-Aware VAE, 3,000 labels": ("aa-zh", 3000, {}),
    "invariant Anomaly-Aware ensemble, 3,000 labels": ("aa-zh", 3000, {"seeds": 5, "epochs": 20}),
    "boosting, all labels (ceiling)": ("boosting", 35_000, {}),
}
TESTS = ("simple, symmetric", "simple, mean", "generalised")
parts = cache(samples.zh)


def hypothesis(*samples: tuple[np.ndarray, float]) -> Hypothesis:
    """Scores and weights (n,) of samples with their cross-sections, in events at the luminosity AT."""
    weights = [np.full(len(score), AT * sigma / len(score)) for score, sigma in samples]
    return np.concatenate([score for score, _ in samples]), np.concatenate(weights)


def theirs(study: Study, seed: int) -> list[tuple[Hypothesis, Hypothesis]]:
    """SM and SM + c_HW: half of the saved scores to choose bins on, and a bootstrap sample of the other half."""
    rng, halves = np.random.default_rng([seed, 21]), []
    for name in ("zero", "zp005"):
        score = np.loadtxt(study.data / "scores" / f"eft_vae_vh_chw_{name}_recons_zp005_cHW_normalised_001.txt")
        first, second = np.array_split(rng.permutation(score), 2)
        halves.append((first, rng.choice(second, len(second))))
    return [(hypothesis((sm, THEIRS[0])), hypothesis((eft, THEIRS[1]))) for sm, eft in zip(*halves, strict=True)]


def ours(
    study: Study, preset: str, labels: int, options: dict[str, Any], seed: int
) -> list[tuple[Hypothesis, Hypothesis]]:
    """The same from a detector of ours: the test events in two halves."""
    events = parts(study.data, seed)
    if options:
        events = {name: invariant(table) for name, table in events.items()}
    train = samples.labelled(events, "O_HW", labels)
    if study.quick:
        train = train[np.flatnonzero((train.label == 1) | (np.arange(train.n) < 2000))][:3000]
        options = options | ({"epochs": 2} if preset.endswith("-zh") else {})
    model = hepaa.detector(preset, seed=seed, **options).fit(train)
    halves = [np.array_split(model.anomaly_score(events[f"test {name}"]), 2) for name in ("background", "O_HW")]
    more = OURS[1] - OURS[0]
    return [(hypothesis((sm, OURS[0])), hypothesis((sm, OURS[0]), (o, more))) for sm, o in zip(*halves, strict=True)]


def measure(study: Study, get: Callable[[int], list[tuple[Hypothesis, Hypothesis]]], seed: int) -> dict[str, float]:
    """Luminosities and toys of a score: bins chosen on the first half, filled with the second."""
    (null, more), filled = get(seed)
    signal = np.concatenate([more[0], null[0]]), np.concatenate([more[1], -null[1]])
    binning = choose_binning(*null, *signal, bins=10, min_b=0.0)
    return tests(study, *(np.bincount(binning.index(x), w, minlength=len(binning)) for x, w in filled), seed)


def tests(study: Study, null: np.ndarray, alternative: np.ndarray, seed: int) -> dict[str, float]:
    """Luminosity for 3 and 5 sigma by every test, and Z of toys at the former; yields at the luminosity AT."""
    s = np.maximum(alternative - null, 0.0)
    found = {}
    for z in (3, 5):
        for test, point in ((TESTS[0], "symmetric"), (TESTS[1], "mean")):
            found[f"{test}, {z}"] = separation_luminosity(z, null, alternative, at=AT, point=point)
        found[f"{TESTS[2]}, {z}"] = luminosity_for(z, s, null, at=AT) or np.inf
    rng, toys = np.random.default_rng([seed, 22]), 1000 if study.quick else TOYS
    for test in TESTS:
        f = found[f"{test}, 3"] / AT
        if test == TESTS[2]:
            found[f"{test}, toys"] = discovery_test(f * s, f * null, toys=toys, rng=rng).median.z
        else:
            simple = simple_test(f * null, f * alternative, toys=toys, rng=rng)
            found[f"{test}, toys"] = (simple.at_symmetric if test == TESTS[0] else simple.at_mean).z
    return found


def main() -> None:
    """Score, test, print two tables, draw one figure."""
    study = Study.from_command_line(__doc__)
    found = {}
    for name, sigma, detectors in (
        (AUTHORS, THEIRS, {AUTHORS: partial(theirs, study)}),
        ("ZH here", OURS, {key: partial(ours, study, *how) for key, how in DETECTORS.items()}),
    ):
        one_bin = partial(tests, study, *(np.array([AT * x]) for x in sigma), 0)
        alone = f"{name}, counting alone"
        found[alone] = {key: [value] for key, value in study.values(alone, 0, one_bin).items()}
        for key, get in detectors.items():
            found[key] = study.over_seeds(key, partial(measure, study, get))
    for z in (3, 5):
        rows = []
        for name, values in found.items():
            cells = {f"{test}: fb^-1": values[f"{test}, {z}"] for test in TESTS}
            if z == 3:
                cells |= {f"{test}: Z of toys there": values[f"{test}, toys"] for test in TESTS}
            rows.append(Line(name, cells, digits=2))
        study.publish(f"SM against SM + c_HW, luminosity for {z} sigma", rows, key=f"significance_scores_{z}")
    luminosity = np.geomspace(1, 30, 60)
    curves, bands = {}, {}
    for name, values in found.items():
        # with the background known, Z of the generalised test grows as the square root of the luminosity
        each = np.array([3 * np.sqrt(luminosity / x) for x in values[f"{TESTS[2]}, 3"]])
        curves[name], sd = each.mean(axis=0), each.std(axis=0)
        bands[name] = (curves[name] - sd, curves[name] + sd)
    look = plots.Look(label="SM against SM + $c_{HW}$, generalised test", sqrt_s=13)
    study.draw(plots.luminosity_reach(luminosity, curves, bands=bands, look=look))


if __name__ == "__main__":
    main()
