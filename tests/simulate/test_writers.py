"""Files come back through other people's readers as they went in."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING

import h5py
import numpy as np
import pylhe
import pytest

from hepaa.errors import InputError
from hepaa.simulate.pythia import DijetEvents, PartonEvents
from hepaa.simulate.writers import write_lhco, write_lhe, write_ntuple

if TYPE_CHECKING:
    from pathlib import Path

FACTS = {"generator": "Test <&>", "version": "1", "seed": 1}


@pytest.fixture
def partons() -> PartonEvents:
    rng = np.random.default_rng(0)
    ids = np.tile([2, -2, 25, 23, -11, 11, 5, -5], (4, 1))
    ids[1, :2] = -1, 1
    return PartonEvents(ids, rng.normal(0, 100, (4, 8, 5)), np.full(4, 300.0), np.full(4, 0.11), 0.0217, 1e-4, FACTS)


def dijets(sizes: list[int]) -> DijetEvents:
    rng = np.random.default_rng(1)
    particles = [
        np.stack([np.sort(rng.exponential(50, n))[::-1], rng.uniform(-2.5, 2.5, n), rng.uniform(-3.1, 3.1, n)], axis=1)
        for n in sizes
    ]
    return DijetEvents(particles, 1, 2.0, 0.1, FACTS)


def test_lhe_through_pylhe(partons: PartonEvents, tmp_path: Path) -> None:
    weights = {"sm": ("c < 1 & more", np.full(4, 0.0217)), "lin": ("interference", np.array([0.1, -0.2, 3e-5, 0.0]))}
    facts = {"generator": "Test", "version": "1"}
    path = tmp_path / "x.lhe.gz"
    write_lhe(path, partons, provenance=facts, weights=weights, alpha_em=0.00756)
    first = path.read_bytes()
    write_lhe(path, partons, provenance=facts, weights=weights, alpha_em=0.00756)
    assert path.read_bytes() == first
    file = pylhe.LHEFile.fromfile(str(path))
    events = list(file.events)
    assert len(events) == 4
    assert file.init.procInfo[0].xSection == pytest.approx(0.0217)
    got = np.array([[(p.px, p.py, p.pz, p.e) for p in e.particles] for e in events])
    np.testing.assert_allclose(got, partons.momentum[..., :4], rtol=1e-8)
    np.testing.assert_allclose([e.weights["lin"] for e in events], weights["lin"][1], rtol=1e-7)
    # colour flows: quark colour = antiquark anticolour, on whichever side they come in
    for e in events:
        quark, antiquark = sorted(e.particles[:2], key=lambda p: -p.id)
        assert (quark.color1, quark.color2, antiquark.color1, antiquark.color2) == (501, 0, 0, 501)
        assert [(p.color1, p.color2) for p in e.particles[6:]] == [(502, 0), (0, 502)]


def test_weights_of_another_length_are_refused(partons: PartonEvents, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="'a' has 3 entries for 4 events"):
        write_lhe(tmp_path / "x.lhe.gz", partons, provenance=FACTS, weights={"a": ("", np.ones(3))}, alpha_em=0.0)


def test_lhe_text_is_ascii_with_the_provenance_in_the_header(partons: PartonEvents, tmp_path: Path) -> None:
    write_lhe(tmp_path / "x.lhe.gz", partons, provenance={**FACTS, "note": "γ"}, alpha_em=0.0)
    text = gzip.decompress((tmp_path / "x.lhe.gz").read_bytes()).decode("ascii")
    assert text.index("<provenance>") < text.index("</header>") < text.index("<init>") < text.index("<event>")
    assert text.rstrip().endswith("</LesHouchesEvents>")


def test_lhco_through_h5py_and_pandas(tmp_path: Path) -> None:
    pd = pytest.importorskip("pandas")
    pytest.importorskip("tables")
    events = dijets([3, 700, 0])
    write_lhco(tmp_path / "x.h5", events, FACTS)
    frame = pd.read_hdf(tmp_path / "x.h5").to_numpy()
    with h5py.File(tmp_path / "x.h5") as file:
        np.testing.assert_array_equal(frame, file["df/block0_values"])
    assert frame.shape == (3, 2101)
    assert (frame[:, -1] == 1).all()
    for row, p in zip(frame, events.particles, strict=True):
        got = row[: 3 * len(p)].reshape(-1, 3)
        np.testing.assert_allclose(got[:, 0], p[:, 0], rtol=2.0**-11)
        np.testing.assert_allclose(got[:, 1:], p[:, 1:], atol=2.0**-11)
        assert (row[3 * len(p) : -1] == 0).all()


def test_more_particles_than_slots_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="701 particles"):
        write_lhco(tmp_path / "x.h5", dijets([701]), FACTS)


def test_ntuple_orders_by_pt(partons: PartonEvents, tmp_path: Path) -> None:
    uproot = pytest.importorskip("uproot")
    write_ntuple(tmp_path / "x.root", partons, provenance=FACTS)
    with uproot.open(f"{tmp_path / 'x.root'}:events") as tree:
        pt = np.asarray(tree["lepton_pt"].array().to_list())
        ids = np.asarray(tree["lepton_pdgid"].array().to_list())
        assert tree["weight"].array(library="np").sum() == pytest.approx(0.0217)
    expected = np.hypot(partons.momentum[:, 4:6, 0], partons.momentum[:, 4:6, 1])
    np.testing.assert_allclose(pt, -np.sort(-expected, axis=1), rtol=1e-6)
    np.testing.assert_array_equal(ids[:, 0], np.where(expected[:, 0] >= expected[:, 1], -11, 11))
