"""A second EFT analysis: Higgs bosons in vector-boson fusion, five operators, tuned on one and tested on each.

Public MadGraph + SMEFTsim events of p p -> h q q (event2vec; data pack, `smeft/`): 40,000 of the Standard Model at
13 TeV with 21 weights. Weights at 0.1 and 0.2 TeV^-2 give the linear and the quadratic term of each operator event by
event, so that the same events stand for all. Inputs: eight that rotation and reflection leave as they are. The source
(arXiv:2504.11520) has ZH and one operator; nothing published stands beside this.

Training: 20,000 events of the SM; 3,000 labels drawn from 8,000 others by the quadratic term of c_HW, with repeats;
test: 12,000 events, which count once as SM and once with the weight of the signal. Settings are those of `aa_zh.py`,
and nothing was chosen here. "Quadratic": the square of the operator's amplitude alone, as the source's signals.
"At 0.2 TeV^-2": SM, interference and square, as nature would have it. c_Hbox changes rates alone: its AUC is 0.5 by
construction, and every detector has to say so. The exact likelihood ratio is the weight itself.

Run: python analyses/smeft_vbf.py [--data FOLDER] [--seeds 5] [--quick]
"""

from __future__ import annotations

from functools import cache, partial
from typing import TYPE_CHECKING, Any

import numpy as np
from study import Study, subset
from table import Line

import hepaa
from hepaa.stats.performance import auc

if TYPE_CHECKING:
    from pathlib import Path

FILES = tuple(f"smeftsim_VBFH-{i}.lhe.gz" for i in (1, 2, 3, 5))
OPERATORS = ("cHW", "cHB", "cHWB", "cHDD", "cHbox")
TUNED_ON, LABELS, STEP = "cHW", 3000, 0.1
COLUMNS = ("pth", "ptq1", "ptq2", "mqq", "detaqq", "dphiqq", "centrality", "mhqq")
BACKGROUND, POOL, TEST = 20_000, 8_000, 12_000
SETTINGS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("sum of z^2 (no model)", "sum-of-squares", {}),
    ("VAE, published settings", "vae-zh", {}),
    ("Gaussian mixture", "gaussian-mixture", {}),
    ("Anomaly-Aware VAE, published settings, 3,000 labels of cHW", "aa-zh", {}),
    ("Anomaly-Aware ensemble, 3,000 labels of cHW", "aa-zh", {"seeds": 5, "epochs": 20}),
)
CEILING, EXACT = "boosting, all events with the weights of each operator", "exact likelihood ratio (ceiling)"


def inputs(events: hepaa.Events) -> np.ndarray:
    """Inputs (n, 8) of h and two quarks; momenta and masses in GeV, angles in radians."""
    final = events.particles[events.particles.status == 1]
    higgs = final[final.pdgid == 25][:, 0]
    quarks = final[final.pdgid != 25]
    order = np.argsort(-np.asarray(quarks.pt), axis=1)
    q = {name: np.take_along_axis(np.asarray(getattr(quarks, name)), order, 1) for name in ("px", "py", "pz", "e")}
    pt, eta = np.hypot(q["px"], q["py"]), np.arcsinh(q["pz"] / np.hypot(q["px"], q["py"]))
    phi = np.arctan2(q["py"], q["px"])

    def mass(*momenta: np.ndarray) -> np.ndarray:
        px, py, pz, e = momenta
        return np.sqrt(np.maximum(e**2 - px**2 - py**2 - pz**2, 0))

    pair = [q[name].sum(axis=1) for name in ("px", "py", "pz", "e")]
    whole = [part + np.asarray(getattr(higgs, name)) for part, name in zip(pair, ("px", "py", "pz", "e"), strict=True)]
    dphi = np.abs((phi[:, 0] - phi[:, 1] + np.pi) % (2 * np.pi) - np.pi)
    central = np.abs(np.asarray(higgs.eta) - eta.mean(axis=1))
    columns = (np.asarray(higgs.pt), pt[:, 0], pt[:, 1], mass(*pair), np.abs(eta[:, 0] - eta[:, 1]), dphi, central)
    return np.column_stack([*columns, mass(*whole)])


