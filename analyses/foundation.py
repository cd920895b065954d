"""Small foundation models of jets: what is an encoder worth that was trained before there was a question?

BEAD's authors announce it; nobody has published it. A DeepSets encoder of the 30 hardest particles of both leading jets
(`hepaa.ContrastiveEncoder`, 64 dimensions) is pre-trained on background of four generators and tunes (Pythia 8 Monash
and Vincia, Pythia 6 Perugia 0 and Tune A: 7,100 events of the data pack and 5,000 of Monash from `hepaa.simulate`),
without a label: by NT-Xent over physical views, by SupCon over the generators, or by both. There is no signal and no
Sherpa event in it. Questions:

(a) W'(500, 100) and semi-visible jets against Monash with 10 to 10,000 labels, half of them signal: a linear probe
    (logistic regression) of the embedding and the whole network fine-tuned, beside the same network trained from
    scratch, and beside the 14 features of the dijet set (logistic regression, and boosting).
(b) The same without labels: a Gaussian mixture, the 20th nearest neighbour, and the Mahalanobis distance from the
    nearest generator, in the embedding; beside the mixture on the 14 features.
(c) Which generator made an event? Balanced accuracy of a linear probe on held-out events of five generators, of which
    the encoder has not seen Sherpa; 0.2 is chance.
(d) Linear regression of ln m_jj, and tau21 and m / pT of the leading jet: share of the variance that is explained on
    held-out events. The particles are shares of pT and angles about the axis: m_jj is not in them.
(e) What was trained with 1,000 labels against Monash meets Sherpa: AUC of W' against either (data pack), and the share
    of Sherpa that passes a cut which keeps 10 % of Monash.

A transformer (one block of width 32 with 4 heads, attention among all particles of both jets, padding masked) stands
beside DeepSets in (a) with 100 labels. An epoch costs it 6 to 10 CPU-seconds, so NT-Xent pre-trains it for 6 epochs,
where DeepSets has 25; fine-tuning and training from scratch have as many steps. Rates, batches and embedding are those
of DeepSets. Nothing was tuned for it, and its size was chosen by the cost alone.

Events with labels are simulated here (5,000 of each class at most for training, 1,500 of each for testing), all others
are of the data pack, whose detector is another one. A seed draws the labelled events, the split, and the start of all
trainings.

What was chosen, and on what: nine forms of pre-training were tried, one training each, on the data pack's W' and
semi-visible jets with 100 labels (AUC of W' / semi-visible jets, spread 0.01 to 0.04 over five draws of labels). For 8
epochs NT-Xent 0.69 / 0.79, SupCon 0.63 / 0.76, both with equal weights 0.61 / 0.76, NT-Xent without shifts and
splittings 0.72 / 0.78; the last with 64 dimensions, 25 epochs and three times the rate, falling as a cosine, 0.75 /
0.81, which is what is run, SupCon counting 0.1 in "both". SupCon had no such search of its own. The network from
scratch (0.65 / 0.73 there, three draws) and the fine-tuning had none either: their rates and epochs are a first guess.
So the labelled test events of (a) and (b) are fresh, and the W' events of (e) are not: the choice has seen them.
Boosting with its default leaves of 20 events is 0.5 with 10 and 30 labels.

Run: python analyses/foundation.py [--data FOLDER] [--seeds 5] [--quick]
"""

from __future__ import annotations

from functools import cache, partial
from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import numpy as np
import simulated
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from study import Study, subset
from table import Line

import hepaa
from hepaa.features.sets.dijet import COLUMNS as FEATURES
from hepaa.stats.performance import auc
from hepaa.stats.separability import linear_probe

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    Scorer = Callable[[hepaa.EventTable], NDArray[np.float64]]

