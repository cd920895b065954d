"""Responses of the background: HistFactory's interpolation, slopes, and the way to JSON and back."""

import json

import numpy as np
import pytest
from pyhf.interpolators import code4p

from hepaa.errors import InputError
from hepaa.stats.response import Response
from hepaa.stats.significance import asimov_correlated
from hepaa.stats.systematics import Normalisation, Shape, response

YIELDS = {"A": [30.0, 20.0, 5.0], "B": [10.0, 0.0, 5.0]}
SHARED = [
    Normalisation("all", 1.2, 1 / 1.2),
    Normalisation("B alone", 1.4, 0.8, ("B",)),
    Shape("bend", "A", (33.0, 18.0, 8.0), (28.0, 24.0, 4.0)),
]


def test_factors_multiply_and_shapes_follow_histfactory():
    answer = response(SHARED, YIELDS)
    total = np.sum([*YIELDS.values()], axis=0)
    for bend in (-2.0, -0.7, 0.0, 0.3, 1.0, 1.8):
        spread = np.array([[SHARED[2].down, YIELDS["A"], SHARED[2].up]])
        added = code4p([[spread[0]]])(np.array([[bend]]))[0, 0, 0]
        expected = 1.2**0.5 * (np.array(YIELDS["A"]) + added + 1.4**1.5 * np.array(YIELDS["B"]))
        np.testing.assert_allclose(answer(np.array([0.5, 1.5, bend]))[0], expected / total, rtol=1e-12)
    np.testing.assert_allclose(answer(np.zeros(3))[0], 1.0)


def test_slopes_are_derivatives():
    answer = response(SHARED, YIELDS)
    for t in ([0.0, 0.0, 0.0], [0.4, -0.6, 0.9], [1.5, -2.0, -1.2]):
        for k in range(3):
            h = np.zeros(3)
            h[k] = 1e-6
            numeric = (answer(t + h)[0] - answer(t - h)[0]) / 2e-6
            np.testing.assert_allclose(answer(np.array(t))[1][k], numeric, atol=1e-8)


def test_linear_shifts_and_what_moves_nothing():
    shifts = [[0.1, -0.2, 0.0], [0.0, 0.0, 0.0]]
    answer = Response.linear(shifts, 3, factors=[1.0])
    assert len(answer) == 1
    np.testing.assert_allclose(answer(np.array([1.5]))[0], [1.15, 0.7, 1.0])
    assert len(answer.of(np.array([False, False, True]))) == 0
    assert len(Response.linear((), 3)) == 0
    for wrong in ([[0.1, 0.2]], [[np.nan, 0, 0]]):
        with pytest.raises(InputError, match="shared shifts"):
            Response.linear(wrong, 3)
    with pytest.raises(InputError, match="put it into the response"):
        asimov_correlated([1.0] * 3, [9.0] * 3, relative=0.1, shifts=answer)


@pytest.mark.parametrize("answer", [response(SHARED, YIELDS), Response.linear((), 3)])
def test_json_keeps_a_response(answer):
    again = Response.from_dict(json.loads(json.dumps(answer.to_dict())))
    t = np.full(len(answer), 0.7)
    np.testing.assert_array_equal(again(t)[0], answer(t)[0])
    np.testing.assert_array_equal(again(t)[1], answer(t)[1])
