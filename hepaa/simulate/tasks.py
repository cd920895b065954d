"""Simulation as tasks of a batch: a shard is a block of events, whose seeds follow from the seed and its number."""

from __future__ import annotations

import ast
import hashlib
import time
from dataclasses import dataclass
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from hepaa.batch import keys
from hepaa.batch.plan import Plan
from hepaa.batch.shard import Part, Shard, Task
from hepaa.batch.store import Store
from hepaa.events import Sample
from hepaa.io.files import atomic_path
from hepaa.io.sealed import digest
from hepaa.simulate.pythia import ARRAYS, detected_events, import_pythia, zh_events
from hepaa.simulate.writers import detected_record, rounded_particles, write_lhco
from hepaa.table.mixing import Tally

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from hepaa.simulate.processes import JetProcess

_PACKAGE = Path(__file__).parents[1]
_LIBRARIES = ("python", "numpy", "numba")
_SEEDS = 900_000_000


@dataclass(frozen=True, kw_only=True)
class BlockTask(Task):
    """Makes blocks of events.

    Attributes
    ----------
    folder : str
        Of the store; files of a block lie beside its receipt.
    name : str
        Of the process.
    seed : int
    block : int
        Events in a block; the last of a run may have fewer.
    """

    kind: ClassVar[str] = ""
    suffix: ClassVar[str] = ""
    needs: ClassVar[tuple[str, ...]] = ("hepaa.simulate.pythia",)
    modules: ClassVar[tuple[str, ...]] = ("simulate/tasks.py", "simulate/pythia.py")
    """Files and folders of hepaa whose code makes the events."""
    folder: str
    name: str
    seed: int
    block: int

    def count(self, path: str) -> None:
        """There is no file to count."""

    def code(self) -> dict[str, str]:
        """Versions of Pythia, of the libraries and of the code that events pass through."""
        import_pythia()
        known = keys.versions()
        return {"pythia8mc": metadata.version("pythia8mc"), "code": _code_digest(self.modules)} | {
            k: known[k] for k in _LIBRARIES
        }

    def number(self, shard: Shard) -> int:
        """Number of the block."""
        return (shard.start or 0) // self.block

    def pythia_seed(self, shard: Shard) -> int:
        """Seed of Pythia: blocks have consecutive ones, so that no two are equal, from a place that the seed gives."""
        place = int(np.random.SeedSequence(self.seed).generate_state(1, np.uint64)[0])
        return 1 + (place + self.number(shard)) % _SEEDS

    def file(self, key: str) -> Path:
        """File of the events of a block."""
        return Store(self.folder).table_path(key).with_suffix(self.suffix)


def plan_blocks(task: BlockTask, events: int) -> Plan:
    """The plan of a number of events. Blocks of a larger plan with the same options are those of a smaller one.

    A key depends on all options but the folder, on the range of events, and on the code that events pass through;
    on the rest of hepaa it does not, so that a run of days outlives an update.
    """
    options, code = {k: v for k, v in task.to_dict().items() if k != "folder"}, task.code()
    shards = []
    for start in range(0, events, task.block):
        stop = min(start + task.block, events)
        key = digest({"task": options, "events": (start, stop), "code": code})
        shards.append(Shard(f"{task.name} seed {task.seed}", start, stop, 0, key, {}))
    return Plan((task,), tuple(shards), {k: keys.versions()[k] for k in _LIBRARIES})


@lru_cache(maxsize=4)
def _code_digest(modules: tuple[str, ...]) -> str:
    """16 hexadecimal digits of the code that events pass through, without its comments and docstrings."""
    code = hashlib.sha256()
    for place in modules:
        path = _PACKAGE / place
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            tree = ast.parse(file.read_text(encoding="utf-8"))
            for node in ast.walk(tree):
                if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)):
                    node.body = [x for x in node.body if not _is_text(x)]
            code.update(file.relative_to(_PACKAGE).as_posix().encode() + ast.dump(tree).encode())
    return code.hexdigest()[:16]


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


