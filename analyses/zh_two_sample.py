"""Data against the Standard Model without a signal model: ZH -> llbb with O_HW, two samples, shapes alone.

Data of 1,000 and 3,000 events at c_HW = 0.5 and 1 TeV^-2 (interference included) are drawn anew for each seed: events
of `zh_sm` and of the pure quadratic term, accepted by the ratio of squared amplitudes (`hepaa.simulate.zh`), which
never exceeds 1.15 of their mixture. The reference has the other events of the Standard Model of MadGraph, 31,000,
mixed with the 5,000 of Pythia 8 that come with hepaa; data and reference share no event. Only shapes are compared: the
rate, twice that of the Standard Model at c_HW = 1, would decide by itself.

- "kernel" is NPLM on the invariant inputs with the default width and ridge. These, and nothing else, were chosen on
  the first 15,000 events of both files, which neither reference nor data hold, by Z at c_HW = 1 and 0.5; widths of
  2 to 8 with a ridge that goes with them give the same Z within 0.2.
- "generators": either generator may be the truth; each has toys of its own, the larger p counts, and their difference
  is fitted beside the signal. The Pythia sample is small, which the p-value includes.
- "Anomaly Awareness": the ensemble of `aa_zh.py`, trained on the 15,000 other events of the Standard Model and 3,000
  labelled ones of the pure quadratic term; 20 bins of its score in the same test.
- "exact": the likelihood ratio of the squared amplitudes, all partons known, at the true c_HW: no test can do better.
- Beyond what 200 toys reach, Z is that of the sum of chi^2 which the statistic follows for many events, its mean scaled
  to that of the toys. c_HW = 0 shows that nothing is found where nothing is.

Run: python analyses/zh_two_sample.py [--data FOLDER] [--seeds 10] [--quick]
"""

from __future__ import annotations

from functools import cache, partial
from typing import TYPE_CHECKING

import numpy as np
from scipy import optimize
from study import Study
from table import Line

import hepaa
from hepaa.demo import path as demo
from hepaa.features.columnar import flat
from hepaa.features.sets.invariant import invariant
from hepaa.plots.style import Look
from hepaa.search.two_sample import BinnedScores, Nuisances, TwoSample
from hepaa.simulate.zh import coefficients

if TYPE_CHECKING:
    from pathlib import Path

FIRST = 15_000
"""Events of each file that choices were made on, and that Anomaly Awareness is trained on."""
DATA_POOL = 4000
SIZES = (1000, 3000)
COUPLINGS = {0.0: 1.0, 0.5: 0.8, 1.0: 0.65}
"""c_HW, and the share of Standard Model events among those that are accepted or not."""
HIGHEST = 1.15
LABELS = 3000
GENERATORS = Nuisances(generators="each")
LOOK = Look(label=r"ZH, 3,000 events, $c_{HW}$ = 1 TeV$^{-2}$", sqrt_s=13)


@cache
def tables(data: Path) -> dict[str, hepaa.EventTable]:
    """Invariant inputs of both files of MadGraph, with the coefficients of the ratio of amplitudes, and of Pythia."""
    found = {}
    for name, file in (("SM", "zh_sm"), ("O_HW", "zh_smeft_chw")):
        events = hepaa.open(data / "zh" / f"{file}.lhe.gz")
        linear, quadratic = ratios(events)
        table = hepaa.features(events, "zh-paper")
        rows = {"linear": linear[table.event], "quadratic": quadratic[table.event]}
        found[name] = invariant(table.with_weight(np.ones(table.n))).with_spectators(**rows)
    pythia = hepaa.features(hepaa.open(demo("zh_sm.lhe.gz")), "zh-paper")
    none = np.zeros(pythia.n)
    found["Pythia 8"] = invariant(pythia.with_weight(none + 1)).with_spectators(linear=none, quadratic=none)
    return found


def ratios(events: hepaa.Events) -> tuple[np.ndarray, np.ndarray]:
    """Linear and quadratic coefficient of |M|^2(c_HW) / |M|^2(0), (n,) each: eight particles an event."""
    fields = ("pdgid", "px", "py", "pz")
    _, pdgid, *momentum = flat(events.arrays["particles"], fields, name="particles")
    ids = pdgid.reshape(events.n, -1)
    p = np.stack([x.reshape(events.n, -1) for x in momentum], axis=-1)
    row = np.arange(events.n)
    quark = np.where(ids[:, 0] > 0, 0, 1)
    lepton, antilepton = (np.argmax(np.isin(sign * ids, (11, 13)), axis=1) for sign in (1, -1))
    found = coefficients(ids[row, quark], *(p[row, particle] for particle in (quark, 1 - quark, lepton, antilepton)))
    return found.linear / found.sm, found.quadratic / found.sm


