"""Luminosity for 3 and 5 sigma on ZH -> llbb, SM against the pure O_HW term at c_HW = 0.3 TeV^-2.

VAE, Anomaly-Aware VAE and the supervised ceiling, with the spread between two generators of the Standard Model
(MadGraph and Pythia) as shape and normalisation, and the Monte-Carlo statistics of every bin. Both are scaled to one
cross-section, so the normalisation is that of the acceptance. Nothing published stands beside it: the source
quotes no luminosity. As in the source the signal is the quadratic term alone: the interference with the Standard Model,
which is larger at such a c_HW, is left out, so these are numbers about detectors and not about nature.

Run: python analyses/zh_luminosity.py [--data FOLDER] [--output FOLDER] [--quick]
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

import numpy as np

from hepaa import pipeline, plots
from hepaa.card import Card
from hepaa.demo import path as demo
from hepaa.progress import reporter
from hepaa.report.saved import SavedRun
from hepaa.stats.reach import z_versus_luminosity

CROSS_SECTION_SM_PB = 0.021468
C_HW = 0.3
CROSS_SECTION_OHW_PB = 5.247e-3 * C_HW**2
HERE = Path(__file__).parent


def card(data: Path, output: Path, epochs: int, events: int | None) -> Card:
    """The run: two generators of the background, three detectors."""
    background = {"process": "ZH (SM)", "cross_section_pb": CROSS_SECTION_SM_PB, "max_events": events}
    samples = [
        background | {"generator": "MadGraph", "files": [str(data / "zh" / "zh_sm.lhe.gz")], "share": 0.9},
        background | {"generator": "Pythia 8", "files": [str(demo("zh_sm.lhe.gz"))], "share": 0.1},
        {"process": "ZH (O_HW)", "role": "signal", "generator": "MadGraph", "max_events": events,
         "files": [str(data / "zh" / "zh_smeft_chw.lhe.gz")], "cross_section_pb": CROSS_SECTION_OHW_PB},
    ]  # fmt: skip
    return Card.model_validate(
        {
            "name": "ZH -> llbb: luminosity for 3 and 5 sigma",
            "output": str(output),
            "luminosity_fb": 300,
            "samples": samples,
            "features": {"set": "zh-paper"},
            "split": {"train": 0.5, "validation": 0.2, "test": 0.3},
            "detectors": [
                {"name": "VAE", "detector": "vae-zh", "options": {"epochs": epochs}},
                {"name": "Anomaly-Aware VAE", "detector": "aa-zh", "options": {"epochs": epochs}, "labelled": 3000},
                {"name": "Boosting (ceiling)", "detector": "SupervisedBoosting"},
            ],
            "histogram": {"bins": 8, "min_events": 50},
            "significance": {"background_uncertainty": 0.0},
            "systematics": [{"name": "generator", "kind": "generators"}],
        }
    )


def main() -> None:
    """Run, print, draw one figure, keep the numbers."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    pack = Path(os.environ.get("HEPAA_DATA", Path(__file__).parents[2] / "shared" / "data"))
    words.add_argument("--data", type=Path, default=pack, help="folder of the data pack")
    words.add_argument("--output", type=Path, default=Path("zh-luminosity"), help="folder of the run")
    words.add_argument("--quick", action="store_true", help="few events and epochs; nothing is kept")
    given = words.parse_args()
    chosen = card(given.data, given.output, 2 if given.quick else 50, 4000 if given.quick else None)
    run = SavedRun(pipeline.run(chosen, overwrite=True, progress=reporter()))
    luminosity = np.geomspace(30, 30_000, 80)
    curves, bands, kept = {}, {}, {}
    for name in run.detectors:
        numbers = run.results["detectors"][name]["signals"]["ZH (O_HW)"]
        z, reach = numbers["significance"], numbers["reach"]
        shifts = [*z["shifts"].values()]
        known = z_versus_luminosity(z["s"], z["b"], None, luminosity, at=300)
        curve = z_versus_luminosity(z["s"], z["b"], z["stat_b"], luminosity, at=300, shifts=shifts)
        error = curve * z["total_error"] / z["total"]
        curves[f"{name}, statistics only"], curves[name] = known, curve
        bands[name] = (curve - error, curve + error)
        kept[name] = {
            "auc": numbers["performance"]["auc"],
            "auc_error": numbers["performance"]["auc_error"],
            "z_at_300_fb": z["total"],
            "z_error": z["total_error"],
            "z_statistics_only": z["total_known"],
            "luminosity_fb": reach["luminosity_fb"],
            "luminosity_fb_error": reach["luminosity_fb_error"],
            "limit_on_signal_strength": reach["limit"]["expected"][2],
            "limit_error": reach["limit"]["expected_error"],
        }
        for level in ("3", "5"):
            found, spread = reach["luminosity_fb"][level], reach["luminosity_fb_error"][level]
            shown = "out of reach" if found is None else f"{found:.2f} +- {spread:.2f} fb^-1"
            print(f"{name:22} Z = {level}: {shown}")
    look = plots.Look(label="Simulation, generator spread and MC statistics", sqrt_s=13)
    figure = plots.luminosity_reach(luminosity, curves, bands=bands, now=300, look=look)
    plots.save_figure(figure, given.output / "luminosity")
    if not given.quick:
        content = {"c_hw_per_tev2": C_HW, "generators": ["MadGraph", "Pythia 8"], "detectors": kept}
        place = HERE / "results" / "other"
        place.mkdir(parents=True, exist_ok=True)
        (place / "zh_luminosity.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
