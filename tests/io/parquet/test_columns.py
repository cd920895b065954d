"""Tables in Parquet: a flipped bit of pages or of metadata is refused, or changes nothing."""

from __future__ import annotations

import random

import numpy as np
import pyarrow.parquet as pq
import pytest
from helpers.batches import fingerprint

from hepaa.errors import HepaaError, InputError
from hepaa.table import EventTable


@pytest.fixture
def table():
    rng = np.random.default_rng(1)
    return EventTable.build(rng.normal(size=(200, 2)), ["a", "b"], weight=rng.uniform(size=200), process="ZH")


def test_a_flipped_bit_is_refused_or_changes_nothing(table, tmp_path):
    path = tmp_path / "t.parquet"
    table.save(path)
    whole, before, rng, refused = fingerprint(EventTable.load(path)), path.read_bytes(), random.Random(4), 0
    for _ in range(60):
        flipped = bytearray(before)
        flipped[rng.randrange(len(flipped))] ^= 1 << rng.randrange(8)
        path.write_bytes(flipped)
        try:
            assert fingerprint(EventTable.load(path)) == whole
        except HepaaError:
            refused += 1
    assert refused > 35


def test_other_metadata_are_refused_and_tables_without_checksums_are_read(table, tmp_path):
    path = tmp_path / "t.parquet"
    table.save(path)
    content = pq.read_table(path)
    stored = content.schema.metadata
    other = stored | {b"hepaa": stored[b"hepaa"].replace(b'"ZH"', b'"WH"')}
    pq.write_table(content.replace_schema_metadata(other), path)
    with pytest.raises(InputError, match="SHA-256 of its metadata"):
        EventTable.load(path)
    pq.write_table(content.replace_schema_metadata({b"hepaa": stored[b"hepaa"]}), path)
    assert fingerprint(EventTable.load(path)) == fingerprint(table)
