"""Enriched background, after BEAD: what do contrast between generators, flows, and a wider latent space bring?

Dijets of five generators (Pythia 8 Monash and Vincia, Pythia 6 Perugia 0 and Tune A, Sherpa 3.0.3), 14 features, three
signals. Every network is a VAE trained on 5,000 events of each generator for 10 epochs of batches of 512, the learning
rate falling from 0.003 as a cosine, with a KL weight of 0.001 where no other is named.

- The map: three networks (16 hidden and 2 latent units; 64 and 8; 64 and 15) x five posteriors (Gaussian; planar,
  Householder-Sylvester and inverse autoregressive flows of two steps; a spline flow of one) x contrast (none; SupCon
  over the generators; NT-Xent between two noisy views). All scores of each: `bead_map.csv`.
- What else moves it: the KL weight, from the start or risen over half of the epochs, a Dirichlet prior, fewer and more
  epochs.
- Training generators: each alone (where SupCon has nothing to compare), pairs, all, all but Sherpa; false positives of
  each at a cut that is fixed on those trained on. "5,000 in all" has as many events and steps for one generator as for
  many.
- Inputs: the 14 features, or the 20 hardest particles of both leading jets (shares of pT, angles about the axis)
  through DeepSets and a transformer, on the raw events of the data pack: 750 training events of each generator. The
  pack has neither pdg codes nor b-tags. `bead_particles.py` asks the same of simulated events, of which there are more.

Weight and temperature of the contrast are chosen for each network, contrast and seed, with a Gaussian posterior, by
the median AUC of the three signals on events of the training part that no network is trained on. The test events are
all others, about 98,500 of the generators, pooled as many as there are: 1e-4 of them are 9. The importance-weighted
score is taken of the Householder flow alone, which the table of scores shows.

Run: python analyses/bead_map.py [--data FOLDER] [--seeds 5] [--quick]
"""

from __future__ import annotations

import csv
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from typing import TYPE_CHECKING, Any

import foundation
import numpy as np
import samples
from study import Study, subset
from table import RESULTS, Line, Row

import hepaa
from hepaa.models.clusters import CLUSTER_METRICS, Clusters
from hepaa.models.combined.ensemble import Rarity
from hepaa.plots.style import Look, drawing
from hepaa.scores import importance_weighted
from hepaa.stats.separability import linear_probe

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

GENERATORS = {
    "pythia8_monash": "Monash",
    "pythia6_perugia0": "Perugia 0",
    "pythia8_vincia": "Vincia",
    "pythia6_tuneA": "Tune A",
    "sherpa_css": "Sherpa",
}
SHERPA = "sherpa_css"
ALL, NO_SHERPA = tuple(GENERATORS), tuple(name for name in GENERATORS if name != SHERPA)
EVENTS, CHOICE, PROBED = 5000, 1500, 1000
RAW_SIGNALS = {samples.W500: "wprime_500_100", samples.SVJ: "svj"}
RAW_EVENTS, PARTICLES = 750, 20
NETWORKS = {"16-2": ((16,), 2), "64-8": ((64,), 8), "64-15": ((64,), 15)}
SPELLED = {name: f"{hidden[0]} hidden, {latent} latent" for name, (hidden, latent) in NETWORKS.items()}
HOUSEHOLDER = "sylvester-householder"
POSTERIORS = {"gaussian": "Gaussian", "planar": "planar", HOUSEHOLDER: "Householder", "iaf": "IAF", "spline": "spline"}
CONTRASTS = {"": "none", "supcon": "SupCon", "ntxent": "NT-Xent"}
WEIGHTS, TEMPERATURES = (0.01, 0.1, 1.0), (0.07, 0.3)
RECONSTRUCTION, CLUSTER = "reconstruction", "mahalanobis"
COMBINED = (RECONSTRUCTION, "kl", CLUSTER)
SCORES = {
    RECONSTRUCTION: "reconstruction error",
    "kl": "KL divergence from the prior",
    "elbo": "ELBO (reconstruction + KL weight x KL)",
    "importance": "importance-weighted (10 samples)",
    "euclidean": "Euclidean distance from the nearest generator",
    "cosine": "angle from the nearest generator",
    CLUSTER: "Mahalanobis distance from the nearest generator",
    "flow": "density of the flow",
    "rank": "rank combination",
    "fisher": "Fisher combination",
}
CUTS = (1e-1, 1e-2, 1e-3, 1e-4)
GRID = np.geomspace(1e-4, 1, 41)
VARIANTS: dict[str, dict[str, Any]] = {
    "KL weight 0.001": {},
    "KL weight 0.03": {"beta": 0.03},
    "KL weight 1": {"beta": 1.0},
    "KL weight 1, risen from 0": {"beta": 1.0, "beta_epochs": 5},
    "KL weight 0.001, Dirichlet prior": {"prior": "dirichlet"},
    "KL weight 0.001, 3 epochs": {"epochs": 3},
    "KL weight 0.001, 30 epochs": {"epochs": 30},
}
AS_IS, UNIT, DIRICHLET = "KL weight 0.001", "KL weight 1", "KL weight 0.001, Dirichlet prior"


