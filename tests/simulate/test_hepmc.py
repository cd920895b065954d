"""Records of Pythia that went through HepMC3 are the events of the direct path, bit for bit."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import awkward as ak
import h5py
import numpy as np
import pytest
from click.testing import CliRunner

import hepaa
from hepaa.cli import main
from hepaa.errors import InputError
from hepaa.io import hepmc, pdg
from hepaa.simulate.detector import CHARGED_HADRON, NEUTRAL_HADRON, detected, detector
from hepaa.simulate.hepmc import write_hepmc
from hepaa.simulate.processes import Dijets
from hepaa.simulate.pythia import next_events, start, visible_particles

if TYPE_CHECKING:
    from pathlib import Path

    from hepaa.events import Events

pytest.importorskip("pyhepmc")

N = 3


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("hepmc") / "dijets.hepmc3.gz"
    write_hepmc(path, N, Dijets(pt_hat_min=1000.0).settings(), seed=1)
    return path


@pytest.fixture(scope="module")
def events(written: Path) -> Events:
    return hepaa.open(written)


def test_the_direct_path_has_the_same_particles_and_jets(events: Events) -> None:
    pythia = start(Dijets(pt_hat_min=1000.0).settings(), 1)
    offsets, _, momenta = visible_particles(pythia, next_events(pythia, N))
    final = hepmc.final_state(events.arrays["particles"])
    direct = ak.unflatten(ak.zip(dict(zip(("pt", "eta", "phi"), momenta.T, strict=True))), np.diff(offsets))
    direct = direct[direct["pt"] > 0]
    for mine, theirs in zip(final, direct, strict=True):
        order = [np.lexsort([ak.to_numpy(p[c]) for c in ("phi", "eta", "pt")]) for p in (mine, theirs)]
        for c in ("pt", "eta", "phi"):
            np.testing.assert_array_equal(mine[c][order[0]], theirs[c][order[1]])
    tables = [hepaa.features(replace(events, collections={"particles": p}), "dijet") for p in (final, direct)]
    np.testing.assert_allclose(tables[0].X, tables[1].X, rtol=1e-5)
    np.testing.assert_array_equal(hepaa.features(events, "dijet").X, tables[0].X)


def test_numbers_of_particles_say_what_pythia_says() -> None:
    data, known = start(Dijets().settings(), 1).particleData, [1]
    while following := data.nextId(known[-1]):
        known.append(following)
    ids = np.array([*known, *(-i for i in known if data.hasAnti(i))], np.int64)
    # bosons that always decay before a detector, and what has colour
    decays = np.isin(abs(ids), [23, 25, 32, 33, 35, 36, 41, 45, 46, 5_100_039, 9_900_023])
    seen = np.array([data.isVisible(int(i)) for i in ids])
    np.testing.assert_array_equal(pdg.invisible(ids)[~decays], ~seen[~decays])
    coloured = np.array([data.colType(int(i)) != 0 for i in ids])
    ordinary = seen & ~coloured & ((abs(ids) < 4_000_000) | (abs(ids) > 10_000_000)) & (abs(ids) != 94)
    charges = np.array([data.charge(int(i)) for i in ids])
    np.testing.assert_array_equal(pdg.charged(ids)[ordinary], charges[ordinary] != 0)


def test_through_a_detector(events: Events, written: Path, tmp_path: Path) -> None:
    exact = detector("embedded")
    seen = detected(events, exact, np.random.default_rng(5))
    pt = seen.arrays["particles"]["pt"]
    assert ak.all(pt[:, :-1] >= pt[:, 1:])
    smeared, true = (hepaa.features(e, "dijet-hl") for e in (seen, events))
    np.testing.assert_allclose(smeared.X[:, 0], true.X[:, 0], rtol=0.1)
    assert not np.array_equal(smeared.X, true.X)
    command = ["convert", str(written), str(tmp_path / "x.h5"), "--detector", "embedded", "--seed", "5"]
    assert CliRunner().invoke(main, command).exit_code == 0
    lhco = hepaa.open(tmp_path / "x.h5")
    assert ak.to_list(lhco.arrays["particles"]["pt"]) == ak.to_list(pt)
    with h5py.File(tmp_path / "x.h5") as file:
        assert "Pythia8" in file.attrs["provenance"].decode()
    with pytest.raises(InputError, match="no full event records"):
        detected(lhco, exact, np.random.default_rng(5))


def test_what_a_detector_takes_particles_for(events: Events) -> None:
    def spy(offsets, species, momenta, rng):  # type: ignore[no-untyped-def]
        sorts.append(species)
        return offsets, momenta

    sorts: list[np.ndarray] = []
    detected(events, spy, np.random.default_rng(0))  # type: ignore[arg-type]
    pythia = start(Dijets(pt_hat_min=1000.0).settings(), 1)
    _, species, _ = visible_particles(pythia, next_events(pythia, N))
    assert {CHARGED_HADRON, NEUTRAL_HADRON} <= set(species.tolist())
    np.testing.assert_array_equal(np.sort(sorts[0]), np.sort(species))
