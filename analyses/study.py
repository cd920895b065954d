"""What the scripts share: their command line, values that survive an interruption, and the published table.

A value is kept under a hash of the script, the settings, the seed and hepaa's own source, so a run that was stopped
goes on where it was, and nothing is kept from other code.
"""

from __future__ import annotations

import argparse
import hashlib
import inspect
import json
import os
import tempfile
from dataclasses import dataclass
from functools import cache, partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from table import Line, Row, publish

import hepaa
from hepaa.plots import save_figure

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from matplotlib.figure import Figure

SHOWN = 10
FIGURES = Path(__file__).parent / "figures"

Values = dict[str, float]


@dataclass
class Study:
    """One published result and its measurement here.

    Attributes
    ----------
    key : str
        Name of the results file.
    data : Path
        Folder of the data pack.
    seeds : range
    quick : bool
        One seed and short trainings: shows that the script works, not what it measures.
    """

    key: str
    data: Path
    seeds: range
    quick: bool
    store: Path

    @classmethod
    def from_command_line(cls, doc: str | None, seeds: int = 5) -> Study:
        """Read --data, --seeds, --quick, --store; the key is the name of the calling script."""
        words = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
        pack = Path(os.environ.get("HEPAA_DATA", Path(__file__).parents[2] / "shared" / "data"))
        words.add_argument("--data", type=Path, default=pack, help="folder of the data pack")
        words.add_argument("--seeds", type=int, default=seeds)
        words.add_argument("--quick", action="store_true", help="one seed, short trainings, nothing is written")
        words.add_argument("--store", type=Path, default=Path(__file__).parent / ".store", help="values so far")
        given = words.parse_args()
        if not given.data.is_dir():
            words.error(f"{given.data} is no folder; name the data pack with --data or $HEPAA_DATA")
        script = Path(inspect.stack()[1].filename)
        n = 1 if given.quick else given.seeds
        store = given.store / f"{script.stem}-{_hash(_code(), script.read_bytes(), str(given.quick).encode())[:16]}"
        store.mkdir(parents=True, exist_ok=True)
        return cls(script.stem, given.data, range(n), given.quick, store)

    def epochs(self, n: int) -> int:
        """`n`, or 2 in a quick run."""
        return 2 if self.quick else n

    def values(self, name: str, seed: int, compute: Callable[[], Mapping[str, float]]) -> Values:
        """What `compute()` gives, once: numbers by name."""
        path = self.store / f"{_hash(name.encode(), str(seed).encode())[:24]}.json"
        if path.is_file():
            kept: Values = json.loads(path.read_text(encoding="utf-8"))
            return kept
        found = {key: float(value) for key, value in compute().items()}
        with tempfile.NamedTemporaryFile("w", dir=self.store, delete=False, encoding="utf-8") as file:
            json.dump(found, file)
        Path(file.name).replace(path)
        shown = "  ".join(f"{key} {value:.4f}" for key, value in islice(found.items(), SHOWN))
        more = f"  and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
        print(f"{self.key}: {name}, seed {seed}: {shown}{more}", flush=True)
        return found

    def over_seeds(self, name: str, compute: Callable[[int], Mapping[str, float]]) -> dict[str, list[float]]:
        """One list of values over the seeds for each name that `compute(seed)` gives."""
        rounds = [self.values(name, seed, partial(compute, seed)) for seed in self.seeds]
        return {key: [found[key] for found in rounds] for key in rounds[0]}

    def draw(self, figure: Figure, name: str | None = None) -> None:
        """Keep a figure as `figures/NAME`, except after a quick run; the name is that of the script unless given."""
        if not self.quick:
            save_figure(figure, FIGURES / (name or self.key))

    def publish(self, title: str, rows: list[Row] | list[Line], *, key: str | None = None) -> None:
        """Print the table; keep it for the README, except after a quick run."""
        publish(key or self.key, title, rows, keep=not self.quick)


@cache
def _code() -> bytes:
    """Hash of the package's source."""
    package = Path(hepaa.__file__).parent
    return _hash(*(p.read_bytes() for p in sorted(package.rglob("*.py")))).encode()


def _hash(*parts: bytes) -> str:
    whole = hashlib.sha256()
    for part in parts:
        whole.update(hashlib.sha256(part).digest())
    return whole.hexdigest()


def subset(n: int, size: int, seed: int) -> np.ndarray:
    """`size` of `n` row numbers at random, those of a smaller size being the first of a larger."""
    return np.random.default_rng([seed, 20]).permutation(n)[:size]
