"""No event is both trained on and tested on: every analysis' parts, compared row by row through hashes of the content.

A script shows its parts by a function `parts(data, seed)`, which gives arrays or tables whose names begin with "train"
or "test"; where it divides its events anew for each of several questions, such parts by question. With a third argument
`store` it takes simulated events from there. Rows that repeat in the source itself are no leak: a script whose data
have them says so in `REPEATS`. A script without parts is in `UNDIVIDED`, with the reason.

Run: python analyses/audit.py [--data FOLDER] [--seeds 5]
"""

from __future__ import annotations

import importlib
import inspect
import sys
from typing import TYPE_CHECKING

import numpy as np
from run import scripts
from study import Study

import hepaa

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Rows = np.ndarray | hepaa.EventTable

FOLDS = "its searches are cross-fitted by the package, and it divides nothing itself"
UNDIVIDED = {
    "aa_figures": "its events are those of aa_images, aa_cicids, aa_lhco and aa_zh",
    "audit": "it trains nothing",
    "search_background": FOLDS,
    "search_inputs": "its events and halves are those of search_dijets",
    "search_scan": FOLDS,
    "search_sculpting": FOLDS,
}


def hashes(rows: Rows) -> np.ndarray:
    """One 64-bit hash (n,) for each row's content; two rows are equal where their bytes are (-0 counts as 0)."""
    values = np.ascontiguousarray(rows.X if isinstance(rows, hepaa.EventTable) else rows) + 0.0
    words = values.view(np.uint32).reshape(len(values), -1).astype(np.uint64)
    factors = np.random.default_rng(0).integers(0, 2**64, words.shape[1], dtype=np.uint64) | np.uint64(1)
    mixed = (words ^ (words >> np.uint64(7))) * factors
    return np.bitwise_xor.reduce(mixed ^ (mixed >> np.uint64(29)), axis=1) + (words * factors).sum(axis=1)


def shared(parts: dict[str, Rows]) -> int:
    """How many rows of the test parts are rows of a training part too."""
    known = np.concatenate([hashes(rows) for name, rows in parts.items() if name.startswith("train")])
    asked = np.concatenate([hashes(rows) for name, rows in parts.items() if name.startswith("test")])
    return int(np.isin(asked, known).sum())


def questions(parts: Callable[..., Any], study: Study, seed: int) -> dict[str, dict[str, Rows]]:
    """The parts of a script by question, which is "" where there is one; none where its data are not there."""
    stored = {"store": study.store.parent} if "store" in inspect.signature(parts).parameters else {}
    found = parts(study.data, seed, **stored)
    return found if all(isinstance(part, dict) for part in found.values()) else {"": found}


def main() -> None:
    """Audit all analyses; exit 1 if one leaks."""
    study = Study.from_command_line(__doc__)
    leaks = False
    for name in scripts():
        if name in UNDIVIDED:
            print(f"{name}: {UNDIVIDED[name]}")
            continue
        script = importlib.import_module(name)
        reason = getattr(script, "REPEATS", "")
        for seed in study.seeds:
            asked = questions(script.parts, study, seed)
            count = sum(map(shared, asked.values()))
            tested = sum(len(rows) for of in asked.values() for part, rows in of.items() if part.startswith("test"))
            print(
                f"{name}, seed {seed}: {count} of {tested} test rows are also training rows"
                f"{reason and f' ({reason})'}{'' if asked else ', for its data are not there'}"
            )
            leaks |= count > 0 and not reason
    sys.exit("a training row is tested on" if leaks else 0)


if __name__ == "__main__":
    main()