PACK = ("pythia8_monash", "pythia8_vincia", "pythia6_perugia0", "pythia6_tuneA", "sherpa_css")
MONASH, SHERPA = PACK[0], PACK[-1]
SIGNALS = {"W'(500, 100)": "wprime_500_100", "SVJ": "svj"}
NAMES = {"SVJ": "semi-visible jets"}
LABELS = (10, 30, 100, 300, 1000, 3000, 10_000)
POOL, TEST, QUICK = 5000, 1500, 600
FEW = 100
NETWORKS: dict[str, dict[str, Any]] = {
    "DeepSets": {"encoder": "deepsets", "particles": 30, "hidden": (64, 64), "preprocess": None},
    "transformer": {"encoder": "transformer", "particles": 30, "hidden": (32,), "preprocess": None},
}
DEEPSETS, TRANSFORMER = NETWORKS
EPOCHS = {DEEPSETS: 25, TRANSFORMER: 6}
CONTRASTS = {"ntxent": "NT-Xent", "supcon": "SupCon", "both": "both"}
CHOSEN = "ntxent"
OPTIONS = {"embedding": 64, "shift": 0.0, "split": 0.0, "supcon_weight": 0.1}
PROBE, TUNED, SCRATCH = "linear probe", "fine-tuned", "from scratch"
LOGISTIC, BOOSTING = "14 features, logistic regression", "14 features, boosting"
ENCODED = (PROBE, TUNED, SCRATCH)
METHODS = (*ENCODED, LOGISTIC, BOOSTING)


@cache
def pack(data: Path, name: str) -> hepaa.EventTable:
    """Raw events of the data pack: particles, and features beside them."""
    return simulated.with_features(hepaa.open(data / "dijets" / f"{name}.h5"))


def features(table: hepaa.EventTable) -> NDArray[np.float32]:
    """The 14 features, (n, 14)."""
    return np.column_stack([table[name] for name in FEATURES])


def divided(data: Path, seed: int, store: Path | None) -> dict[str, hepaa.EventTable]:
    """Training and test events of the labelled classes, which are simulated, and of the data pack's generators.

    Without a store the first events of the pack's files are the labelled ones, and the others the pack's: that works
    without the extra `simulate`.
    """
    few, found = 0 if store else QUICK, {}

    def divide(name: str, table: hepaa.EventTable, held_out: int) -> None:
        order = subset(table.n, table.n, seed)
        found[f"train {name}"], found[f"test {name}"] = table[order[held_out:]], table[order[:held_out]]

    for name in simulated.PROCESSES:
        if store:
            divide(name, simulated.jets(store, name, POOL + TEST), TEST)
        else:
            divide(name, pack(data, SIGNALS.get(name, MONASH))[:few], few // 3)
    for name in PACK:
        table = pack(data, name)[few:]
        divide(name, table, int(0.3 * table.n))
    return found | {f"test {name}": pack(data, name)[few:] for name in SIGNALS.values()}


def parts(data: Path, seed: int, store: Path) -> dict[str, hepaa.EventTable]:
    """For the audit, which simulates nothing."""
    there = simulated.are_kept(store, POOL + TEST)
    if not there:
        print("foundation: events of the data pack alone, for the simulated ones are not in the store")
    return divided(data, seed, store if there else None)


class Events:
    """What a seed draws: `train` and `test` events by name."""

    def __init__(self, study: Study, seed: int) -> None:
        found = divided(study.data, seed, None if study.quick else study.store.parent)
        self.train, self.test = (
            {name.removeprefix(part): table for name, table in found.items() if name.startswith(part)}
            for part in ("train ", "test ")
        )

    def labels(self, signal: str, n: int) -> tuple[hepaa.EventTable, NDArray[np.int64]]:
        """n labelled events, half of them signal; fewer are a subset of more."""
        half = n // 2
        both = hepaa.concatenate([self.train["monash"][:half], self.train[signal][:half]])
        return both, np.repeat([0, 1], half)

    def unlabelled(self) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Background for pre-training, and its generator: Monash is one, whoever detected it."""
        parts = [(i, self.train[name]) for i, name in enumerate(PACK[:-1])] + [(0, self.train["monash"])]
        group = np.concatenate([np.full(table.n, i) for i, table in parts])
        return np.concatenate([table.X for _, table in parts]), group


_EVENTS: dict[tuple[Path, int], Events] = {}


def events_of(study: Study, seed: int) -> Events:
    """The events of a seed; one seed's are in memory."""
    key = (study.store, seed)
    if key not in _EVENTS:
        _EVENTS.clear()
        _EVENTS[key] = Events(study, seed)
    return _EVENTS[key]


def encoder(study: Study, contrast: str, seed: int, network: str = DEEPSETS) -> hepaa.ContrastiveEncoder:
    """The pre-trained encoder, from the store where it is there."""
    path = study.store / f"encoder-{network}-{contrast}-{seed}.safetensors"
    if path.is_file():
        return hepaa.load_detector(path)
    X, group = events_of(study, seed).unlabelled()
    if study.quick:
        X, group = X[::5], group[::5]
    made = hepaa.ContrastiveEncoder(
        contrastive=contrast, epochs=study.epochs(EPOCHS[network]), seed=seed, schedule="cosine", learning_rate=3e-3,
        **NETWORKS[network], **OPTIONS,
    ).fit(X, groups=group)  # fmt: skip
    made.save(path)
    return made


def logistic() -> Any:
    """A probe that a few labels do not lead astray."""
    return make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=2000))


