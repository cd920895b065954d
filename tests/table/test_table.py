"""EventTable: what it refuses, what it keeps, and the identity of an event."""

from __future__ import annotations

import dataclasses

import numpy as np
import pyarrow.parquet as pq
import pytest

import hepaa
from hepaa.table import CutflowRow, EventTable, Source, concatenate


def table(n=6, process="QCD", generator="pythia", path="a.lhe", **more):
    X = np.arange(2 * n, dtype=float).reshape(n, 2)
    return EventTable.build(
        X,
        ["pt", "eta"],
        process=process,
        generator=generator,
        source=Source(path, sha256=path.encode().hex()),
        spectators={"mjj": X.sum(axis=1)},
        cutflow=[CutflowRow(process, generator, "all", n, float(n))],
        **more,
    )


def test_storage_types_are_those_of_the_house():
    t = table()
    assert t.X.dtype == np.float32
    assert t.weight.dtype == np.float64
    assert t["mjj"].dtype == np.float32
    assert t.n == len(t) == 6


def test_a_table_cannot_be_changed():
    t = table()
    with pytest.raises(ValueError, match="read-only"):
        t.X[0, 0] = 1.0
    with pytest.raises(dataclasses.FrozenInstanceError):
        t.columns = ("a", "b")


def test_columns_and_spectators_are_reached_by_name_and_an_unknown_name_is_explained():
    t = table()
    np.testing.assert_array_equal(t["eta"], t.X[:, 1])
    with pytest.raises(hepaa.InputError, match=r"no column 'mj'; did you mean 'mjj'\?"):
        t["mj"]


def test_slicing_keeps_rows_together():
    t = table(weight=np.linspace(1, 2, 6), label=[0, 1, 0, 1, 0, 1])
    s = t.signal
    np.testing.assert_array_equal(s.event, [1, 3, 5])
    np.testing.assert_array_equal(s["mjj"], t["mjj"][[1, 3, 5]])
    np.testing.assert_array_equal(s.weight, t.weight[[1, 3, 5]])
    assert s.cutflow == ()


def test_select_reorders_features_and_keeps_the_rest_as_spectators():
    t = table().select(["mjj", "pt"])
    assert t.columns == ("mjj", "pt")
    assert list(t.spectators) == ["eta"]


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_value_that_is_not_finite_is_refused_with_file_and_event(bad):
    X = np.ones((4, 2))
    X[2, 1] = bad
    with pytest.raises(hepaa.InputError, match=r"'eta' is .* in a.lhe, event 12 "):
        EventTable.build(X, ["pt", "eta"], event=[10, 11, 12, 13], source=Source("a.lhe", "0"))


def test_names_may_not_stand_twice_nor_be_those_of_the_table_itself():
    with pytest.raises(hepaa.InputError, match="twice"):
        EventTable.build(np.ones((2, 2)), ["pt", "pt"])
    with pytest.raises(hepaa.InputError, match="weight"):
        EventTable.build(np.ones((2, 2)), ["pt", "weight"])


def test_concatenation_merges_names_sources_and_cutflow():
    both = concatenate([table(generator="pythia"), table(4, generator="sherpa", path="b.lhe")])
    assert both.generators == ("pythia", "sherpa")
    np.testing.assert_array_equal(both.generator, [0] * 6 + [1] * 4)
    np.testing.assert_array_equal(both.file, [0] * 6 + [1] * 4)
    assert [(r.generator, r.n) for r in both.cutflow] == [("pythia", 6), ("sherpa", 4)]
    pieces = concatenate([table(), table()])
    assert pieces.cutflow == (CutflowRow("QCD", "pythia", "all", 12, 12.0),)


def test_concatenation_refuses_other_columns():
    other = EventTable.build(np.ones((2, 2)), ["pt", "phi"])
    with pytest.raises(hepaa.InputError, match="columns differ"):
        concatenate([table(), other])


def test_parquet_round_trip_keeps_everything(tmp_path):
    t = concatenate([table(), table(4, generator="sherpa", path="b.lhe", weight=[1.5, -1, 0.1, 1e-300])])
    t.save(tmp_path / "t.parquet")
    back = EventTable.load(tmp_path / "t.parquet")
    for field in dataclasses.fields(EventTable):
        ours, theirs = getattr(t, field.name), getattr(back, field.name)
        if isinstance(ours, np.ndarray):
            np.testing.assert_array_equal(ours, theirs)
            assert ours.dtype == theirs.dtype
        elif field.name == "spectators":
            np.testing.assert_array_equal(ours["mjj"], theirs["mjj"])
        else:
            assert ours == theirs


def test_another_reader_sees_the_same_numbers(tmp_path):
    t = table()
    t.save(tmp_path / "t.parquet")
    frame = pq.read_table(tmp_path / "t.parquet").to_pandas()
    np.testing.assert_array_equal(frame["mjj"], t["mjj"])
    np.testing.assert_array_equal(frame["weight"], t.weight)


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    target = tmp_path / "t.parquet"
    table().save(target)
    before = target.read_bytes()

    def full_disk(*_args, **_more):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pq, "write_table", full_disk)
    with pytest.raises(OSError, match="No space"):
        table(3).save(target)
    assert target.read_bytes() == before
    assert list(tmp_path.iterdir()) == [target]


def test_loading_what_is_no_table_says_so(tmp_path):
    with pytest.raises(hepaa.InputError, match="no such file"):
        EventTable.load(tmp_path / "none.parquet")
    (tmp_path / "text.parquet").write_text("<html>")
    with pytest.raises(hepaa.InputError, match="is a web page"):
        EventTable.load(tmp_path / "text.parquet")
    (tmp_path / "text.parquet").write_bytes(b"PAR1, and no more")
    with pytest.raises(hepaa.InputError, match="is a broken Parquet file"):
        EventTable.load(tmp_path / "text.parquet")


def test_the_identity_of_an_event_does_not_depend_on_order_or_pieces():
    a, b = table(path="a.lhe"), table(4, path="b.lhe")
    one = concatenate([a, b])
    other = concatenate([b, a[3:], a[:3]])
    assert set(one.event_hash()) == set(other.event_hash())
    np.testing.assert_array_equal(other.event_hash()[:4], b.event_hash())
    assert len(set(one.event_hash())) == 10
    assert not set(one.event_hash()) & set(one.event_hash("another salt"))


def test_event_hashes_are_uniform():
    t = EventTable.build(np.zeros((200_000, 1)), ["x"])
    counts = np.histogram(t.event_hash() / 2.0**64, bins=100, range=(0, 1))[0]
    chi2 = np.sum((counts - 2000) ** 2 / 2000)
    assert 50 < chi2 < 160  # 99 degrees of freedom: 5 standard deviations either way


@pytest.mark.parametrize("event", [2**63, 2**64, -(2**63) - 1, 0.5, float("nan"), 1e19, "x"])
def test_a_number_that_no_event_has_is_refused(tmp_path, event):
    with pytest.raises(hepaa.InputError, match="is no number of an event"):
        EventTable.build(np.ones((2, 1)), ["a"], event=[1, event])


def test_a_table_with_event_numbers_beyond_2_63_is_refused(tmp_path):
    EventTable.build(np.ones((2, 1)), ["a"]).save(tmp_path / "t.parquet")
    content = pq.read_table(tmp_path / "t.parquet")
    i = content.schema.get_field_index("event")
    pq.write_table(content.set_column(i, "event", [np.array([1, 2**63], np.uint64)]), tmp_path / "t.parquet")
    with pytest.raises(hepaa.InputError, match="9223372036854775808 is no number of an event"):
        EventTable.load(tmp_path / "t.parquet")
