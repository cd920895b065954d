"""Feature tables: every container gives the numbers that went in; every fault has its line."""

from __future__ import annotations

import csv
import gzip
import warnings

import h5py
import numpy as np
import pandas as pd
import pytest

from hepaa import io
from hepaa.errors import InputError, TruncatedInputError
from hepaa.io.columns import read as featurefile

NAMES = [f"{q}{j}" for j in ("j1", "j2") for q in ("px", "py", "pz", "m", "tau1", "tau2", "tau3")]


@pytest.fixture(scope="module")
def frame():
    rng = np.random.default_rng(3)
    table = pd.DataFrame(rng.normal(0, 1000, (101, 14)), columns=NAMES)
    table["label"] = rng.integers(0, 2, 101)
    return table


def write(path, frame, how):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if how == "fixed":
            frame.to_hdf(path, key="df", format="fixed", complib="blosc")
        elif how == "table":
            frame.to_hdf(path, key="df", format="table")
        elif how == "table-data-columns":
            frame.to_hdf(path, key="a/df", format="table", data_columns=["pyj1", "label"])
        elif how == "csv":
            frame.to_csv(path, index=False)
        elif how == "csv.gz":
            path.write_bytes(gzip.compress(frame.to_csv(index=False).encode()))
        elif how == "csv-blanks":
            frame.to_csv(path, index=False, sep=" ")
        elif how == "npz-matrix":
            np.savez_compressed(
                path.open("wb"), F=frame[NAMES], columns=NAMES, label=frame["label"], seeds=[1, 2], kept=3
            )
        elif how == "npz-fortran":
            np.savez(path.open("wb"), X=np.asfortranarray(frame[NAMES]), names=NAMES, is_signal=frame["label"])
        elif how == "npz-vectors":
            np.savez(path.open("wb"), **{c: frame[c] for c in frame})
        elif how == "parquet":
            frame.to_parquet(path)
        elif how == "npy-fields":
            np.save(path.open("wb"), frame.to_records(index=False))
        elif how == "hdf5-fields":
            with h5py.File(path, "w") as file:
                file.create_dataset("g/t", data=frame.to_records(index=False), chunks=(10,))
        elif how == "hdf5-plain":
            with h5py.File(path, "w") as file:
                file["t"] = frame.to_numpy()
                file["t"].attrs["columns"] = list(frame.columns)


CONTAINERS = [
    "fixed", "table", "table-data-columns", "csv", "csv.gz", "csv-blanks", "npz-matrix", "npz-fortran", "npz-vectors",
    "npy-fields", "hdf5-fields", "hdf5-plain", "parquet",
]  # fmt: skip


@pytest.mark.parametrize("how", CONTAINERS)
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_every_container_gives_the_same_numbers(tmp_path, frame, how):
    write(tmp_path / "x", frame, how)
    for events in (io.open(tmp_path / "x"), *[_joined(io.iterate(tmp_path / "x", step_size=2000))]):
        assert list(events.columns) == NAMES
        for name in NAMES:
            np.testing.assert_array_equal(events.columns[name], frame[name])
            assert events.columns[name].dtype == np.float64
        np.testing.assert_array_equal(events.label, frame["label"])
        np.testing.assert_array_equal(events.index, np.arange(101))
        assert events.format == "lhco-features"


def _joined(pieces):
    from hepaa.io.pieces import merge

    parts = list(pieces)
    assert len(parts) > 3
    return merge(parts)


def test_real_files(data):
    with gzip.open(data / "lhco" / "rd_event_features_12k.csv.gz", "rt") as stream:
        rows = list(csv.DictReader(stream))
    events = io.open(data / "lhco" / "rd_event_features_12k.csv.gz")
    np.testing.assert_array_equal(events.columns["mjj"], [float(r["mjj"]) for r in rows])
    np.testing.assert_array_equal(events.label, [int(r["isSignal"]) for r in rows])
    assert events.header["skipped_columns"] == ["type"]
    assert events.header["label"] == "isSignal"
    with np.load(data / "dijets" / "features" / "svj.npz") as archive:
        events = io.open(data / "dijets" / "features" / "svj.npz")
        np.testing.assert_array_equal(np.column_stack(list(events.columns.values())), archive["F"])
        assert list(events.columns) == NAMES
    events = io.open(data / "smeft" / "bbyy_SM.h5", weight="Lumi_weight", columns=["m_bbyy"])
    with h5py.File(data / "smeft" / "bbyy_SM.h5") as file:
        table = file["ForAnalysis/1d"][()]
    np.testing.assert_array_equal(events.weight, table["Lumi_weight"])
    np.testing.assert_array_equal(events.columns["m_bbyy"], table["m_bbyy"])


