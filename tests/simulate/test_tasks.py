"""Blocks of simulated events: seeds and keys say what a block is, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from hepaa.batch.shard import Shard
from hepaa.batch.tasks.registry import task_from_dict
from hepaa.simulate import tasks
from hepaa.simulate.processes import Dijets
from hepaa.simulate.tasks import DetectedTask, plan_blocks

if TYPE_CHECKING:
    from pathlib import Path

TASK = DetectedTask.of(
    Dijets(), folder="f", seed=1, block=10, detector="lhco-like", jet_pt_min=1200.0, raw=True
)  # fmt: skip


@pytest.fixture(autouse=True)
def pythia_is_there() -> None:
    pytest.importorskip("pythia8mc")


def keys(task: DetectedTask = TASK, events: int = 30) -> list[str]:
    return [shard.key for shard in plan_blocks(task, events).shards]


def test_a_larger_production_begins_with_the_blocks_of_a_smaller_one() -> None:
    assert keys(events=50)[:3] == keys()
    assert keys(events=25)[:2] == keys()[:2]
    assert keys(events=25)[2] != keys()[2]


@pytest.mark.parametrize(
    "change",
    [{"seed": 2}, {"detector": "embedded"}, {"jet_pt_min": 1000.0}, {"raw": False}, {"settings": ("a = b",)}],
)
def test_every_option_is_in_the_key_but_not_the_folder(change: dict) -> None:
    assert not set(keys(replace(TASK, **change))) & set(keys())
    assert keys(replace(TASK, folder="g")) == keys()


def test_seeds_of_blocks_differ_and_are_those_of_pythia() -> None:
    shards = [Shard("x", 10 * i, 10 * i + 10, 0, "a" * 64, {}) for i in range(2000)]
    seeds = {replace(TASK, seed=s).pythia_seed(shard) for s in (1, 2) for shard in shards}
    assert len(seeds) == 4000
    assert 1 <= min(seeds) <= max(seeds) <= 900_000_000


def test_a_task_comes_back_from_a_plan() -> None:
    assert task_from_dict(TASK.to_dict()) == TASK


def test_code_counts_and_what_is_said_about_it_does_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "_PACKAGE", tmp_path)
    digests = []
    for text in ('"""A."""\nx = 1\n', '"""B."""\nx = 1  # one\n', "x = 2\n"):
        (tmp_path / "a.py").write_text(text)
        tasks._code_digest.cache_clear()
        digests.append(tasks._code_digest(("a.py",)))
    tasks._code_digest.cache_clear()
    assert digests[0] == digests[1] != digests[2]
