"""What a notebook shows: tables that an independent parser reads back to the numbers of the object."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import yaml

import hepaa
from hepaa import demo, html
from hepaa.card import load_card
from hepaa.demo import path
from hepaa.stats.histogram import Binning, score_histograms

pd = pytest.importorskip("pandas")


@pytest.fixture(scope="module")
def table():
    signal = hepaa.features(hepaa.open(path("zh_chw.lhe.gz"), sample=hepaa.Sample("O_HW", "signal", "Pythia 8")), "zh")
    sm = hepaa.features(hepaa.open(path("zh_sm.lhe.gz"), sample=hepaa.Sample("ZH", generator="Pythia 8")), "zh")
    return hepaa.concatenate([sm, signal])


def shown(thing):
    """The tables of an object as data frames, read by an XML parser."""
    frames = []
    for table in ElementTree.fromstring(f"<div>{thing._repr_html_()}</div>").iter("table"):
        header, *rows = [[cell.text or "" for cell in row] for row in table.iter("tr")]
        frame = pd.DataFrame(rows, columns=header)
        frames.append(frame.apply(_numbers))
    return frames


def _numbers(column):
    try:
        return pd.to_numeric(column)
    except ValueError:
        return column


def test_text_is_escaped():
    assert "<script>" not in html.table(["a"], [["<script>"]], caption="<script>")
    assert html.text("a < b") == "<pre>a &lt; b</pre>"


def test_a_table_shows_columns_processes_and_cutflow(table):
    columns, counts, cutflow = shown(table)
    assert columns["column"].tolist() == [*table.columns, *table.spectators]
    np.testing.assert_allclose(columns["greatest"], [table[c].max() for c in columns["column"]], rtol=1e-3)
    by_process = counts.set_index("process")["events"]
    assert by_process["ZH"] == table.background.n
    assert by_process["O_HW"] == table.signal.n
    assert cutflow["events"].sum() == sum(row.n for row in table.cutflow)


def test_a_table_without_events_is_shown_too(table):
    assert shown(table[:0])[0]["column"].tolist() == [*table.columns, *table.spectators]


def test_units_stay_with_the_columns(table, tmp_path):
    table.save(tmp_path / "t.parquet")
    for t in (table, hepaa.EventTable.load(tmp_path / "t.parquet"), table[:5].select(["mZH", "drll"])):
        units = shown(t)[0].set_index("column")["unit"]
        assert units["mZH"] == "GeV"
        assert units["drll"] == ""


def test_events_are_one_line():
    events = hepaa.open(path("zh_sm.lhe.gz"))
    assert repr(events) == (
        f"Events({events.path!r}, lhe: 5000 events, sum of weights {events.weight.sum():.6g}, particles, "
        f"{len(events.columns)} columns, 5 named weights)"
    )


def test_a_detector_shows_its_settings_and_its_training(table):
    detector = hepaa.VAE(epochs=2, seed=3)
    (settings,) = shown(detector)
    assert settings.set_index("parameter")["value"].to_dict() == {"epochs": 2, "seed": 3}
    settings, training = shown(detector.fit(table))
    numbers = training.set_index("training").iloc[:, 0]
    assert numbers["background events"] == table.background.n
    assert numbers["last loss: total"] == pytest.approx(detector.history_["total"][-1], rel=1e-3)
    assert detector._repr_mimebundle_()["text/html"] == detector._repr_html_()


def test_frames_and_records_hold_every_column(table):
    frame, records = table.to_pandas(), table.to_awkward()
    assert set(frame.columns) == set(records.fields)
    for name in table.columns:
        np.testing.assert_array_equal(frame[name], table[name])
        np.testing.assert_array_equal(records[name].to_numpy(), table[name])
    assert (frame["process"] == "O_HW").sum() == table.signal.n
    assert records.process.to_list() == frame["process"].to_list()


def test_score_histograms_and_their_significance(table):
    drawn = score_histograms(table, table["mZH"], Binning((0.0, 300.0, 500.0, 3000.0)))
    (bins,) = shown(drawn)
    np.testing.assert_allclose(bins["ZH"], drawn.b, rtol=1e-3)
    np.testing.assert_allclose(bins["O_HW"], drawn.s(), rtol=1e-3)
    z = drawn.significance("O_HW", systematic=0.1)
    (rows,) = shown(z)
    np.testing.assert_allclose(rows["Z"], [*z.z, z.total], rtol=1e-3)


def test_a_card_is_its_yaml():
    card = load_card(Path(demo.__file__).with_name("zh.yaml"))
    (pre,) = ElementTree.fromstring(f"<div>{card._repr_html_()}</div>").iter("pre")
    assert yaml.safe_load(pre.text) == yaml.safe_load(card.to_yaml())
