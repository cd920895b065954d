"""Batches: two workers against one, what the engine costs, what 1e9 events cost, memory of a worker, and merging of
10,000 histograms.

Run with `pytest -m bench -s tests/benchmarks/bench_batch.py`. Results are checked equal before they are timed. Other
work on the machine spoils the first two numbers: two workers need two cores for themselves.
"""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
import time
from statistics import median

import numpy as np
import pytest

from hepaa import io
from hepaa.batch import FeatureTask, HistogramTask, Processes, Store, make_plan, merge, process, serial
from hepaa.demo import path
from hepaa.events import Sample
from hepaa.features.registry import features
from hepaa.io import files as file_hashes
from hepaa.table import EventTable

pytestmark = pytest.mark.bench
TASK = FeatureTask("zh-paper", process="ZH")
MB = 1_000_000


def lhe_files(folder, files, size):
    """LHE files of about `size` bytes each: the events of the embedded sample over and over."""
    text = gzip.decompress(path("zh_sm.lhe.gz").read_bytes()).decode()
    head, first, rest = text.partition("<event>")
    events = (first + rest).rpartition("</LesHouchesEvents>")[0]
    times, rest = divmod(size, len(events))
    part, end, _ = events[:rest].rpartition("</event>\n")
    body = events * times + part + end
    made = []
    for i in range(files):
        where = folder / f"{i:04d}.lhe"
        where.write_text(head + body + "</LesHouchesEvents>\n")
        made.append(str(where))
    return made


def seconds(action):
    start = time.perf_counter()
    result = action()
    return time.perf_counter() - start, result


def rate(folder, receipts):
    """Events per second from the end of every worker's first shard, in which it starts and loads its kernels, to the
    first moment at which a worker has no shard left."""
    stored = {}
    for line in Store(str(folder)).journal():
        if line["event"] == "stored":
            stored.setdefault(line["process"], []).append((line["time"], receipts[line["key"]]["events"]))
    begin, end = max(min(times)[0] for times in stored.values()), min(max(times)[0] for times in stored.values())
    return sum(n for times in stored.values() for t, n in times if begin < t <= end) / (end - begin)


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two cores")
def test_two_workers_against_one(tmp_path):
    plan = make_plan([(TASK, lhe_files(tmp_path, 160, 5 * MB))], folder=tmp_path)  # two seconds of work, or more
    size = sum(s.identity["size"] for s in plan.shards)
    process(plan, tmp_path / "warm", Processes(2))
    taken, rates = {1: [], 2: []}, {1: [], 2: []}
    for attempt in range(5):
        for workers in (1, 2):
            folder = tmp_path / f"{workers}-{attempt}"
            t, outcome = seconds(lambda folder=folder, workers=workers: process(plan, folder, Processes(workers)))
            taken[workers].append(t)
            rates[workers].append(rate(folder, outcome.receipts))
            assert outcome.computed == 160
    ratio = median(rates[2]) / median(rates[1])
    print(
        f"\n{size / MB:.0f} MB of LHE in 160 files: one worker {median(rates[1]):.0f} events/s, two "
        f"{median(rates[2]):.0f} events/s: {ratio:.2f}x (at least 1.8x); with their start {median(taken[1]):.2f} s and "
        f"{median(taken[2]):.2f} s"
    )
    assert size > 780 * MB
    assert ratio >= 1.8


