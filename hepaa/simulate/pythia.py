"""Events from Pythia 8: parton-level ZH -> l+ l- b bbar, and detector-level dijets of two showers and a W' signal.

Pythia (Bierlich et al., arXiv:2203.11601) comes with the extra `simulate`. Every function takes its seed, and gives
back the settings that made the events, so that they can be written into the file. Cross-sections are in pb, momenta in
GeV, sqrt(s) = 13 TeV, PDF NNPDF2.3 QCD+QED LO (Pythia's default).
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from hepaa.errors import HepaaError, InputError, nearest
from hepaa.features.kernels.leading_jets import leading_jets
from hepaa.simulate.detector import ParametricDetector
from hepaa.simulate.zh import Parameters

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

MB_TO_PB = 1e9
_MH, _WZ_WINDOW = 125.09, 15.0

ARRAYS = ("pdgid", "momentum", "scale", "alpha_s")
"""Fields of `PartonEvents` with one entry an event."""

Shower = Literal["monash", "vincia"]
_SHOWERS: dict[str, tuple[str, ...]] = {
    "monash": ("PartonShowers:model = 1", "Tune:pp = 14"),
    "vincia": ("PartonShowers:model = 2",),
}


@dataclass(frozen=True, eq=False)
class PartonEvents:
    """Hard-process events in the order q q' H Z l+ l- b bbar (the incoming pair in the order of the beams).

    Attributes
    ----------
    pdgid : int64 (n, 8)
        PDG ids.
    momentum : float64 (n, 8, 5)
        px, py, pz, E, m in GeV.
    scale, alpha_s : float64 (n,)
        Factorisation scale in GeV and strong coupling at it.
    cross_section_pb, error_pb : float
        Cross-section with both branching fractions, and its statistical error.
    provenance : dict
        Generator, version, seed, settings, events tried.
    """

    pdgid: NDArray[np.int64]
    momentum: NDArray[np.float64]
    scale: NDArray[np.float64]
    alpha_s: NDArray[np.float64]
    cross_section_pb: float
    error_pb: float
    provenance: Mapping[str, Any]

    def __len__(self) -> int:
        return len(self.pdgid)

    def take(self, rows: NDArray[np.intp]) -> PartonEvents:
        """The events of the given rows; cross-section and provenance stay."""
        return replace(self, **{k: getattr(self, k)[rows] for k in ARRAYS})


@dataclass(frozen=True, eq=False)
class DijetEvents:
    """Detector-level events: `particles` holds one (k, 3) array an event, pT [GeV], eta, phi, hardest first.

    `cross_section_pb` is the cross-section after the jet selection.
    """

    particles: list[NDArray[np.float64]]
    label: int
    cross_section_pb: float
    error_pb: float
    provenance: Mapping[str, Any]

    def __len__(self) -> int:
        return len(self.particles)


def start(settings: list[str], seed: int, forced: Mapping[str, float] | None = None) -> Any:
    """An initialised Pythia object.

    Parameters
    ----------
    settings : list of str
        Lines as in a Pythia command file.
    seed : int
        1 to 900,000,000.
    forced : mapping, optional
        Parameters set outside the range that Pythia foresees.

    Raises
    ------
    HepaaError
        pythia8mc is not installed, or Pythia does not start.
    InputError
        An unknown setting or a seed out of range.
    """
    try:
        import pythia8mc
    except ImportError as error:
        raise HepaaError("simulation needs Pythia 8, which is not installed: pip install 'hepaa[simulate]'") from error
    if not 1 <= seed <= 900_000_000:
        raise InputError(f"seed {seed} is out of Pythia's range; give one from 1 to 900000000")
    pythia = pythia8mc.Pythia("", False)
    for line in ["Print:quiet = on", "Print:verbosity = 0", *settings, "Random:setSeed = on", f"Random:seed = {seed}"]:
        if not pythia.readString(line):
            raise InputError(f"Pythia refuses the setting {line!r}; check its name and value")
    for name, value in (forced or {}).items():
        pythia.settings.parm(name, value, True)
    if not pythia.init():
        raise HepaaError("Pythia did not start; its own message above says why")
    return pythia


def zh_events(
    n: int, *, seed: int, m_zh: tuple[float, float] = (0.0, math.inf), parameters: Parameters | None = None
) -> PartonEvents:
    """Parton-level q qbar -> Z h -> l+ l- b bbar at leading order, l = e, mu; q = u, d, s, c.

    Scales mu_F = mu_R = m_ZH, Z within 15 widths of its pole, couplings from {mW, mZ, GF} as the O_HW amplitude has
    them. No shower. Events with incoming b quarks are dropped and their cross-section with them.

    Pythia's 2 -> 2 amplitude goes like E_Z^2 + 2 m_ll^2 and is multiplied by a Breit-Wigner with m_ll^2 in its
    numerator; in the amplitude of the whole chain the m_ll^2 of the lepton pair cancels the 1 / m_ll^2 of the
    longitudinal polarisation. Events are therefore accepted with a probability in 1 / m_ll^2, which gives the m_ll
    spectrum of the full amplitude. Pythia normalises the Breit-Wigner inside its window: the cross-section counts the
    tails outside, too.

    Parameters
    ----------
    n : int
        Events to give back.
    seed : int
        Pythia's seed.
    m_zh : (float, float)
        Window in the invariant mass of ZH, in GeV; the cross-section is that of the window.
    parameters : Parameters, optional
        Electroweak inputs.
    """
    par = parameters or Parameters()
    settings = [
        "Beams:eCM = 13000.", "HiggsSM:ffbar2HZ = on", "PartonLevel:all = off", "HadronLevel:all = off",
        "SigmaProcess:factorScale2 = 4", "SigmaProcess:renormScale2 = 4", "SigmaProcess:alphaEMorder = 0",
        f"23:m0 = {par.mz}", f"23:mWidth = {par.wz}",
        f"23:mMin = {par.mz - _WZ_WINDOW * par.wz:.4f}", f"23:mMax = {par.mz + _WZ_WINDOW * par.wz:.4f}",
        f"24:m0 = {par.mw}", f"25:m0 = {_MH}", "5:m0 = 4.18",
        "23:onMode = off", "23:onIfAny = 11 13", "25:onMode = off", "25:onIfAny = 5",
    ]  # fmt: skip
    if m_zh[0] > 0:
        settings.append(f"PhaseSpace:mHatMin = {m_zh[0]}")
    if math.isfinite(m_zh[1]):
        settings.append(f"PhaseSpace:mHatMax = {m_zh[1]}")
    forced = {f"StandardModel:{k}": par.sin2w for k in ("sin2thetaW", "sin2thetaWbar")}
    forced |= {f"StandardModel:{k}": par.alpha for k in ("alphaEM0", "alphaEMmZ")}
    pythia = start(settings, seed, forced)
    pdgid, momentum = np.empty((n, 8), dtype=np.int64), np.empty((n, 8, 5))
    scale, alpha_s = np.empty(n), np.empty(n)
    uniform = np.random.default_rng(seed)
    lightest = par.mz - _WZ_WINDOW * par.wz
    kept = tried = 0
    while kept < n:
        if not pythia.next():
            raise HepaaError(f"Pythia gave up after {kept} of {n} ZH events (seed {seed})")
        tried += 1
        process = pythia.process  # 3, 4: incoming; 5: H; 6: Z; then the products of H and of Z
        if abs(process[3].id()) == 5 or uniform.random() * process[6].m() ** 2 > lightest**2:
            continue
        record = [(q.id(), q.px(), q.py(), q.pz(), q.e(), q.m()) for q in (process[k] for k in range(3, 11))]
        # Pythia lists the decays of H, then of Z, the particle first or last: bring them to the order l+ l- b bbar
        record[4:8] = [*sorted(record[6:8]), *sorted(record[4:6], reverse=True)]
        pdgid[kept] = [r[0] for r in record]
        momentum[kept] = [r[1:] for r in record]
        info = pythia.infoPython()  # a copy of the state, not a view
        scale[kept], alpha_s[kept] = info.QFac(), info.alphaS()
        kept += 1
    # The line shape's weight is (mZ / m_ll)^2, what was done is (lightest / m_ll)^2
    sigma, error = _cross_section(pythia, kept, tried, (par.mz / lightest) ** 2)
    provenance = {
        **_origin(pythia, seed, [*settings, *(f"{k} = {v:.10g}" for k, v in forced.items())], tried),
        "dropped": "incoming b quarks; 1 - (m_min / m_ll)^2 of the events, for the line shape of the Z",
    }
    return PartonEvents(pdgid, momentum, scale, alpha_s, sigma, error, provenance)


def dijet_events(
    n: int, *, shower: Shower = "monash", seed: int, pt_hat_min: float = 1000.0, jet_pt_min: float = 1200.0
) -> DijetEvents:
    """Hard-QCD dijets as in the LHC Olympics R&D set, label 0; no multiple parton interactions, as there.

    Parameters
    ----------
    n : int
        Events to give back.
    shower : "monash" or "vincia"
        Default shower with the Monash tune (Skands et al., arXiv:1404.5630) or the Vincia antenna shower (Brooks et
        al., arXiv:2003.00702).
    seed : int
        Of Pythia and of the detector.
    pt_hat_min : float
        Least transverse momentum of the hard process, in GeV.
    jet_pt_min : float
        Least pT of the leading anti-kT R = 1.0 jet of detector-level particles, in GeV.

    Raises
    ------
    InputError
        An unknown shower.
    """
    if shower not in _SHOWERS:
        raise InputError(f"unknown shower {shower!r}; {nearest(shower, _SHOWERS)}")
    settings = [
        "Beams:eCM = 13000.", "HardQCD:all = on", f"PhaseSpace:pTHatMin = {pt_hat_min}", "PartonLevel:MPI = off",
        *_SHOWERS[shower],
    ]  # fmt: skip
    return _select(n, settings, seed, 0, jet_pt_min)


def wprime_events(
    n: int, *, seed: int, masses: tuple[float, float, float] = (3500.0, 500.0, 100.0), jet_pt_min: float = 1200.0
) -> DijetEvents:
    """Signal of the LHC Olympics R&D set, label 1: W' -> X Y, X -> q qbar', Y -> q qbar, default shower, Monash tune.

    The cross-section is that of a W' with the couplings of the W and all of its decays to X Y: a convention.

    Parameters
    ----------
    n : int
        Events to give back.
    seed : int
        Of Pythia and of the detector.
    masses : tuple of three floats
        m(W'), m(X), m(Y) in GeV.
    jet_pt_min : float
        Least pT of the leading anti-kT R = 1.0 jet of detector-level particles, in GeV.
    """
    mw, mx, my = masses
    if not (mx > 0 and my > 0 and mx + my < mw):
        raise InputError(f"W' of {mw} GeV cannot decay to X of {mx} and Y of {my} GeV; masses are (W', X, Y)")
    settings = [
        "Beams:eCM = 13000.", "NewGaugeBoson:ffbar2Wprime = on", "PartonLevel:MPI = off", *_SHOWERS["monash"],
        f"9000024:new = X+ X- 3 3 0 {mx} {mx / 100} {0.8 * mx} {1.2 * mx} 0.",
        "9000024:isResonance = true", "9000024:doForceWidth = on",
        "9000024:addChannel = 1 0.5 101 2 -1", "9000024:addChannel = 1 0.5 101 4 -3",
        f"9000023:new = Y0 void 3 0 0 {my} {my / 100} {0.8 * my} {1.2 * my} 0.",
        "9000023:isResonance = true", "9000023:doForceWidth = on",
        *(f"9000023:addChannel = 1 0.25 101 {q} -{q}" for q in (1, 2, 3, 4)),
        f"34:m0 = {mw}", f"34:mWidth = {mw / 100}", f"34:mMin = {0.7 * mw}", f"34:mMax = {1.3 * mw}",
        "34:doForceWidth = on", "34:oneChannel = 1 1.0 101 9000024 9000023",
    ]  # fmt: skip
    return _select(n, settings, seed, 1, jet_pt_min)


def _select(n: int, settings: list[str], seed: int, label: int, jet_pt_min: float) -> DijetEvents:
    """Generate, smear, and keep n events with a leading jet above jet_pt_min."""
    pythia = start(settings, seed)
    detector = ParametricDetector()
    rng = np.random.default_rng(seed)
    kept: list[NDArray[np.float64]] = []
    tried = 0
    while len(kept) < n:
        # Pythia counts a failed event as not generated; ten in a row would be a real fault
        if not any(pythia.next() for _ in range(10)):
            raise HepaaError(f"Pythia failed ten times in a row after {tried} events (seed {seed})")
        tried += 1
        final = (q for q in pythia.event if q.isFinal() and q.isVisible())
        visible = np.array([(q.pT(), q.eta(), q.phi(), q.isCharged(), q.id() == 22) for q in final])
        particles = detector(visible[:, :3], visible[:, 3] > 0, visible[:, 4] > 0, rng)
        jets = leading_jets(np.array([0, len(particles)]), *np.ascontiguousarray(particles.T)).momenta
        if np.hypot(*jets[0, 0, :2]) > jet_pt_min:
            kept.append(particles)
    provenance = {
        **_origin(pythia, seed, settings, tried),
        "detector": asdict(detector),
        "selection": f"leading anti-kT R = 1.0 jet of the written particles: pT > {jet_pt_min:g} GeV",
    }
    return DijetEvents(kept, label, *_cross_section(pythia, len(kept), tried), provenance)


def _cross_section(pythia: Any, kept: int, tried: int, factor: float = 1.0) -> tuple[float, float]:
    """Cross-section of the events that were kept, times a factor, and its statistical error, in pb."""
    fraction, info = kept / tried, pythia.infoPython()
    sigma = info.sigmaGen() * MB_TO_PB * fraction * factor
    return sigma, sigma * math.hypot(info.sigmaErr() / info.sigmaGen(), math.sqrt((1 - fraction) / kept))


def _origin(pythia: Any, seed: int, settings: list[str], tried: int) -> dict[str, Any]:
    version = f"{pythia.settings.parm('Pythia:versionNumber'):.3f}"
    return {"generator": "Pythia", "version": version, "seed": seed, "settings": settings, "events_tried": tried}
