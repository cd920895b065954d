"""Sealed JSON: one spelling, whatever is written piece by piece; a change is an error."""

from __future__ import annotations

import hashlib
import json

import pytest

from hepaa.errors import InputError
from hepaa.io.sealed import digest, read_sealed, write_sealed

CONTENT = {"z": [{"b": 1, "a": [1.5, None]}, "ü"], "empty": [], "none": {}, "a": {"y": [2, 1], "x": "]}"}, "n": 1e-300}


@pytest.mark.parametrize("content", [CONTENT, {}, [], ["a", {"c": 1, "b": 2}], {"a": []}, 1.5])
def test_the_checksum_is_that_of_the_canonical_spelling(content):
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    assert digest(content) == hashlib.sha256(text.encode()).hexdigest()


def test_what_is_written_is_read_and_a_change_is_an_error(tmp_path):
    write_sealed(CONTENT, tmp_path / "s.json")
    assert read_sealed(tmp_path / "s.json", "make it again") == CONTENT
    text = (tmp_path / "s.json").read_text()
    (tmp_path / "s.json").write_text(text.replace("1.5", "2.5"))
    with pytest.raises(InputError, match="another checksum"):
        read_sealed(tmp_path / "s.json", "make it again")


def test_a_large_plan_has_no_second_copy_in_memory(tmp_path):
    import tracemalloc

    content = {"shards": [{"path": f"/data/{i:090d}", "task": 0} for i in range(5000)]}
    tracemalloc.start()
    try:
        write_sealed(content, tmp_path / "s.json")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 0.5 * (tmp_path / "s.json").stat().st_size