@cache
def parts(data: Path, seed: int) -> dict[str, hepaa.EventTable]:
    """Disjoint sets: for training, as a reference, and to draw data from."""
    found = tables(data)
    rest = FIRST + np.random.default_rng([seed, 30]).permutation(found["SM"].n - FIRST)
    reference = found["SM"][rest[DATA_POOL:]]
    pythia = found["Pythia 8"]
    mixed = hepaa.mix(
        {"MadGraph": reference, "Pythia 8": pythia},
        fractions={"MadGraph": reference.n, "Pythia 8": pythia.n},
        rng=np.random.default_rng([seed, 31]),
    )
    return {
        "train SM": found["SM"][:FIRST],
        "train O_HW": found["O_HW"][:FIRST],
        "train reference": mixed,
        "test SM": found["SM"][rest[:DATA_POOL]],
        "test O_HW": found["O_HW"][FIRST:],
    }


def amplitude_ratio(table: hepaa.EventTable, c: float) -> np.ndarray:
    """|M|^2(c) / |M|^2(0) of each event, (n,)."""
    return 1 + c * table["linear"].astype(float) + c * c * table["quadratic"].astype(float)


def data_events(data: Path, seed: int, n: int, c: float) -> hepaa.EventTable:
    """So many events at c_HW = c, accepted from a mixture of the Standard Model and the quadratic term."""
    pool = parts(data, seed)
    rng = np.random.default_rng([seed, 32, n, round(10 * c)])
    share = COUPLINGS[c]
    sm = tables(data)["SM"]
    mean, quadratic = amplitude_ratio(sm, c).mean(), sm["quadratic"].mean(dtype=float)
    tried = int(n * HIGHEST * 1.08) if c else n
    from_sm = rng.binomial(tried, share)
    accepted = []
    for name, count in (("test SM", from_sm), ("test O_HW", tried - from_sm)):
        events = pool[name][rng.choice(pool[name].n, count, replace=False)]
        density = share + (1 - share) * events["quadratic"].astype(float) / quadratic
        keep = rng.random(count) * (HIGHEST if c else 1) < amplitude_ratio(events, c) / mean / density
        accepted.append(events[keep | (c == 0)])
    both = hepaa.concatenate(accepted)
    return both[rng.permutation(both.n)[:n]]


def exact(data: Path, events: hepaa.EventTable, c: float) -> float:
    """Z of the likelihood ratio of the amplitudes at c: the saddle point of its sum over events of the SM."""
    sm = amplitude_ratio(tables(data)["SM"], c)
    r = np.log(sm / sm.mean())
    observed = float(np.mean(np.log(amplitude_ratio(events, c) / sm.mean())))

    def moments(s: float) -> tuple[float, float, float]:
        w = np.exp(s * r)
        mean = float(np.mean(w * r) / np.mean(w))
        return float(np.log(np.mean(w))), mean, float(np.mean(w * r * r) / np.mean(w)) - mean**2

    s = optimize.brentq(lambda s: moments(s)[1] - observed, -2, 4)
    cumulant, _, variance = moments(s)
    root = np.sign(s) * np.sqrt(2 * events.n * (s * observed - cumulant))
    return float(root + np.log(s * np.sqrt(events.n * variance) / root) / root)


def measured(study: Study, seed: int) -> dict[str, float]:
    """Z of every method for every size and coupling."""
    pool = parts(study.data, seed)
    toys = 20 if study.quick else 200
    labelled = hepaa.concatenate([pool["train SM"], pool["train O_HW"][:LABELS].with_weight(np.ones(LABELS))])
    label = np.repeat([0, 1], [pool["train SM"].n, LABELS])
    aware = hepaa.detector("aa-zh", seed=seed, seeds=1 if study.quick else 5, epochs=study.epochs(20))
    aware.fit(labelled, label)
    tests = {
        "kernel": TwoSample(pool["train reference"], seed=seed),
        "Anomaly Awareness": TwoSample(pool["train reference"], BinnedScores(detector=aware), seed=seed),
    }
    found = {}
    for n in SIZES[:1] if study.quick else SIZES:
        for c in COUPLINGS:
            events = data_events(study.data, seed, n, c)
            key = f"{n:,} events, c_HW = {c:g}"
            for name, test in tests.items():
                result = test.test(events, toys=toys, nuisances=GENERATORS)
                found[f"{key}, {name}"] = result.alone.best
                found[f"{key}, {name}, generators"] = result.widened.best
            if c:
                found[f"{key}, exact"] = exact(study.data, events, c)
    return found


def main() -> None:
    """Test, print the table, draw where the difference sits."""
    study = Study.from_command_line(__doc__, seeds=10)
    found = study.over_seeds("Z", partial(measured, study))
    columns = ("kernel", "kernel, generators", "Anomaly Awareness", "Anomaly Awareness, generators", "exact")
    keys = dict.fromkeys(", ".join(name.split(", ")[:2]) for name in found)
    study.publish(
        "ZH, data against SM, shapes alone: Z",
        [
            Line(key, {column: found[f"{key}, {column}"] for column in columns if f"{key}, {column}" in found}, 1)
            for key in sorted(keys, key=lambda key: -len([n for n in found if n.startswith(f"{key}, ")]))
        ],
    )
    if not study.quick:
        result = TwoSample(parts(study.data, 0)["train reference"]).test(data_events(study.data, 0, 3000, 1.0))
        study.draw(result.plot(most=8, look=LOOK))


if __name__ == "__main__":
    main()
