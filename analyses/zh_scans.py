"""Anomaly Awareness on ZH -> llbb against its strength, its number of labels, and the interference it never saw.

- AUC against lambda_max (arXiv:2504.11520, Fig. 5, which shows a curve and no numbers) with 3,000 labels of the pure
  O_HW term, beside the median error of the background, which tuning too hard degrades; and AUC against the number of
  labels, 10 to 10,000, at lambda_max 1. Settings as in `aa_zh.py`; lambda_max = 1
  was fixed before this scan, and nothing is taken from it.
- What a detector tuned on the pure quadratic term makes of nature: SM + interference + quadratic at small c_HW, which
  is mostly interference (the source tests on the term it tunes on). The 10,000 events of `zh_sm_rwgt.lhe.gz` stand for
  the SM and, by their weights (quadratic in c_HW, so any value follows from three), for the full SMEFT. They are the
  first events of `zh_sm.lhe.gz`: no training here sees them. c_HW = 0.3 TeV^-2 raises the cross-section by 24 %, about
  as in the saved scores of arXiv:2203.03669 (22 %), whose AUC is 0.518. The ceiling is the exact likelihood ratio of
  each event, the weight itself. At c_HW = -0.3 the interference takes events away where the quadratic term puts them:
  a good detector of that term then gives an AUC below 0.5.

Run: python analyses/zh_scans.py [--data FOLDER] [--seeds 5] [--quick]
"""

from __future__ import annotations

from functools import cache, partial
from typing import TYPE_CHECKING, Any

import numpy as np
import samples
from study import Study
from table import Line

import hepaa
from hepaa.features.sets.invariant import invariant
from hepaa.plots.style import LINES, Look, drawing, header, line_colours, single
from hepaa.stats.performance import auc

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.figure import Figure