def trained(
    study: Study, method: str, contrast: str, signal: str, n: int, seed: int, network: str = DEEPSETS
) -> Scorer:
    """A classifier of n labelled events."""
    table, y = events_of(study, seed).labels(signal, n)
    if method == PROBE:
        model = encoder(study, contrast, seed, network)
        probe = logistic().fit(model.transform(table.X), y)
        return lambda t: probe.decision_function(model.transform(t.X))
    if method == LOGISTIC:
        fit = logistic().fit(features(table), y)
        return lambda t: fit.decision_function(features(t))
    if method == BOOSTING:
        boosted = hepaa.detector("boosting", seed=seed).fit(features(table), y)
        return lambda t: boosted.anomaly_score(features(t))
    # as many steps of 128 events for few labels as for 1,000, and 15 passes at most
    epochs = study.epochs(max(15, int(np.ceil(150 / np.ceil(n / 128)))))
    options = {"batch_size": 128, "epochs": epochs, "seed": seed, "schedule": "cosine"}
    if method == TUNED:
        start = encoder(study, contrast, seed, network)
        net = hepaa.NeuralClassifier(
            encoder=start, encoder_training="fine-tune", preprocess=None, learning_rate=1e-3, **options
        )
    else:
        net = hepaa.NeuralClassifier(**NETWORKS[network], learning_rate=2e-3, **options)
    net.fit(table.X, y)
    return lambda t: net.anomaly_score(t.X)


def separation(score: Scorer, background: hepaa.EventTable, signal: hepaa.EventTable) -> float:
    """AUC."""
    return auc(np.repeat([0, 1], [background.n, signal.n]), np.concatenate([score(background), score(signal)]))


def with_labels(
    study: Study, method: str, contrast: str, signal: str, n: int, seed: int, network: str = DEEPSETS
) -> dict[str, float]:
    """(a) AUC of one classifier on test events."""
    test = events_of(study, seed).test
    score = trained(study, method, contrast, signal, n, seed, network)
    return {"auc": separation(score, test["monash"], test[signal])}


def without_labels(study: Study, contrast: str, seed: int) -> dict[str, float]:
    """(b) AUC of detectors of the embedding, or with "" of the 14 features."""
    events = events_of(study, seed)
    train, test = events.train["monash"], events.test
    scores: dict[str, Scorer] = {}
    if not contrast:
        mixture = hepaa.detector("gaussian-mixture", seed=seed).fit(features(train))
        scores["mixture"] = lambda t: mixture.anomaly_score(features(t))
    else:
        start = encoder(study, contrast, seed)
        for name, preset in (("mixture", "gaussian-mixture"), ("neighbours", "nearest-neighbours")):
            model = hepaa.detector(preset, encoder=start, seed=seed).fit(train.X)
            scores[name] = lambda t, model=model: model.anomaly_score(t.X)
        scores["Mahalanobis"] = lambda t: start.anomaly_score(t.X)
    return {
        f"{name} {signal}": separation(score, test["monash"], test[signal])
        for name, score in scores.items()
        for signal in SIGNALS
    }


