"""The store: half a result is none, a changed one is refused, and nothing leads out of its folder."""

from __future__ import annotations

import json
import pickle
import random
import sys

import numpy as np
import pytest
from helpers.batches import TASK, fingerprint, lhe_files

from hepaa.batch import HistogramTask, Plan, Store, make_plan, merge, process, serial
from hepaa.batch.engine import collect
from hepaa.batch.scans import TrialTask
from hepaa.batch.status import status
from hepaa.batch.store import Receipt
from hepaa.errors import HepaaError, InputError
from hepaa.io.sealed import sealed
from hepaa.table import EventTable

KEY = "ab" * 32
RECEIPT = {
    "path": "a.lhe", "start": None, "stop": None, "events": 3, "sum_weights": 3.0, "sum_weights2": 3.0,
    "rest": [0.0, 0.0, 0.0], "cross_section_pb": None, "generated": None, "generated_events": 0.0,
    "other_cross_section_pb": None, "result": None, "seconds": 0.1, "host": "here", "pid": 1,
}  # fmt: skip


@pytest.fixture
def store(tmp_path):
    """A store with one result, `KEY`."""
    made = Store(str(tmp_path / "store"))
    made.create()
    made.put(KEY, RECEIPT, EventTable.build(np.ones((3, 1)), ["x"]))
    return made


def receipt_path(store, key=KEY):
    return store.root / "results" / key[:2] / f"{key}.json"


def test_half_a_result_is_no_result(store):
    receipt = store.receipt(KEY)
    assert receipt["events"] == store.table(KEY, receipt).n == 3
    whole = store.table_path(KEY).read_bytes()
    store.table_path(KEY).write_bytes(whole[:-1])
    assert store.receipt(KEY) is None
    store.table_path(KEY).unlink()
    assert store.receipt(KEY) is None
    assert store.receipt("cd" * 32) is None
    receipt_path(store).write_text("{")
    with pytest.raises(InputError, match="remove it to redo it"):
        store.receipt(KEY)


def test_a_receipt_that_is_not_what_was_stored_is_refused(store):
    good = json.loads(receipt_path(store).read_text())
    plain = {name: value for name, value in good.items() if name != "sha256"}
    receipt_path(store).write_text(json.dumps(dict(reversed(good.items())), indent=3))  # the same content
    assert store.receipt(KEY) == plain
    for text, message in (
        (json.dumps({**good, "sum_weights": 4.0}), "another checksum"),
        (json.dumps({**good, "sum_weights": float("nan")}), "remove it"),
        (json.dumps(plain), "no checksum"),
        (json.dumps(sealed({**plain, "events": "3"})), "events is no int"),
        (json.dumps(sealed({**plain, "key": "cd" * 32})), "not the receipt of this result"),
        (json.dumps(sealed({**plain, "rest": [0.0, 0.0, "x"]})), "not the receipt of this result"),
        (json.dumps(sealed({"key": KEY})), "other keys than expected"),
        ("[" * 100_000, "remove it"),
        ("[]", "no checksum"),
    ):
        receipt_path(store).write_text(text)
        with pytest.raises(InputError, match=message):
            store.receipt(KEY)


def test_receipts_of_a_group_that_are_not_what_was_stored_are_refused(tmp_path):
    plan = make_plan([(TASK, lhe_files(tmp_path, 3, 5))], folder=tmp_path)
    store = process(plan, tmp_path / "batch").store
    (path,) = (store.root / "results").glob("*/*.group")
    plain = {name: value for name, value in json.loads(path.read_text()).items() if name != "sha256"}
    first, *others = plain["members"]
    for change in (
        {"members": others},
        {"members": [{**first, "rest": [0.0]}, *others]},
        {"members": [{**first, "events": "5"}, *others]},
        {"members": [3]},
        {"members": {}},
        {"key": KEY},
    ):
        path.write_text(json.dumps(sealed({**plain, **change})))
        with pytest.raises(InputError, match=r"\.group: .*remove it to redo"):
            store.receipts(plan.shards)
    path.write_text(json.dumps(sealed(plain)))
    assert list(store.receipts(plan.shards)) == [shard.key for shard in plan.shards]
    path.with_suffix(".parquet").unlink()
    assert store.receipts(plan.shards) == {}


def plan_of(folder):
    """Content of the plan of a batch, and a way to write another."""
    path = folder / "plan.json"

    def write(content):
        path.write_text(json.dumps(sealed(content)))

    return {k: v for k, v in json.loads(path.read_text()).items() if k != "sha256"}, write


