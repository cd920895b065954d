"""Density-based resonant searches in dijets with 6, 8 and 14 inputs: more is learned, less is found.

Events, windows, injection (S/sqrt(B) = 2.2), inputs and measures are those of `search_dijets.py`, the draws too. Six
inputs: the eight without those of pT. Residual search: mixtures with shrinkage 0.05, which was chosen on one other draw
of the semi-visible jets.

Run: python analyses/search_inputs.py [--data FOLDER] [--seeds 10] [--quick]
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from samples import DIJETS
from search_dijets import EFFICIENCIES, EIGHT, FIRST, FOURTEEN, GENERATORS, STRENGTH, WINDOWS, supervised, table_of
from study import Study
from table import Line

from hepaa import search

if TYPE_CHECKING:
    import hepaa

SIX = EIGHT[:6]


def draw(study: Study, method: search.Residual, events: list[hepaa.EventTable], number: int) -> dict[str, float]:
    """z and SIC of one draw, over that of supervised trees."""
    found = search.inject(
        method, *events, strengths=(STRENGTH,), draws=1, folds=2 if study.quick else 5, efficiencies=EFFICIENCIES,
        seed=FIRST + number,
    )  # fmt: skip
    known = supervised(study, events, method.window, tuple(method.inputs or ()), number)
    (z_loose, z_tight), (sic, _) = found.z[0, 0], found.sic[0, 0]
    return {"SIC at 0.01": sic, "of supervised": sic / known, "z at 0.01": z_loose, "z at 0.003": z_tight}


def main() -> None:
    """Search every draw of every signal, print the table."""
    study = Study.from_command_line(__doc__, seeds=10)
    background = table_of(study.data, *GENERATORS)
    background = background[: 20_000 if study.quick else background.n]
    few = {"members": 2} if study.quick else {}
    lines = []
    for signal, window in WINDOWS.items():
        events = [background, table_of(study.data, DIJETS[signal])]
        for inputs in (SIX, EIGHT, FOURTEEN):
            name = f"{signal}, {len(inputs)} inputs: residual search"
            method = search.Residual(window, inputs, shrinkage=0.05, **few)
            lines.append(Line(name, study.over_seeds(name, partial(draw, study, method, events)), 2))
    study.publish("Dijets at S/sqrt(B) = 2.2, densities of many inputs", lines)


if __name__ == "__main__":
    main()
