"""Batches on a real Slurm: equal bits whatever goes wrong there, nothing computed twice, nothing lost."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import yaml
from helpers import held
from helpers.batches import computed, fingerprint, lhe_files
from helpers.search_cards import write_card
from helpers.services import wait_until

from hepaa import demo
from hepaa.table import EventTable

pytestmark = pytest.mark.grid

FILES = 12
SLURM = "slurm:jobs=2,memory=1GB,walltime=00:05:00,queue=short"
ENDED = "BOOT_FAIL,CANCELLED,COMPLETED,DEADLINE,FAILED,NODE_FAIL,OUT_OF_MEMORY,PREEMPTED,TIMEOUT"


def start(*words):
    """A command of hepaa as typed, running."""
    return subprocess.Popen(
        [sys.executable, "-m", "hepaa.cli", *map(str, words)],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def hepaa(*words, code=0):
    """What a command of hepaa says."""
    command = start(*words)
    said, _ = command.communicate(timeout=400)
    assert command.returncode == code, said
    return said


@pytest.fixture(scope="module")
def card(tmp_path_factory):
    """A card that reads a dozen files."""
    folder = tmp_path_factory.mktemp("card")
    content = {
        "name": "small", "output": str(folder / "run"), "luminosity_fb": 300,
        "samples": [
            {"process": "SM", "role": "background", "files": lhe_files(folder, FILES, 300)},
            {"process": "O_HW", "role": "signal", "files": ["demo:zh_chw.lhe.gz"], "max_events": 500},
        ],
        "features": {"set": "zh-paper"},
        "detectors": [{"detector": "SumOfSquares"}],
    }  # fmt: skip
    where = folder / "card.yaml"
    where.write_text(yaml.safe_dump(content))
    return where


@pytest.fixture(scope="module")
def expected(card, tmp_path_factory):
    """Every bit of the features, made here one file after another."""
    work = tmp_path_factory.mktemp("serial")
    hepaa("batch", "plan", card, "--work", work)
    hepaa("batch", "shard", work, "--index", 0, "--of", 1)
    return merged(work)


def merged(work):
    hepaa("batch", "merge", work, "--output", work / "all.parquet")
    return fingerprint(EventTable.load(work / "all.parquet"))


def submit(card, work, *words, limits=("--memory", "1GB", "--walltime", "00:05:00")):
    """Submit the card as an array job of two; the number of the job."""
    said = hepaa("batch", "submit", card, "--site", "slurm", "--jobs", 2, "--queue", "short", "--array", "--work", work,
                 *limits, *words)  # fmt: skip
    assert f"2 jobs for {FILES} shards" in said
    return said.split()[1].rstrip(":")


@pytest.fixture
def hold(tmp_path):
    """A file: while it is there, jobs that `held` runs stay in the middle of their second shard."""
    (tmp_path / "hold").touch()
    return tmp_path / "hold"


def submit_held(card, work, hold):
    """Submit an array job, and wait until both of its jobs have stored one shard and hold at the next."""
    program = shutil.copy(held.__file__, hold.parent)
    number = submit(card, work, "--python", f"{sys.executable} {program}")
    wait_until(lambda: len(computed(work)) == 2, "each job has stored a shard", 120)
    return number


def wait_for(slurm, number):
    wait_until(lambda: len(slurm("squeue", "--noheader", "--array", f"--jobs={number}", f"--states={ENDED}",
                                 "--format=%i").split()) == 2, f"array job {number} ended", 240)  # fmt: skip


def assert_whole(work, expected):
    """All is there, and was computed once."""
    assert f"{FILES} of {FILES} stored" in hepaa("batch", "status", work)
    assert merged(work) == expected
    assert Counter(computed(work)) == dict.fromkeys(set(computed(work)), 1)
    assert len(computed(work)) == FILES


def test_workers_in_jobs_give_equal_bits_and_leave_their_logs_with_the_batch(slurm, card, tmp_path):
    for place in ("here", "there"):
        words = ["--executor", SLURM] if place == "there" else []
        hepaa("run", card, "-o", tmp_path / place, "--work", tmp_path / f"{place}.work", *words)
    here, there = (fingerprint(EventTable.load(tmp_path / p / "scores.parquet")) for p in ("here", "there"))
    assert here == there
    assert list((tmp_path / "there.work" / "jobs").glob("*.out"))
    assert len(computed(tmp_path / "there.work")) == FILES


def test_scores_histograms_and_the_toys_of_a_search_on_slurm(slurm, card, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    fileset = {
        "SM": {"files": sorted(map(str, card.parent.glob("*.lhe")))},
        "O_HW": {"files": [str(demo.path("zh_chw.lhe.gz"))], "metadata": {"role": "signal"}},
    }
    Path("fs.json").write_text(json.dumps(fileset))
    hepaa("features", "fs.json", "--set", "zh-paper", "-o", "parts")
    hepaa("train", "parts/part-00000.parquet", "--detector", "VAE", "--option", "epochs=1", "-o", "v.safetensors")
    hepaa("score", "v.safetensors", "parts", "-o", "validation.parquet", "--executor", "serial")
    write_card(tmp_path)
    for place, words in (("here", ["--executor", "serial"]), ("there", ["--executor", SLURM])):
        hepaa("score", "v.safetensors", "parts", "-o", f"{place}-scored", *words)
        hepaa("hist", "here-scored", "--validation", "validation.parquet", "--score", "v", "--luminosity-fb", 300,
              "-o", f"{place}-hist", *words)  # fmt: skip
        hepaa("search", "card.yaml", "-o", f"{place}-search", *words)
    here, there = (sorted(Path(f"{place}-scored").glob("part-*")) for place in ("here", "there"))
    assert [fingerprint(EventTable.load(f)) for f in here] == [fingerprint(EventTable.load(f)) for f in there]
    results = {p: json.loads(Path(p, "results.json").read_text()) for p in ("here-hist", "there-hist")}
    assert results["here-hist"] == results["there-hist"]
    one, two = (json.loads(Path(f"{place}-search", "results.json").read_text()) for place in ("here", "there"))
    assert one["resonant"] == two["resonant"]


def test_an_array_job_and_its_state_in_the_queue(slurm, card, expected, tmp_path):
    slurm.node("down")
    try:
        number = submit(card, tmp_path / "work")
        wait_until(lambda: "None" not in slurm("squeue", "--noheader", "--array", "--format=%r"), "Slurm says why", 60)
        waiting = hepaa("batch", "status", tmp_path / "work")
    finally:
        slurm.node("resume")
    assert "2 pending (" in waiting
    assert f") of slurm {number}" in waiting
    wait_for(slurm, number)
    assert f"2 completed of slurm {number}" in hepaa("batch", "status", tmp_path / "work")
    assert_whole(tmp_path / "work", expected)


def test_cancelled_jobs_are_taken_up_where_they_were(slurm, card, expected, tmp_path, hold):
    number = submit_held(card, tmp_path / "work", hold)
    slurm("scancel", number)
    wait_for(slurm, number)
    assert len(computed(tmp_path / "work")) == 2
    assert f"2 cancelled of slurm {number}" in hepaa("batch", "status", tmp_path / "work")
    wait_for(slurm, submit(card, tmp_path / "work"))
    assert_whole(tmp_path / "work", expected)


def test_a_node_goes_down_and_its_jobs_come_back(slurm, card, expected, tmp_path, hold):
    number = submit_held(card, tmp_path / "work", hold)
    slurm.node("down")
    try:
        wait_until(lambda: not slurm.jobs("RUNNING,COMPLETING"), "nothing runs on the node", 60)
    finally:
        slurm.node("resume")
    # Slurm puts the jobs of a lost node into the queue again, and lets them wait for two minutes
    assert len(slurm.jobs("PENDING")) == 2
    hold.unlink()
    slurm("scontrol", "update", f"jobid={number}", "starttime=now")
    wait_for(slurm, number)
    assert_whole(tmp_path / "work", expected)


# Slurm looks at memory and time now and then, so both are spent before a job could begin a shard.
HOARD = f"""{sys.executable} -c 'import time; hoard = b"x" * 300_000_000; time.sleep(600)'"""


@pytest.mark.parametrize(
    ("limits", "prologue", "reason"),
    [
        (("--memory", "100MB", "--walltime", "00:05:00"), HOARD, "Exceeded job memory limit"),
        (("--memory", "1GB", "--walltime", "00:01:00"), "sleep 600", "2 timeout (TimeLimit)"),
    ],
    ids=["memory", "walltime"],
)
def test_jobs_over_a_limit_are_named_and_done_with_a_wider_one(
    slurm, card, expected, tmp_path, limits, prologue, reason
):
    number = submit(card, tmp_path / "work", "--prologue", prologue, limits=limits)
    wait_for(slurm, number)
    assert reason in hepaa("batch", "status", tmp_path / "work")
    assert "no job has begun it" in hepaa("batch", "merge", tmp_path / "work", "-o", tmp_path / "t.parquet", code=3)
    wait_for(slurm, submit(card, tmp_path / "work"))
    assert_whole(tmp_path / "work", expected)


def test_the_jobs_outlive_the_scheduler_of_the_site(slurm, card, expected, tmp_path, hold):
    number = submit_held(card, tmp_path / "work", hold)
    slurm.stop_controller()
    try:
        assert "unknown: squeue" in hepaa("batch", "status", tmp_path / "work")
        hold.unlink()
        wait_until(lambda: len(computed(tmp_path / "work")) == FILES, "the jobs have worked on", 120)
    finally:
        slurm.start_controller()
    wait_for(slurm, number)
    assert_whole(tmp_path / "work", expected)


def test_the_driver_dies_and_the_same_command_goes_on(slurm, card, tmp_path):
    files = sorted(map(str, card.parent.glob("*.lhe")))
    words = ["features", *files, "--set", "zh-paper", "-o", tmp_path / "t.parquet", "--work", tmp_path / "work"]
    driver = start(*words, "--executor", SLURM)
    wait_until(lambda: computed(tmp_path / "work"), "a shard is stored", 120)
    os.kill(driver.pid, signal.SIGKILL)
    driver.communicate()
    wait_until(lambda: not slurm.jobs(), "workers without a scheduler end", 120)
    hepaa(*words, "--executor", SLURM)
    hepaa(*words[:-2], "--work", tmp_path / "other")
    assert Counter(computed(tmp_path / "work")).most_common(1)[0][1] == 1
    there = fingerprint(EventTable.load(tmp_path / "t.parquet"))
    hepaa("features", *files, "--set", "zh-paper", "-o", tmp_path / "here.parquet")
    assert there == fingerprint(EventTable.load(tmp_path / "here.parquet"))
