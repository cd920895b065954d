"""Cut expressions: the same rows as numpy, a cutflow, and nothing that runs code."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import hepaa
from hepaa.table import EventTable, concatenate
from hepaa.table.selection import select

RNG = np.random.default_rng(1)
X = RNG.normal(size=(500, 3)) * [100, 2, 50]
TABLE = EventTable.build(X, ["pt", "eta", "m"], weight=RNG.normal(1, 0.5, 500), spectators={"mjj": X[:, 0] ** 2})
PT, ETA, M = TABLE.X.T.astype(np.float64)


@pytest.mark.parametrize(
    ("cut", "mask"),
    [
        ("pt > 50", PT > 50),
        ("pt > 50 and abs(eta) < 2.5", (PT > 50) & (np.abs(ETA) < 2.5)),
        ("not (pt > 50 or eta < 0)", ~((PT > 50) | (ETA < 0))),
        ("-1 < eta <= 1.5", (ETA > -1) & (ETA <= 1.5)),
        ("sqrt(pt**2 + m**2) / 2 >= 60", np.sqrt(PT**2 + M**2) / 2 >= 60),
        ("max(pt, m) - min(pt, m) != 0", np.maximum(PT, M) != np.minimum(PT, M)),
        ("mjj > 1e4", TABLE["mjj"] > 1e4),
        ("(pt > 50) & ~(eta < 0)", (PT > 50) & ~(ETA < 0)),
        ("pt * cosh(eta) > 80", PT * np.cosh(ETA) > 80),
    ],
)
def test_a_cut_keeps_what_numpy_keeps(cut, mask):
    np.testing.assert_array_equal(select(TABLE, cut).event, np.flatnonzero(mask))


def test_the_cutflow_counts_each_step_for_each_process():
    other = EventTable.build(X + 1, ["pt", "eta", "m"], process="signal", spectators={"mjj": X[:, 0]})
    done = select(concatenate([TABLE, other]), "pt > 0 and eta < 1")
    steps = {(r.process, r.step): (r.n, r.sum_weights) for r in done.cutflow}
    assert steps["unknown", "pt > 0"] == (np.sum(PT > 0), pytest.approx(TABLE.weight[PT > 0].sum()))
    both = (X[:, 0] + 1 > 0) & (X[:, 1] + 1 < 1)
    assert steps["signal", "eta < 1"][0] == np.sum(both)


@pytest.mark.parametrize(
    ("cut", "message"),
    [
        ("pt >", "is no expression: invalid syntax"),
        ("log(eta) > 0", "is undefined for"),
        ("0 / 0 < pt", "is undefined for 500 events"),
        ("ptt > 3", "did you mean 'pt'"),
        ("pt + 3", "is a number; compare it"),
        ("(pt > 3) + 1 > 0", "is a yes or no"),
        ("pt & 1", "is no whole number"),
        ("acosh(pt) > 3", "no function 'acosh'"),
        ("abs(pt, 3) > 3", "takes 1 argument"),
        ("__import__('os').system('true')", "is not understood"),
        ("pt.real > 3", "is not understood"),
        ("[x for x in pt] > 3", "is not understood"),
        ("True", "is not understood"),
        ("pt > 'a'", "is not understood"),
        ("pt > " + "-" * 900 + "3", "is nested too deep"),
    ],
)
def test_what_is_no_cut_is_refused(cut, message):
    with pytest.raises(hepaa.InputError, match=message):
        select(TABLE, cut)


@given(st.text(max_size=40))
def test_any_text_is_a_cut_or_an_input_error(text):
    try:
        kept = select(TABLE, text)
    except hepaa.InputError:
        return
    assert kept.n <= TABLE.n