def representation(study: Study, contrast: str, seed: int, table: hepaa.EventTable) -> NDArray[Any]:
    """The embedding, or with "" the 14 features."""
    return encoder(study, contrast, seed).transform(table.X) if contrast else features(table)


def generators(study: Study, contrast: str, seed: int) -> dict[str, float]:
    """(c) Balanced accuracy of a linear probe, and its statistical error."""
    test = events_of(study, seed).test
    z = np.concatenate([representation(study, contrast, seed, test[name]) for name in PACK])
    probe = linear_probe(z, np.repeat(PACK, [test[name].n for name in PACK]), seed=seed)
    return {"accuracy": probe.accuracy, "error": probe.error}


def regression(study: Study, contrast: str, seed: int) -> dict[str, float]:
    """(d) Share of the variance explained, on held-out events of Monash."""
    events = events_of(study, seed)
    sides = (events.train[MONASH], events.test[MONASH])
    z = [representation(study, contrast, seed, table) for table in sides]
    targets = {
        "ln m_jj": [np.log(t["mjj"]) for t in sides],
        "tau21": [t["tau2j1"] / t["tau1j1"] for t in sides],
        "m / pT": [t["mj1"] / t["ptj1"] for t in sides],
    }
    found = {}
    for name, (learned, held_out) in targets.items():
        fit = make_pipeline(StandardScaler(), RidgeCV(np.logspace(-2, 4, 13))).fit(z[0], learned)
        found[name] = 1 - np.mean((fit.predict(z[1]) - held_out) ** 2) / np.var(held_out)
    return found


def transfer(study: Study, method: str, seed: int) -> dict[str, float]:
    """(e) AUC of W' against Monash and against Sherpa, and the share of Sherpa above a cut for 10 % of Monash."""
    test, signal = events_of(study, seed).test, next(iter(SIGNALS))
    score = trained(study, method, CHOSEN, signal, LABELS[4] if not study.quick else 200, seed)
    anomalies = test[SIGNALS[signal]]
    cut = np.quantile(score(test[MONASH]), 0.9)
    return {
        "AUC, Monash": separation(score, test[MONASH], anomalies),
        "AUC, Sherpa": separation(score, test[SHERPA], anomalies),
        "Sherpa passing, in %": 100 * float(np.mean(score(test[SHERPA]) > cut)),
    }


def curves(found: dict[str, dict[str, dict[int, list[float]]]]) -> Figure:
    """AUC against the number of labels, with the spread over seeds as a band."""
    figure, axes = plt.subplots(1, len(found), figsize=(10, 4.2), sharey=True, layout="constrained")
    for axis, (signal, methods) in zip(np.atleast_1d(axes), found.items(), strict=True):
        for i, (method, points) in enumerate(methods.items()):
            n = list(points)
            mean = np.array([np.mean(values) for values in points.values()])
            spread = np.array([np.std(values, ddof=1) if len(values) > 1 else 0.0 for values in points.values()])
            style = "--" if "features" in method else "-"
            axis.plot(n, mean, style, marker="o", ms=3, color=f"C{i}", label=method)
            axis.fill_between(n, mean - spread, mean + spread, color=f"C{i}", alpha=0.15, lw=0)
        axis.set(xscale="log", xlabel="labelled events, half of them signal", title=NAMES.get(signal, signal))
    np.atleast_1d(axes)[0].set_ylabel("AUC")
    np.atleast_1d(axes)[-1].legend(frameon=False, fontsize=8)
    return figure