def overhead(folder, shards, size):
    """Wall and CPU seconds without and with the engine, for files of `size` bytes, and events in a file.

    Both read every file twice, once for its SHA-256, and leave the rows on the disk; medians of three turns of each.
    """
    (one,) = lhe_files(folder, 1, size)
    links = folder / "links"
    links.mkdir()
    for i in range(shards):
        os.link(one, links / f"{i:03d}.lhe")  # a name of its own, so that no reader takes it for a file it has hashed
    pattern, sample = str(links / "*.lhe"), Sample("ZH")
    taken = {"plainly": [], "batch": []}
    for attempt in range(4):  # the first one warms up
        where = folder / str(attempt)
        where.mkdir()

        def plainly(where=where):
            features(io.iterate(pattern, sample=sample), "zh-paper").save(where / "plain.parquet")

        def batch(where=where):
            outcome = process(make_plan([(TASK, [pattern])], folder=where), where, serial)
            assert outcome.computed == shards
            merge.write_parts(outcome, where / "parts")

        for name, action in (("plainly", plainly), ("batch", batch)):
            file_hashes._sha256.cache_clear()
            file_hashes._REMEMBERED.clear()
            taken[name].append(cpu(action))
    parts = [EventTable.load(p).X for p in sorted((folder / "0" / "parts").glob("part-*"))]
    np.testing.assert_array_equal(EventTable.load(folder / "0" / "plain.parquet").X, np.concatenate(parts))
    return *(np.median(taken[k][1:], axis=0) for k in ("plainly", "batch")), len(parts[0])


def tell(shards, size, plain, engine, events):
    more = 1000 * (engine - plain) / shards
    percent = 100 * (engine / plain - 1)
    print(
        f"\n{shards} files of {size / MB:g} MB ({events} events): plainly {plain[0]:.2f} s ({plain[1]:.2f} CPU), in "
        f"batches {engine[0]:.2f} s ({engine[1]:.2f} CPU): {percent[0]:+.1f} % ({percent[1]:+.1f} % CPU), "
        f"{more[0]:.1f} ms a shard ({more[1]:.1f} CPU)"
    )


def test_the_engine_costs_little_with_200_shards(tmp_path):
    """Files of 10,000 events, as generators write them: at most 6 % of CPU time."""
    plain, engine, events = overhead(tmp_path, 200, 10 * MB)
    tell(200, 10 * MB, plain, engine, events)
    assert engine[1] <= 1.06 * plain[1]


@pytest.mark.parametrize(("megabytes", "bar"), [(1, 1.15), (2, 1.15), (5, None), (20, None)])
def test_the_engine_by_size_of_file(tmp_path, megabytes, bar):
    """What smaller and larger files cost in CPU time: at most 15 % with files of 1 and 2 MB."""
    plain, engine, events = overhead(tmp_path, 100, megabytes * MB)
    tell(100, megabytes * MB, plain, engine, events)
    assert bar is None or engine[1] <= bar * plain[1]


def cpu(action):
    start, used = time.perf_counter(), time.process_time()
    action()
    return time.perf_counter() - start, time.process_time() - used


@pytest.mark.parametrize(
    ("name", "feature_set", "files"),
    [("zh/zh_sm.lhe.gz", "zh-paper", 10), ("lhco/events_anomalydetection_tiny.h5", "dijet-hl", 4)],
)
def test_what_a_billion_events_cost(data, tmp_path, name, feature_set, files):
    """Events in a second of CPU time of one core, engine and all, and bytes of rows, for the numbers in the guide."""
    original = data / name
    suffix = "".join(original.suffixes)
    for i in range(files):
        (tmp_path / f"{i:02d}{suffix}").write_bytes(original.read_bytes())
    rates, alone = [], []
    for attempt in range(4):  # the first one compiles
        where = tmp_path / f"batch-{attempt}"

        def batch(where=where):
            where.mkdir()
            plan = make_plan([(FeatureTask(feature_set), [str(tmp_path / f"*{suffix}")])], folder=where)
            outcome = process(plan, where, serial)
            merge.write_parts(outcome, where / "parts")
            return merge.tally(outcome).events

        (_, used), n = counted(batch)
        rates.append(n / used)
        (_, used), n = counted(lambda: sum(features(e, feature_set).cutflow[0].n for e in io.iterate(str(original))))
        alone.append(n / used)
    rows = sum(p.stat().st_size for p in (tmp_path / "batch-0" / "parts").glob("*.parquet"))
    rate, events = median(rates[1:]), n * files
    print(
        f"\n{name}, {feature_set}: {rate:.0f} events in a core second ({min(rates[1:]):.0f} .. {max(rates[1:]):.0f}; "
        f"{median(alone[1:]):.0f} without the engine): {1e9 / rate / 3600:.2f} core hours and {rows / events:.0f} GB "
        "for 1e9 events"
    )
    assert rate >= 0.8 * median(alone[1:])


