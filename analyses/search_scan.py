"""p-values of a search in dijets: a scan over the mass, and one window with 500 toys.

84,752 dijets of four generators (data pack), 2.6 .. 5.5 TeV, with W'(500, 100) at S/sqrt(B) = 2.2 in 3.3 .. 3.7 TeV and
the part of it that lies outside, one draw; "no signal": without it. Residual search, four inputs, three folds, three
members, cut at 0.01. The scan trains in nine windows, each 0.12 of its mass wide, in steps of half a width, and takes
all events outside a window as its sidebands. Toys are drawn from the model of the data outside the most significant
window, signal included where it is; everything is trained again in each, in all windows. "p by toys": of the window
alone; "global": of the largest z in units of its spread in the toys, whatever the window. Both searches are judged by
the toys of the one with signal. A toy that cannot be searched counts as more extreme. No p is below 1 / (toys + 1).
Settings were chosen for their time.

Run: python analyses/search_scan.py [--data FOLDER] [--seeds 60] [--quick]
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from samples import DIJETS, W500
from search_dijets import FOUR, GENERATORS, STRENGTH, WINDOWS, table_of
from study import Study
from table import Line

import hepaa
from hepaa import search
from hepaa.search import figures
from hepaa.search.toys import ToySearch

if TYPE_CHECKING:
    from hepaa.search.result import Searched

TOYS = 500  # of the one window


def mixed(study: Study, background: hepaa.EventTable) -> hepaa.EventTable:
    """Background, and a draw of the signal."""
    signal, window = table_of(study.data, DIJETS[W500]), WINDOWS[W500]
    rng = np.random.default_rng(71)
    expected = STRENGTH * np.sqrt(window.in_signal(background["mjj"]).sum()) / window.in_signal(signal["mjj"]).mean()
    return hepaa.concatenate([background, signal[rng.permutation(signal.n)[: rng.poisson(expected)]]])


def toys(study: Study, name: str, result: Searched, n: int) -> np.ndarray:
    """z (n, looks) of background-only toys, each kept by itself."""
    one = ToySearch(result.again, result.background(), seed=1)

    def values(number: int) -> dict[str, float]:
        z = one(number)
        return dict.fromkeys(result.looks, np.nan) if isinstance(z, str) else dict(zip(result.looks, z, strict=True))

    return np.array([list(study.values(name, k, partial(values, k)).values()) for k in range(n)])


def main() -> None:
    """Search the events with and without signal, and the toys; print the table, draw the scan."""
    study = Study.from_command_line(__doc__, seeds=60)
    window = WINDOWS[W500]
    background = table_of(study.data, *GENERATORS)
    background = background[: 20_000 if study.quick else background.n]
    data = mixed(study, background)
    method = search.Residual(window, FOUR, members=3, label="residual search")
    settings = {"folds": 3, "efficiencies": (0.01,)}
    windows = list(search.sliding(2800, 5500, width=0.12, step=0.5))[: 3 if study.quick else None]
    few = 10 if study.quick else len(study.seeds)

    scan, empty = (search.scan(method, events, windows=windows, **settings) for events in (data, background))
    null = toys(study, "scan", scan, few)
    seen, control = scan.calibrated(null), empty.calibrated(null)
    lines = [
        Line(
            f"{low:.0f} .. {high:.0f} GeV",
            {
                "local z": [seen.observed[look]],
                "p by toys": [seen.each[look].p],
                "local z, no signal": [control.observed[look]],
                "p by toys, no signal": [control.each[look].p],
                "toys": [float(few)],
            },
        )
        for (low, high), look in zip(windows, scan.looks, strict=True)
    ]
    overall = {"p by toys": [seen.overall.p], "p by toys, no signal": [control.overall.p], "toys": [float(few)]}
    lines.append(Line("global, all windows", overall))
    study.draw(figures.scan_p_values(scan, seen, mass=r"$m_{jj}$ [GeV]"))

    one, none = (search.cross_fit(method, events, **settings) for events in (data, background))
    many = 10 if study.quick else TOYS
    null = toys(study, "window", one, many)
    seen, control = one.calibrated(null), none.calibrated(null)
    cells = {
        "local z": list(seen.observed.values()),
        "p by toys": [seen.overall.p],
        "local z, no signal": list(control.observed.values()),
        "p by toys, no signal": [control.overall.p],
        "toys": [float(many)],
    }
    lines.append(Line("3300 .. 3700 GeV, the one window", cells))
    study.publish("p-values of a residual search in dijets with W'(500, 100)", lines)


if __name__ == "__main__":
    main()
