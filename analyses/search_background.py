"""What searches say where there is no signal: background-only toys of dijets, everything trained again in each.

Toys are drawn from the sidebands' density p(x | m) and the fit of the spectrum of 84,752 dijets of four generators
(data pack), 2.6 .. 5.5 TeV, window 3.3 .. 3.7 TeV, four inputs, five folds. z: local, of the fit after each cut. The
share above 1.64 should be 5 %. "KS p" compares the p-values of one half of the toys, counted in the other half, with a
uniform distribution. CWoLa is in `search_sculpting.py`.

Run: python analyses/search_background.py [--data FOLDER] [--seeds 200] [--quick]
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from samples import W500
from scipy.stats import kstest
from search_dijets import FOUR, GENERATORS, WINDOWS, table_of
from study import Study
from table import Line

from hepaa import search
from hepaa.search.folds import cross_fit_rows
from hepaa.search.methods.base import mass_rows

if TYPE_CHECKING:
    from hepaa.search.methods.base import Method

FEW = 40  # toys of methods that take longer
EFFICIENCIES = (0.1, 0.01, 0.003)


def toy(study: Study, model: search.Background, method: Method, seed: int) -> dict[str, float]:
    """z of one toy at each efficiency."""
    drawn = model.draw(np.random.default_rng([seed, 31]))
    folds = 2 if study.quick else 5
    result = cross_fit_rows(method, drawn, folds=folds, efficiencies=EFFICIENCIES, bins=30, seed=seed)
    return {f"{fit.efficiency:g}": fit.z for fit in result.looks.values()}


def main() -> None:
    """Search every toy, print the table."""
    study = Study.from_command_line(__doc__, seeds=200)
    window = WINDOWS[W500]
    rows = mass_rows(table_of(study.data, *GENERATORS), window, FOUR)
    model = search.Background.of(rows[: 20_000 if study.quick else rows.n], window)
    few = {"members": 2} if study.quick else {}
    lines = []
    for method, toys in (
        (search.Residual(window, FOUR, label="residual search", **few), len(study.seeds)),
        (search.Cathode(window, FOUR, label="CATHODE", **few), FEW),
    ):
        n = 4 if study.quick else min(toys, len(study.seeds))
        found = [study.values(method.name, seed, partial(toy, study, model, method, seed)) for seed in range(n)]
        for efficiency in EFFICIENCIES:
            z = np.array([values[f"{efficiency:g}"] for values in found])
            first, second = z[::2], z[1::2]
            p = (1 + (first[None, :] >= second[:, None]).sum(axis=1)) / (1 + len(first))
            cells = {
                "mean z": [float(z.mean())],
                "its error": [float(z.std(ddof=1) / np.sqrt(len(z)))],
                "width": [float(z.std(ddof=1))],
                "share above 1.64": [float((z > 1.64).mean())],
                "KS p": [float(kstest(p, "uniform").pvalue)],
                "toys": [float(len(z))],
            }
            lines.append(Line(f"{method.name} at {efficiency:g}", cells, digits=2))
    study.publish("Background-only toys of a dijet search", lines)


if __name__ == "__main__":
    main()
