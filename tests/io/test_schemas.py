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
        ({"tree": ["Events"]}, "tree must be the name of a tree"),
    ],
)
def test_a_schema_names_the_value_that_is_wrong(change, words):
    with pytest.raises(InputError, match=words):
        schema_of(change)