def test_an_array_without_names(data):
    path = data / "lhco" / "cathode_innerdata_test.npy"
    names = ["mjj", "mj1", "dmj", "tau21j1", "tau21j2", "label"]
    events = io.open(path, columns=names)
    raw = np.load(path)
    np.testing.assert_array_equal(events.columns["dmj"], raw[:, 2])
    assert events.label.sum() == 20000
    with pytest.raises(InputError, match="6 columns without names"):
        io.open(path)
    with pytest.raises(InputError, match="6 columns, but columns= names 2"):
        io.open(path, columns=["a", "b"])


def test_a_choice_of_columns_label_and_weight(tmp_path, frame):
    frame.assign(w=2.5).to_csv(tmp_path / "x.csv", index=False)
    events = io.open(tmp_path / "x.csv", columns=["mj2", "mj1"], weight="w")
    assert list(events.columns) == ["mj2", "mj1"]
    np.testing.assert_array_equal(events.weight, np.full(101, 2.5))
    np.testing.assert_array_equal(events.label, frame["label"])
    with pytest.raises(InputError, match=r"no column 'mj3'; did you mean 'mj2'.*available: .*pxj1"):
        io.open(tmp_path / "x.csv", columns=["mj3"])
    with pytest.raises(InputError, match="no numeric column 'truth'"):
        io.open(tmp_path / "x.csv", label="truth")
    with pytest.raises(InputError, match=r"label .* in 'mj1'; labels are 0, 1"):
        io.open(tmp_path / "x.csv", label="mj1")


def test_a_schema_renames_and_scales(tmp_path, frame):
    frame.rename(columns={"mj1": "M1", "label": "cls"}).to_csv(tmp_path / "x.csv", index=False)
    (tmp_path / "s.yaml").write_text("columns: {mj1: {branch: M1, scale: 0.001}, mj2: mj2}\nlabel: cls\n")
    events = io.open(tmp_path / "x.csv", schema=tmp_path / "s.yaml")
    assert list(events.columns) == ["mj1", "mj2"]
    np.testing.assert_array_equal(events.columns["mj1"], frame["mj1"] * 0.001)
    np.testing.assert_array_equal(events.label, frame["label"])
    with pytest.raises(InputError, match="no column 'N1' for mj1"):
        io.open(tmp_path / "x.csv", schema={"columns": {"mj1": "N1"}})
    with pytest.raises(InputError, match="columns, label and weight only"):
        io.open(tmp_path / "x.csv", schema="nanoaod")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a,b\n1,2\n3\n", "after 0 good events.*Expected 2 columns, got 1"),
        ("a,b\n1,2\n3,\n", "'b' is empty in event 1"),
        ("a,b\n1,2\n3,x\n", "after 0 good events"),
        ("a,a\n1,2\n", "stand twice"),
        ("a,b\n", "no events"),
        ("a,b\n1,2,3\n", "names 2 columns but line 2 has 3"),
        ("1,2\n3,4\n", "2 columns without names"),
        ("a,b\nx,y\n", "no numeric column"),
    ],
)
def test_a_csv_with_a_fault(tmp_path, text, words):
    (tmp_path / "x.csv").write_text(text)
    with pytest.raises(InputError, match=words) as failure:
        list(featurefile.iterate(tmp_path / "x.csv", step_bytes=1000))
    assert "\n" not in str(failure.value)


def test_nan_that_is_written_is_kept(tmp_path):
    (tmp_path / "x.csv").write_text("a,b\n1,nan\n3,inf\n")
    events = io.open(tmp_path / "x.csv")
    np.testing.assert_array_equal(events.columns["b"], [np.nan, np.inf])


