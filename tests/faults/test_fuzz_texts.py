"""Texts that hepaa reads besides events, damaged in thousands of ways: a HepaaError of one line, or a usable object.

Cards, schemas, JSON parts of models, receipts (their counts are saved histograms) and plans of batches, metadata of
Parquet, and results of runs. Checksums are repaired, so that what lies behind them is reached.
"""

import copy
import json
import random
import shutil
from collections import Counter
from dataclasses import fields
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml
from helpers.faults import attack, mutated

import hepaa
from hepaa import io
from hepaa.batch import FeatureTask
from hepaa.batch.merge import counts
from hepaa.batch.outcome import Outcome
from hepaa.batch.plan import Plan
from hepaa.batch.shard import Shard
from hepaa.batch.store import Store
from hepaa.batch.tasks.histogram import HistogramTask
from hepaa.card import Card, load_card
from hepaa.cli.common import table_of
from hepaa.demo import path as demo_path
from hepaa.io.convert import convert
from hepaa.io.schemas import schema_of
from hepaa.io.sealed import SEAL, sealed
from hepaa.report.saved import SavedRun
from hepaa.run import pipeline
from hepaa.stats.histogram import Counts
from hepaa.table import EventTable

KEY = "ab" * 32
HOSTILE = (
    None, True, -1, 0, 1.5, 10**18, 1e308, float("inf"), "", "x", "../x", "\0", [], {}, [[]], [None], {"x": 1},
    [1, "x"], "9" * 400, [0] * 1000,
)  # fmt: skip


# -- what is attacked: each takes the path of a damaged text, beside which good parts of the same thing lie


def read_card(path):
    load_card(path).to_yaml()


def read_schema(path):
    schema_of(Path(path))


def read_model(path):
    arrays = Path(path).with_suffix(".safetensors")
    Path(path).write_bytes(_resealed(path))
    shutil.copy(Path(path).parent / f"{Path(path).name.split('-')[0]}.arrays", arrays)
    try:
        model = hepaa.load_detector(arrays)
        model.anomaly_score(np.full((3, 4), 0.5, np.float32))
    finally:
        arrays.unlink()


def _resealed(path):
    """The text with the right checksum, if it has one and is JSON still."""
    text = Path(path).read_bytes()
    try:
        content = json.loads(text)
        del content[SEAL]
        return json.dumps(sealed(content)).encode()
    except (ValueError, TypeError, KeyError, RecursionError):
        return text


def read_receipt(path):
    store = Store(str(Path(path).parent / "batch"))
    store.create()
    place = Path(store.folder) / "results" / KEY[:2] / f"{KEY}.json"
    place.parent.mkdir(exist_ok=True)
    place.write_bytes(_resealed(path))
    receipt = store.receipt(KEY)
    if receipt is not None:
        plan = Plan((), (Shard("x.lhe", None, None, 0, KEY, {}),), {})
        counts(Outcome(plan, store, {KEY: receipt}, (), 0))


def read_plan(path):
    place = Path(path).parent / "plan" / "plan.json"
    place.parent.mkdir(exist_ok=True)
    place.write_bytes(_resealed(path))
    Plan.load(place)


@lru_cache(maxsize=2)
def _good(path):
    return pq.read_table(path)


def read_metadata(path):
    name = Path(path).name.split("-")[0]
    good = _good(Path(path).parent / f"{name}.parquet")
    damaged = Path(path).with_suffix(".parquet")
    key = b"hepaa" if name == "table" else b"hepaa.events"
    pq.write_table(good.replace_schema_metadata({key: Path(path).read_bytes()}), damaged)
    try:
        if name == "table":
            EventTable.load(damaged)._repr_html_()
        for events in io.iterate([damaged], step_size="100 MB"):
            repr(events)
            [len(records) for records in events.collections.values()]
    finally:
        damaged.unlink()


def read_results(path):
    folder = Path(path).parent / "run"
    shutil.copy(path, folder / "results.json")
    run = SavedRun(folder)
    for name in run.detectors:
        run.signals(name)
        run.histograms(name)
        run.shifts(name)
        run.response(name)
    table_of(run.results)
    run._repr_html_()


# -- good texts, and how they are damaged


def cards(folder):
    texts = [demo_path(name).read_text() for name in ("zh.yaml", "lhco.yaml")]
    return {f"card{i}": text for i, text in enumerate([*texts, load_card(demo_path("zh.yaml")).to_yaml()])}


def schema_texts(folder):
    return {path.stem: path.read_text() for path in (Path(io.__file__).parent / "root").glob("*.yaml")}


def models(folder):
    rng = np.random.default_rng(0)
    X, y = rng.exponential(size=(200, 4)).astype(np.float32), np.repeat([0, 1], [180, 20])
    texts = {}
    for name, model in {
        "vae": hepaa.VAE(hidden=(4,), latent=2, epochs=1, seed=0).fit(X),
        "aavae": hepaa.AnomalyAwareVAE(hidden=(4,), latent=2, epochs=1, finetune_epochs=1, seed=0).fit(X, y),
    }.items():
        model.save(folder / f"{name}.safetensors")
        (folder / f"{name}.safetensors").rename(folder / f"{name}.arrays")
        texts[name] = (folder / f"{name}.json").read_text()
    return texts


