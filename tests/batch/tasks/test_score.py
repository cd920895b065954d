"""Scores of stored tables, shard by shard: parts without rows, and tables of others."""

from __future__ import annotations

import numpy as np
import pytest

from hepaa.batch.shard import Shard
from hepaa.batch.tasks.score import ScoreTask
from hepaa.detectors import SumOfSquares
from hepaa.table import EventTable


@pytest.fixture
def task(tmp_path):
    X = np.random.default_rng(0).normal(size=(100, 2))
    table = EventTable.build(X, ["a", "b"])
    SumOfSquares().fit(table).save(tmp_path / "m.safetensors")
    table.save(tmp_path / "full.parquet")
    table[:0].save(tmp_path / "empty.parquet")
    np.savez(tmp_path / "other.npz", junk=np.full(100, np.nan), b=X[:, 1], a=X[:, 0])
    return ScoreTask.of({"m": tmp_path / "m.safetensors"})


def scored(task, path):
    part = task.compute(Shard(str(path), None, None, 0, "0" * 64, {}))
    assert part.tally.events == part.table.n
    return part.table


def test_a_part_without_rows_gives_no_rows(task, tmp_path):
    assert task.count(str(tmp_path / "empty.parquet")) == 0
    empty = scored(task, tmp_path / "empty.parquet")
    assert (empty.n, empty["score_m"].shape) == (0, (0,))


def test_a_table_of_others_is_one_shard_and_its_other_columns_may_hold_anything(task, tmp_path):
    assert task.count(str(tmp_path / "other.npz")) is None
    other, full = scored(task, tmp_path / "other.npz"), scored(task, tmp_path / "full.parquet")
    np.testing.assert_array_equal(other["score_m"], full["score_m"])
    assert np.isnan(other["junk"]).all()
