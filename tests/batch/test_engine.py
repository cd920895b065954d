"""What goes wrong on a grid: the final result equals that of an undisturbed run, and nothing is done twice."""

from __future__ import annotations

import gzip
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import pytest
from click.testing import CliRunner
from helpers.batches import TASK, computed, dask_workers, fingerprint, lhe_files

from hepaa.batch import Dask, FeatureTask, LocalJobs, Processes, Store, keys, make_plan, merge, process, serial
from hepaa.batch.engine import collect
from hepaa.batch.status import status, work_on_share
from hepaa.cli import main
from hepaa.errors import IncompleteError, InputError
from hepaa.table import EventTable


def undisturbed(plan, folder):
    return fingerprint(merge.table(process(plan, folder)))


def children(pid):
    return [int(p) for p in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def workers_of(pid, word=b"spawn_main"):
    """Processes of our pool: not the resource tracker, nor the executors' other helpers."""
    workers = []
    for child in children(pid):
        try:
            if word in Path(f"/proc/{child}/cmdline").read_bytes():
                workers.append(child)
        except FileNotFoundError:
            continue
    return workers


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1])
def test_twenty_workers_killed_at_random_moments(tmp_path, seed):
    plan = make_plan([(TASK, lhe_files(tmp_path, 200, 25))], folder=tmp_path)
    reference = undisturbed(plan, tmp_path / "reference")
    rng, killed, done = random.Random(seed), [], threading.Event()

    def kill():
        while len(killed) < 25 and not done.is_set():
            time.sleep(rng.uniform(0.1, 1.5))
            victims = workers_of(os.getpid())
            if victims:
                victim = rng.choice(victims)
                os.kill(victim, signal.SIGKILL)
                killed.append(victim)

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        outcome = process(plan, tmp_path / "batch", Processes(2), retries=40, pause_s=0)
        while len(killed) < 20:  # not enough yet: go on until they are
            for path in (tmp_path / "batch" / "results").glob("*/*"):
                path.unlink()
            outcome = process(plan, tmp_path / "batch", Processes(2), retries=40, pause_s=0)
    finally:
        done.set()
        killer.join()
    assert len(killed) >= 20
    assert outcome.missing == ()
    assert fingerprint(merge.table(outcome)) == reference


@pytest.mark.slow
def test_workers_of_a_job_array_killed_at_random_moments(tmp_path):
    plan = make_plan([(TASK, lhe_files(tmp_path, 40, 25))], folder=tmp_path)
    reference = undisturbed(plan, tmp_path / "reference")
    rng, killed, done = random.Random(7), [], threading.Event()

    def kill():
        while len(killed) < 5 and not done.is_set():
            time.sleep(rng.uniform(0.3, 1.2))  # a job takes about 2 s
            victims = workers_of(os.getpid(), b"hepaa.cli")
            if victims:
                os.kill(rng.choice(victims), signal.SIGKILL)
                killed.append(victims)

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        outcome = process(plan, tmp_path / "batch", LocalJobs(2), retries=20, pause_s=0)
    finally:
        done.set()
        killer.join()
    assert killed
    assert fingerprint(merge.table(outcome)) == reference
    assert max(Counter(computed(tmp_path / "batch")).values()) == 1


def alive(pid):
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def driver(plan_folder, folder):
    """A driver of its own: two worker processes on the plan of a folder."""
    code = (
        "import sys\nfrom pathlib import Path\nfrom hepaa.batch import Plan, Processes, process\n"
        "if __name__ == '__main__':\n"
        f"    process(Plan.load(Path({str(plan_folder)!r}) / 'plan.json'), Path({str(folder)!r}), Processes(2))\n"
    )
    script = Path(plan_folder) / "driver.py"
    script.write_text(code)
    return subprocess.Popen([sys.executable, str(script)], cwd=Path(__file__).parents[2], stderr=subprocess.DEVNULL)


def wait_for_results(folder, n, limit_s=120):
    end = time.monotonic() + limit_s
    while len(Store(str(folder)).keys()) < n:
        assert time.monotonic() < end, "the driver stores nothing"
        time.sleep(0.02)


