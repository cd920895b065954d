"""Feature sets with the symmetries of the process divided out, for detectors that learn a density.

A collision has no preferred azimuth, and none of the two beams is the first: what depends on them tells a detector
nothing, costs it events, and hides correlations. These sets also leave out what follows from other columns, on which
no density exists, and take quantities that are small and positive as logarithms. Masses and transverse momenta stay
linear: a density is one per unit of its features (`log_volume`), and with them in GeV an event at twice the
usual scale is rare, where in logarithms it would be as expected as one at half of it.

The choice knows no signal. `invariant(table)` turns a table of the published columns into such a one.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from hepaa.errors import InputError
from hepaa.features.registry import Feature, feature_set, feature_sets
from hepaa.features.sets.dijet import COLUMNS, INPUTS, MJJ, dijet, of_jet, pair
from hepaa.features.sets.zh import DRBB, DRLL, MZH, PT, zh_paper

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from hepaa.events import Events
    from hepaa.features.registry import Cuts, Values
    from hepaa.table import EventTable

# Small positive numbers are logged from here up: the angular resolution of a detector, a width no detector resolves.
_ANGLE, _WIDTH = 0.02, 1e-4

_ZH_PAPER = ("ptb1", "ptb2", "ptl1", "ptl2", "ptH", "ptZ", "etaH", "phiH", "etaZ", "phiZ", "drll", "drbb", "mZH")


def _jet(j: int) -> list[Feature]:
    folded = Feature(f"etafj{j}", rf"$\pm\eta^{{j_{j}}}$")
    logged = Feature(f"ltau1j{j}", rf"$\ln\tau_1^{{j_{j}}}$")
    known = of_jet(j)
    return [known["pt"], folded, known["m"], logged, known["tau21"], known["tau32"]]


_DIJET = [*_jet(1), *_jet(2), Feature("lacop", r"$\ln(\pi - |\Delta\phi_{jj}|)$")]


@feature_set("dijet-invariant", inputs=INPUTS, uses=[], columns=_DIJET, spectators=[MJJ])
def dijet_invariant(events: Events) -> tuple[Values, Cuts]:
    """The 14 dijet inputs without azimuth and beam direction, 13 columns.

    etafj: eta, both with the sign that makes that of j1 positive. lacop: logarithm of the acoplanarity + 0.02. ltau1:
    of tau_1, at least 1e-4.
    """
    values, cuts = dijet(events)
    return _dijet(values) | {"mjj": values["mjj"]}, dict(cuts)


def _dijet(values: Mapping[str, NDArray[np.float64]]) -> Values:
    derived = {**values, **pair(values)}
    out: Values = {}
    sign = np.where(derived["etaj1"] < 0, -1.0, 1.0)
    for j in (1, 2):
        out |= {f"{q}j{j}": derived[f"{q}j{j}"] for q in ("pt", "m", "tau21", "tau32")}
        out[f"etafj{j}"] = derived[f"etaj{j}"] * sign
        out[f"ltau1j{j}"] = np.log(np.maximum(derived[f"tau1j{j}"], _WIDTH))
    apart = np.abs(np.mod(derived["phij1"] - derived["phij2"], 2 * np.pi) - np.pi)
    out["lacop"] = np.log(apart + _ANGLE)
    return out


@feature_set(
    "zh-invariant",
    inputs=["particles", "leptons + jets"],
    uses=[],
    columns=[
        *(PT[k] for k in PT if k != "ptH"),
        Feature("etafH", r"$\pm\eta^{H}$"),
        Feature("etafZ", r"$\pm\eta^{Z}$"),
        DRLL,
        DRBB,
        MZH,
    ],
)
def zh_invariant(events: Events) -> tuple[Values, Cuts]:
    """The 13 variables of `zh-paper` without azimuths and pT(H), which equals pT(Z) at leading order: 10 columns.

    etaf: eta, both with the sign that makes that of H positive.
    """
    values, cuts = zh_paper(events)
    return _zh(values), dict(cuts)


def _zh(values: Mapping[str, NDArray[np.float64]]) -> Values:
    sign = np.where(values["etaH"] < 0, -1.0, 1.0)
    kept = {name: values[name] for name in ("ptb1", "ptb2", "ptl1", "ptl2", "ptZ", "drll", "drbb", "mZH")}
    return {**kept, "etafH": values["etaH"] * sign, "etafZ": values["etaZ"] * sign}


_OF: dict[str, tuple[tuple[str, ...], Callable[[Mapping[str, NDArray[np.float64]]], Values]]] = {
    "dijet-invariant": (COLUMNS, _dijet),
    "zh-invariant": (_ZH_PAPER, _zh),
}


def invariant(table: EventTable) -> EventTable:
    """The same events with the invariant features of the set that this table holds.

    Parameters
    ----------
    table : EventTable
        With the columns of "dijet" or of "zh-paper".

    Returns
    -------
    Table of the feature set "dijet-invariant" or "zh-invariant"; spectators of other names are kept.

    Raises
    ------
    InputError
        If the columns are those of neither set.
    """
    for name, (needed, turn) in _OF.items():
        if set(needed) <= set(table.columns):
            columns = tuple(column.name for column in feature_sets()[name].columns)
            values = turn({c: np.asarray(table[c], dtype=np.float64) for c in needed})
            X = np.column_stack([values[c] for c in columns]).astype(np.float32)
            others = {k: v for k, v in table.spectators.items() if k not in columns}
            return replace(table, X=X, columns=columns, spectators=others, feature_set=name)
    raise InputError(
        f"this table ({table.feature_set or 'unnamed'}: {', '.join(table.columns)}) has the columns of no set with an "
        f"invariant form; those of dijet and zh-paper have"
    )