def test_no_pickle_is_read(tmp_path):
    np.save(tmp_path / "x.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(InputError, match="pickled Python objects"):
        io.open(tmp_path / "x.npy")
    write(tmp_path / "x.h5", pd.DataFrame({"a": [1.0]}), "table")
    with h5py.File(tmp_path / "x.h5", "a") as file:
        evil = f"cpathlib\nPath.touch\n(cpathlib\nPath\n(V{tmp_path / 'opened'}\ntRtR.".encode()
        file["df/table"].attrs["values_block_0_kind"] = np.bytes_(evil)
    with pytest.raises(InputError, match="neither texts nor whole numbers"):
        io.open(tmp_path / "x.h5")
    assert not (tmp_path / "opened").exists()


def test_a_cut_array_and_a_cut_gzip(tmp_path, frame):
    for order in "CF":
        np.save(tmp_path / "x.npy", np.array(frame[NAMES], order=order))
        content = (tmp_path / "x.npy").read_bytes()
        (tmp_path / "x.npy").write_bytes(content[:-100])
        with pytest.raises(InputError, match="breaks off"):
            io.open(tmp_path / "x.npy", columns=NAMES)
    whole = gzip.compress(frame.to_csv(index=False).encode())
    (tmp_path / "x.csv.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="end early"):
        io.open(tmp_path / "x.csv.gz")


def test_a_broken_chunk(tmp_path, frame):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        table = file.create_dataset("t", data=frame.to_numpy(), chunks=(10, 15), compression="gzip", fletcher32=True)
        table.attrs["columns"] = list(frame.columns)
        where = table.id.get_chunk_info_by_coord((70, 0)).byte_offset
    content = bytearray((tmp_path / "x.h5").read_bytes())
    content[where + 9 : where + 30] = b"\x00" * 21
    (tmp_path / "x.h5").write_bytes(content)
    with pytest.raises(TruncatedInputError, match="from event 70 on"):
        io.open(tmp_path / "x.h5")
    kept = io.open(tmp_path / "x.h5", keep_partial=True)
    np.testing.assert_array_equal(kept.columns["mj1"], frame["mj1"][:70])
    assert "event 70" in kept.header["broken"]


def opened(tmp_path, content, name="x.csv", **options):
    (tmp_path / name).write_text(content)
    return io.open(tmp_path / name, **options)


def test_true_and_false_are_labels(tmp_path):
    events = opened(tmp_path, "a,label,ok\n1,True,true\n2,False,false\n3,True,true\n")
    assert events.label.tolist() == [1, 0, 1]
    assert events.columns["ok"].tolist() == [1.0, 0.0, 1.0]
    assert events.header["skipped_columns"] == []


@pytest.mark.parametrize(
    ("content", "event"),
    [("a,b\n1,\n2,3\n3,4\n", 0), ("a,b\n1,2\n2,3\n3,\n", 2), ("a,b\n1,NA\n2,3\n", 0), ("a,b\n1,2\n2,NA\n", 1)],
)
def test_a_missing_value_is_the_same_error_in_every_row(tmp_path, content, event):
    with pytest.raises(InputError, match=f"'b' is empty in event {event}; mend it"):
        opened(tmp_path, content)


def test_a_table_without_a_header_may_begin_with_a_missing_value(tmp_path):
    with pytest.raises(InputError, match="'b' is empty in event 0"):
        opened(tmp_path, "1,,3\n4,5,6\n", columns=["a", "b", "c"])


def test_the_index_of_a_data_frame_is_no_column(tmp_path, frame):
    for separator in ",\t;":
        assert list(opened(tmp_path, frame.to_csv(sep=separator)).columns) == NAMES
    again = pd.read_csv(tmp_path / "x.csv", sep=";")
    assert list(opened(tmp_path, again.to_csv()).columns) == NAMES
    bare = pd.DataFrame(frame[NAMES].to_numpy())
    np.testing.assert_array_equal(opened(tmp_path, bare.to_csv()).columns["1"], frame["pyj1"])


def test_a_label_of_text_is_not_passed_over(tmp_path):
    text = "a,label\n1,signal\n2,background\n"
    with pytest.raises(InputError, match="column 'label' holds no numbers"):
        opened(tmp_path, text)
    assert opened(tmp_path, text, columns=["a"]).label is None
    np.savez(tmp_path / "x.npz", a=np.ones(2), label=np.array(["s", "b"]))
    with pytest.raises(InputError, match="column 'label' holds no numbers"):
        io.open(tmp_path / "x.npz")
    write(tmp_path / "x.h5", pd.DataFrame({"a": [1.0, 2.0], "label": np.array([True, False], object)}), "fixed")
    with pytest.raises(InputError, match="column 'label' holds no numbers"):
        io.open(tmp_path / "x.h5")


def test_columns_of_mixed_names_are_told(tmp_path):
    frame = pd.DataFrame(np.ones((3, 2)))
    frame["label"] = [0, 1, 0]
    write(tmp_path / "x.h5", frame, "fixed")
    with pytest.raises(InputError, match=r"column names of 'df' are of mixed types.*map"):
        io.open(tmp_path / "x.h5")
    write(tmp_path / "y.h5", frame.rename(columns=str), "fixed")
    assert io.open(tmp_path / "y.h5").label.tolist() == [0, 1, 0]


@pytest.mark.parametrize("names", [["run", "evt"], [None, None]])
def test_levels_of_an_index_and_codes_of_categories_are_no_columns(tmp_path, frame, names):
    levels = pd.MultiIndex.from_arrays([np.ones(101, int), np.arange(101)], names=names)
    for how in ("fixed", "table"):
        write(tmp_path / f"{how}.h5", frame.set_index(levels), how)
        assert list(io.open(tmp_path / f"{how}.h5").columns) == NAMES
    write(tmp_path / "x.h5", frame.assign(period=pd.Categorical(["a"] * 101)), "table")
    events = io.open(tmp_path / "x.h5")
    assert list(events.columns) == NAMES
    assert events.header["skipped_columns"] == ["period"]


def test_a_column_twice_is_an_error(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["t"] = np.ones((2, 2))
        file["t"].attrs["columns"] = ["a", "a"]
    np.savez(tmp_path / "m.npz", X=np.ones((2, 2)), columns=["a", "a"])
    np.savez(tmp_path / "v.npz", X=np.ones((2, 2)), columns=["a", "b"], b=np.zeros(2))
    for name in ("x.h5", "m.npz", "v.npz"):
        with pytest.raises(InputError, match="column names stand twice"):
            io.open(tmp_path / name)


def test_numbers_of_events_are_exact(tmp_path):
    event = 2**60 + np.arange(20)
    frame = pd.DataFrame({"a": np.arange(20.0), "event": event, "run": np.arange(20, dtype=np.uint64)})
    for how in ("fixed", "table", "csv", "npz-vectors", "npy-fields", "hdf5-fields", "parquet"):
        write(tmp_path / how, frame, how)
        for events in (io.open(tmp_path / how), _joined(io.iterate(tmp_path / how, step_size=120))):
            assert events.columns["event"].dtype.kind in "iu"
            np.testing.assert_array_equal(events.columns["event"], event)
            assert events.columns["a"].dtype == np.float64


def test_the_weight_is_chosen_by_one_rule_in_all_formats(tmp_path):
    import uproot

    columns = {"x": np.ones(3), "genWeight": np.full(3, 2.0), "evtwt": np.full(3, 3.0), "Weight": np.full(3, 4.0)}
    frame = pd.DataFrame(columns)
    for how in ("csv", "fixed", "npz-vectors", "parquet"):
        write(tmp_path / how, frame, how)
    with uproot.recreate(tmp_path / "x.root") as file:
        file["t"] = columns
    for name in ("csv", "fixed", "npz-vectors", "parquet", "x.root"):
        assert io.open(tmp_path / name).weight.tolist() == [4, 4, 4]


def test_parquet_of_others(tmp_path):
    frame = pd.DataFrame({"a": [1.0, None, 3.0], "text": list("xyz"), "ok": [True, False, True], "label": [0, 1, 0]})
    frame["kind"] = pd.Categorical(list("uvu"))
    frame.index = pd.MultiIndex.from_arrays([[1, 2, 3], [4, 5, 6]], names=["run", None])
    frame.to_parquet(tmp_path / "x.parquet")
    events = io.open(tmp_path / "x.parquet", missing="nan")
    np.testing.assert_array_equal(events.columns["a"], [1, np.nan, 3])
    assert (list(events.columns), events.columns["ok"].tolist()) == (["a", "ok"], [1, 0, 1])
    assert (events.label.tolist(), events.header["skipped_columns"]) == ([0, 1, 0], ["text", "kind"])
    with pytest.raises(InputError, match="'a' is empty in event 1; mend it"):
        io.open(tmp_path / "x.parquet")
    content = (tmp_path / "x.parquet").read_bytes()
    (tmp_path / "x.parquet").write_bytes(content[:60] + b"\xff" * 20 + content[80:])
    with pytest.raises(InputError, match=r"x.parquet"):
        io.open(tmp_path / "x.parquet", missing="nan")
