"""Invariant feature sets: turning and mirroring an event changes nothing, and the columns are what they say."""

from __future__ import annotations

import numpy as np
import pytest

from hepaa.errors import InputError
from hepaa.features.registry import feature_sets
from hepaa.features.sets.dijet import COLUMNS
from hepaa.features.sets.invariant import invariant
from hepaa.table import EventTable

ZH = ("ptb1", "ptb2", "ptl1", "ptl2", "ptH", "ptZ", "etaH", "phiH", "etaZ", "phiZ", "drll", "drbb", "mZH")


@pytest.fixture
def dijets() -> EventTable:
    rng = np.random.default_rng(4)
    n = 300
    phi = rng.uniform(-np.pi, np.pi, n)
    jets = []
    for turn in (0.0, np.pi + rng.normal(0, 0.1, n)):
        pt, eta, m = rng.uniform(1000, 2000, n), rng.normal(0, 1, n), rng.uniform(20, 500, n)
        t1 = rng.uniform(0.01, 0.5, n)
        t2 = t1 * rng.uniform(0.1, 1, n)
        jets += [pt * np.cos(phi + turn), pt * np.sin(phi + turn), pt * np.sinh(eta), m, t1, t2, t2 * 0.7]
    return EventTable.build(np.column_stack(jets), COLUMNS, label=np.arange(n) % 2, spectators={"mjj": np.ones(n)})


def turned(table: EventTable, angle: float, mirror: float) -> EventTable:
    X = np.array(table.X, dtype=np.float64)
    for first in (0, 7):
        px, py = X[:, first].copy(), X[:, first + 1].copy()
        X[:, first] = px * np.cos(angle) - py * np.sin(angle)
        X[:, first + 1] = px * np.sin(angle) + py * np.cos(angle)
        X[:, first + 2] *= mirror
    return EventTable.build(X, table.columns, label=table.label)


@pytest.mark.parametrize(("angle", "mirror"), [(0.7, 1.0), (3.0, -1.0), (-2.2, -1.0)])
def test_dijets_turned_and_mirrored(dijets: EventTable, angle: float, mirror: float) -> None:
    there, back = invariant(dijets), invariant(turned(dijets, angle, mirror))
    np.testing.assert_allclose(there.X, back.X, rtol=2e-4, atol=2e-5)
    assert there.feature_set == "dijet-invariant"
    np.testing.assert_array_equal(there.label, dijets.label)
    assert "mjj" in there.spectators


def test_dijet_columns_by_hand(dijets: EventTable) -> None:
    t = invariant(dijets)
    px, py, pz = (dijets[f"p{c}j2"].astype(float) for c in "xyz")
    sign = np.sign(dijets["pzj1"])
    np.testing.assert_allclose(t["ptj2"], np.hypot(px, py), rtol=1e-5)
    np.testing.assert_allclose(t["etafj2"], sign * np.arcsinh(pz / np.hypot(px, py)), rtol=1e-4, atol=1e-6)
    assert (t["etafj1"] >= 0).all()
    np.testing.assert_allclose(t["ltau1j1"], np.log(dijets["tau1j1"]), rtol=1e-5)
    np.testing.assert_allclose(t["tau32j1"], 0.7, rtol=1e-5)
    across = dijets["pxj1"] * px + dijets["pyj1"] * py
    apart = np.pi - np.arccos(across / np.hypot(px, py) / np.hypot(dijets["pxj1"], dijets["pyj1"]))
    np.testing.assert_allclose(np.exp(t["lacop"]) - 0.02, apart, atol=2e-3)


def test_zh_loses_azimuth_and_what_follows_from_the_rest() -> None:
    X = np.random.default_rng(0).uniform(1, 3, (40, 13))
    table = EventTable.build(X, ZH)
    columns = dict(zip(ZH, X.T, strict=True))
    columns |= {
        "etaH": -columns["etaH"],
        "etaZ": -columns["etaZ"],
        "phiH": columns["phiH"] - 1,
        "ptH": columns["ptH"] + 1,
    }
    other = invariant(EventTable.build(np.column_stack([columns[c] for c in ZH]), ZH))
    np.testing.assert_array_equal(invariant(table).X, other.X)
    assert invariant(table).columns == tuple(f.name for f in feature_sets()["zh-invariant"].columns)
    with pytest.raises(InputError, match="columns of no set with an invariant form"):
        invariant(table.select(("ptb1", "mZH")))