def receipts(folder):
    entry = {"process": "QCD", "generator": "A", "label": 0}
    entry |= {f.name: [1.0, 2.0, 3.0] for f in fields(Counts)}
    one = {
        "key": KEY, "path": "x.lhe", "start": None, "stop": None, "events": 3, "sum_weights": 6.0, "sum_weights2": 14.0,
        "rest": [0.0, 0.0, 0.0], "cross_section_pb": 0.5, "other_cross_section_pb": None, "generated": None,
        "generated_events": 0.0,
        "result": {"counts": [entry]}, "seconds": 0.1, "host": "h", "pid": 1, "rows": None,
        "table_bytes": None, "table_sha256": None,
    }  # fmt: skip
    return {"counts": json.dumps(sealed(one))}


def plans(folder):
    features = FeatureTask("zh-paper", process="ZH", generator="Pythia 8")
    bins = HistogramTask("score", (0.0, 1.0, 2.0))
    shards = (Shard("x.lhe", None, None, 0, KEY, {"size": 1}), Shard("y.parquet", 0, 10, 1, "cd" * 32, {"size": 2}))
    Plan((features, bins), shards, {"hepaa": "0"}).save(folder / "good.json")
    return {"plan": (folder / "good.json").read_text()}


def metadata(folder):
    events = hepaa.open(demo_path("zh_sm.lhe.gz"))
    hepaa.features(events, "zh-paper")[:20].save(folder / "table.parquet")
    convert(demo_path("zh_sm.lhe.gz"), folder / "events.parquet")
    texts = {}
    for name, key in (("table", b"hepaa"), ("events", b"hepaa.events")):
        content = pq.read_table(folder / f"{name}.parquet").slice(0, 20)
        texts[name] = content.schema.metadata[key].decode()
        pq.write_table(content, folder / f"{name}.parquet")
    return texts


def results(folder):
    card = load_card(demo_path("zh.yaml"))
    changes = {"output": str(folder / "run"), "detectors": [{"detector": "SumOfSquares"}]}
    content = card.model_dump(by_alias=True, mode="json") | changes
    pipeline.run(Card.model_validate(content))
    return {"results": (folder / "run" / "results.json").read_text()}


def damaged(text, rng, dump):
    """The text with changed bytes and words, or another value somewhere in what it says."""
    if rng.random() < 0.5:
        return mutated(text.encode(), rng, text=True)
    content = copy.deepcopy(_content(text))
    for _ in range(rng.choice((1, 1, 2))):
        place = content
        while True:
            keys = list(place) if isinstance(place, dict) else list(range(len(place)))
            if not keys:
                break
            key = rng.choice(keys)
            inner = place[key]
            if isinstance(inner, (dict, list)) and inner and rng.random() < 0.8:
                place = inner
                continue
            match rng.randrange(4):
                case 0:
                    del place[key]
                case 1 if isinstance(place, dict):
                    place[rng.choice(["x", "", "\0", "name", "9" * 400])] = inner
                case 2:
                    place[key] = rng.choice([[inner], {"x": inner}, {str(key): inner}])
                case _:
                    place[key] = copy.deepcopy(rng.choice(HOSTILE))  # the next change may go into it
            break
    return dump(content).encode("utf-8", "surrogatepass")


@lru_cache(maxsize=32)
def _content(text):
    return yaml.safe_load(text) if not text.startswith("{") else json.loads(text)


PARTS = {
    "card": (read_card, cards, yaml.safe_dump, 1400),
    "schema": (read_schema, schema_texts, yaml.safe_dump, 900),
    "model": (read_model, models, json.dumps, 1000),
    "receipt": (read_receipt, receipts, json.dumps, 900),
    "plan": (read_plan, plans, json.dumps, 900),
    "metadata": (read_metadata, metadata, json.dumps, 700),
    "results": (read_results, results, json.dumps, 200),
}


@pytest.mark.slow
@pytest.mark.parametrize("part", PARTS)
def test_damaged_texts_are_read_or_refused(tmp_path, part):
    read, make, dump, number = PARTS[part]
    texts = make(tmp_path)
    warm = []
    for name, text in texts.items():
        warm.append(tmp_path / f"{name}-good.json")
        warm[-1].write_text(text)
        read(str(warm[-1]))
    rng = random.Random(f"{part} 15")
    names = list(texts)
    inputs = (
        (f"{names[i % len(names)]}-{i}.json", damaged(texts[names[i % len(names)]], rng, dump)) for i in range(number)
    )
    verdicts, faults = attack(read, inputs, tmp_path, warm)
    print(part, dict(verdicts))
    reasons = Counter(fault.strip().rsplit("\n", 1)[-1][:200] for fault in faults.values())
    assert not faults, f"{verdicts}: {reasons.most_common(20)}: {next(iter(faults.values()))[-1500:]}"
    assert verdicts["refused"] > number / 10
