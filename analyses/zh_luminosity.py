"""Luminosity for 3 and 5 sigma on ZH -> llbb, SM against the pure O_HW term, at two values of c_HW.

VAE, Anomaly-Aware VAE and the supervised ceiling, with the spread between two generators of the Standard Model
(MadGraph and Pythia) as shape and normalisation, and the Monte-Carlo statistics of every bin. Both are scaled to one
cross-section, so the normalisation is that of the acceptance; the Pythia sample is small, which its spread includes.
Nothing published stands beside it: the source quotes no luminosity. As in the source the signal is the quadratic term
alone; the interference with the Standard Model, which is larger at such a c_HW, is left out, so these are numbers about
detectors and not about nature. Bins are chosen at c_HW = 0.3 TeV^-2 on a validation part; at 1 the signal is scaled.
The spread is over seeds, each with a split and trainings of its own. A luminosity is left empty where a seed does
not get there within 10,000 fb^-1, because the generator spread does not shrink with luminosity.

Run: python analyses/zh_luminosity.py [--data FOLDER] [--seeds 5] [--quick]
"""

from __future__ import annotations

import tempfile
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from study import Study
from table import Line

from hepaa import plots
from hepaa.card import Card
from hepaa.demo import path as demo
from hepaa.progress import Silent
from hepaa.run import pipeline
from hepaa.run.results import evaluate
from hepaa.stats.reach import luminosity_for, z_versus_luminosity

if TYPE_CHECKING:
    from hepaa.table import EventTable

SM_PB, OHW_PB = 0.021468, 5.247e-3  # SM, and the quadratic term at c_HW = 1 TeV^-2
C_HW = 0.3
SIGNAL = "ZH (O_HW)"
DETECTORS = {"VAE": "vae-zh", "Anomaly-Aware VAE, 3,000 labels": "aa-zh", "boosting (ceiling)": "boosting"}
AT = 300.0
LUMINOSITY = np.geomspace(10, 10_000, 40)
TARGETS = ((C_HW, 3.0), (C_HW, 5.0), (1.0, 3.0), (1.0, 5.0))


def card(data: Path, seed: int, *, quick: bool = False) -> Card:
    """The run: two generators of the background, three detectors."""
    zh, events = data / "zh", 3000 if quick else None
    background = {"process": "ZH (SM)", "cross_section_pb": SM_PB, "max_events": events}
    neural = {"epochs": 2 if quick else 50}
    return Card.model_validate(
        {
            "name": "ZH -> llbb: luminosity for 3 and 5 sigma",
            "output": "unused",
            "seed": seed,
            "luminosity_fb": AT,
            "samples": [
                background | {"generator": "MadGraph", "files": [str(zh / "zh_sm.lhe.gz")], "share": 0.9},
                background | {"generator": "Pythia 8", "files": [str(demo("zh_sm.lhe.gz"))], "share": 0.1},
                {"process": SIGNAL, "role": "signal", "generator": "MadGraph", "max_events": events,
                 "files": [str(zh / "zh_smeft_chw.lhe.gz")], "cross_section_pb": OHW_PB * C_HW**2},
            ],
            "features": {"set": "zh-paper"},
            "split": {"train": 0.5, "validation": 0.2, "test": 0.3, "salt": str(seed)},
            "detectors": [
                {"name": name, "detector": preset, "options": neural if preset != "boosting" else {}}
                | ({"labelled": 3000} if preset == "aa-zh" else {})
                for name, preset in DETECTORS.items()
            ],
            "histogram": {"bins": 8, "min_events": 50},
            "significance": {"background_uncertainty": 0.0},
            "systematics": [{"name": "generator", "kind": "generators"}],
        }
    )  # fmt: skip


@cache
def events(data: Path, *, quick: bool = False) -> EventTable:
    """All of them."""
    return pipeline.read(card(data, 0, quick=quick), Silent())


def parts(data: Path, seed: int, *, quick: bool = False) -> dict[str, EventTable]:
    """For the training, the choice of bins, and the test."""
    found = pipeline.divide(card(data, seed, quick=quick), events(data, quick=quick))
    return {"train": found["train"], "train bins": found["validation"], "test": found["test"]}


def measured(study: Study, seed: int) -> dict[str, float]:
    """Z at `AT`, luminosities, and both curves of each detector, one number a name."""
    chosen = card(study.data, seed, quick=study.quick)
    train, *others = parts(study.data, seed, quick=study.quick).values()
    with tempfile.TemporaryDirectory() as folder:
        models = pipeline.train(chosen, train, Path(folder) / "models", Silent())
    validation, test = (pipeline.score(models, table) for table in others)
    found = {}
    for name in DETECTORS:
        z = evaluate(name, validation, test, chosen).significance[SIGNAL]
        shifts = [*z.shifts.values()]
        found[f"{name}, Z"] = z.total
        for c, level in TARGETS:
            scaled = z.s * (c / C_HW) ** 2
            needed = luminosity_for(level, scaled, z.b, z.stat_b, at=AT, shifts=shifts)
            found[f"{name}, c_HW = {c:g}, {level:g} sigma"] = np.inf if needed is None else needed
        curves = {
            "": z_versus_luminosity(z.s, z.b, z.stat_b, LUMINOSITY, at=AT, shifts=shifts),
            ", statistics only": z_versus_luminosity(z.s, z.b, None, LUMINOSITY, at=AT),
        }
        found |= {f"{name}{kind} {i}": curve[i] for kind, curve in curves.items() for i in range(len(LUMINOSITY))}
    return found


def reached(values: list[float]) -> list[float]:
    """The luminosities, if all are within reach."""
    return values if max(values) <= LUMINOSITY[-1] else []


def main() -> None:
    """Run, print, draw one figure."""
    study = Study.from_command_line(__doc__)
    found = study.over_seeds("run", partial(measured, study))
    lines = [
        Line(
            name,
            {f"Z at {AT:g} fb^-1, c_HW = {C_HW:g}": found[f"{name}, Z"]}
            | {f"fb^-1 for {z:g} sigma, c_HW = {c:g}": reached(found[f"{name}, c_HW = {c:g}, {z:g} sigma"])
               for c, z in TARGETS},
            digits=2,
        )
        for name in DETECTORS
    ]  # fmt: skip
    study.publish("ZH, SM against O_HW, generator spread and MC statistics", lines)
    curves, bands = {}, {}
    for name in DETECTORS:
        for kind in ("", ", statistics only"):
            each = np.array([found[f"{name}{kind} {i}"] for i in range(len(LUMINOSITY))])
            curves[f"{name}{kind}"] = each.mean(axis=1)
            spread = each.std(axis=1, ddof=1)
            bands[f"{name}{kind}"] = (curves[f"{name}{kind}"] - spread, curves[f"{name}{kind}"] + spread)
    look = plots.Look(label=rf"Simulation, $c_{{HW}}$ = {C_HW:g} TeV$^{{-2}}$, {len(study.seeds)} seeds", sqrt_s=13)
    study.draw(plots.luminosity_reach(LUMINOSITY, curves, bands=bands, now=AT, look=look))


if __name__ == "__main__":
    main()
