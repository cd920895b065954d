"""Shards, keys and the store: what is cut how, and what makes a stored result stale."""

from __future__ import annotations

import json
import os
import shutil
import sys

import numpy as np
import pytest
from helpers.batches import TASK, lhe_files

from hepaa import io
from hepaa.batch import FeatureTask, HistogramTask, Plan, ScoreTask, fileset_tasks, keys, make_plan, read_fileset
from hepaa.demo import path
from hepaa.errors import InputError


@pytest.mark.parametrize(("name", "collection"), [("dijet_wprime.h5", "particles"), ("zh_sm.root", "leptons")])
def test_a_range_of_events_is_that_slice_of_the_whole(name, collection):
    schema = str(path("zh_ntuple.yaml")) if name.endswith("root") else None
    whole = io.open(path(name), schema=schema)
    start, stop = 17, whole.n - 5
    pieces = list(io.iterate(path(name), schema=schema, step_size="200 kB", start=start, stop=stop))
    assert len(pieces) > 1
    np.testing.assert_array_equal(np.concatenate([p.index for p in pieces]), np.arange(start, stop))
    np.testing.assert_array_equal(np.concatenate([p.weight for p in pieces]), whole.weight[start:stop])
    ours = [e for p in pieces for e in getattr(p, collection).tolist()]
    assert ours == getattr(whole, collection)[start:stop].tolist()
    assert io.count(path(name), schema=schema) == whole.n


def test_a_range_beyond_the_file_is_an_error_not_a_smaller_result():
    n = io.count(path("dijet_wprime.h5"))
    with pytest.raises(InputError, match=f"but the file has {n}"):
        list(io.iterate(path("dijet_wprime.h5"), start=0, stop=n + 1))


def test_shards_cover_every_event_once(tmp_path):
    lhco = str(path("dijet_wprime.h5"))
    n = io.count(lhco)
    plan = make_plan([(FeatureTask("dijet-hl"), [lhco])], folder=tmp_path, shard_events=37)
    ranges = [(s.start, s.stop) for s in plan.shards]
    assert [i for a, b in ranges for i in range(a, b)] == list(range(n))
    assert len({s.key for s in plan.shards}) == len(ranges)
    lhe = make_plan([(TASK, lhe_files(tmp_path, 2, 5))], folder=tmp_path, shard_events=1)
    assert [(s.start, s.events) for s in lhe.shards] == [(None, None)] * 2  # it can only be read from the front


def test_a_plan_survives_being_written(tmp_path):
    files = lhe_files(tmp_path, 2, 3)
    tasks = (TASK, HistogramTask("score_x", (0.0, 0.1, 1.0)), ScoreTask((("x", "m.safetensors", "ab"),)))
    made = make_plan([(TASK, files)], folder=tmp_path)
    plan = Plan(tasks, made.shards, made.versions)
    plan.save(tmp_path / "plan.json")
    assert Plan.load(tmp_path / "plan.json") == plan
    with pytest.raises(InputError, match="hepaa batch plan"):
        Plan.load(tmp_path / "none" / "plan.json")
    (tmp_path / "plan.json").write_text("{")
    with pytest.raises(InputError, match="not a readable plan"):
        Plan.load(tmp_path / "plan.json")


def key_of(task, files, folder, **options):
    return make_plan([(task, files)], folder=folder, **options).shards[0].key


def test_a_key_changes_with_everything_that_a_result_depends_on(tmp_path, monkeypatch):
    files = lhe_files(tmp_path, 1, 3)
    first = key_of(TASK, files, tmp_path)
    assert key_of(TASK, files, tmp_path) == first
    others = [
        FeatureTask("zh", process="ZH", generator="Pythia 8"),
        FeatureTask("zh-paper", process="WH", generator="Pythia 8"),
        FeatureTask("zh-paper", process="ZH", generator="Pythia 8", selection="mZH > 300"),
        FeatureTask("zh-paper", process="ZH", generator="Pythia 8", role="signal"),
        FeatureTask("zh-paper", process="ZH", generator="Pythia 8", weight="up"),
    ]
    found = {first, *(key_of(task, files, tmp_path) for task in others)}
    assert len(found) == 1 + len(others)
    monkeypatch.setattr(keys, "versions", lambda: {"hepaa": "another"})
    found.add(key_of(TASK, files, tmp_path))
    assert len(found) == 2 + len(others)
    lhco = [str(path("dijet_wprime.h5"))]
    assert key_of(FeatureTask("dijet"), lhco, tmp_path) != key_of(FeatureTask("dijet"), lhco, tmp_path, shard_events=9)


def test_content_makes_the_key_or_size_and_time_where_asked(tmp_path):
    (file,) = lhe_files(tmp_path, 1, 3)
    by_content, by_state = key_of(TASK, [file], tmp_path), key_of(TASK, [file], tmp_path, identity="stat")
    os.utime(file, ns=(1, 1))
    assert key_of(TASK, [file], tmp_path) == by_content
    assert key_of(TASK, [file], tmp_path, identity="stat") != by_state
    text = (tmp_path / "events-000.lhe").read_text()
    (tmp_path / "events-000.lhe").write_text(text.replace("</event>", "</event >", 1))
    assert key_of(TASK, [file], tmp_path) != by_content
    (tmp_path / "events-000.lhe").write_text(text)
    assert key_of(TASK, [file], tmp_path) == by_content
    with pytest.raises(InputError, match="stat"):
        keys.identify(file, "name")


def test_an_unchanged_file_is_hashed_once(tmp_path, monkeypatch):
    files = lhe_files(tmp_path, 3, 2)
    make_plan([(TASK, files)], folder=tmp_path)

    def never(path):
        raise AssertionError(path)

    monkeypatch.setattr(keys, "sha256", never)
    make_plan([(TASK, files)], folder=tmp_path)


def test_filesets_of_coffea_are_taken(tmp_path):
    for name in ("a.root", "b.root"):
        shutil.copy(path("zh_sm.root"), tmp_path / name)
    content = {
        "ZH": {"files": {"a.root": "events"}, "metadata": {"generator": "Pythia 8", "xs": 0.02}},
        "other": {"files": {"b.root": {"object_path": "events", "steps": [[0, 10]]}}, "metadata": {"role": "signal"}},
        "remote": {"files": ["root://host//c.root"]},
    }
    (tmp_path / "fs.json").write_text(json.dumps(content))
    found = fileset_tasks(read_fileset(tmp_path / "fs.json"), "zh-paper")
    assert [(t.process, t.generator, t.role) for t, _ in found] == [
        ("ZH", "Pythia 8", "background"), ("other", "unknown", "signal"), ("remote", "unknown", "background"),
    ]  # fmt: skip
    assert [files for _, files in found] == [
        [f"{tmp_path}/a.root:events"], [f"{tmp_path}/b.root:events"], ["root://host//c.root"],
    ]  # fmt: skip
    for wrong in ("[]", "{", '{"a": {"files": 3}}', '{"a": {"files": {"x.root": 3}}}', '{"a": 7}'):
        (tmp_path / "fs.json").write_text(wrong)
        with pytest.raises(InputError, match=r"fs\.json"):
            read_fileset(tmp_path / "fs.json")
    with pytest.raises(InputError, match="there is no role 'signl'"):
        FeatureTask("zh", role="signl")


def test_remote_files_without_their_package_are_a_clear_error(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "XRootD.client", None)
    with pytest.raises(InputError, match="fsspec-xrootd"):
        make_plan([(TASK, ["root://host//f.root"])], folder=tmp_path)