@dataclass(frozen=True, kw_only=True)
class DetectedTask(BlockTask):
    """Detector-level events: a row of the features `dijet` for each, and raw particles in an LHCO file.

    Attributes
    ----------
    settings : tuple of str
        Of Pythia.
    label : int
        1 signal, 0 background.
    generator : str
        Name for the tables.
    detector : str
    jet_pt_min : float
        See `hepaa.simulate.pythia.detected_events`.
    raw : bool
        Write raw particles.
    """

    kind: ClassVar[str] = "simulate-jets"
    suffix: ClassVar[str] = ".h5"
    modules: ClassVar[tuple[str, ...]] = (
        *BlockTask.modules, "simulate/detector.py", "simulate/writers.py", "features/kernels", "features/sets/dijet.py",
    )  # fmt: skip
    settings: tuple[str, ...]
    label: int
    generator: str
    detector: str
    jet_pt_min: float
    raw: bool

    @classmethod
    def of(
        cls, process: JetProcess, *, folder: str, seed: int, block: int, detector: str, jet_pt_min: float, raw: bool
    ) -> DetectedTask:
        """The task of a process."""
        return cls(
            folder=folder, name=process.name, seed=seed, block=block, settings=process.settings(), label=process.label,
            generator=f"pythia8-{process.tune}", detector=detector, jet_pt_min=jet_pt_min,
            raw=raw,
        )  # fmt: skip

    def compute(self, shard: Shard) -> Part:
        """Events of one block."""
        from hepaa.features.registry import features

        n, cpu = shard.events or 0, time.process_time()
        events = detected_events(
            n, self.settings, seed=self.pythia_seed(shard), detector=self.detector, label=self.label,
            jet_pt_min=self.jet_pt_min, smearing_seed=(self.seed, self.number(shard)),
        )  # fmt: skip
        sample = Sample(self.name, "signal" if self.label else "background", self.generator)
        objects = rounded_particles(np.concatenate(events.particles))  # features are those of the file
        record = detected_record(events, objects, path=shard.path, first=shard.start or 0, sample=sample)
        table = features(record, "dijet")
        if self.raw:
            path = self.file(shard.key)
            path.parent.mkdir(parents=True, exist_ok=True)
            write_lhco(path, events, events.provenance)
        facts = events.provenance
        result = {
            "tried": facts["events_tried"], "passed": facts["events_passed"], "kept": n,
            "truncated": facts["events_cut_to_their_hardest_700_objects"],
            "cross_section_pb": events.cross_section_pb, "error_pb": events.error_pb, "version": facts["version"],
            "cpu_seconds": round(time.process_time() - cpu, 3),
        }  # fmt: skip
        return Part(Tally.of(record.weight), table, result)


@dataclass(frozen=True, kw_only=True)
class PartonTask(BlockTask):
    """Parton-level ZH events, as arrays."""

    kind: ClassVar[str] = "simulate-zh"
    suffix: ClassVar[str] = ".npz"
    modules: ClassVar[tuple[str, ...]] = (*BlockTask.modules, "simulate/zh.py")

    def compute(self, shard: Shard) -> Part:
        """Events of one block."""
        n, cpu = shard.events or 0, time.process_time()
        events = zh_events(n, seed=self.pythia_seed(shard))
        path = self.file(shard.key)
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(path) as partial, partial.open("wb") as stream:
            np.savez(stream, **{name: getattr(events, name) for name in ARRAYS})
        result = {
            "tried": events.provenance["events_tried"], "passed": n, "kept": n,
            "cross_section_pb": events.cross_section_pb, "error_pb": events.error_pb,
            "provenance": dict(events.provenance), "version": events.provenance["version"],
            "cpu_seconds": round(time.process_time() - cpu, 3),
        }  # fmt: skip
        return Part(Tally.of(np.ones(n)), None, result)


@dataclass(frozen=True, kw_only=True)
class RecordTask(BlockTask):
    """Full event records as HepMC3, before any detector and selection."""

    kind: ClassVar[str] = "simulate-hepmc"
    suffix: ClassVar[str] = ".hepmc3.gz"
    modules: ClassVar[tuple[str, ...]] = (*BlockTask.modules, "simulate/hepmc.py")
    settings: tuple[str, ...]

    def compute(self, shard: Shard) -> Part:
        """Events of one block."""
        from hepaa.simulate.hepmc import write_hepmc

        n, cpu = shard.events or 0, time.process_time()
        path = self.file(shard.key)
        path.parent.mkdir(parents=True, exist_ok=True)
        facts = write_hepmc(path, n, self.settings, seed=self.pythia_seed(shard), first=shard.start or 0)
        result = {"tried": n, "passed": n, "kept": n, **facts, "cpu_seconds": round(time.process_time() - cpu, 3)}
        return Part(Tally.of(np.ones(n)), None, result)


def parton_arrays(task: BlockTask, stored_keys: Sequence[str]) -> dict[str, NDArray[Any]]:
    """Arrays of the blocks of a `PartonTask`, in their order."""
    parts = []
    for key in stored_keys:
        with np.load(task.file(key), allow_pickle=False) as stored:
            parts.append({name: stored[name] for name in ARRAYS})
    return {name: np.concatenate([part[name] for part in parts]) for name in ARRAYS}