@pytest.mark.slow
def test_a_killed_driver_goes_on_where_it_was(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    plan = make_plan([(TASK, lhe_files(tmp_path, 200, 25))], folder=tmp_path)
    plan.save(tmp_path / "plan.json")
    reference = undisturbed(plan, tmp_path / "reference")
    first = driver(tmp_path, tmp_path / "batch")
    wait_for_results(tmp_path / "batch", 5)
    orphans = workers_of(first.pid)
    first.kill()
    first.wait()
    before = Store(str(tmp_path / "batch")).keys()
    assert 5 <= len(before) < 200
    end = time.monotonic() + 20
    while any(alive(orphan) for orphan in orphans):
        assert time.monotonic() < end, "workers outlive their driver"
        time.sleep(0.05)
    outcome = process(plan, tmp_path / "batch", Processes(2))
    assert fingerprint(merge.table(outcome)) == reference
    times = Counter(computed(tmp_path / "batch"))
    assert set(times) == {s.key for s in plan.shards}
    assert max(times.values()) == 1


def test_sigterm_of_a_time_limit_keeps_what_is_stored(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    files = lhe_files(tmp_path, 250, 20)
    out = tmp_path / "t.parquet"
    words = ["features", *files, "--set", "zh-paper", "--executor", "processes:1", "-o", str(out)]
    one_by_one = "from hepaa.batch import shard; shard.GROUP_BYTES = 1; from hepaa.cli import main; main()"
    job = subprocess.Popen([sys.executable, "-c", one_by_one, *words], stderr=subprocess.PIPE, text=True)
    wait_for_results(tmp_path / "t.parquet.batch", 3)
    job.terminate()
    _, said = job.communicate(timeout=60)
    assert job.returncode == 3
    assert "stopped by SIGTERM" in said
    assert "run the same command again" in said
    assert not out.exists()
    stored = len(Store(f"{out}.batch").keys())
    assert 3 <= stored < 250
    assert CliRunner().invoke(main, words, catch_exceptions=False).exit_code == 0
    assert max(Counter(computed(f"{out}.batch")).values()) == 1
    assert len(Store(f"{out}.batch").keys()) == 250
    assert len(computed(f"{out}.batch")) >= 249  # a worker may be stopped between a result and its line in the journal


def test_a_truncated_and_an_unreadable_file_are_listed_and_end_with_3(tmp_path):
    files = lhe_files(tmp_path, 5, 20)
    out = tmp_path / "t.parquet"
    words = ["features", *files, "--set", "zh-paper", "--executor", "serial", "--retries", "1", "-o", str(out)]
    whole = Path(files[1]).read_text()
    Path(files[1]).write_text(whole[: len(whole) // 2])
    before = Path(files[3]).read_bytes()
    Path(files[3]).write_bytes(gzip.compress(before)[:3000])
    said = CliRunner().invoke(main, words)
    assert said.exit_code == 3
    assert "2 of 5 shards are missing, so there is no result" in said.stderr
    assert not out.exists()
    listed = json.loads((tmp_path / "t.parquet.batch" / "failed.json").read_text())
    assert [s["path"] for s in listed["shards"]] == [files[1], files[3]]
    assert listed["shards"][0]["attempts"] == 2
    assert 5 < listed["shards"][0]["good_events"] < 20
    assert "the file ends in the middle" in listed["shards"][0]["reason"]
    assert CliRunner().invoke(main, [*words, "--allow-missing", "1"]).exit_code == 3
    allowed = CliRunner().invoke(main, [*words, "--allow-missing", "2"])
    assert allowed.exit_code == 0
    assert "2 shards are missing" in allowed.stderr
    assert "t.parquet: 60 events" in allowed.output
    assert len(json.loads((tmp_path / "t.parquet.missing.json").read_text())["shards"]) == 2
    # mended, the result is whole, what was done is not done again, and nothing speaks of failures any more
    Path(files[1]).write_text(whole)
    Path(files[3]).write_bytes(before)
    assert "t.parquet: 100 events" in CliRunner().invoke(main, words).output
    assert len(computed(f"{out}.batch")) == 5
    assert not (tmp_path / "t.parquet.missing.json").exists()
    assert not (tmp_path / "t.parquet.batch" / "failed.json").exists()


def test_small_files_are_computed_together_and_a_bad_one_loses_only_itself(tmp_path):
    files = lhe_files(tmp_path, 6, 20)
    whole = Path(files[2]).read_text()
    plan = make_plan([(TASK, files)], folder=tmp_path)
    reference = fingerprint(merge.table(process(plan, tmp_path / "one", Processes(1), pause_s=0)))
    asked = []

    def counting(items, function, accumulator):
        asked.append([len(group) for group in items])
        return serial(items, function, accumulator)

    counting.workers = 1
    Path(files[2]).write_text(whole[: len(whole) // 2])
    folder = tmp_path / "batch"
    with pytest.raises(IncompleteError, match=r"1 of 6 shards are missing.*events-002\.lhe: .*the file ends in"):
        process(make_plan([(TASK, files)], folder=tmp_path), folder, counting, retries=1, pause_s=0)
    assert asked == [[6], [1]]
    assert len(list((folder / "results").glob("*/*"))) == 2  # one table and one list of receipts
    merge.write_parts(collect(folder, allow_missing=1), tmp_path / "parts")
    assert EventTable.load(tmp_path / "parts" / "part-00000.parquet").n == 100
    Path(files[2]).write_text(whole)
    plan = make_plan([(TASK, files)], folder=tmp_path)
    outcome = process(plan, folder, counting)
    assert outcome.computed == 1
    assert max(Counter(computed(folder)).values()) == 1
    assert fingerprint(merge.table(outcome)) == reference
    assert fingerprint(merge.table(process(plan, tmp_path / "two", Processes(2)))) == reference
    merge.write_parts(outcome, tmp_path / "parts")  # of two files of the store
    assert [p.name for p in (tmp_path / "parts").glob("*.parquet")] == ["part-00000.parquet"]
    assert EventTable.load(tmp_path / "parts" / "part-00000.parquet").n == 120


def test_a_file_truncated_between_runs_is_never_taken_from_the_store(tmp_path):
    files = lhe_files(tmp_path, 4, 20)
    reference = undisturbed(make_plan([(TASK, files)], folder=tmp_path), tmp_path / "batch")
    whole = Path(files[2]).read_text()
    Path(files[2]).write_text(whole[:-3000])
    with pytest.raises(IncompleteError, match=r"1 of 4 shards are missing.*events-002\.lhe"):
        process(make_plan([(TASK, files)], folder=tmp_path), tmp_path / "batch", retries=0)
    Path(files[2]).write_text(whole)
    again = process(make_plan([(TASK, files)], folder=tmp_path), tmp_path / "batch")
    assert again.computed == 0
    assert fingerprint(merge.table(again)) == reference
    assert len(computed(tmp_path / "batch")) == 4


def test_a_file_that_changes_under_the_plan_is_refused(tmp_path):
    files = lhe_files(tmp_path, 2, 5)
    plan = make_plan([(TASK, files)], folder=tmp_path)
    Path(files[0]).write_text(Path(files[0]).read_text() + "\n")
    with pytest.raises(IncompleteError, match="has changed since the plan was made"):
        process(plan, tmp_path / "batch", retries=0)


@pytest.fixture
def small_disk(tmp_path):
    """A filesystem of 100 kB."""
    where = tmp_path / "disk"
    where.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=100k", "tmpfs", str(where)]
    made = subprocess.run(command, check=False, capture_output=True)
    if made.returncode:
        pytest.skip("a small filesystem can be mounted by root only")
    yield where
    subprocess.run(["umount", "-l", str(where)], check=True)


@pytest.mark.parametrize(
    "chosen", [serial, pytest.param(Processes(2), marks=pytest.mark.slow)], ids=["serial", "processes"]
)
def test_a_full_disk(small_disk, tmp_path, chosen):
    plan = make_plan([(TASK, lhe_files(tmp_path, 30, 50))], folder=tmp_path)
    reference = undisturbed(plan, tmp_path / "reference")
    with pytest.raises(IncompleteError, match=r"of 30 shards are missing.*No space left on device"):
        process(plan, small_disk / "batch", chosen, retries=1, pause_s=0)
    stored = Store(str(small_disk / "batch")).keys()
    assert 0 < len(stored) < 30
    subprocess.run(["mount", "-o", "remount,size=20m", str(small_disk)], check=True)
    outcome = process(plan, small_disk / "batch", chosen, pause_s=0)
    assert outcome.computed == 30 - len(stored)
    assert fingerprint(merge.table(outcome)) == reference


def test_a_node_with_other_versions_is_refused(tmp_path, monkeypatch):
    plan = make_plan([(TASK, lhe_files(tmp_path, 2, 5))], folder=tmp_path)
    monkeypatch.setattr(keys, "versions", lambda: {**plan.versions, "awkward": "1.0"})
    with pytest.raises(
        IncompleteError, match=r"other versions than the machine that made the plan \(awkward 1\.0 here"
    ):
        process(plan, tmp_path / "batch", retries=0)
    assert Store(str(tmp_path / "batch")).keys() == set()


def test_an_executor_that_loses_everything_ends_in_an_error(tmp_path):
    plan = make_plan([(TASK, lhe_files(tmp_path, 3, 5))], folder=tmp_path)

    def broken(items, function, accumulator):
        raise ConnectionError("the site is down")

    with pytest.raises(IncompleteError, match=r"3 of 3 shards .*the site is down"):
        process(plan, tmp_path / "batch", broken, retries=1, pause_s=0)
    calls = []

    def lossy(items, function, accumulator):
        calls.append(len(items))
        return serial(items[:1], function, accumulator)[0], IncompleteError("a worker died")

    outcome = process(plan, tmp_path / "batch", lossy, retries=3, pause_s=0)
    assert (outcome.computed, calls) == (3, [3, 2, 1])


@pytest.mark.slow
def test_a_scheduler_that_dies(tmp_path):
    plan = make_plan([(TASK, lhe_files(tmp_path, 150, 20))], folder=tmp_path)
    with dask_workers(1) as (at, started):
        folder = tmp_path / "batch"

        def kill():
            try:
                wait_for_results(folder, 3)
            finally:
                started[0].kill()

        folder.mkdir()
        killer = threading.Thread(target=kill)
        killer.start()
        with pytest.raises(IncompleteError, match="of 150 shards are missing"):
            process(plan, folder, Dask(f"tcp://{at}", timeout_s=8), retries=0, pause_s=0)
        killer.join()
    outcome = process(plan, folder)
    assert outcome.computed < 148
    assert max(Counter(computed(folder)).values()) == 1
    assert fingerprint(merge.table(outcome)) == undisturbed(plan, tmp_path / "reference")


def test_status_and_shares(tmp_path):
    files = lhe_files(tmp_path, 6, 5)
    plan = make_plan([(TASK, files)], folder=tmp_path)
    Store(str(tmp_path)).create()
    plan.save(tmp_path / "plan.json")
    assert work_on_share(tmp_path, 1, 3) == 2
    found = status(tmp_path)
    assert (found.stored, found.shards, found.files_stored, found.events) == (2, 6, 2, 10)
    assert found.left_s > 0
    assert found.events_per_s > 0
    Store(str(tmp_path)).note("began", plan.shards[0].key, shard=plan.shards[0].describe())
    assert status(tmp_path).working == (files[0],)
    with pytest.raises(InputError, match="--index 3 is not in"):
        work_on_share(tmp_path, 3, 3)
    Path(files[2]).write_text("nothing")
    with pytest.raises(IncompleteError, match=r"1 of 2 shards of share 2 .*events-002"):
        work_on_share(tmp_path, 2, 3, retries=0)


def test_a_batch_without_one_readable_file_is_an_error_of_the_user(tmp_path):
    missing = [str(tmp_path / "a.lhe"), str(tmp_path / "b.lhe")]
    with pytest.raises(InputError, match=r"a\.lhe: cannot be read"):
        make_plan([(TASK, missing)], folder=tmp_path)
    plan = make_plan([(TASK, [*lhe_files(tmp_path, 1, 5), missing[0]])], folder=tmp_path)
    with pytest.raises(IncompleteError, match=r"1 of 2 shards.*a\.lhe: cannot be read \(No such file"):
        process(plan, tmp_path / "batch", retries=0)


def test_a_task_that_cannot_be_done_is_said_at_once(tmp_path):
    with pytest.raises(InputError, match="there is no feature set 'zhpaper'"):
        make_plan([(FeatureTask("zhpaper"), lhe_files(tmp_path, 1, 2))], folder=tmp_path)
