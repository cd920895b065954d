"""Whether the checks stop CWoLa, which finds the mass again in features that move with it, and let it pass flattened.

Toys: background alone, drawn from the sidebands' density p(x | m) and the fit of the spectrum of 84,752 dijets of four
generators (data pack), 2.6 .. 5.5 TeV, window 3.3 .. 3.7 TeV, four inputs, five folds; everything is trained again in
each. Halves: the events themselves, no toys, in two halves, divided anew four times: all of one set of events, and no
eight measurements. z: local, of the fit after each cut. "efficiency, high / low mass": part of the sidebands' events
above 3.7 TeV that passes over that of those below 2.8 TeV; 1 is no sculpting. "stopped for its shape": share of the
searches in which the check of sculpting fails, the sidebands' mass after the cut excluding at 95 % confidence that it
differs by at most 0.015 bit, an efficiency that changes threefold, from that before. "toys pass": whether the toys
together exclude a mean z of at most 0.25, or at most 9 % above 1.64. Scores that follow fluctuations, which the folds
share, widen z of any cross-fitted search by up to 1.4 where nothing depends on the mass; p-values from toys contain
that. Limits, and that flattening follows quantiles which are polynomials in the mass, were chosen on eight other toys
and one search of all events.

Run: python analyses/search_sculpting.py [--data FOLDER] [--seeds 40] [--quick]
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from samples import W500
from search_dijets import FOUR, GENERATORS, WINDOWS, table_of
from study import Study
from table import Line

from hepaa import search
from hepaa.search.checks import bias, sculptings
from hepaa.search.folds import cross_fit_rows
from hepaa.search.methods.base import mass_rows

if TYPE_CHECKING:
    from hepaa.search.methods.base import MassRows, Method

EFFICIENCIES = (0.1, 0.01, 0.003)
DIVISIONS = 4
LOW, HIGH = 2800, 3700


def measured(study: Study, method: Method, rows: MassRows, seed: int) -> dict[str, float]:
    """z at each efficiency, how the efficiency depends on the mass, and whether that is too much."""
    folds = 2 if study.quick else 5
    result = cross_fit_rows(method, rows, folds=folds, efficiencies=EFFICIENCIES, bins=30, seed=seed)
    mass, values = result.rows.mass, {}
    for fit, check in zip(result.fits(), sculptings(result), strict=True):
        passing = result.passing(fit.efficiency)
        values[f"z {fit.efficiency:g}"] = fit.z
        values[f"stopped {fit.efficiency:g}"] = not check.passed
        values[f"ratio {fit.efficiency:g}"] = passing[mass >= HIGH].mean() / passing[mass < LOW].mean()
    return values


def toy(study: Study, method: Method, model: search.Background, seed: int) -> dict[str, float]:
    """Of one toy."""
    return measured(study, method, model.draw(np.random.default_rng([seed, 57])), seed)


def half(study: Study, method: Method, rows: MassRows, number: int) -> dict[str, float]:
    """Of one half of the events."""
    order = np.random.default_rng([number // 2, 58]).permutation(rows.n)
    return measured(study, method, rows[order[number % 2 :: 2]], number)


def lines_of(name: str, values: list[dict[str, float]], *, judged: bool) -> list[Line]:
    """A line for each efficiency."""
    lines = []
    for efficiency in EFFICIENCIES:
        z, ratio, stopped = (
            np.array([v[f"{key} {efficiency:g}"] for v in values]) for key in ("z", "ratio", "stopped")
        )
        cells = {
            "mean z": [float(z.mean())],
            "its error": [float(z.std(ddof=1) / np.sqrt(len(z)))],
            "width": [float(z.std(ddof=1))],
            "share above 1.64": [float((z > 1.64).mean())],
            "efficiency, high / low mass": [float(ratio.mean())],
            "stopped for its shape": [float(stopped.mean())],
            "toys pass": [float(bias([name], z[:, None])[0].passed)] if judged else [],
            "searches": [float(len(z))],
        }
        lines.append(Line(f"{name} at {efficiency:g}", cells, digits=2))
    return lines


def main() -> None:
    """Search every toy and half, print the table."""
    study = Study.from_command_line(__doc__, seeds=40)
    window = WINDOWS[W500]
    rows = mass_rows(table_of(study.data, *GENERATORS), window, FOUR)
    low, high = window.limits
    rows = rows[(rows.mass >= low) & (rows.mass < high)][: 20_000 if study.quick else rows.n]
    model = search.Background.of(rows, window)
    few = {"members": 2} if study.quick else {}
    methods = [
        search.Cwola(window, FOUR, label="CWoLa as it is", **few),
        search.Cwola(window, FOUR, label="CWoLa flattened", decorrelate="flatten", **few),
    ]
    toys: dict[str, list[dict[str, float]]] = {method.name: [] for method in methods}
    for seed in range(4 if study.quick else len(study.seeds)):
        for method in methods:
            toys[method.name].append(study.values(method.name, seed, partial(toy, study, method, model, seed)))
    lines = [line for name, values in toys.items() for line in lines_of(name, values, judged=True)]
    for method in methods:
        halves = [
            study.values(f"halves, {method.name}", k, partial(half, study, method, rows, k))
            for k in range(2 if study.quick else 2 * DIVISIONS)
        ]
        lines += lines_of(f"{method.name}, halves of the events", halves, judged=False)
    study.publish("CWoLa in dijets without signal", lines)


if __name__ == "__main__":
    main()