@dataclass(frozen=True)
class Training:
    """One training: network, contrast, posterior, generators, events of each, variant, and epochs."""

    network: str
    contrast: str = ""
    posterior: str = "gaussian"
    generators: tuple[str, ...] = ALL
    events: int = EVENTS
    variant: str = AS_IS
    epochs: int = 10

    @property
    def name(self) -> str:
        """Of its values."""
        return f"{self}"


MAP = [Training(n, c, p) for n, p, c in product(NETWORKS, POSTERIORS, CONTRASTS)]
OTHERS = [Training(n, c, variant=v) for n, v, c in product(NETWORKS, VARIANTS, ("", "supcon"))]
SETS = {
    **{(name,): f"{shown} alone" for name, shown in GENERATORS.items()},
    ("pythia8_monash", "pythia6_perugia0"): "Monash and Perugia 0",
    ("pythia8_monash", SHERPA): "Monash and Sherpa",
    ("pythia6_perugia0", SHERPA): "Perugia 0 and Sherpa",
    NO_SHERPA: "all but Sherpa",
    ALL: "all",
}
EQUAL = [  # one generator has nothing for SupCon to compare: NT-Xent stands there in its place, and for all
    Training("64-8", c, generators=g, events=EVENTS // len(g), epochs=50)
    for g, c in product(SETS, CONTRASTS)
    if not c or g == ALL or (c == "ntxent") == (len(g) == 1)
]
WITHOUT = [Training(n, c, generators=NO_SHERPA) for n, c in product(NETWORKS, CONTRASTS)]


def parts(data: Path, seed: int) -> samples.Parts:
    """Generators and signals: for training, for the choice of weight and temperature, for the test; raw ones apart."""
    found = {}
    for name in GENERATORS:
        events = samples.dijets(data, seed, background=name)
        learned = events["train background"]
        found[f"train {name}"] = learned[:EVENTS]
        found[f"train choice {name}"] = learned[EVENTS : EVENTS + CHOICE]
        found[f"test {name}"] = hepaa.concatenate([learned[EVENTS + CHOICE :], events["test background"]])
        raw = foundation.pack(data, name)
        order = subset(raw.n, raw.n, seed)
        found[f"train raw {name}"], found[f"test raw {name}"] = raw[order[:RAW_EVENTS]], raw[order[RAW_EVENTS:]]
    for signal in samples.DIJETS:
        found |= {f"train choice {signal}": events[f"train {signal}"], f"test {signal}": events[f"test {signal}"]}
    return found | {f"test raw {signal}": foundation.pack(data, file) for signal, file in RAW_SIGNALS.items()}


_PARTS: dict[int, samples.Parts] = {}


def events_of(study: Study, seed: int) -> samples.Parts:
    """The parts of a seed; one seed's are in memory."""
    if seed not in _PARTS:
        _PARTS.clear()
        _PARTS[seed] = {k: t[:150] if study.quick else t for k, t in parts(study.data, seed).items()}
    return _PARTS[seed]


def vae(contrast: str, choice: tuple[float, float], options: dict[str, Any]) -> Any:
    """A VAE, or one with the contrast of a weight and a temperature."""
    options = {"batch_size": 512, "learning_rate": 3e-3, "schedule": "cosine", "beta": 1e-3} | options
    if not contrast:
        return hepaa.VAE(**options)
    weight, temperature = choice
    return hepaa.ContrastiveVAE(contrastive=contrast, contrastive_weight=weight, temperature=temperature, **options)


def train(study: Study, training: Training, choice: tuple[float, float], seed: int) -> tuple[Any, hepaa.EventTable]:
    """The trained network and its training events."""
    events = events_of(study, seed)
    table = hepaa.concatenate([events[f"train {name}"][: training.events] for name in training.generators])
    hidden, latent = NETWORKS[training.network]
    options = {
        "hidden": hidden,
        "latent": latent,
        "posterior": training.posterior,
        "flow_steps": 1 if training.posterior == "spline" else 2,
        "epochs": training.epochs,
        "seed": seed,
        **VARIANTS[training.variant],
    }
    options["epochs"] = study.epochs(options["epochs"])
    return vae(training.contrast, choice, options).fit(table), table


def separation(background: Array, signal: Array) -> float:
    """AUC of a signal against sorted background."""
    below = np.searchsorted(background, signal, "left") + np.searchsorted(background, signal, "right")
    return float(below.mean() / 2 / len(background))


def scan(study: Study, network: str, contrast: str, seed: int) -> dict[str, float]:
    """Median AUC of every weight and temperature on the events for the choice."""
    events = events_of(study, seed)
    background = hepaa.concatenate([events[f"train choice {name}"] for name in GENERATORS])
    found = {}
    for choice in product(WEIGHTS, TEMPERATURES):
        model, _ = train(study, Training(network, contrast), choice, seed)
        b = np.sort(model.anomaly_score(background))
        aucs = [separation(b, model.anomaly_score(events[f"train choice {s}"])) for s in samples.DIJETS]
        found[f"weight {choice[0]:g}, T {choice[1]:g}"] = float(np.median(aucs))
    return found


def chosen(study: Study, network: str, contrast: str, seed: int) -> tuple[float, float]:
    """Weight and temperature with the best AUC on the events for the choice."""
    found = study.values(f"choice {network} {contrast}", seed, partial(scan, study, network, contrast, seed))
    return dict(zip(found, product(WEIGHTS, TEMPERATURES), strict=True))[max(found, key=lambda key: found[key])]


class Scores:
    """All scores of a trained VAE, those of clusters and combinations learned on its training events."""

    def __init__(self, model: Any, X: Any, groups: Any) -> None:
        self.model = model
        out = model.outputs(X)
        mu = out["mu"].astype(np.float64)
        self.clusters = {metric: Clusters(metric).fit(mu, np.asarray(groups)) for metric in CLUSTER_METRICS}
        own = self.of_outputs(out)
        self.rarity = {name: Rarity(own[name]) for name in COMBINED}

    def of_outputs(self, out: Any) -> dict[str, Array]:
        """Scores of the outputs of events, but for the combinations."""
        kl, error = out["kl"].mean(axis=0, dtype=np.float64), self.model.event_errors(out)
        found = {RECONSTRUCTION: error, "kl": kl, "elbo": error + self.model.beta * kl}
        mu = out["mu"].astype(np.float64)
        found |= {metric: clusters.distances(mu).min(axis=1) for metric, clusters in self.clusters.items()}
        if self.model.posterior != "gaussian":  # log q(mu|x) - log|det| - log p(z), without the first
            found["flow"] = kl - (-0.5 * (out["logvar"] + np.log(2 * np.pi)).sum(axis=-1)).mean(axis=0)
        return found

    def __call__(self, X: Any) -> dict[str, Array]:
        """Scores (n,) by name."""
        found = self.of_outputs(self.model.outputs(X))
        rare = np.stack([self.rarity[name](found[name]) for name in COMBINED])
        found |= {"rank": -np.expm1(-rare).mean(axis=0), "fisher": rare.sum(axis=0)}
        if self.model.posterior == HOUSEHOLDER:
            found["importance"] = importance_weighted(self.model, X, samples=10)
        return found


def compare(scores: dict[str, dict[str, Array]], own: tuple[str, ...]) -> dict[str, float]:
    """AUC, efficiencies, ROC curve of each signal, and false positives of each generator, for each score.

    `own` are the generators that were trained on: their pooled events set the cuts of the false positives.
    """
    found = {}
    signals = [name for name in scores if name not in GENERATORS]
    for score in scores[signals[0]]:
        background = np.sort(np.concatenate([scores[name][score] for name in scores if name in GENERATORS]))
        n = len(background)
        for signal in signals:
            s = np.sort(scores[signal][score])
            found[f"auc {score} {signal}"] = separation(background, s)
            for cut in CUTS:
                passing = len(s) - np.searchsorted(s, background[n - 1 - int(cut * n)], "right")
                found[f"kept {score} {signal} {cut:g}"] = 100 * passing / len(s)
            if score == RECONSTRUCTION:
                cuts = background[np.maximum(n - 1 - (GRID * n).astype(int), 0)]
                passing = len(s) - np.searchsorted(s, cuts, "right")
                found |= {f"roc {signal} {i}": float(p / len(s)) for i, p in enumerate(passing)}
        trained = np.sort(np.concatenate([scores[name][score] for name in own]))
        for cut in (0.01, 0.001):
            at = trained[len(trained) - 1 - int(cut * len(trained))]
            for name in (name for name in scores if name in GENERATORS):
                found[f"false {score} {name} {cut:g}"] = 100 * float(np.mean(scores[name][score] > at))
        found[f"auc {score}"] = float(np.median([found[f"auc {score} {signal}"] for signal in signals]))
        for cut in CUTS:
            found[f"kept {score} {cut:g}"] = float(
                np.median([found[f"kept {score} {signal} {cut:g}"] for signal in signals])
            )
    return found | {"background events": float(n)}


def tested(study: Study, seed: int) -> dict[str, hepaa.EventTable]:
    """Test events of each generator and signal."""
    events = events_of(study, seed)
    return {name: events[f"test {name}"] for name in (*GENERATORS, *samples.DIJETS)}


def probe(points: dict[str, Array], seed: int) -> float:
    """Balanced accuracy, in percent, of a linear map from points to generators, on held-out events."""
    some = {name: points[name][:PROBED] for name in GENERATORS}
    groups = np.repeat([*some], [len(z) for z in some.values()])
    return 100 * linear_probe(np.concatenate([*some.values()]), groups, folds=3, seed=seed).accuracy


def measure(study: Study, training: Training, seed: int) -> dict[str, float]:
    """All that is measured of one training."""
    choice = chosen(study, training.network, training.contrast, seed) if training.contrast else (0.0, 0.0)
    model, learned = train(study, training, choice, seed)
    scores = Scores(model, learned, learned.generator)
    tables = tested(study, seed)
    found = compare({name: scores(table) for name, table in tables.items()}, training.generators)
    mu = {name: model.outputs(tables[name][:PROBED])["mu"][0] for name in GENERATORS}
    return found | {"probe": probe(mu, seed), "weight": choice[0], "temperature": choice[1]}


def without_network(study: Study, preset: str, seed: int) -> dict[str, float]:
    """The same of a baseline on the same events."""
    events = events_of(study, seed)
    model = hepaa.detector(preset, seed=seed).fit(hepaa.concatenate([events[f"train {name}"] for name in ALL]))
    tables = tested(study, seed)
    scores = {name: {RECONSTRUCTION: model.anomaly_score(table)} for name, table in tables.items()}
    return compare(scores, ALL) | {"probe": probe({name: tables[name].X for name in GENERATORS}, seed)}


BASELINES = {"gaussian-mixture": "Gaussian mixture (no network)", "sum-of-squares": "sum of z^2 (no model)"}
OF_JETS = {"particles": PARTICLES, "preprocess": None, "reconstruction": "pt-weighted", "latent": 8, "epochs": 20}
INPUTS: dict[str, dict[str, Any]] = {
    "14 features": {"hidden": (64,), "latent": 8, "epochs": 50},
    "particles, DeepSets": {"encoder": "deepsets", "hidden": (32, 32), **OF_JETS},
    "particles, transformer": {"encoder": "transformer", "hidden": (16,), **OF_JETS},
}
OF_INPUTS = [(i, c) for i, c in product(INPUTS, CONTRASTS) if "transformer" not in i or c != "ntxent"]


def clouds(table: hepaa.EventTable, name: str) -> NDArray[np.float32]:
    """The inputs of a raw event: features, or its hardest particles."""
    if "features" in name:
        return foundation.features(table)
    return table.X.reshape(table.n, 2, -1, 3)[:, :, :PARTICLES].reshape(table.n, -1)


def from_raw(study: Study, name: str, contrast: str, seed: int) -> dict[str, float]:
    """Of a training on raw events: AUC of two signals and the linear probe."""
    events = events_of(study, seed)
    learned = [clouds(events[f"train raw {generator}"], name) for generator in GENERATORS]
    rows = {key: clouds(events[f"test raw {key}"], name) for key in (*GENERATORS, *RAW_SIGNALS)}
    groups = np.repeat(np.arange(len(learned)), [len(X) for X in learned])
    choice = chosen(study, "64-8", contrast, seed) if contrast else (0.0, 0.0)
    options = INPUTS[name] | {"epochs": study.epochs(INPUTS[name]["epochs"]), "seed": seed, "batch_size": 128}
    model = vae(contrast, choice, options).fit(np.concatenate(learned), groups=groups)
    scores = Scores(model, np.concatenate(learned), groups)
    mu = {key: model.outputs(rows[key][:PROBED])["mu"][0] for key in GENERATORS}
    return compare({key: scores(X) for key, X in rows.items()}, ALL) | {"probe": probe(mu, seed)}


Found = dict[str, dict[str, list[float]]]


def run(study: Study) -> Found:
    """All values by name of training and measure, one a seed; seed by seed, for one seed's events are in memory."""
    rounds: dict[str, list[dict[str, float]]] = {}
    for seed in study.seeds:
        work = {t.name: partial(measure, study, t, seed) for t in dict.fromkeys([*MAP, *OTHERS, *EQUAL, *WITHOUT])}
        work |= {name: partial(without_network, study, name, seed) for name in BASELINES}
        work |= {f"raw {i} {c}": partial(from_raw, study, i, c, seed) for i, c in OF_INPUTS}
        work |= {f"choice {n} {c}": partial(scan, study, n, c, seed) for n, c in product(NETWORKS, CONTRASTS) if c}
        for name, compute in work.items():
            rounds.setdefault(name, []).append(study.values(name, seed, compute))
    return {name: {key: [of[key] for of in each] for key in each[0]} for name, each in rounds.items()}


def difference(name: str, higher: list[list[float]], lower: list[list[float]]) -> Line:
    """Paired differences of AUC, one a seed: the mean over pairs of trainings; and the error of the mean over seeds."""
    d = np.mean(np.array(higher) - np.array(lower), axis=0)
    error = d.std(ddof=1) / np.sqrt(len(d)) if len(d) > 1 else 0.0
    return Line(
        name, {"difference": d.tolist(), "error of the mean": [error], "seeds that gain": [float((d > 0).sum())]}
    )


def gains(found: Found) -> list[Line]:
    """What contrast, a wider latent space, flows and the KL weight add to the AUC of the reconstruction error."""

    def aucs(*trainings: Training) -> list[list[float]]:
        return [found[t.name][f"auc {RECONSTRUCTION}"] for t in trainings]

    def all_posteriors(network: str, contrast: str = "") -> list[list[float]]:
        return aucs(*(Training(network, contrast, p) for p in POSTERIORS))

    lines = [
        difference(f"{shown} over none, {SPELLED[n]}", all_posteriors(n, c), all_posteriors(n))
        for c, shown in CONTRASTS.items()
        if c
        for n in NETWORKS
    ]
    for wide, narrow in (("64-8", "16-2"), ("64-15", "64-8"), ("64-15", "16-2")):
        name = f"{SPELLED[wide]} over {SPELLED[narrow]}, no contrast"
        lines.append(difference(name, all_posteriors(wide), all_posteriors(narrow)))
    lines += [
        difference(
            f"{shown} flow over Gaussian, no contrast, all networks",
            aucs(*(Training(n, posterior=p) for n in NETWORKS)),
            aucs(*(Training(n) for n in NETWORKS)),
        )
        for p, shown in POSTERIORS.items()
        if p != "gaussian"
    ]
    for n in NETWORKS:
        name = f"KL weight 1 over 0.001, {SPELLED[n]}, Gaussian, no contrast"
        lines.append(difference(name, aucs(Training(n, variant=UNIT)), aucs(Training(n))))
    return lines


def write_csv(found: Found) -> None:
    """Every score of every training of the map: mean and standard deviation of all measures."""
    measures = ["auc", *(f"auc {s}" for s in samples.DIJETS), *(f"kept {cut:g}" for cut in CUTS)]
    with (RESULTS / "bead_map.csv").open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file, lineterminator="\n")
        heads = [f"{m} {value}" for m in measures for value in ("mean", "sd")]
        rows.writerow(["hidden", "latent", "posterior", "contrast", "score", *heads, "probe mean", "seeds"])
        for t, score in product(MAP, SCORES):
            of = found[t.name]
            if f"auc {score}" not in of:
                continue
            hidden, latent = NETWORKS[t.network]
            row: list[Any] = [hidden[0], latent, POSTERIORS[t.posterior], CONTRASTS[t.contrast], SCORES[score]]
            for m in measures:
                first, _, rest = m.partition(" ")
                values = of[f"{first} {score} {rest}".strip()]
                row += [f"{np.mean(values):.4f}", f"{np.std(values, ddof=1):.4f}"]
            rows.writerow([*row, f"{np.mean(of['probe']):.2f}", len(values)])


