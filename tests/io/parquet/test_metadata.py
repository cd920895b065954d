"""Metadata of Parquet files whose values are of another kind than hepaa writes."""

import json

import pyarrow.parquet as pq
import pytest

import hepaa
from hepaa.demo import path as demo_path
from hepaa.errors import InputError
from hepaa.io.convert import convert
from hepaa.table import EventTable


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("parquet")
    hepaa.features(hepaa.open(demo_path("zh_sm.lhe.gz")), "zh-paper")[:5].save(folder / "table.parquet")
    convert(demo_path("zh_sm.lhe.gz"), folder / "events.parquet")
    return folder


def rewritten(folder, name, key, changes):
    content = pq.read_table(folder / name).slice(0, 5)
    described = json.loads(content.schema.metadata[key]) | changes
    pq.write_table(content.replace_schema_metadata({key: json.dumps(described)}), folder / "changed.parquet")
    return folder / "changed.parquet"


@pytest.mark.parametrize(
    "changes",
    [
        {"sources": ["x"]},
        {"sources": [{"path": "x"}]},
        {"cutflow": [[]]},
        {"columns": "x"},
        {"spectators": [{}]},
        {"units": []},
        {"processes": []},
        {"generators": []},
        {"sources": []},
        {"format": "x"},
        {"format": {}},
    ],
)
def test_a_table(folder, changes):
    with pytest.raises(InputError, match=r"changed\.parquet"):
        EventTable.load(rewritten(folder, "table.parquet", b"hepaa", changes))


@pytest.mark.parametrize(
    "changes", [{"weights": 3}, {"collections": []}, {"columns": {}}, {"label": "x"}, {"header": 1}, {"format": []}]
)
def test_events(folder, changes):
    with pytest.raises(InputError, match=r"changed\.parquet"):
        hepaa.open(rewritten(folder, "events.parquet", b"hepaa.events", changes))


def test_a_newer_format_is_said_to_be_newer(folder):
    with pytest.raises(InputError, match="newer format"):
        EventTable.load(rewritten(folder, "table.parquet", b"hepaa", {"format": 99, "sources": 1}))
    with pytest.raises(InputError, match="newer format"):
        hepaa.open(rewritten(folder, "events.parquet", b"hepaa.events", {"format": 99, "weights": 1}))
