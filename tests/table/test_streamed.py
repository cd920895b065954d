"""Tables larger than memory: what is said of a file is what is said of it when it is read whole."""

from __future__ import annotations

import json

import numpy as np
import pyarrow.parquet as pq
import pytest

from hepaa import io
from hepaa.errors import InputError
from hepaa.table import EventTable
from hepaa.table.streamed import StreamedTable


def read_by_all(path):
    yield lambda: EventTable.load(path)
    yield lambda: list(StreamedTable(path).chunks())
    yield lambda: io.open(path)


def with_metadata(path, **changes):
    """The file with other metadata; None takes a name away."""
    content = pq.read_table(path)
    meta = json.loads(content.schema.metadata[b"hepaa"]) | changes
    packed = json.dumps({name: value for name, value in meta.items() if value is not None}).encode()
    pq.write_table(content.replace_schema_metadata({b"hepaa": packed}), path)


@pytest.mark.parametrize(
    ("changes", "words"),
    [({"format": 99, "version": "9.9"}, "t.parquet: written by hepaa 9.9 in a newer format"),
     ({"generators": None}, "t.parquet is a damaged table"), ({"columns": ["x", "z"]}, "t.parquet")],
)  # fmt: skip
def test_no_reader_takes_what_it_does_not_understand(tmp_path, changes, words):
    EventTable.build(np.ones((3, 2)), ["x", "y"]).save(tmp_path / "t.parquet")
    with_metadata(tmp_path / "t.parquet", **changes)
    for read in read_by_all(tmp_path / "t.parquet"):
        with pytest.raises(InputError, match=words):
            read()


def test_chunks_are_the_rows_of_the_table(tmp_path):
    rng = np.random.default_rng(1)
    table = EventTable.build(
        rng.normal(size=(70_000, 2)), ["x", "y"], weight=rng.random(70_000), label=rng.integers(0, 2, 70_000)
    )
    table.save(tmp_path / "t.parquet")
    chunks = list(StreamedTable(tmp_path / "t.parquet").chunks())
    assert len(chunks) > 1
    for name in ("X", "weight", "label", "generator"):
        np.testing.assert_array_equal(np.concatenate([getattr(c, name) for c in chunks]), getattr(table, name))