def tables(study: Study, found: Found) -> None:
    """Print and keep all tables."""
    score = f"auc {RECONSTRUCTION}"

    def by_contrast(measure: str, trainings: dict[str, Training], contrasts: dict[str, str], digits: int) -> list[Line]:
        return [
            Line(name, {w: found[replace(t, contrast=c).name][measure] for c, w in contrasts.items()}, digits)
            for name, t in trainings.items()
        ]

    grid = {
        f"{SPELLED[n]}, {shown}": Training(n, posterior=p) for n, (p, shown) in product(NETWORKS, POSTERIORS.items())
    }
    study.publish("median AUC of three signals, by contrast", by_contrast(score, grid, CONTRASTS, 3))
    study.publish("differences of median AUC, paired over seeds", gains(found), key=f"{study.key}_gains")
    others = {f"{SPELLED[n]}, {v}": Training(n, variant=v) for n, v in product(NETWORKS, VARIANTS)}
    two = {c: shown for c, shown in CONTRASTS.items() if c != "ntxent"}
    study.publish("median AUC, Gaussian posterior", by_contrast(score, others, two, 3), key=f"{study.key}_variants")

    named = {f"{SPELLED[t.network]}, {CONTRASTS[t.contrast]}": t for t in MAP if t.posterior == "gaussian"}
    measured = {**{name: found[t.name] for name, t in named.items()}, **{w: found[p] for p, w in BASELINES.items()}}
    signals = [Line(n, {s: of[f"{score} {s}"] for s in samples.DIJETS}) for n, of in measured.items()]
    study.publish("AUC of each signal, Gaussian posterior", signals, key=f"{study.key}_signals")
    kept = [
        Line(n, {f"{100 * cut:g} % of background": of[f"kept {RECONSTRUCTION} {cut:g}"] for cut in CUTS}, digits=2)
        for n, of in measured.items()
    ]
    study.publish("signal kept in %, median of three signals, Gaussian", kept, key=f"{study.key}_kept")
    probes = [Line(n, {"balanced accuracy in %": of["probe"]}, digits=1) for n, of in measured.items()]
    probes[-2:] = [Line("14 features (no network)", probes[-1].cells, digits=1)]
    study.publish("generator from the latent mean, Gaussian posterior", probes, key=f"{study.key}_latent")

    columns = {
        f"{latent} latent, {CONTRASTS[c]}": Training(n, c, HOUSEHOLDER)
        for n, latent in (("64-8", 8), ("64-15", 15))
        for c in CONTRASTS
    }
    by_score = [
        Line(shown, {name: found[t.name][f"auc {kind}"] for name, t in columns.items()})
        for kind, shown in SCORES.items()
    ]
    study.publish("median AUC by score, 64 hidden, Householder", by_score, key=f"{study.key}_scores")

    def rates(name: str, t: Training) -> Line:
        of = found[t.name]
        false = {shown: of[f"false {RECONSTRUCTION} {g} 0.01"] for g, shown in GENERATORS.items()}
        return Line(name, {**false, "AUC": of[score], "signal kept": of[f"kept {RECONSTRUCTION} 0.01"]}, digits=2)

    title = "false positives in % at 1 % of the generators trained on; 5,000 events in all, 64 hidden, 8 latent"
    lines = [rates(f"{SETS[t.generators]}, {CONTRASTS[t.contrast]}", t) for t in EQUAL]
    study.publish(title, lines, key=f"{study.key}_generators")
    left = []
    for t in WITHOUT:
        of, name = found[t.name], f"{SPELLED[t.network]}, {CONTRASTS[t.contrast]}"
        cells = {
            f"{shown}, at {100 * cut:g} %": of[f"false {kind} {SHERPA} {cut:g}"]
            for kind, shown in ((RECONSTRUCTION, "reconstruction"), (CLUSTER, "Mahalanobis"))
            for cut in (0.01, 0.001)
        }
        left.append(Line(name, {**cells, "signal kept at 1 %": of[f"kept {RECONSTRUCTION} 0.01"]}, digits=2))
    study.publish("Sherpa left out: its false positives in %", left, key=f"{study.key}_left_out")
    raw = []
    for name, c in OF_INPUTS:
        of = found[f"raw {name} {c}"]
        cells = {
            f"{signal}, {shown}": of[f"auc {kind} {signal}"]
            for kind, shown in ((RECONSTRUCTION, "reconstruction"), (CLUSTER, "Mahalanobis"))
            for signal in RAW_SIGNALS
        }
        raw.append(Line(f"{name}, {CONTRASTS[c]}", {**cells, "generator, %": of["probe"]}))
    study.publish("AUC by input, 3,750 raw training events", raw, key=f"{study.key}_inputs")

    scans = [
        Line(f"{SPELLED[n]}, {CONTRASTS[c]}", found[f"choice {n} {c}"]) for c, n in product(CONTRASTS, NETWORKS) if c
    ]
    study.publish("median AUC on training parts, for the choice", scans, key=f"{study.key}_choice")
    picked = [
        Line(name, {"weight": found[t.name]["weight"], "T": found[t.name]["temperature"]}, digits=2)
        for name, t in named.items()
        if t.contrast
    ]
    study.publish("what was chosen: mean and spread over seeds", picked, key=f"{study.key}_chosen")

    def here(network: str, contrast: str = "", posterior: str = "gaussian", key: str = score) -> list[float]:
        return found[Training(network, contrast, posterior).name][key]

    pairs = [t for t in EQUAL if len(t.generators) == 2 and not t.contrast]
    efficiency = f"kept {RECONSTRUCTION} 0.01"
    printed = [
        Row("planar flow, median AUC", "0.656", here("64-15", posterior="planar")),
        Row("Householder flow, median AUC", "0.662", here("64-15", posterior=HOUSEHOLDER)),
        Row("NT-Xent, median AUC", "0.679", here("64-15", "ntxent")),
        Row("SupCon, median AUC", "0.70", here("64-15", "supcon")),
        Row("Dirichlet prior, median AUC", "0.674", found[Training("64-15", variant=DIRICHLET).name][score]),
        *(
            Row(f"pair of generators (here {SETS[t.generators]}, 8 latent), median AUC", value, found[t.name][score])
            for t, value in zip(pairs, ("0.739", "0.663", "0.586"), strict=True)
        ),
        Row("signal kept at 1 % without contrast, in %", "6.3", here("64-15", key=efficiency), digits=2),
        Row("signal kept at 1 % with SupCon, in %", "11.5", here("64-15", "supcon", key=efficiency), digits=2),
        Row("Gaussian mixture (no network), median AUC", "", found["gaussian-mixture"][score]),
    ]
    study.publish("BEAD's logs beside 64 hidden, 15 latent", printed, key=f"{study.key}_published")


