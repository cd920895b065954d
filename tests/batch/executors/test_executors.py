"""Whoever computes the shards, in whatever order, the result is the same to the last bit."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import warnings
from collections import Counter

import numpy as np
import pytest
from helpers.batches import TASK, computed, dask_workers, fingerprint, lhe_files

from hepaa import io
from hepaa.batch import (
    Dask,
    FeatureTask,
    HistogramTask,
    LocalJobs,
    Processes,
    ScoreTask,
    executor,
    make_plan,
    merge,
    process,
    serial,
)
from hepaa.batch.executors.sites import Site, SiteExecutor
from hepaa.demo import path
from hepaa.errors import InputError
from hepaa.events import Sample
from hepaa.features.registry import features
from hepaa.table import EventTable


def array_jobs(items, function, accumulator):
    """Three jobs of an array by the command line, one after another."""
    for index in (2, 0, 1):
        command = ["batch", "shard", function.folder, "--index", str(index), "--of", "3"]
        subprocess.run([sys.executable, "-m", "hepaa.cli", *command], check=True, capture_output=True)
    return accumulator, 0


def shuffled(items, function, accumulator):
    """Any order."""
    items = list(items)
    random.Random(3).shuffle(items)
    return serial(items, function, accumulator)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("inputs")
    lhco = [str(path("dijet_wprime.h5"))]
    plan = make_plan([(TASK, lhe_files(folder, 5, 40))], folder=folder)
    jets = make_plan([(FeatureTask("dijet-hl", "W'", "signal", "Pythia 8"), lhco)], folder=folder, shard_events=60)
    return plan, jets


@pytest.fixture(scope="module")
def reference(inputs, tmp_path_factory):
    folder = tmp_path_factory.mktemp("serial")
    return [fingerprint(merge.table(process(plan, folder / str(i)))) for i, plan in enumerate(inputs)]


@pytest.mark.slow
def test_rows_are_those_of_reading_the_files_without_batches(inputs, tmp_path):
    plan, jets = inputs
    table = merge.table(process(plan, tmp_path))
    sample = Sample("ZH", "background", "Pythia 8")
    plain = features(io.iterate([s.path for s in plan.shards], sample=sample), "zh-paper")
    assert fingerprint(table) == fingerprint(plain)
    assert merge.tally(process(plan, tmp_path)).events == 200
    got = merge.table(process(jets, tmp_path))
    whole = features(io.open(jets.shards[0].path, sample=Sample("W'", "signal", "Pythia 8")), "dijet-hl")
    np.testing.assert_array_equal(got.X, whole.X)
    np.testing.assert_array_equal(got.event, whole.event)
    assert [(r.step, r.n) for r in got.cutflow] == [(r.step, r.n) for r in whole.cutflow]


@pytest.mark.parametrize(
    "chosen",
    [shuffled, Processes(2), LocalJobs(2), pytest.param(array_jobs, marks=pytest.mark.slow)],
    ids=lambda c: type(c).__name__,
)
def test_every_executor_gives_the_bits_of_serial(chosen, inputs, reference, tmp_path):
    outcome = process(inputs[0], tmp_path, chosen)
    assert fingerprint(merge.table(outcome)) == reference[0]
    assert sorted(computed(tmp_path)) == sorted(s.key for s in inputs[0].shards)
    assert outcome.computed == 5
    again = process(inputs[0], tmp_path, chosen if chosen is shuffled else serial)
    assert again.computed == 0
    assert len(computed(tmp_path)) == 5


@pytest.mark.parametrize("chosen", [shuffled, pytest.param(Processes(2), marks=pytest.mark.slow)])
def test_ranges_of_events_too(chosen, inputs, reference, tmp_path):
    assert len(inputs[1].shards) > 5
    assert fingerprint(merge.table(process(inputs[1], tmp_path, chosen))) == reference[1]


@pytest.mark.slow
def test_two_dask_workers_give_the_bits_of_serial(inputs, reference, tmp_path):
    with dask_workers(2) as (at, _):
        outcome = process(inputs[0], tmp_path, executor(f"dask://{at}"))
    assert fingerprint(merge.table(outcome)) == reference[0]
    assert {r["pid"] for r in outcome.receipts.values()}.isdisjoint({os.getpid()})


@pytest.mark.slow
def test_jobs_of_a_batch_system_give_the_bits_of_serial(inputs, reference, tmp_path):
    pytest.importorskip("dask_jobqueue")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tornado and dask close their sockets late
        outcome = process(inputs[0], tmp_path, SiteExecutor(Site("local", jobs=2)))
    assert fingerprint(merge.table(outcome)) == reference[0]
    assert {r["pid"] for r in outcome.receipts.values()}.isdisjoint({os.getpid()})


@pytest.mark.parametrize("name", ["IterativeExecutor", pytest.param("FuturesExecutor", marks=pytest.mark.slow)])
def test_executors_of_coffea_can_be_handed_in(name, inputs, reference, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        processor = pytest.importorskip("coffea.processor")
        chosen = getattr(processor, name)(**({"workers": 2} if name == "FuturesExecutor" else {}), status=False)
        outcome = process(inputs[0], tmp_path, chosen)
    assert fingerprint(merge.table(outcome)) == reference[0]


def double(x):
    return Counter({"sum": x, f"bin {x % 3}": 1})


@pytest.mark.parametrize("chosen", [serial, Processes(2)])
def test_the_contract_is_items_function_accumulator(chosen):
    got, lost = chosen(list(range(10)), double, Counter())
    assert (got, lost) == ({"sum": 45, "bin 0": 4, "bin 1": 3, "bin 2": 3}, 0)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [("serial", serial), ("processes:3", Processes(3)), ("local-jobs:4", LocalJobs(4)),
     ("dask://h:1", Dask("tcp://h:1"))],
)  # fmt: skip
def test_words_for_executors(text, wanted):
    assert executor(text) == wanted


@pytest.mark.parametrize("text", ["", "serail", "processes:x", "processes:0", "local-jobs:0", "slurm:speed=3"])
def test_wrong_words_for_executors(text):
    with pytest.raises(InputError):
        executor(text)


def scored_tables(folder):
    rng = np.random.default_rng(5)
    for i in range(4):
        n = 50 + i
        table = EventTable.build(
            rng.normal(size=(n, 2)), ["a", "b"], weight=rng.normal(1, 0.3, n), label=rng.integers(0, 2, n),
            process="ZH" if i % 2 else "ttbar", spectators={"score_x": rng.uniform(size=n)},
        )  # fmt: skip
        table.save(folder / f"part-{i}.parquet")
    return [str(folder / f"part-{i}.parquet") for i in range(4)]


def test_histograms_of_shards_are_those_of_all_rows(tmp_path):
    files = scored_tables(tmp_path)
    edges = (0.0, 0.2, 0.5, 1.0)
    plan = make_plan([(HistogramTask("score_x", edges), files)], folder=tmp_path, shard_events=20)
    assert len(plan.shards) == 4 * 3
    one = merge.counts(process(plan, tmp_path / "a"))
    two = merge.counts(process(plan, tmp_path / "b", Processes(2)))
    tables = [EventTable.load(f) for f in files]
    for (process_name, _, label), cell in one.items():
        mine = [(t, t.label == label) for t in tables if t.processes == (process_name,)]
        x = np.concatenate([t["score_x"][rows] for t, rows in mine])
        w = np.concatenate([t.weight[rows] for t, rows in mine])
        np.testing.assert_allclose(cell.value, np.histogram(x, edges, weights=w)[0], rtol=1e-12)
        np.testing.assert_allclose(cell.variance, np.histogram(x, edges, weights=w**2)[0], rtol=1e-12)
        np.testing.assert_array_equal(cell.events, np.histogram(x, edges)[0])
    assert one.keys() == two.keys()
    for name, cell in one.items():
        assert cell.value.tobytes() == two[name].value.tobytes()
        assert cell.variance.tobytes() == two[name].variance.tobytes()


def test_scores_of_shards_are_those_of_the_detector(tmp_path):
    from hepaa.detectors import VAE

    files = scored_tables(tmp_path)
    first = EventTable.load(files[0])
    model = VAE(hidden=(4,), latent=1, epochs=1, seed=0).fit(first.X)
    model.save(tmp_path / "m.safetensors")
    plan = make_plan([(ScoreTask.of({"v": tmp_path / "m.safetensors"}), files)], folder=tmp_path)
    table = merge.table(process(plan, tmp_path / "a"))
    wanted = np.concatenate([model.anomaly_score(EventTable.load(f).X) for f in files])
    np.testing.assert_allclose(table["score_v"], wanted, rtol=1e-6)
    model.set_params(seed=1).fit(first.X).save(tmp_path / "m.safetensors")
    other = make_plan([(ScoreTask.of({"v": tmp_path / "m.safetensors"}), files)], folder=tmp_path)
    assert {s.key for s in other.shards}.isdisjoint({s.key for s in plan.shards})
