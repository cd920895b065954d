"""The physics samples of the data pack as tables, and their parts for a seed: what is trained on, what is tested on.

A part is named "train background", "train SIGNAL", "test background" or "test SIGNAL". The spread over seeds is that of
splits, of the choice of labelled events and of trainings.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np
from study import subset

import hepaa
from hepaa.features.sets.dijet import COLUMNS as DIJET_COLUMNS

if TYPE_CHECKING:
    from pathlib import Path

Parts = dict[str, hepaa.EventTable]

W500, SVJ, W1000 = "W'(500, 100)", "semi-visible jets", "W'(1000, 400)"
DIJETS = {W500: "wprime_500_100", SVJ: "svj", W1000: "wprime_1000_400"}
REGION = ("mj1", "dmj", "tau21j1", "tau21j2")
GEV = np.array([1000.0, 1000.0, 1.0, 1.0])
TRAINING, TEST = 0.7, 0.3


def zh(data: Path, seed: int) -> Parts:
    """ZH -> llbb, the SM and the pure O_HW term, 13 inputs of `zh-paper`; 70 % for training."""
    tables = {
        name: hepaa.features(hepaa.open(data / "zh" / file, sample=hepaa.Sample("ZH", role)), "zh-paper")
        for name, file, role in (
            ("background", "zh_sm.lhe.gz", "background"),
            ("O_HW", "zh_smeft_chw.lhe.gz", "signal"),
        )
    }
    return _divided(tables, f"zh {seed}")


def dijets(data: Path, seed: int, background: str = "pythia8_monash") -> Parts:
    """Dijets of Pythia 8 (Monash) and three signals, 14 inputs of `dijet`; 70 % for training."""
    tables = {}
    for name, file in {"background": background, **DIJETS}.items():
        path = data / "dijets" / "features" / f"{file}.npz"
        with np.load(path) as content:
            X = content["F"]
        source = hepaa.Source(path.name, hashlib.sha256(path.read_bytes()).hexdigest())
        label = int(name != "background")
        tables[name] = hepaa.EventTable.build(
            X, DIJET_COLUMNS, label=label, process=name, generator=file, source=source
        )
    return _divided(tables, f"dijets {seed}")


def signal_region(data: Path, seed: int) -> Parts:
    """LHCO R&D events with m_jj in 3.3 .. 3.7 TeV, 4 features: 35,000 events for training, a test file of its own."""

    def rows(name: str, label: int) -> np.ndarray:
        values = np.load(data / "lhco" / f"cathode_{name}.npy")
        return values[values[:, 5] == label, 1:5] * GEV

    background, signal = rows("innerdata_train", 0), rows("innerdata_extrasig_train", 1)
    chosen = {
        "train background": (background[subset(len(background), 35_000, seed)], 0),
        "train W'": (signal[subset(len(signal), len(signal), seed)], 1),
        "test background": (rows("innerdata_test", 0), 0),
        "test W'": (rows("innerdata_test", 1), 1),
    }
    return {name: hepaa.EventTable.build(X, REGION, label=label) for name, (X, label) in chosen.items()}


def lhco(file: Path, seed: int) -> Parts:
    """The LHCO R&D file of jet features, 14 inputs of `dijet`, full range of m_jj; 70 % for training."""
    table = hepaa.features(hepaa.open(file), "dijet")
    return _divided({"background": table[table.label == 0], "W'": table[table.label == 1]}, f"lhco {seed}")


def labelled(parts: Parts, signal: str, n: int) -> hepaa.EventTable:
    """All background for training and `n` labelled events at most; fewer are a subset of more."""
    background, anomalies = parts["train background"], parts[f"train {signal}"]
    return hepaa.concatenate([background, anomalies[:n]])


def tested(parts: Parts) -> dict[str, hepaa.EventTable]:
    """Background and each signal of the test part."""
    return {name.removeprefix("test "): table for name, table in parts.items() if name.startswith("test ")}


def _divided(tables: Parts, salt: str) -> Parts:
    """Both parts of each table, events in an order that the salt gives, all of weight 1."""
    found = {}
    for name, table in tables.items():
        for part, rows in hepaa.split(table, {"train": TRAINING, "test": TEST}, salt=salt).items():
            mixed = rows[np.argsort(rows.event_hash(f"order {salt}"))]
            found[f"{part} {name}"] = mixed.with_weight(np.ones(mixed.n))
    return found
