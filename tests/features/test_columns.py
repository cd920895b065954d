"""Features that are columns of somebody's table, and expressions of them."""

from __future__ import annotations

import numpy as np
import pytest
import uproot

import hepaa
from hepaa.card import parse_card
from hepaa.events import Events
from hepaa.features import feature_info
from hepaa.run.reading import SampleReading


def events(**columns):
    n = len(next(iter(columns.values())))
    return Events("memory", "test", np.arange(n), np.ones(n), columns={k: np.asarray(v) for k, v in columns.items()})


def test_columns_expressions_and_names_of_expressions():
    table = hepaa.features(
        events(pt1=[4.0, 9.0], pt2=[1.0, 3.0], **{"m(bb)": [90.0, 125.0]}),
        ["pt1", "log(pt1 / pt2)", "ratio = pt1/pt2", "m(bb)"],
    )
    assert table.columns == ("pt1", "log(pt1 / pt2)", "ratio", "m(bb)")
    expected = np.array([[4, np.log(4), 4, 90], [9, np.log(3), 3, 125]], np.float32)
    np.testing.assert_array_equal(table.X, expected)
    assert feature_info("ratio", ("a", "ratio = a / b")).label == "ratio"


def test_columns_of_a_cut_travel_along():
    table = hepaa.features(events(a=[1.0, 2, 3], b=[4.0, 5, 6]), ["a"], selection="b > 4 and a < 3")
    assert (table.columns, list(table.spectators)) == (("a",), ["b"])
    assert table.event.tolist() == [1]
    assert [(row.step, row.n) for row in table.cutflow] == [("all", 3), ("b > 4", 2), ("a < 3", 1)]


def test_nan_is_no_obstacle_where_it_is_cut_away_or_no_input():
    some = events(a=[1.0, np.nan, 3], b=[4.0, 0, 6])
    with pytest.raises(hepaa.InputError, match="'a' is nan in memory, event 1"):
        hepaa.features(some, ["a", "b"])
    assert hepaa.features(some, ["a", "b"], selection="b > 1").n == 2
    assert hepaa.features(some, ["a", "b"], selection="b > 1 and a > 2").n == 1
    table = hepaa.features(some, ["a", "b"], inputs=["b"])
    assert (table.n, list(table.spectators)) == (3, ["a"])
    with pytest.raises(hepaa.InputError, match="'a' is undefined for 1 events"):
        hepaa.features(some, ["a", "b"], selection="a > 2 and b > 1")


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        (["x"], "no column 'x'; .*available: a, b"),
        (["a", "a"], "each of them once"),
        ([], "name one or more"),
        (["a / x"], "no column 'x'"),
        (["r = a /"], "is no expression"),
        (["r = a > 1"], "is a yes or no, not a number"),
        (["lgo(a)"], r"no column 'lgo\(a\)'"),
        (["log(a - 1)"], r"'log\(a - 1\)' is -?inf in memory, event 0"),
    ],
)
def test_what_cannot_be_computed_is_one_line(columns, words):
    with pytest.raises(hepaa.InputError, match=words):
        hepaa.features(events(a=[1.0, 2], b=[3.0, 4]), columns)


def card_of(folder, file, **features):
    (folder / "out").mkdir(exist_ok=True)
    samples = [
        {"process": name, "role": role, "files": [file], "truth": truth, "expected_events": 100.0}
        for name, role, truth in (("B", "background", 0), ("S", "signal", 1))
    ]
    content = {"name": "flat", "output": str(folder / "out"), "luminosity_fb": 1, "samples": samples}
    return parse_card(
        content | {"features": features, "detectors": [{"detector": "SumOfSquares"}], "workspace": {"write": False}},
        source=folder / "card.yaml",
    )


def flat_tables(folder, n):
    """One flat table as CSV and as ROOT, with a label, a weight, and a column that no card names and that has NaN."""
    rng = np.random.default_rng(1)
    label = rng.integers(0, 2, n)
    columns = {"a": rng.normal(size=n) + label, "b": rng.exponential(size=n) + 0.1, "junk": np.full(n, np.nan)}
    columns |= {"weight": rng.uniform(1, 2, n), "label": label}
    rows = np.column_stack(list(columns.values()))
    np.savetxt(folder / "x.csv", rows, delimiter=",", header=",".join(columns), comments="", fmt="%.17g")
    with uproot.recreate(folder / "x.root") as file:
        file["t"] = columns
    return columns


