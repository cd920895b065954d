"""Runs side by side: the same card with several seeds becomes a mean and a spread, different cards become rows."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hepaa.errors import InputError
from hepaa.io.files import regular_file
from hepaa.io.texts import parse_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

# What two runs of one analysis may differ in: where they went, and the chance in them.
_CHANCE = ("name", "output", "seed", "unblind")

QUANTITIES = ("auc", "eps_s at 1 %", "max SIC", "Z expected")
OBSERVED = "Z observed"
"""What runs on unblinded data have besides."""


@dataclass(frozen=True)
class Line:
    """A detector on a signal, over the runs of one card.

    Attributes
    ----------
    card : str
        Name in the card of the first of the runs.
    detector, signal : str
        The signal is "" where the card has none.
    values : dict of quantity -> list of float
        One value a run, see `QUANTITIES` and `OBSERVED`; runs with too few events to quote one are left out of its
        list.
    """

    card: str
    detector: str
    signal: str
    values: dict[str, list[float]]

    def mean(self, quantity: str) -> tuple[float, float, int] | None:
        """Mean, standard deviation over runs (nan for one run) and number of runs; None without a value."""
        values = self.values.get(quantity)
        if not values:
            return None
        spread = float(np.std(values, ddof=1)) if len(values) > 1 else float("nan")
        return float(np.mean(values)), spread, len(values)


def compare(runs: Sequence[Path]) -> list[Line]:
    """Numbers of several runs, those of one card that differ only in seed and split salt together.

    Parameters
    ----------
    runs : sequence of Path
        Folders that `hepaa run` wrote.

    Raises
    ------
    InputError
        If a folder has no `results.json`, the file cannot be read, or two folders hold the same run.
    """
    groups: dict[str, list[dict[str, Any]]] = {}
    seen: dict[str, Path] = {}
    for run in runs:
        results = _results(run)
        identity = [_analysis(results["card"]), results["card"]["seed"], results["detectors"]]
        twice = seen.setdefault(json.dumps(identity, sort_keys=True), run)
        if twice is not run:
            raise InputError(f"{run}: the same run as {twice}; a spread needs runs with other seeds")
        groups.setdefault(_analysis(results["card"]), []).append(results)
    return [line for group in groups.values() for line in _lines(group)]


def _results(run: Path) -> dict[str, Any]:
    path = regular_file(run / "results.json")
    try:
        content: dict[str, Any] = parse_json(path.read_text(encoding="utf-8"))
        content["card"]["seed"], content["detectors"]
    except FileNotFoundError:
        raise InputError(f"{run}: has no results.json; give folders that `hepaa run` wrote") from None
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError):
        raise InputError(f"{path}: not the results of a run; give folders that `hepaa run` wrote") from None
    return content


def _analysis(card: dict[str, Any]) -> str:
    """The card without what may differ between runs of one analysis."""
    rest = {key: value for key, value in card.items() if key not in _CHANCE}
    rest["split"] = {key: value for key, value in rest["split"].items() if key != "salt"}
    return json.dumps(rest, sort_keys=True)


def _lines(group: Sequence[dict[str, Any]]) -> Iterable[Line]:
    for detector, first in group[0]["detectors"].items():
        totals = [(results["detectors"][detector].get("observed") or {}).get("total") for results in group]
        observed = {OBSERVED: [t["z"] for t in totals if t is not None and t["z"] is not None]} if any(totals) else {}
        for signal in first["signals"]:
            rows = []
            for results in group:
                numbers = results["detectors"][detector]["signals"][signal]
                p = numbers["performance"]
                rows.append((p["auc"], p["eps_s"]["0.01"], p["max_sic"], numbers["significance"]["total"]))
            columns = ([value for value in column if value is not None] for column in zip(*rows, strict=True))
            values: dict[str, list[float]] = dict(zip(QUANTITIES, columns, strict=True))
            yield Line(group[0]["card"]["name"], detector, signal, values | observed)
        if not first["signals"]:
            yield Line(group[0]["card"]["name"], detector, "", observed)
