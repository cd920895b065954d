"""A combination of methods: what is refused, and what of it belongs to all."""

from __future__ import annotations

import json

import pytest
from helpers.searches import WINDOW

from hepaa.errors import InputError
from hepaa.search import Combined, Cwola, Residual


@pytest.mark.parametrize(
    ("methods", "message"),
    [
        ([], "0 method is nothing to combine"),
        ([Residual(WINDOW)], "1 method is nothing to combine"),
        ([Residual(WINDOW), Cwola(WINDOW.moved((3000, 3300)))], "look at different windows"),
        ([Cwola(WINDOW), Cwola(WINDOW, members=3)], r"same name \(Cwola, Cwola\): give one a `label`"),
        ([Cwola(WINDOW), Residual(WINDOW, label="all methods")], "give the method another `label`"),
    ],
)
def test_what_cannot_be_combined_is_refused(methods, message):
    with pytest.raises(InputError, match=message):
        Combined(methods)


def test_a_label_tells_two_of_a_class_apart():
    combined = Combined([Cwola(WINDOW), Cwola(WINDOW, decorrelate="flatten", label="flattened")])
    assert [m.name for m in combined.methods] == ["Cwola", "flattened"]
    assert combined.name == "Combined"
    assert combined.window == WINDOW


def test_inputs_are_those_of_all_methods():
    assert Combined([Cwola(WINDOW, inputs=("a", "b")), Residual(WINDOW, inputs=["b", "c"])]).inputs == ("a", "b", "c")
    assert Combined([Cwola(WINDOW, inputs=("a",)), Residual(WINDOW)]).inputs is None


def test_a_change_is_one_of_all_methods():
    window = WINDOW.moved((3000, 3300))
    changed = Combined([Cwola(WINDOW), Residual(WINDOW)]).fresh(window=window, members=3)
    assert [(m.window, m.members) for m in changed.methods] == [(window, 3)] * 2


def test_settings_are_json():
    settings = json.loads(json.dumps(Combined([Cwola(WINDOW), Residual(WINDOW)]).settings()))
    assert [m["method"] for m in settings["methods"]] == ["Cwola", "Residual"]