def main() -> None:
    """Train, probe, print the tables, draw the figure."""
    study = Study.from_command_line(__doc__)
    counts = (10, 100) if study.quick else LABELS
    found: dict[str, dict[str, dict[int, list[float]]]] = {s: {m: {} for m in METHODS} for s in SIGNALS}
    rounds: dict[tuple[str, ...], dict[int, dict[str, float]]] = {}

    def keep(name: tuple[str, ...], seed: int, compute: Callable[[], dict[str, float]]) -> None:
        rounds.setdefault(name, {})[seed] = study.values(" ".join(name), seed, compute)

    for seed in study.seeds:  # seed by seed, for one seed's events and encoders are in memory
        for signal in SIGNALS:
            for method in METHODS:
                for n in counts:
                    work = partial(with_labels, study, method, CHOSEN, signal, n, seed)
                    keep(("labels", signal, method, str(n)), seed, work)
            for method in ENCODED:
                work = partial(with_labels, study, method, CHOSEN, signal, FEW, seed, TRANSFORMER)
                keep(("labels", signal, method, str(FEW), TRANSFORMER), seed, work)
            for contrast in CONTRASTS:
                work = partial(with_labels, study, PROBE, contrast, signal, FEW, seed)
                keep(("contrast", signal, contrast), seed, work)
        for contrast in (*CONTRASTS, ""):
            for question in (without_labels, generators, regression):
                keep((question.__name__, contrast), seed, partial(question, study, contrast, seed))
        for method in METHODS:
            keep(("transfer", method), seed, partial(transfer, study, method, seed))

    def cells(name: tuple[str, ...], **words: str) -> dict[str, list[float]]:
        of = rounds[name]
        return {words.get(key, key): [of[seed][key] for seed in of] for key in next(iter(of.values()))}

    for signal, method in ((s, m) for s in SIGNALS for m in METHODS):
        found[signal][method] = {n: cells(("labels", signal, method, str(n)))["auc"] for n in counts}
    study.draw(curves(found))
    for signal, key in zip(SIGNALS, ("w500", "svj"), strict=True):
        lines = [Line(m, {f"{n:,} labels": v for n, v in found[signal][m].items()}) for m in METHODS]
        study.publish(f"{NAMES.get(signal, signal)}: AUC", lines, key=f"{study.key}_labels_{key}")
    beside = [
        Line(f"{network}, {m}", {NAMES.get(s, s): cells(("labels", s, m, str(FEW), *other))["auc"] for s in SIGNALS})
        for network, other in ((DEEPSETS, ()), (TRANSFORMER, (TRANSFORMER,)))
        for m in ENCODED
    ]
    study.publish(f"{FEW} labels, DeepSets against transformer: AUC", beside, key=f"{study.key}_encoders")
    rows = []
    for contrast, shown in [*CONTRASTS.items(), ("", "14 features")]:
        few = (
            {f"{NAMES.get(s, s)}, {FEW} labels": cells(("contrast", s, contrast))["auc"] for s in SIGNALS}
            if contrast
            else {}
        )
        generator = {"generator, accuracy": cells(("generators", contrast))["accuracy"]}
        rows.append(
            Line(f"pre-trained by {shown}" if contrast else shown, few | generator | cells(("regression", contrast)))
        )
    study.publish("what a linear map finds: AUC, accuracy, share of variance", rows, key=f"{study.key}_probes")
    free = [
        Line(f"{shown}: {detector}", {NAMES.get(s, s): of[f"{detector} {s}"] for s in SIGNALS})
        for contrast, shown in [*CONTRASTS.items(), ("", "14 features")]
        for of in [cells(("without_labels", contrast))]
        for detector in dict.fromkeys(key.split(" ")[0] for key in of)
    ]
    study.publish("no labels: AUC", free, key=f"{study.key}_label_free")
    moved = [Line(method, cells(("transfer", method)), digits=2) for method in METHODS]
    study.publish("1,000 labels against Monash, then Sherpa: W'(500, 100)", moved, key=f"{study.key}_transfer")


if __name__ == "__main__":
    main()