COLOURS = ("#3f90da", "#bd1f01", "#94a4a2")


def map_figure(found: Found) -> Figure:
    """Median AUC of each network, posterior and contrast."""
    with drawing(Look()) as new_figure:
        figure = new_figure(figsize=(11, 3.8))
        axes = figure.subplots(1, len(NETWORKS), sharey=True)
        mixture = np.mean(found["gaussian-mixture"][f"auc {RECONSTRUCTION}"])
        for axis, network in zip(axes, NETWORKS, strict=True):
            for i, (contrast, shown) in enumerate(CONTRASTS.items()):
                values = [found[Training(network, contrast, p).name][f"auc {RECONSTRUCTION}"] for p in POSTERIORS]
                spread = [np.std(v, ddof=1) if len(v) > 1 else 0.0 for v in values]
                x = np.arange(len(POSTERIORS)) + 0.2 * (i - 1)
                axis.errorbar(x, np.mean(values, axis=1), spread, fmt="os^"[i], color=COLOURS[i], ms=5, label=shown)
            axis.axhline(mixture, color="black", lw=0.8, ls=":", label="Gaussian mixture")
            axis.set_xticks(range(len(POSTERIORS)), POSTERIORS.values(), rotation=30)
            axis.tick_params(axis="x", which="minor", bottom=False, top=False)
            axis.set_title(SPELLED[network])
        axes[0].set_ylabel("median AUC of three signals")
        axes[-1].legend(fontsize=9)
        figure.tight_layout()
    return figure


