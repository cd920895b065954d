"""Productions of a few events: killed and resumed, they are the same files; numbers of blocks add up."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import awkward as ak
import numpy as np
import pytest

import hepaa
from hepaa.batch.executors.local import serial
from hepaa.batch.runs import BatchSetup
from hepaa.errors import IncompleteError, InputError
from hepaa.simulate.processes import WPrime
from hepaa.simulate.production import CrossSection, produce
from hepaa.simulate.tasks import DetectedTask, PartonTask, RecordTask
from hepaa.table import EventTable

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def pythia_is_there() -> None:
    pytest.importorskip("pythia8mc")


def interrupted(items, function, accumulator):
    """An executor that does one block and dies."""
    accumulator += function(items[0])
    raise KeyboardInterrupt


def wprime(folder: Path) -> DetectedTask:
    return DetectedTask.of(
        WPrime(), folder=str(folder), seed=5, block=2, detector="lhco-like", jet_pt_min=1200.0, raw=True
    )  # fmt: skip


def test_a_production_that_was_killed_goes_on_to_the_same_files(tmp_path: Path) -> None:
    store = tmp_path / "store"
    with pytest.raises(KeyboardInterrupt):
        produce(wprime(store), 5, BatchSetup(store, interrupted), tmp_path / "out")
    first = {p: p.stat().st_mtime_ns for p in store.glob("results/*/*") if p.suffix != ".jsonl"}
    assert len(first) == 3
    total, out = produce(wprime(store), 5, BatchSetup(store, serial), tmp_path / "out")
    assert {p: p.stat().st_mtime_ns for p in first} == first
    produce(wprime(tmp_path / "other"), 5, BatchSetup(tmp_path / "other", serial), tmp_path / "whole")
    whole = tmp_path / "whole"
    assert (out / "features.parquet").read_bytes() == (whole / "features.parquet").read_bytes()
    np.testing.assert_array_equal(raw(out), raw(whole))
    # other commands read what it wrote, and find the same features
    events = hepaa.open(str(out / "events.h5"))
    table = EventTable.load(out / "features.parquet")
    np.testing.assert_array_equal(hepaa.features(events, "dijet").X, table.X)
    assert table.event.tolist() == [0, 1, 2, 3, 4]
    assert set(table.label) == {1}
    assert np.hypot(table["pxj1"], table["pyj1"]).min() > 1199
    summary = json.loads((out / "summary.json").read_text())
    assert summary["kept"] == total.kept == 5
    assert summary["tried"] == total.tried >= total.passed >= 5
    assert 0 < total.error_pb < total.value_pb < 0.04
    # an earlier result is not replaced unasked
    with pytest.raises(InputError, match="exists already"):
        produce(wprime(store), 5, BatchSetup(store, serial), out)


def raw(folder: Path) -> np.ndarray:
    particles = hepaa.open(str(folder / "events.h5")).particles
    return np.stack([ak.to_numpy(ak.flatten(particles[c])) for c in ("pt", "eta", "phi")])


def test_cross_sections_of_blocks_are_averaged_by_their_events() -> None:
    block = {"kept": 10, "passed": 11, "tried": 100, "cross_section_pb": 1.0, "error_pb": 0.1}
    total = CrossSection.of([block, {**block, "tried": 300, "cross_section_pb": 2.0}])
    assert (total.kept, total.passed, total.tried) == (20, 22, 400)
    assert total.value_pb == pytest.approx(1.75)
    assert total.error_pb == pytest.approx(np.hypot(10, 30) / 400)


def test_zh_is_an_lhe_file_with_weights_whose_mean_is_the_cross_section(tmp_path: Path) -> None:
    task = PartonTask(folder=str(tmp_path / "store"), name="zh", seed=1, block=20)
    total, out = produce(task, 30, BatchSetup(tmp_path / "store", serial), tmp_path / "out")
    events = hepaa.open(str(out / "zh.lhe.gz"))
    assert events.n == 30
    np.testing.assert_allclose(events.weight, total.value_pb, rtol=1e-6)
    assert {"sm", "chw_p1"} <= set(events.weights)
    assert total.value_pb == pytest.approx(0.0217, rel=0.3)


def test_records_are_whole_events_of_hepmc(tmp_path: Path) -> None:
    pyhepmc = pytest.importorskip("pyhepmc")
    settings = WPrime().settings()
    task = RecordTask(folder=str(tmp_path / "store"), name="wprime", seed=1, block=2, settings=settings)
    _, out = produce(task, 3, BatchSetup(tmp_path / "store", serial), tmp_path / "out")
    numbers = []
    for path in sorted(out.glob("*.hepmc3.gz")):
        with pyhepmc.open(str(path)) as file:
            for event in file:
                numbers.append(event.event_number)
                final = [p for p in event.particles if p.status == 1]
                assert all(p.end_vertex is None for p in final)
                assert all(p.end_vertex is not None for p in event.particles if p.status != 1)
                assert sum(p.momentum.e for p in final) == pytest.approx(13000, rel=1e-6)
                assert [p.pid for p in event.beams] == [2212, 2212]
                assert 34 in {abs(p.pid) for p in event.particles}
    assert numbers == [0, 1, 2]


def test_a_block_that_fails_is_told_and_nothing_is_written(tmp_path: Path) -> None:
    task = RecordTask(folder=str(tmp_path / "store"), name="x", seed=1, block=2, settings=("No:such = 1",))
    setup = BatchSetup(tmp_path / "store", serial, retries=0)
    with pytest.raises(IncompleteError, match="refuses the setting 'No:such = 1'"):
        produce(task, 2, setup, tmp_path / "out")
    assert not (tmp_path / "out").exists()
