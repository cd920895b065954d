"""Tables of others: data frames, and files of features, as EventTables."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import hepaa
from hepaa import EventTable, InputError


def frame(n=60, seed=0):
    rng = np.random.default_rng(seed)
    table = pd.DataFrame({"a": rng.normal(size=n), "b": rng.integers(0, 9, n), "genWeight": rng.uniform(1, 2, n)})
    table["event"] = 2**60 + np.arange(n)
    table["is_signal"] = rng.uniform(size=n) < 0.4
    return table


def test_a_data_frame_as_a_table():
    given = frame()
    given["period"] = pd.Categorical(["x", "y"] * 30)
    given["run"] = 362000
    given["tight"] = given["a"] > 0
    given.index = pd.MultiIndex.from_arrays([np.arange(60), np.arange(60)], names=["u", "v"])
    table = EventTable.from_pandas(given)
    assert (table.columns, dict(table.spectators)) == (("a", "b", "tight"), {})
    np.testing.assert_array_equal(table["a"], given["a"].astype(np.float32))
    np.testing.assert_array_equal(table.weight, given["genWeight"])
    np.testing.assert_array_equal(table.label, given["is_signal"].astype(int))
    np.testing.assert_array_equal(table.event, given["event"])
    assert EventTable.from_pandas(pd.concat([given, given])).event.tolist() == list(range(120))
    chosen = EventTable.from_pandas(given, inputs=["a"], label="tight", weight="b")
    assert (chosen.columns, list(chosen.spectators)) == (("a",), ["genWeight", "is_signal"])
    np.testing.assert_array_equal(chosen.weight, given["b"])
    np.testing.assert_array_equal(chosen.label, given["tight"])


def test_the_way_back_from_to_pandas():
    table = hepaa.concatenate(
        [
            EventTable.build(np.ones((3, 2)), ["a", "b"], label=0, process="QCD", generator="Pythia", weight=[1, 2, 3]),
            EventTable.build(np.zeros((2, 2)), ["a", "b"], label=1, process="X", generator="Herwig", event=[2**60, 5]),
        ]
    )
    back = EventTable.from_pandas(table.to_pandas())
    pd.testing.assert_frame_equal(back.to_pandas(), table.to_pandas())
    assert (back.columns, set(back.processes), set(back.generators)) == (("a", "b"), {"QCD", "X"}, {"Pythia", "Herwig"})


@pytest.mark.parametrize(
    "label",
    [
        np.array([True, False, None], object), np.array([1, 0, -1], object), ["signal", "background", "data"],
        pd.array([True, False, None], dtype="boolean"), pd.array([1, 0, None], dtype="Int64"),
        pd.Categorical(["signal", "background", "data"]), [1.0, 0.0, np.nan],
    ],
)  # fmt: skip
def test_labels_of_all_kinds(label):
    assert EventTable.from_pandas(pd.DataFrame({"a": np.ones(3), "label": label})).label.tolist() == [1, 0, -1]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (pd.DataFrame(np.ones((2, 2)), columns=["a", "a"]), "column names stand twice"),
        (pd.DataFrame({"a": [1.0], "label": ["signl"]}), "a label is signl; labels are"),
        (pd.DataFrame({"a": [1.0, None]}), "'a' is nan in pandas, event 1"),
        (pd.DataFrame({"a": [1.0], "weight": [np.nan]}), "'weight' is nan"),
        ([1, 2], "a pandas data frame is expected, not list"),
    ],
)
def test_what_is_no_table_is_one_line(given, words):
    with pytest.raises(InputError, match=words):
        EventTable.from_pandas(given)


def test_a_data_frame_is_split():
    parts = hepaa.split(frame(400), {"train": 0.5, "test": 0.5})
    whole = EventTable.from_pandas(frame(400))
    assert sum(p.n for p in parts.values()) == 400
    for part in parts.values():
        np.testing.assert_allclose(part.sum_weights, whole.sum_weights)
    with pytest.raises(InputError, match="a pandas data frame is expected, not dict"):
        hepaa.split({"a": 1}, {"train": 1.0})


def test_files_of_features_are_tables(tmp_path):
    given = frame()
    given.to_csv(tmp_path / "x.csv", index=False)
    given.to_hdf(tmp_path / "x.h5", key="df")
    np.savez(tmp_path / "x.npz", **{c: given[c].to_numpy() for c in given})
    given.to_parquet(tmp_path / "x.parquet")
    for name in ("x.csv", "x.h5", "x.h5:df", "x.npz", "x.parquet"):
        table = EventTable.load(f"{tmp_path / name}")
        assert table.columns == ("a", "b")
        np.testing.assert_array_equal(table.weight, given["genWeight"])
        np.testing.assert_array_equal(table.label, given["is_signal"])
        table.save(tmp_path / "y.parquet")
        np.testing.assert_array_equal(EventTable.load(tmp_path / "y.parquet").X, table.X)
    assert list(EventTable.load(tmp_path / "x.csv", inputs=["b"]).spectators) == ["a"]
    given.assign(a=np.nan).to_csv(tmp_path / "x.csv", index=False)
    assert EventTable.load(tmp_path / "x.csv", inputs=["b"]).columns == ("b",)
    with pytest.raises(InputError, match=r"'a' is nan in .*x.csv, event 0 .60 of 60"):
        EventTable.load(tmp_path / "x.csv")
    given.assign(is_signal=None).to_csv(tmp_path / "x.csv", index=False)
    with pytest.raises(InputError, match="event 0 has the label nan"):
        EventTable.load(tmp_path / "x.csv")


def test_events_are_no_table(tmp_path):
    from hepaa.demo import path

    with pytest.raises(InputError, match=r"zh_sm.lhe.gz holds events \(lhe\), no table; make one"):
        EventTable.load(path("zh_sm.lhe.gz"))
    with pytest.raises(InputError, match=r"nothing.csv: no such file"):
        EventTable.load(tmp_path / "nothing.csv")


@pytest.mark.slow
def test_train_score_and_split_take_them(tmp_path, monkeypatch):
    from click.testing import CliRunner

    from hepaa.cli import main

    monkeypatch.chdir(tmp_path)
    frame(300).to_csv("x.csv")
    frame(300, 1).assign(junk=np.nan).to_hdf("y.h5", key="df")

    def said(*words):
        done = CliRunner().invoke(main, list(words), catch_exceptions=False)
        assert done.exit_code == 0, done.stderr
        return done.stdout

    said("train", "x.csv", "--detector", "SumOfSquares", "-o", "m.safetensors")
    assert "300 events, column score_m" in said("score", "m.safetensors", "y.h5", "-o", "plain.parquet")
    said("score", "m.safetensors", "y.h5", "--executor", "serial", "-o", "batch.parquet")
    plain, batch = EventTable.load("plain.parquet"), EventTable.load("batch.parquet")
    np.testing.assert_array_equal(plain["score_m"], batch["score_m"])
    assert (plain.columns, list(plain.spectators)) == (("a", "b"), ["junk", "score_m"])
    said("train", "x.csv", "--detector", "SumOfSquares", "--inputs", "a", "-o", "one.safetensors")
    assert hepaa.load_detector("one.safetensors").feature_names_in_.tolist() == ["a"]
    said("split", "x.csv", "--fraction", "train=0.5", "--fraction", "test=0.5", "-o", "parts")
    assert EventTable.load("parts/train.parquet").n + EventTable.load("parts/test.parquet").n == 300