def roc_figure(found: Found) -> Figure:
    """ROC curves of each network and signal, one line a contrast."""
    with drawing(Look()) as new_figure:
        figure = new_figure(figsize=(11, 9.5))
        axes = figure.subplots(len(samples.DIJETS), len(NETWORKS), sharex=True, sharey=True)
        for (row, signal), (column, network) in product(enumerate(samples.DIJETS), enumerate(NETWORKS)):
            axis = axes[row, column]
            for i, (contrast, shown) in enumerate(CONTRASTS.items()):
                of = found[Training(network, contrast).name]
                curve = np.mean([of[f"roc {signal} {k}"] for k in range(len(GRID))], axis=1)
                axis.plot(GRID, curve, color=COLOURS[i], ls=("-", "--", ":")[i], label=shown)
            axis.plot(GRID, GRID, color="black", lw=0.7)
            axis.set(xscale="log", yscale="log", xlim=(1e-4, 1), ylim=(1e-4, 1))
            if row == 0:
                axis.set_title(SPELLED[network])
            if column == 0:
                axis.set_ylabel(f"{signal}: efficiency", fontsize=10)
            if row == len(samples.DIJETS) - 1:
                axis.set_xlabel("background efficiency", fontsize=10)
        axes[0, 0].legend(fontsize=9)
        figure.tight_layout()
    return figure


def main() -> None:
    """Train, score, print the tables, draw the figures."""
    study = Study.from_command_line(__doc__)
    found = run(study)
    tables(study, found)
    study.draw(map_figure(found))
    study.draw(roc_figure(found), f"{study.key}_roc")
    if not study.quick:
        write_csv(found)


if __name__ == "__main__":
    main()
