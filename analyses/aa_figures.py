"""Errors before and after Anomaly Awareness, and ROC curves, on four tasks: arXiv:2504.11520, Figs. 1 to 4.

Digits against photographs, benign flows against denial of service, QCD dijets against W' in the LHCO signal region, and
ZH of the SM against O_HW. Events, labels and settings are those of `aa_images.py`, `aa_cicids.py` (published settings
in batches of 64), `aa_lhco.py` and `aa_zh.py`, first seed; their tables have five. Nothing is chosen here.

Run: python analyses/aa_figures.py [--data FOLDER] [--quick]
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import aa_cicids
import aa_images
import aa_lhco
import aa_zh
import numpy as np
import samples
from study import Study

import hepaa
from hepaa.plots.style import Look, drawing
from hepaa.stats.performance import roc

if TYPE_CHECKING:
    from collections.abc import Callable

    from matplotlib.figure import Figure

BINS = 60
BEFORE, AFTER = "before", "after"


@dataclass(frozen=True)
class Task:
    """Training rows with labels and tested rows of a task, the untuned and the tuned preset, and what is drawn."""

    untuned: str
    tuned: str
    background: str
    signal: str
    error: str
    options: dict[str, Any] = field(default_factory=dict)


TASKS = {
    "images": Task("vae-mnist", "aa-mnist", "digits", "photographs", "squared error", {"preprocess": None}),
    "cicids": Task("vae-cicids", "aa-cicids", "benign", "denial of service", "error", dict(aa_cicids.SMALLER)),
    "lhco": Task("vae-lhco", "aa-lhco", "QCD", "W'", "error"),
    "zh": Task("vae-zh", "aa-zh", "SM", "$O_{HW}$", "error"),
}


def arrays(parts: dict[str, np.ndarray]) -> tuple[Any, Any, Any, Any]:
    """Rows and labels for training, background and anomalies for the test."""
    background, known = parts["train background"], parts["train anomalies"]
    anomalies = [rows for name, rows in parts.items() if name.startswith("test") and name != "test background"]
    y = np.repeat([0, 1], [len(background), len(known)])
    return np.concatenate([background, known]), y, parts["test background"], np.concatenate(anomalies)


def tables(parts: samples.Parts, signal: str, labels: int) -> tuple[Any, Any, Any, Any]:
    """The same of tables, which bring their labels."""
    return samples.labelled(parts, signal, labels), None, parts["test background"], parts[f"test {signal}"]


READ: dict[str, Callable[[Study], tuple[Any, Any, Any, Any]]] = {
    "images": lambda study: arrays(aa_images.parts(study.data, 0)),
    "cicids": lambda study: arrays(aa_cicids.parts(study.data, 0)),
    "lhco": lambda study: tables(aa_lhco.parts(study.data, 0), aa_lhco.SIGNAL, 6000),
    "zh": lambda study: tables(aa_zh.parts(study.data, 0), aa_zh.SIGNAL, 3000),
}


def measured(study: Study, name: str) -> dict[str, dict[str, float]]:
    """Errors of background and signal, before and after, by row number: kept like all values of a study."""
    task = TASKS[name]
    X, y, background, signal = READ[name](study)
    found = {}
    for when, preset in ((BEFORE, task.untuned), (AFTER, task.tuned)):

        def compute(preset: str = preset) -> dict[str, float]:
            short = {"epochs": 2} if study.quick else {}
            model = hepaa.detector(preset, seed=0, **task.options | short).fit(X, y)
            errors = {part: score(model, rows) for part, rows in (("b", background), ("s", signal))}
            return {f"{part} {i}": e for part, values in errors.items() for i, e in enumerate(values)}

        found[when] = study.values(f"{name}, {when}", 0, compute)
    return found


def score(model: Any, rows: Any) -> np.ndarray:
    """Error of each row; of images the squared one, as in the source."""
    squared = model.get_params()["reconstruction"] == "bce"
    return aa_images.errors(model, rows)[aa_images.SQUARED] if squared else model.anomaly_score(rows)


def figure(task: Task, errors: dict[str, dict[str, np.ndarray]]) -> Figure:
    """Error distributions before and after the tuning, and both ROC curves."""
    with drawing(Look()) as new_figure:
        drawn = new_figure(figsize=(10.5, 3.4))
        left, middle, right = drawn.subplots(1, 3)
        for axes, (when, of) in zip((left, middle), errors.items(), strict=True):
            both = np.concatenate([of["b"], of["s"]])
            low = max(np.quantile(both, 0.001), 1e-3 * np.median(both))
            bins = np.geomspace(low, np.quantile(both, 0.999), BINS)
            for part, label, colour in (("b", task.background, "#3f90da"), ("s", task.signal, "#bd1f01")):
                axes.hist(
                    np.clip(of[part], bins[0], bins[-1]), bins, density=True, histtype="step", color=colour, label=label
                )
            axes.set(xscale="log", yscale="log", xlabel=f"{task.error}, {when} the tuning", ylabel="density")
            axes.legend()
        for (when, of), line in zip(errors.items(), ("--", "-"), strict=True):
            truth = np.repeat([0, 1], [len(of["b"]), len(of["s"])])
            curve = roc(truth, np.concatenate([of["b"], of["s"]]))
            right.plot(curve.eps_b, curve.eps_s, line, color="black", label=f"{when}: AUC {curve.auc:.4f}")
        right.set(xlabel="background efficiency", ylabel="signal efficiency", xlim=(0, 1), ylim=(0, 1))
        right.legend()
        drawn.tight_layout()
    return drawn


def main() -> None:
    """Train, score, draw four figures."""
    study = Study.from_command_line(__doc__, seeds=1)
    for name, task in TASKS.items():
        errors = {
            when: {part: np.array([e for key, e in kept.items() if key.startswith(part)]) for part in "bs"}
            for when, kept in measured(study, name).items()
        }
        study.draw(figure(task, errors), f"aa_errors_{name}")


if __name__ == "__main__":
    main()
