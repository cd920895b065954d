"""Processes as settings of Pythia: options arrive, impossible ones are refused before Pythia starts."""

from __future__ import annotations

import pytest

from hepaa.errors import InputError
from hepaa.simulate import pythia
from hepaa.simulate.processes import TUNES, Dijets, SemiVisible, WPrime


def test_options_are_lines_of_pythia_and_those_of_the_user_come_last() -> None:
    lines = Dijets(tune="vincia-global", pt_hat_max=1500.0, more=("PartonLevel:MPI = on",)).settings()
    assert "PhaseSpace:pTHatMin = 950.0" in lines
    assert "PhaseSpace:pTHatMax = 1500.0" in lines
    assert "Vincia:sectorShower = off" in lines
    assert lines.index("PartonLevel:MPI = off") < lines.index("PartonLevel:MPI = on") == len(lines) - 1
    lines = WPrime(masses=(3000.0, 400.0, 80.0), width=0.02, daughter_width=0.01).settings()
    assert "34:mWidth = 60.0" in lines
    assert "9000023:new = X0 void 3 0 0 400.0 4.0 320.0 480.0 0." in lines
    assert "9000024:new = Y+ Y- 3 3 0 80.0 0.8 64.0 96.0 0." in lines
    assert "9000023:addChannel = 1 0.2 101 5 -5" in lines
    assert "9000024:new = X+ X- 3 3 0 500.0 1.0 400.0 600.0 0." in WPrime(neutral="y").settings()
    lines = SemiVisible(r_inv=0.25, mass=2000.0).settings()
    assert "4900113:addChannel = 1 0.25 0 51 -51" in lines
    assert "4900113:oneChannel = 1 0.75 91 1 -1" in lines
    assert "4900023:mMin = 1400.0" in lines
    for mass, quark in ((20.0, 5), (10.0, 4), (3.0, 3)):
        lines = SemiVisible(meson_mass=mass).settings()
        assert f"4900111:oneChannel = 1 0.7 91 {quark} -{quark}" in lines


@pytest.mark.parametrize(
    ("process", "message"),
    [
        (Dijets(tune="monach"), "did you mean 'monash'"),
        (Dijets(pt_hat_min=0.0), "no range above 0"),
        (Dijets(pt_hat_max=900.0), "no range above 0"),
        (WPrime(masses=(500.0, 400.0, 200.0)), "cannot decay"),
        (WPrime(width=0.5), "not between 0 and 0.2"),
        (SemiVisible(r_inv=1.5), "from 0 to 1, not 1.5"),
        (SemiVisible(mass=30.0), "makes no dark mesons of 20 GeV"),
    ],
)
def test_impossible_options_are_refused(process, message: str) -> None:
    with pytest.raises(InputError, match=message):
        process.settings()


@pytest.mark.slow
@pytest.mark.parametrize("process", [*(Dijets(tune=t) for t in TUNES), WPrime(neutral="y"), SemiVisible(flavours=1)])
def test_pythia_takes_every_process_and_tune(process) -> None:
    pytest.importorskip("pythia8mc")
    assert len(pythia.detected_events(1, process.settings(), seed=3, jet_pt_min=300.0)) == 1


@pytest.mark.slow
def test_a_larger_invisible_fraction_takes_visible_energy_away() -> None:
    pytest.importorskip("pythia8mc")
    passed = []
    for r_inv in (0.0, 0.3, 0.7):
        events = pythia.detected_events(100, SemiVisible(r_inv=r_inv).settings(), seed=3, detector="lhco-like")
        passed.append(events.provenance["events_passed"] / events.provenance["events_tried"])
    assert passed[0] > passed[1] + 0.05 > passed[2] + 0.1