def test_a_hostile_plan_is_refused(tmp_path):
    files = lhe_files(tmp_path, 1, 2)
    made = make_plan([(TASK, files)], folder=tmp_path)
    made.save(tmp_path / "plan.json")
    plain, write = plan_of(tmp_path)
    assert Plan.load(tmp_path / "plan.json") == made
    shard, task = plain["shards"][0], plain["tasks"][0]
    trial = TrialTask(str(tmp_path.parent), "content", 10, "").to_dict()
    for change in (
        {"shards": [{**shard, "key": "../../../../thesis"}]},
        {"shards": [{**shard, "task": 1}]},
        {"shards": [{**shard, "task": -1}]},
        {"shards": [{**shard, "path": "a\0b"}]},
        {"shards": [{**shard, "start": "0"}]},
        {"shards": [{**shard, "identity": []}]},
        {"shards": [{"path": "a"}]},
        {"shards": {}},
        {"tasks": [3]},
        {"tasks": [{"kind": []}]},
        {"tasks": [{"kind": "os.system"}]},
        {"tasks": [{**task, "more": 1}]},
        {"tasks": [trial]},
        {"tasks": [{**trial, "folder": "a\0b"}]},
        {"tasks": [{**trial, "folder": 3}]},
        {"versions": None},
    ):
        write({**plain, **change})
        with pytest.raises(InputError, match=r"plan\.json"):
            Plan.load(tmp_path / "plan.json")
    for text in ("[" * 100_000, json.dumps({**plain, "tasks": []}), "", "\xff"):
        (tmp_path / "plan.json").write_text(text, encoding="latin-1")
        with pytest.raises(InputError, match=r"plan\.json"):
            status(tmp_path)


def test_what_is_no_line_of_a_journal_is_passed_over(store):
    store.note("began", KEY, shard="a.lhe")
    lines = ["[" * 100_000, "3", "{}", '{"event": []}', '{"event": "stored", "key": 3, "time": 1}', "\x00", '{"a"']
    (store.root / "journal" / "other.jsonl").write_bytes("\n".join(lines).encode() + b"\n\xff")
    assert [line["key"] for line in store.journal()] == [KEY]


def test_a_list_of_failures_that_is_none_is_refused(store):
    assert store.failures() == []
    for text in ("[]", '{"shards": 3}', '{"shards": [{}]}', "["):
        store.failures_path.write_text(text)
        with pytest.raises(InputError, match="remove it"):
            store.failures()


def test_a_result_with_nan_is_not_stored(store):
    with pytest.raises(ValueError, match="not JSON compliant"):
        store.put("cd" * 32, {**RECEIPT, "sum_weights": float("nan")}, None)
    assert store.keys() == {KEY}


def test_a_table_with_another_checksum_is_refused(store):
    receipt, path = store.receipt(KEY), store.table_path(KEY)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"not what was stored \(SHA-256\); remove it"):
        store.table(KEY, receipt)


@pytest.mark.parametrize("key", ["../../../thesis", "ab12", "AB" * 32, "", "ab" * 32 + "\n"])
def test_a_key_leads_nowhere_but_into_the_store(key, store):
    for use in (store.receipt, store.table_path, store.run_path, lambda k: store.put(k, RECEIPT, None)):
        with pytest.raises(InputError, match="64 hexadecimal digits"):
            use(key)


@pytest.fixture(scope="module")
def batch(tmp_path_factory):
    """A folder with the results of three files, and of a histogram of their rows."""
    folder = tmp_path_factory.mktemp("batch")
    plan = make_plan([(TASK, lhe_files(folder, 3, 30))], folder=folder)
    outcome = process(plan, folder, serial)
    (folder / "counts").mkdir()
    merge.write_parts(outcome, folder / "parts")
    tables = [str(path) for path in sorted((folder / "parts").glob("*.parquet"))]
    count = make_plan([(HistogramTask("mZH", (100.0, 300.0, 900.0), (400.0,)), tables)], folder=folder / "counts")
    process(count, folder / "counts", serial)
    return folder


def values(folder):
    """Everything that a batch gives: rows, tallies, counts."""
    outcome, counted = collect(folder), collect(folder / "counts")
    counts = {name: {k: v.tolist() for k, v in vars(c).items()} for name, c in merge.counts(counted).items()}
    make_plan([(TASK, [str(folder / f"events-{i:03d}.lhe") for i in range(3)])], folder=folder)  # reads its hashes
    return fingerprint(merge.table(outcome)), merge.tally(outcome), counts


@pytest.mark.slow
def test_a_flipped_bit_is_refused_or_changes_nothing(batch):
    whole = values(batch)
    ends = (".json", ".parquet", ".group")
    stored = [p for p in batch.rglob("*") if p.suffix in ends and not {"journal", "parts"} & set(p.parts)]
    assert {p.suffix for p in stored} == set(ends)
    assert len(stored) >= 6
    rng, refused = random.Random(6), 0
    for _ in range(300):
        path = rng.choice(stored)
        before = path.read_bytes()
        flipped = bytearray(before)
        flipped[rng.randrange(len(flipped))] ^= 1 << rng.randrange(8)
        path.write_bytes(flipped)
        try:
            assert values(batch) == whole, path
        except HepaaError:
            refused += 1
        path.write_bytes(before)
    assert refused > 250
    assert values(batch) == whole


def test_a_receipt_is_small_and_travels_between_processes():
    content = {name: i for i, name in enumerate("abcdefghijklmnopqrstuv")}
    receipt, other = Receipt(content), Receipt({**content, "a": 7})
    assert dict(pickle.loads(pickle.dumps(receipt))) == content
    assert (other["a"], other.get("none"), "error" in other, len(other)) == (7, None, False, 22)
    sizes = [sum(map(sys.getsizeof, parts)) for parts in ((receipt, receipt._values), (content,))]
    assert receipt._places is other._places
    assert sizes[0] < 0.4 * sizes[1]
