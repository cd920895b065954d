"""No command loses a file that hepaa did not make: outputs that are inputs, folders of others, devices."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml
from click.testing import CliRunner
from helpers.batches import lhe_files

import hepaa
from hepaa.batch import Store
from hepaa.card import load_card
from hepaa.cli import main
from hepaa.demo import path
from hepaa.table import EventTable, concatenate

DAY_S = 86400


def tree(folder):
    """Every file below a folder, with the hash of its content."""
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest()
            for p in sorted(folder.rglob("*")) if p.is_file()}  # fmt: skip


def hepaa_says(*words):
    result = CliRunner().invoke(main, [str(word) for word in words])
    return result.exit_code, result.output


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A working folder with a card, its inputs in `data/`, and somebody's own files."""
    work = tmp_path / "work"
    (work / "data").mkdir(parents=True)
    for name in ("zh_sm.lhe.gz", "zh_chw.lhe.gz"):
        shutil.copy(path(name), work / "data" / name)
    content = yaml.safe_load(load_card(path("zh.yaml")).to_yaml())
    for sample, name in zip(content["samples"], ("zh_sm.lhe.gz", "zh_chw.lhe.gz"), strict=True):
        sample["files"] = [f"data/{name}"]
    (work / "card.yaml").write_text(yaml.safe_dump(content))
    (work / "thesis.tex").write_text("years of work")
    (work / "mine").mkdir()
    (work / "mine" / "notes.txt").write_text("more years")
    (work / "mine" / "part-00000.parquet").write_text("not of hepaa")
    monkeypatch.chdir(work)
    return work


@pytest.mark.parametrize("output", [".", "..", "data", "data/..", "./data/../data", "mine", "thesis.tex"])
def test_run_replaces_no_folder_of_others(place, output):
    before = tree(place.parent)
    code, text = hepaa_says("run", "card.yaml", "--output", output, "--overwrite")
    assert code == 2, text
    assert "Traceback" not in text
    assert tree(place.parent) == before


def test_demo_replaces_no_folder_of_others(place):
    (place / "mine" / "zh").mkdir()
    (place / "mine" / "zh" / "a").write_text("mine")
    before = tree(place)
    code, text = hepaa_says("demo", "--output", "mine")
    assert (code, "hepaa did not make this folder" in text) == (2, True)
    assert tree(place) == before


def test_batches_replace_no_folder_of_others(place):
    files = lhe_files(place, files=2, events=20)
    before = tree(place / "mine")
    words = ["features", *files, "--set", "zh-paper", "--executor", "serial", "--work", "work.batch", "--output"]
    code, text = hepaa_says(*words, "mine")
    assert (code, "hepaa did not make this folder" in text) == (2, True)
    assert tree(place / "mine") == before
    for _ in range(2):
        assert hepaa_says(*words, "parts")[0] == 0
    assert sorted(p.name for p in (place / "parts").glob("part-*")) == ["part-00000.parquet"]  # small files share one


def test_hidden_files_of_others_stay_in_the_folder_of_a_batch(tmp_path):
    theirs = tmp_path / "results" / "ab" / ".git"
    ours = tmp_path / "results" / "ab" / f".{'0' * 64}.json.hepaa-01234567-1-x1y2z3_4.json"
    theirs.mkdir(parents=True)
    (theirs / "HEAD").write_text("ref: refs/heads/main")
    ours.write_text("{")
    for old in (theirs, ours):
        os.utime(old, (0, ours.stat().st_mtime - 2 * DAY_S))
    Store(str(tmp_path)).create()
    assert (theirs / "HEAD").exists()
    assert not ours.exists()


def test_no_input_is_replaced_by_its_own_output(place):
    sample = hepaa.Sample("ZH", generator="Pythia 8")
    events = hepaa.open(place / "data" / "zh_sm.lhe.gz", sample=sample)
    table = hepaa.features(events, "zh")
    table.save(place / "all.parquet")
    detector = hepaa.detector("sum-of-squares").fit(table)
    detector.save(place / "model.safetensors")
    (place / "alias.parquet").symlink_to("all.parquet")
    before = tree(place)
    for words in (
        ["features", "data/zh_sm.lhe.gz", "--set", "zh", "--output", "./data/zh_sm.lhe.gz"],
        ["convert", "data/zh_sm.lhe.gz", "data/../data/zh_sm.lhe.gz"],
        ["split", "all.parquet", "--fraction", "all=0.5", "--output", "."],
        ["score", "model.safetensors", "alias.parquet", "--output", "all.parquet"],
        ["score", "model.safetensors", "all.parquet", "--output", "model.safetensors"],
        ["train", "all.parquet", "--detector", "sum-of-squares", "--output", "all.parquet"],
    ):
        code, text = hepaa_says(*words)
        assert code == 2, (words, text)
        assert tree(place) == before, words


def scored_tables(place):
    """Two scored tables with background and signal."""
    rng = np.random.default_rng(0)
    for name in ("val", "test"):
        parts = [
            EventTable.build(
                rng.normal(size=(400, 1)), ["x"], label=label, process=process, event=np.arange(400),
                spectators={"score_d": rng.normal(2 * label, 1, 400)},
            )
            for label, process in ((0, "QCD"), (1, "X"))
        ]  # fmt: skip
        concatenate(parts).save(place / f"{name}.parquet")
    return ["hist", "test.parquet", "--validation", "val.parquet", "--score", "d", "--luminosity-fb", "1"]


def test_hist_replaces_no_folder_of_others(place):
    words = scored_tables(place)
    before = tree(place.parent)
    for output in (".", "..", "mine", "thesis.tex", "data/.."):
        code, text = hepaa_says(*words, "--output", output, "--executor", "serial", "--work", "work.batch")
        assert code == 2, (output, text)
        assert tree(place.parent) == before, output
    assert hepaa_says(*words, "--output", "hist")[0] == 0
    assert (place / "hist" / "results.json").exists()
    (place / "hist" / "notes.txt").write_text("mine")
    code, text = hepaa_says(*words, "--output", "hist")
    assert (code, "did not write notes.txt" in text) == (2, True)


def test_a_folder_of_parts_is_refused_before_the_work(place):
    words = ["features", "data/zh_sm.lhe.gz", "--set", "zh", "--executor", "serial"]
    before = tree(place.parent)
    for output, *more in (("mine",), ("data",), (".",), ("out", "--work", "out/work"), ("out", "--work", "out")):
        code, text = hepaa_says(*words, "--output", output, *more)
        assert code == 2, (output, text)
        assert tree(place.parent) == before, output
        assert not list(place.rglob("journal")), output


@pytest.mark.parametrize("name", ["../out", "a/b", ".hidden", ""])
def test_the_parts_of_a_split_stay_in_its_folder(name, place):
    scored_tables(place)
    before = tree(place.parent)
    code, text = hepaa_says("split", "val.parquet", "--fraction", f"{name}=0.5", "--output", "parts")
    assert (code, "rename the part" in text) == (2, True), text
    assert tree(place.parent) == before


def test_only_regular_files_are_replaced(place):
    os.mkfifo(place / "pipe.parquet")
    for output in ("pipe.parquet", "/dev/null", "mine"):
        code, text = hepaa_says("features", "data/zh_sm.lhe.gz", "--set", "zh", "--output", output)
        assert (code, "no regular file" in text) == (2, True), output
    assert (place / "pipe.parquet").is_fifo()
    assert Path("/dev/null").is_char_device()
