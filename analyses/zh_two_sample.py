"""Data against the Standard Model without a signal model: ZH -> llbb with O_HW, two samples, shapes alone.

Data of 300 to 10,000 events (14 to 470 fb^-1 of the Standard Model) at c_HW = 0.3, 0.5 and 1 TeV^-2, interference
included, are drawn anew for each seed: events of `zh_sm` and of the pure quadratic term, accepted by the ratio of
squared amplitudes (`hepaa.simulate.zh`), which never exceeds 1.15 of their mixture. The reference has the other events
of the Standard Model of MadGraph, 31,000 (24,000 beside 10,000 of data), mixed with the 5,000 of Pythia 8 that come
with hepaa; data and reference share no event. Only shapes are compared: the rate, twice that of the Standard Model at
c_HW = 1, would decide by itself.

- "kernel" is NPLM on the invariant inputs with the default width and ridge, "trees" the cross-fitted classifier with
  its default settings. These, and nothing else, were chosen on the first 15,000 events of both files, which neither
  reference nor data hold, by Z at c_HW = 1 and 0.5; kernel widths of 2 to 8 with a ridge that goes with them give the
  same Z within 0.2.
- "flow": 20 bins of the anomaly score of a flow that was trained on the 15,000 other events of the Standard Model.
- "Anomaly Awareness": the ensemble of `aa_zh.py`, trained on the same and on 3,000 labelled events of the pure
  quadratic term; 20 bins of its score in the same test. Flow and ensemble are trained once: draws differ in their data.
- "exact": the likelihood ratio of the squared amplitudes, all partons known, at the true c_HW: no test can do better.
- The second table has generators as nuisances: either may be the truth; each has toys of its own, and the larger p
  counts. Kernels fit their difference beside the signal, too. The Pythia sample is small, which the p-value includes.
- Beyond what 100 toys reach, Z is that of the sum of chi^2 which the statistic follows for many events, its mean scaled
  to that of the toys; of trees, that of a gamma distribution fitted to the toys, and never more than p = exp(-t / 2)
  gives, which Markov's inequality says of a likelihood ratio. c_HW = 0 shows that nothing is found where nothing is.

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
from hepaa.plots import luminosity_reach
from hepaa.plots.style import Look
from hepaa.search.two_sample import Nuisances, TwoSample
from hepaa.simulate.zh import coefficients

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.figure import Figure

    from hepaa.detectors import Detector

FIRST = 15_000
"""Events of each file that choices were made on, and that Anomaly Awareness is trained on."""
DATA_POOL = {300: 4000, 1000: 4000, 3000: 4000, 10_000: 11_000}
"""Events of data, and the events of the Standard Model that they are drawn from."""
COUPLINGS = {0.3: 0.87, 0.5: 0.8, 1.0: 0.65, 0.0: 1.0}
"""c_HW, and the share of Standard Model events among those that are accepted or not."""
HIGHEST = 1.15
LABELS = 3000
SM_PB = 0.021468
METHODS = ("kernel", "trees", "flow", "Anomaly Awareness", "exact")
DRAWN = 0.5
"""c_HW of the figure."""
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
def parts(data: Path, seed: int, pool: int = DATA_POOL[3000]) -> dict[str, hepaa.EventTable]:
    """Disjoint sets: for training, as a reference, and so many events of the Standard Model to draw data from."""
    found = tables(data)
    rest = FIRST + np.random.default_rng([seed, 30]).permutation(found["SM"].n - FIRST)
    reference = found["SM"][rest[pool:]]
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
        "test SM": found["SM"][rest[:pool]],
        "test O_HW": found["O_HW"][FIRST:],
    }


def amplitude_ratio(table: hepaa.EventTable, c: float) -> np.ndarray:
    """|M|^2(c) / |M|^2(0) of each event, (n,)."""
    return 1 + c * table["linear"].astype(float) + c * c * table["quadratic"].astype(float)


def data_events(data: Path, seed: int, n: int, c: float) -> hepaa.EventTable:
    """So many events at c_HW = c, accepted from a mixture of the Standard Model and the quadratic term."""
    pool = parts(data, seed, DATA_POOL[n])
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


@cache
def trained(data: Path, *, quick: bool) -> dict[str, Detector]:
    """Detectors that know neither reference nor data: one without labels, one with."""
    epochs, pool = 2 if quick else 20, parts(data, 0, DATA_POOL[1000])
    labelled = hepaa.concatenate([pool["train SM"], pool["train O_HW"][:LABELS].with_weight(np.ones(LABELS))])
    label = np.repeat([0, 1], [pool["train SM"].n, LABELS])
    aware = hepaa.detector("aa-zh", seed=0, seeds=1 if quick else 5, epochs=epochs)
    flow = hepaa.detector("flow", seed=0, epochs=epochs)
    return {"flow": flow.fit(pool["train SM"]), "Anomaly Awareness": aware.fit(labelled, label)}


def measured(study: Study, seed: int) -> dict[str, float]:
    """Z of every method for every number of events and coupling."""
    toys, sizes = (20, [1000]) if study.quick else (100, list(DATA_POOL))
    values = {}
    methods = {"kernel": "kernel", "trees": "trees"} | trained(study.data, quick=study.quick)
    for name, method in methods.items():
        tests: dict[int, TwoSample] = {}
        for n in sizes:
            size = DATA_POOL[n]
            if size not in tests:
                tests[size] = TwoSample(parts(study.data, seed, size)["train reference"], method, seed=seed)
            for c in COUPLINGS:
                result = tests[size].test(data_events(study.data, seed, n, c), toys=toys, nuisances=GENERATORS)
                values[f"{n:,} events, c_HW = {c:g}, {name}"] = result.alone.best
                values[f"{n:,} events, c_HW = {c:g}, {name}, generators"] = result.widened.best
    for n in sizes:
        for c in filter(None, COUPLINGS):
            events = data_events(study.data, seed, n, c)
            values[f"{n:,} events, c_HW = {c:g}, exact"] = exact(study.data, events, c)
    return values


def figure(z: dict[str, list[float]], draws: int) -> Figure:
    """Z against luminosity at one coupling, with the standard deviation of the draws."""
    curves, bands = {}, {}
    for name in (*METHODS, "kernel, generators", "Anomaly Awareness, generators"):
        each = np.array([z[f"{n:,} events, c_HW = {DRAWN:g}, {name}"] for n in DATA_POOL])
        mean, spread = each.mean(axis=1), each.std(axis=1, ddof=1)
        curves[name], bands[name] = mean, (mean - spread, mean + spread)
    label = rf"Simulation, ZH, shapes, $c_{{HW}}$ = {DRAWN:g} TeV$^{{-2}}$, {draws} draws"
    luminosity = np.array(list(DATA_POOL)) / (1000 * SM_PB)
    return luminosity_reach(luminosity, curves, bands=bands, look=Look(label=label, sqrt_s=13))


def main() -> None:
    """Test, print the tables, draw Z against luminosity and where the difference sits."""
    study = Study.from_command_line(__doc__, seeds=10)
    z = study.over_seeds("Z", partial(measured, study))
    for end, more in (("", ""), (", generators", ", generators as nuisances")):
        lines = []
        for key in dict.fromkeys(", ".join(name.split(", ")[:2]) for name in sorted(z, key=_order)):
            cells = {m: z[f"{key}, {m}{end}"] for m in METHODS if f"{key}, {m}{end}" in z}
            lines.append(Line(key, cells, 1))
        study.publish(f"ZH, data against SM, shapes alone{more}: Z", lines, key=study.key + end.replace(", ", "_"))
    if not study.quick:
        reference = parts(study.data, 0, DATA_POOL[3000])["train reference"]
        result = TwoSample(reference).test(data_events(study.data, 0, 3000, 1.0))
        study.draw(result.plot(most=8, look=LOOK))
        study.draw(figure(z, len(study.seeds)), f"{study.key}_luminosity")


def _order(name: str) -> tuple[int, int]:
    """Couplings as they stand above, and numbers of events ascending."""
    n, c = name.split(" events, c_HW = ")
    return list(COUPLINGS).index(float(c.split(", ")[0])), int(n.replace(",", ""))


if __name__ == "__main__":
    main()
