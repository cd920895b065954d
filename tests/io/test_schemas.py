"""Schemas of ntuples: what is wrong in them is named."""

import pytest

from hepaa.errors import InputError
from hepaa.io.schemas import schema_of


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"columns": {"met": {"branch": 3}}}, "columns.met.branch must be a name"),
        ({"columns": {"met": {"branch": "MET", "scale": "x"}}}, "columns.met.scale must be a finite number"),
        ({"columns": {"met": {"branch": "MET", "index": 1.5}}}, "columns.met.index must be a whole number"),
        ({"columns": {1: "MET"}}, "1 is no name"),
        ({"columns": {"met": {"value": {}}}}, "columns.met.value must be a finite number"),
        ({"columns": {"met": {"value": 1, "optional": "no"}}}, "true or false"),
        ({"momentum_unit": ["GeV"]}, "it is GeV or MeV"),
        ({"union": {"leptons": 3}}, "union.leptons must be a name"),
        ({"signature": 1}, "signature must be a name"),
        ({"signature": [["a"], [1]]}, "signature must be a name"),
        ({"optional": ["muons"]}, "optional: no collection 'muons'"),
        ({"objects": {"jets": {"where": "pt > 3"}}}, "objects: no collection 'jets'"),
        ({"collections": {"jets": {"pt": "a"}}, "objects": {"jets": {"wher": "pt"}}}, "did you mean 'where'"),
        ({"tree": ["Events"]}, "tree must be the name of a tree"),
    ],
)
def test_a_schema_names_the_value_that_is_wrong(change, words):
    with pytest.raises(InputError, match=words):
        schema_of(change)


def test_a_file_is_known_by_any_of_the_sets_of_a_signature():
    schema = schema_of({"signature": [["nJet", "Jet_pt"], ["Muon_pt"]]})
    assert schema.recognises({"Muon_pt", "x"})
    assert schema.recognises({"nJet", "Jet_pt"})
    assert not schema.recognises({"nJet"})


def test_a_luminosity_mask_lies_beside_the_schema(tmp_path):
    (tmp_path / "golden.json").write_text('{"1": [[1, 5]]}')
    (tmp_path / "own.yaml").write_text("columns: {run: run}\nobjects: {events: {luminosity_mask: golden.json}}")
    assert schema_of(tmp_path / "own.yaml").objects["events"]["luminosity_mask"] == {"1": [[1, 5]]}