SIGNAL, REWEIGHTED, ERROR = "O_HW", "test reweighted", "median error of background"
LAMBDAS = (0.0, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
LABELS = (10, 30, 100, 300, 1000, 3000, 10_000)
COUPLINGS = (-0.3, 0.3, 1.0)
LOOK = Look(label="ZH, SM against $O_{HW}$")
TUNED: dict[str, dict[str, Any]] = {
    "published settings": {},
    "inputs without azimuth, five members": {"seeds": 5, "epochs": 20},
}
OTHERS = {"sum of z^2 (no model)": "sum-of-squares", "VAE": "vae-zh", "boosting, all labels": "boosting"}


@cache
def parts(data: Path, seed: int) -> dict[str, hepaa.EventTable]:
    """As in `aa_zh.py`, without the reweighted events in the training; these by themselves, with their weights."""
    events = hepaa.open(data / "zh" / "zh_sm_rwgt.lhe.gz")
    table = hepaa.features(events, "zh-paper")
    ratio = {
        name: weight[table.event] / events.weights["chw_0"][table.event] for name, weight in events.weights.items()
    }
    found = samples.zh(data, seed)
    background = found["train background"]
    found["train background"] = background[np.flatnonzero(background.event >= events.n)]
    linear, quadratic = (ratio["chw_p1"] - ratio["chw_m1"]) / 2, (ratio["chw_p1"] + ratio["chw_m1"]) / 2 - 1
    return found | {REWEIGHTED: table.with_spectators(linear=linear, quadratic=quadratic)}


@cache
def inputs(data: Path, seed: int, *, symmetric: bool) -> dict[str, hepaa.EventTable]:
    """The parts with the published inputs or the invariant ones."""
    found = parts(data, seed)
    return {name: invariant(table) for name, table in found.items()} if symmetric else found


def aucs(events: dict[str, hepaa.EventTable], model: hepaa.Detector) -> dict[str, float]:
    """AUC of the pure O_HW term and of the full SMEFT at each coupling, and the median score of the background."""
    background, signal = (model.anomaly_score(events[f"test {name}"]) for name in ("background", SIGNAL))
    truth = np.repeat([0, 1], [len(background), len(signal)])
    reweighted = events[REWEIGHTED]
    found = {SIGNAL: auc(truth, np.concatenate([background, signal])), ERROR: float(np.median(background))}
    return found | smeft(reweighted, dict.fromkeys(COUPLINGS, model.anomaly_score(reweighted)))


def smeft(table: hepaa.EventTable, scores: dict[float, np.ndarray]) -> dict[str, float]:
    """AUC of the full SMEFT against the SM at each coupling: the same events with two weights."""
    truth, found = np.repeat([0, 1], table.n), {}
    for c, score in scores.items():
        weight = np.concatenate([np.ones(table.n), 1 + c * table["linear"] + c * c * table["quadratic"]])
        found[f"c_HW = {c}"] = auc(truth, np.concatenate([score, score]), weight)
    return found


def measure(study: Study, preset: str, options: dict[str, Any], labels: int, seed: int) -> dict[str, float]:
    """Train on some labels and test on all."""
    events = inputs(study.data, seed, symmetric="seeds" in options)
    train = samples.labelled(events, SIGNAL, labels)
    if study.quick:
        train = train[np.flatnonzero((train.label == 1) | (np.arange(train.n) < 2000))][:3000]
        options = options | ({"epochs": 2} if preset.endswith("-zh") else {})
    return aucs(events, hepaa.detector(preset, seed=seed, **options).fit(train))


def ceiling(study: Study) -> dict[str, float]:
    """AUC of the weights themselves."""
    table = parts(study.data, 0)[REWEIGHTED]
    return smeft(table, {c: 1 + c * table["linear"] + c * c * table["quadratic"] for c in COUPLINGS})


def figure(label: str, scan: dict[str, dict[float, list[float]]], levels: dict[str, float], of: str = "AUC") -> Figure:
    """Values against what was scanned: mean and spread over seeds, with lines for what does not depend on it."""
    with drawing(LOOK) as new_figure:
        drawn, axes = single(new_figure)
        for (name, points), colour, line in zip(scan.items(), line_colours(len(scan)), LINES, strict=False):
            x, mean = list(points), np.array([np.mean(v) for v in points.values()])
            sd = np.array([np.std(v, ddof=min(1, len(v) - 1)) for v in points.values()])
            axes.plot(x, mean, color=colour, linestyle=line, marker="o", label=name)
            axes.fill_between(x, mean - sd, mean + sd, color=colour, alpha=0.18, linewidth=0)
        for (name, level), line in zip(levels.items(), LINES[2:], strict=False):
            axes.axhline(level, color="#7a7a7a", linestyle=line, linewidth=1.2, label=name)
        axes.set_xscale("symlog", linthresh=min(x for x in points if x > 0), linscale=0.5)
        axes.set_xlim(0.9 * min(points), 1.1 * max(points))
        axes.set_xlabel(label)
        axes.set_ylabel(of)
        axes.legend(loc="best")
        header(axes, LOOK)
    return drawn


def main() -> None:
    """Train, score, print three tables, draw three figures."""
    study = Study.from_command_line(__doc__)
    lambdas, labels = (LAMBDAS[5:6], LABELS[2:6:3]) if study.quick else (LAMBDAS, LABELS)

    def tuned(kind: str, strength: float, n: int) -> dict[str, list[float]]:
        run = partial(measure, study, "aa-zh", TUNED[kind] | {"lambda_max": strength}, n)
        return study.over_seeds(f"{kind}, lambda_max {strength:g}, {n} labels", run)

    errors = {kind: {x: tuned(kind, x, 3000)[ERROR] for x in lambdas} for kind in TUNED}
    by_lambda = {kind: {x: tuned(kind, x, 3000)[SIGNAL] for x in lambdas} for kind in TUNED}
    by_labels = {kind: {n: tuned(kind, 1.0, n)[SIGNAL] for n in labels} for kind in TUNED}
    others = {
        name: study.over_seeds(name, partial(measure, study, preset, {}, 35_000 if preset == "boosting" else 0))
        for name, preset in OTHERS.items()
    }
    for key, words, label, scan in (
        ("lambda", "lambda_max, 3,000 labels", r"$\lambda_\mathrm{max}$", by_lambda),
        ("labels", "number of labels, lambda_max 1", "Number of labels", by_labels),
    ):
        columns = dict(scan)
        if key == "lambda":
            columns |= {f"{kind}, {ERROR}": points for kind, points in errors.items()}
        rows = [Line(f"{x:g}", {name: c[x] for name, c in columns.items()}) for x in scan["published settings"]]
        study.publish(f"ZH, AUC against {words}", rows, key=f"zh_scans_{key}")
        levels = {name: float(np.mean(others[name][SIGNAL])) for name in ("VAE", "boosting, all labels")}
        study.draw(figure(label, scan, levels), f"zh_scans_{key}")
    study.draw(figure(r"$\lambda_\mathrm{max}$", errors, {}, ERROR.capitalize()), "zh_scans_background")
    rows = [Line(name, found) for name, found in others.items()]
    rows[2:2] = [Line(f"Anomaly-Aware VAE, 3,000 labels, {kind}", tuned(kind, 1.0, 3000)) for kind in TUNED]
    for row in rows:
        del row.cells[ERROR]
    exact = study.values("exact likelihood ratio", 0, partial(ceiling, study))
    rows.append(Line("exact likelihood ratio (ceiling)", {name: [value] for name, value in exact.items()}))
    study.publish(
        "ZH, tuned on pure O_HW, tested on SMEFT with interference, c_HW in TeV^-2: AUC", rows, key="zh_scans_smeft"
    )


if __name__ == "__main__":
    main()