def counted(action):
    """Wall and CPU seconds, and the result."""
    found = []
    return cpu(lambda: found.append(action())), found[0]


MEASURE = """
import sys
from pathlib import Path
from hepaa.batch import Plan
from hepaa.batch.work import Work
if __name__ == "__main__":
    folder = Path(sys.argv[1])
    plan = Plan.load(folder / "plan.json")
    work = Work(str(folder), Plan(plan.tasks, (), plan.versions))
    for shard in plan.shards:
        assert "error" not in work((shard,))[shard.key]
    status = Path('/proc/self/status').read_text()  # ru_maxrss would start from that of the parent
    print(status.partition('VmHWM:')[2].split()[0])
"""


def test_memory_of_a_worker_is_flat(tmp_path):
    (one,) = lhe_files(tmp_path, 1, MB)
    script = tmp_path / "measure.py"
    script.write_text(MEASURE)
    peak = {}
    for files in (10, 1000):
        folder = tmp_path / str(files)
        folder.mkdir()
        for i in range(files):
            (folder / f"{i:04d}.lhe").symlink_to(one)
        plan = make_plan([(TASK, [str(folder / "*.lhe")])], folder=folder)
        Store(str(folder)).create()
        plan.save(folder / "plan.json")
        root = str(io.__file__).rpartition("/hepaa/")[0]
        run = subprocess.run(
            [sys.executable, str(script), str(folder)], capture_output=True, text=True, check=True,
            env={**os.environ, "PYTHONPATH": root},
        )  # fmt: skip
        peak[files] = int(run.stdout) / 1024
        assert len(Store(str(folder)).keys()) == files
    print(f"\npeak memory of a worker: {peak[10]:.0f} MB after 10 files, {peak[1000]:.0f} MB after 1000 (at most +5 %)")
    assert peak[1000] <= 1.05 * peak[10]


def test_merging_ten_thousand_histograms(tmp_path):
    rng = np.random.default_rng(0)
    n = 10_000
    table = EventTable.build(
        rng.normal(size=(n, 1)), ["x"], weight=rng.normal(1, 0.1, n), label=rng.integers(0, 2, n),
        spectators={"score_x": rng.uniform(size=n)},
    )  # fmt: skip
    table.save(tmp_path / "t.parquet")
    edges = tuple(np.linspace(0, 1, 51))
    plan = make_plan([(HistogramTask("score_x", edges), [str(tmp_path / "t.parquet")])], folder=tmp_path)
    first = process(plan, tmp_path)
    (_, receipt) = first.of_task(0)[0]
    from dataclasses import replace

    store = Store(str(tmp_path))
    shards = []
    for i in range(n):
        other = f"{i % 256:02x}{i:062x}"
        store.put(other, {name: value for name, value in receipt.items() if name != "key"}, None)
        shards.append(replace(plan.shards[0], key=other))
    replace(plan, shards=tuple(shards)).save(tmp_path / "plan.json")
    from hepaa.batch.engine import collect

    t, cells = seconds(lambda: merge.counts(collect(tmp_path)))
    (one,) = [c for c in receipt["result"]["counts"] if c["label"] == 1]
    np.testing.assert_array_equal(cells["unknown", "unknown", 1].events, n * np.array(one["events"]))
    assert len(store.keys()) == n + 1
    print(f"\nmerge of 10,000 partial histograms of 50 bins: {t:.2f} s (at most 5)")
    assert t <= 5
