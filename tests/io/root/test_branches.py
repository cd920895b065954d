"""Names and shapes of branches: fields of RNTuples inside records and lists, packed numbers, ATLAS's RNTuples."""

from __future__ import annotations

from types import SimpleNamespace

import awkward as ak
import numpy as np
import pytest
import uproot
from uproot.interpretation.numerical import AsDouble32, AsFloat16

from hepaa import io
from hepaa.io.root.branches import is_scalar

PARTS = ak.Array([[{"pt": 1.0, "q": 1}], [], [{"pt": 2.0, "q": -1}, {"pt": 3.0, "q": 1}]])


def rntuple(path, name, fields):
    with uproot.recreate(path) as file:
        file.mkrntuple(name, fields)
    return path


def test_fields_in_lists_are_no_columns_and_those_in_records_are(tmp_path):
    vertex = ak.Array([{"z": 1.0, "at": {"t": 0.5}}, {"z": 2.0, "at": {"t": 0.6}}, {"z": 3.0, "at": {"t": 0.7}}])
    fields = {"x": np.arange(3.0), "parts": PARTS, "vertex": vertex, "pt": np.arange(3) * 10.0}
    path = rntuple(tmp_path / "a.root", "t", fields)
    events = io.open(path)
    assert {name: values.tolist() for name, values in events.columns.items()} == {
        "x": [0, 1, 2], "vertex.z": [1, 2, 3], "vertex.at.t": [0.5, 0.6, 0.7], "pt": [0, 10, 20],
    }  # fmt: skip
    parts = io.open(path, schema={"collections": {"parts": {"pt": "parts.pt", "charge": "parts.q"}}}).arrays["parts"]
    assert parts.pt.tolist() == PARTS.pt.tolist()
    assert parts.charge.tolist() == PARTS.q.tolist()


@pytest.mark.parametrize("schema", [None, "physlite"])
def test_an_rntuple_of_atlas_has_the_names_of_the_tree(tmp_path, schema):
    jagged = ak.Array([[50e3, 30e3], [], [20e3]])
    jets = {f"AnalysisJetsAuxDyn:{name}": jagged for name in ("pt", "eta", "phi", "m")}
    with uproot.recreate(tmp_path / "a.root") as file:
        file.mkrntuple("EventTag", {"RunNumber": np.arange(3)})
        file.mkrntuple("EventData", {**jets, "EventInfoAuxDyn:runNumber": np.arange(3)})
    events = io.open(tmp_path / "a.root", schema=schema)
    assert events.header["schema"] == "physlite"
    assert events.jets.pt.tolist() == [[50, 30], [], [20]]
    own = {"columns": {"a": "EventInfoAuxDyn:runNumber", "b": "EventInfoAuxDyn.runNumber"}}
    columns = io.open(f"{tmp_path / 'a.root'}:EventData", schema=own).columns
    assert columns["a"].tolist() == columns["b"].tolist() == [0, 1, 2]


@pytest.mark.parametrize("form", [AsDouble32, AsFloat16])
def test_packed_numbers_are_numbers(form):
    assert is_scalar(SimpleNamespace(interpretation=form(0.0, 1.0, 12)))
    assert not is_scalar(SimpleNamespace(interpretation=form(0.0, 1.0, 12, to_dims=(3,))))
    assert not is_scalar(SimpleNamespace(interpretation=uproot.AsJagged(form(0.0, 1.0, 12))))
