"""No event is both trained on and tested on: every analysis' parts, compared row by row through hashes of the content.

A script shows its parts by a function `parts(data, seed)`, which gives arrays or tables whose names begin with "train"
or "test". Rows that repeat in the source itself are no leak: a script whose data have them says so in `REPEATS`.

Run: python analyses/audit.py [--data FOLDER] [--seeds 5]
"""

from __future__ import annotations

import importlib
import sys

import numpy as np
from run import scripts
from study import Study

import hepaa


def hashes(rows: np.ndarray | hepaa.EventTable) -> np.ndarray:
    """One 64-bit hash (n,) for each row's content; two rows are equal where their bytes are (-0 counts as 0)."""
    values = np.ascontiguousarray(rows.X if isinstance(rows, hepaa.EventTable) else rows) + 0.0
    words = values.view(np.uint32).reshape(len(values), -1).astype(np.uint64)
    factors = np.random.default_rng(0).integers(0, 2**64, words.shape[1], dtype=np.uint64) | np.uint64(1)
    mixed = (words ^ (words >> np.uint64(7))) * factors
    return np.bitwise_xor.reduce(mixed ^ (mixed >> np.uint64(29)), axis=1) + (words * factors).sum(axis=1)


def shared(parts: dict[str, np.ndarray | hepaa.EventTable]) -> int:
    """How many rows of the test parts are rows of a training part too."""
    known = np.concatenate([hashes(rows) for name, rows in parts.items() if name.startswith("train")])
    asked = np.concatenate([hashes(rows) for name, rows in parts.items() if name.startswith("test")])
    return int(np.isin(asked, known).sum())


def main() -> None:
    """Audit all analyses; exit 1 if one leaks."""
    study = Study.from_command_line(__doc__)
    leaks = False
    for name in scripts():
        script = importlib.import_module(name)
        if not hasattr(script, "parts"):
            continue
        reason = getattr(script, "REPEATS", "")
        for seed in study.seeds:
            found = script.parts(study.data, seed)
            count = shared(found)
            tested = sum(len(rows) for part, rows in found.items() if part.startswith("test"))
            print(
                f"{name}, seed {seed}: {count} of {tested} test rows are also training rows {reason and f'({reason})'}"
            )
            leaks |= count > 0 and not reason
    sys.exit("a training row is tested on" if leaks else 0)


if __name__ == "__main__":
    main()