@cache
def sample(data: Path) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Inputs of all events, and weights over that of the SM: `OPERATOR quadratic` and `OPERATOR at 0.2 TeV^-2`."""
    X, ratios = [], []
    for name in FILES:
        events = hepaa.open(data / "smeft" / name)
        X.append(inputs(events))
        ratios.append({key: weight / events.weights["SM"] for key, weight in events.weights.items()})
    joined = {key: np.concatenate([one[key] for one in ratios]) for key in ratios[0]}
    signals = {}
    for operator in OPERATORS:
        once, twice = joined[f"{operator}_0p1"], joined[f"{operator}_0p2"]
        signals[f"{operator}, quadratic"] = np.maximum(twice - 2 * once + 1, 0) / (2 * STEP**2)
        signals[f"{operator} at 0.2 TeV^-2"] = np.maximum(twice, 0)
    return np.concatenate(X), signals


def rows(n: int, seed: int) -> dict[str, np.ndarray]:
    """Row numbers of the three parts."""
    order = subset(n, n, seed)
    bounds = np.cumsum((BACKGROUND, POOL, TEST))
    return dict(zip(("train background", "train pool", "test"), np.split(order, bounds)[:3], strict=True))


def parts(data: Path, seed: int) -> dict[str, np.ndarray]:
    """Inputs of the parts, for the audit."""
    X, _ = sample(data)
    return {name: X[part] for name, part in rows(len(X), seed).items()}


def judged(score: np.ndarray, weight: np.ndarray) -> float:
    """AUC of events that count once as SM and once with a weight."""
    truth = np.repeat([0, 1], len(score))
    return auc(truth, np.concatenate([score, score]), np.concatenate([np.ones(len(score)), weight]))


def measure(study: Study, preset: str, options: dict[str, Any], seed: int) -> dict[str, float]:
    """AUC of every signal."""
    X, signals = sample(study.data)
    part = rows(len(X), seed)
    pool = part["train pool"]
    p = signals[f"{TUNED_ON}, quadratic"][pool]
    known = np.random.default_rng([seed, 40]).choice(pool, LABELS, p=p / p.sum())
    train = X[np.concatenate([part["train background"], known])]
    y = np.repeat([0, 1], [BACKGROUND, LABELS])
    short = {"epochs": 2} if study.quick and preset.endswith("-zh") else {}
    score = hepaa.detector(preset, seed=seed, **options | short).fit(train, y).anomaly_score(X[part["test"]])
    return {name: judged(score, weight[part["test"]]) for name, weight in signals.items()}


def ceilings(study: Study, seed: int) -> dict[str, float]:
    """The same of one classifier for each signal, trained on the SM with and without its weights."""
    X, signals = sample(study.data)
    part = rows(len(X), seed)
    train = np.concatenate([part["train background"], part["train pool"]])
    y = np.repeat([0, 1], len(train))
    found = {}
    for name, weight in signals.items():
        model = hepaa.detector("boosting", seed=seed, **({"iterations": 10} if study.quick else {}))
        model.fit(X[np.concatenate([train, train])], y, np.concatenate([np.ones(len(train)), weight[train]]))
        found[name] = judged(model.anomaly_score(X[part["test"]]), weight[part["test"]])
    return found


def exact(study: Study, seed: int) -> dict[str, float]:
    """AUC of the weights themselves."""
    X, signals = sample(study.data)
    test = rows(len(X), seed)["test"]
    return {name: judged(weight[test], weight[test]) for name, weight in signals.items()}


def main() -> None:
    """Train, score, print both tables."""
    study = Study.from_command_line(__doc__)
    found = {
        name: study.over_seeds(name, partial(measure, study, preset, options)) for name, preset, options in SETTINGS
    }
    found[CEILING] = study.over_seeds(CEILING, partial(ceilings, study))
    found[EXACT] = study.over_seeds(EXACT, partial(exact, study))
    for key, ending, words in (
        ("quadratic", ", quadratic", "quadratic terms"),
        ("full", " at 0.2 TeV^-2", "0.2 TeV^-2"),
    ):
        lines = [
            Line(name, {operator: values[operator + ending] for operator in OPERATORS})
            for name, values in found.items()
        ]
        study.publish(f"VBF Higgs, SM against {words}: AUC", lines, key=f"smeft_vbf_{key}")


if __name__ == "__main__":
    main()