def test_a_flat_table_is_one_card_away_from_features(tmp_path):
    columns = flat_tables(tmp_path, 50)
    expected = columns["label"] == 0
    for name in ("x.csv", "x.root"):
        card = card_of(tmp_path, name, columns=["a", "log(b)"], selection="b > 0.2")
        table, tally = SampleReading.from_card(card.samples[0], card).rows(card.samples[0].files)
        rows = expected & (columns["b"] > 0.2)
        np.testing.assert_array_equal(table["a"], columns["a"][rows].astype(np.float32))
        np.testing.assert_array_equal(table["log(b)"], np.log(columns["b"][rows]).astype(np.float32))
        assert list(table.spectators) == ["b"]
        np.testing.assert_array_equal(table.weight, columns["weight"][rows])
        assert tally.events == expected.sum()


def test_a_missing_value_is_no_obstacle_where_it_is_cut_away_or_no_input(tmp_path):
    (tmp_path / "x.csv").write_text("a,b,label\n1,,0\n2,3,0\n,4,0\n5,6,1\n")
    card = card_of(tmp_path, "x.csv", columns=["a"], selection="b < 4")
    with pytest.raises(hepaa.InputError, match="'b' is undefined for 1 events"):
        SampleReading.from_card(card.samples[0], card).rows(card.samples[0].files)
    card = card_of(tmp_path, "x.csv", columns=["a", "b"])
    with pytest.raises(hepaa.InputError, match=r"'a' is nan in .*x.csv, event 2"):
        SampleReading.from_card(card.samples[0], card).rows(card.samples[0].files)
    card = card_of(tmp_path, "x.csv", columns=["a", "b"], inputs=["b"])
    assert SampleReading.from_card(card.samples[1], card).rows(card.samples[1].files)[0].n == 1


def test_columns_of_formats_that_are_read_as_a_whole(tmp_path):
    flat_tables(tmp_path, 20)
    from hepaa.io.convert import convert

    convert(tmp_path / "x.root", tmp_path / "x.parquet")
    assert list(hepaa.open(tmp_path / "x.parquet", columns=["b"]).columns) == ["b"]
    with pytest.raises(hepaa.InputError, match="no column 'c'; available: a, b, junk"):
        hepaa.open(tmp_path / "x.parquet", columns=["c"])


def test_names_that_are_no_expressions(tmp_path):
    (tmp_path / "x.csv").write_text('m(bb),pt [GeV],"label"\n1,2,0\n3,4,1\n')
    card = card_of(tmp_path, "x.csv", columns=["m(bb)", "pt [GeV]"])
    table, _ = SampleReading.from_card(card.samples[1], card).rows(card.samples[1].files)
    np.testing.assert_array_equal(table.X, [[3, 4]])


def test_a_schema_may_name_the_weight_alone(tmp_path):
    (tmp_path / "x.csv").write_text("a,mc,cls\n1,2,0\n3,4,1\n")
    got = hepaa.open(tmp_path / "x.csv", schema={"weight": "mc", "label": "cls"})
    assert (list(got.columns), got.weight.tolist(), got.label.tolist()) == (["a"], [2, 4], [0, 1])


def test_a_card_names_a_set_or_columns(tmp_path):
    for features in ({"set": "zh", "columns": ["a"]}, {}):
        with pytest.raises(hepaa.CardError, match="give either `set`"):
            card_of(tmp_path, "x.csv", **features)


@pytest.mark.slow
def test_a_flat_table_is_one_card_away_from_results(tmp_path):
    from hepaa.run.pipeline import run

    flat_tables(tmp_path, 4000)
    for name in ("x.csv", "x.root"):
        card = card_of(tmp_path, name, columns=["a", "ratio = a / b", "b"], inputs=["a", "ratio"])
        folder = run(card, overwrite=True)
        scored = hepaa.EventTable.load(folder / "scores.parquet")
        assert scored.columns == ("a", "ratio")
        assert "score_SumOfSquares" in scored.spectators
        assert (folder / "figures").is_dir()


@pytest.mark.slow
def test_the_command_line_takes_columns_too(tmp_path, monkeypatch):
    from click.testing import CliRunner

    from hepaa.cli import main

    monkeypatch.chdir(tmp_path)
    columns = flat_tables(tmp_path, 30)
    words = ["features", "x.csv", "--column", "a", "--column", "r = a / b", "-o", "t.parquet"]
    assert CliRunner().invoke(main, words, catch_exceptions=False).exit_code == 0
    table = hepaa.EventTable.load("t.parquet")
    assert table.columns == ("a", "r")
    np.testing.assert_array_equal(table["r"], (columns["a"] / columns["b"]).astype(np.float32))
    done = CliRunner().invoke(main, [*words, "--set", "zh"])
    assert (done.exit_code, done.stderr) == (2, "hepaa: give either --set or --column, not both\n")
    batch = [*words[:-1], "b.parquet", "--executor", "serial"]
    assert CliRunner().invoke(main, batch, catch_exceptions=False).exit_code == 0
    np.testing.assert_array_equal(hepaa.EventTable.load("b.parquet").X, table.X)
