"""Cards and tables of toy dijets, small enough that a run takes a second."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hepaa.table import CutflowRow, EventTable, concatenate

if TYPE_CHECKING:
    from pathlib import Path


def content(folder: Path) -> dict[str, Any]:
    """A card of QCD and a signal X with one quick detector, which writes to `folder`/out."""
    samples = [
        {"process": "QCD", "files": [str(folder / "b.csv")], "expected_events": 1000.0},
        {"process": "X", "role": "signal", "files": [str(folder / "s.csv")], "expected_events": 100.0},
    ]
    return {
        "name": "toy", "output": str(folder / "out"), "luminosity_fb": 1, "samples": samples,
        "features": {"set": "dijet-hl"}, "detectors": [{"detector": "SumOfSquares"}],
        "histogram": {"min_events": 3, "min_background": 0.1, "max_relative_error": 0.9},
    }  # fmt: skip


def data_content(folder: Path, *, signal: bool = True, **changes: Any) -> dict[str, Any]:
    """The same card with data, with or without the signal."""
    card = content(folder)
    data = {"process": "LHC", "role": "data", "files": [str(folder / "d.csv")]}
    return card | {"samples": [*card["samples"][: 1 + signal], data]} | changes


def data_table(n_background: int = 600, n_signal: int = 180, n: int = 1000, *, signal: bool = True) -> EventTable:
    """The table of such a card: data are as the background is, and an event of them weighs 1."""
    simulated = table(n_background, n_signal)
    rng = np.random.default_rng(1)
    X = np.column_stack([2000 + rng.exponential(500, n), rng.exponential(50, n)])
    all_data = CutflowRow("LHC", "unknown", "all", n, float(n))
    data = EventTable.build(X, ["mjj", "dmj"], label=-1, process="LHC", feature_set="dijet-hl", cutflow=[all_data])
    return concatenate([simulated if signal else simulated.background, data])


def table(
    n_background: int = 300, n_signal: int = 90, *, signal_yield: float = 100.0, negative: float = 0.0
) -> EventTable:
    """QCD with `negative` of its weights negative, and X at higher masses; columns mjj and dmj, GeV."""
    rng = np.random.default_rng(0)
    parts = []
    for name, label, n, total, shift in (
        ("QCD", 0, n_background, 1000.0, 0.0),
        ("X", 1, n_signal, signal_yield, 800.0),
    ):
        X = np.column_stack([2000 + shift + rng.exponential(500, n), rng.exponential(50, n) + shift / 10])
        weight = np.where(rng.random(n) < (0 if label else negative), -1.0, 1.0)
        everything = CutflowRow(name, "unknown", "all", n, float(weight.sum()))
        part = EventTable.build(
            X, ["mjj", "dmj"], weight=weight, label=label, process=name, feature_set="dijet-hl", cutflow=[everything]
        )
        parts.append(part.scaled(total / part.sum_weights))
    return concatenate(parts)
