"""Events from Pythia 8: parton-level ZH -> l+ l- b bbar, and detector-level events of any process with jets.

Pythia (Bierlich et al., arXiv:2203.11601) comes with the extra `simulate`. Every function takes its seed, and gives
back the settings that made the events, so that they can be written into the file. Cross-sections are in pb, momenta in
GeV, sqrt(s) = 13 TeV, PDF NNPDF2.3 QCD+QED LO (Pythia's default).
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import awkward as ak
import numpy as np

from hepaa.errors import HepaaError, InputError
from hepaa.features.kernels.leading_jets import leading_jets
from hepaa.io.hepmc import polar_momenta
from hepaa.io.lhco.read import PARTICLES
from hepaa.simulate.detector import CHARGED_HADRON, ELECTRON, MUON, NEUTRAL_HADRON, PHOTON
from hepaa.simulate.detector import detector as detector_named
from hepaa.simulate.processes import Dijets, WPrime
from hepaa.simulate.zh import Parameters

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

MB_TO_PB = 1e9
_MH, _WZ_WINDOW = 125.09, 15.0

ARRAYS = ("pdgid", "momentum", "scale", "alpha_s")
"""Fields of `PartonEvents` with one entry an event."""

_BATCH = 256
_HOPELESS = 20_000


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


def import_pythia() -> Any:
    """The module of Pythia.

    Raises
    ------
    HepaaError
        It is not installed.
    """
    try:
        import pythia8mc
    except ImportError as error:
        raise HepaaError("simulation needs Pythia 8, which is not installed: pip install 'hepaa[simulate]'") from error
    return pythia8mc


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
    pythia8mc = import_pythia()
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
    n: int, *, shower: str = "monash", seed: int, pt_hat_min: float = 1000.0, jet_pt_min: float = 1200.0
) -> DijetEvents:
    """Hard-QCD dijets as in the LHC Olympics R&D set, label 0; no multiple parton interactions, as there.

    Parameters
    ----------
    n : int
        Events to give back.
    shower : str
        One of `hepaa.simulate.processes.TUNES`, such as "monash" or "vincia".
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
    process = Dijets(tune=shower, pt_hat_min=pt_hat_min)
    return detected_events(n, process.settings(), seed=seed, jet_pt_min=jet_pt_min)


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
    process = WPrime(masses=masses, daughter_width=0.01, neutral="y")
    return detected_events(n, process.settings(), seed=seed, label=process.label, jet_pt_min=jet_pt_min)


def detected_events(
    n: int,
    settings: Sequence[str],
    *,
    seed: int,
    detector: str = "embedded",
    label: int = 0,
    jet_pt_min: float = 1200.0,
    smearing_seed: Sequence[int] | None = None,
) -> DijetEvents:
    """Events of any process with a hard jet, hadronised and smeared.

    Parameters
    ----------
    n : int
        Events to give back.
    settings : sequence of str
        Lines as in a Pythia command file.
    seed : int
        Of Pythia.
    detector : str
        One of `hepaa.simulate.detector.DETECTORS`.
    label : int
        1 signal, 0 background.
    jet_pt_min : float
        Least pT of the leading anti-kT R = 1.0 jet of the objects of the detector, in GeV.
    smearing_seed : sequence of int, optional
        Of the detector; that of Pythia by default.
    """
    pythia = start(list(settings), seed)
    smear, rng = detector_named(detector), np.random.default_rng(seed if smearing_seed is None else smearing_seed)
    kept: list[NDArray[np.float64]] = []
    generated = passed = truncated = 0
    while len(kept) < n:
        # as many as are still to come at the fraction so far, so that few are made beyond the last one
        fraction = (passed + 1) / (generated + 2)
        records = next_events(pythia, min(_BATCH, math.ceil((n - len(kept)) / fraction)))
        offsets, species, momenta = visible_particles(pythia, records)
        ends, objects = smear(offsets, species, momenta, rng)
        ends, objects, cut = _hardest(ends, objects)
        jets = leading_jets(ends, *np.ascontiguousarray(objects.T)).momenta
        good = np.flatnonzero(np.hypot(jets[:, 0, 0], jets[:, 0, 1]) > jet_pt_min)
        generated, passed, truncated = generated + len(records), passed + len(good), truncated + int(cut[good].sum())
        kept += [objects[ends[i] : ends[i + 1]] for i in good]
        if passed == 0 and generated >= _HOPELESS:
            raise InputError(
                f"none of {generated} events has a jet of more than {jet_pt_min:g} GeV; lower this cut, or raise the "
                "masses or pT-hat"
            )
    provenance = {
        **_origin(pythia, seed, list(settings), generated),
        "events_passed": passed,
        "events_cut_to_their_hardest_700_objects": truncated,
        "detector": {"name": detector, **asdict(smear)},
        "selection": f"leading anti-kT R = 1.0 jet of the particles, before rounding: pT > {jet_pt_min:g} GeV",
    }
    return DijetEvents(kept[:n], label, *_cross_section(pythia, passed, generated), provenance)


def _hardest(
    ends: NDArray[np.int64], objects: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.bool_]]:
    """The hardest objects of events (they come hardest first), as many as LHCO files have room for; which were cut."""
    counts = np.diff(ends)
    position = np.arange(len(objects)) - np.repeat(ends[:-1], counts)
    fewer = np.concatenate([[0], np.cumsum(np.minimum(counts, PARTICLES))])
    return fewer, objects[position < PARTICLES], counts > PARTICLES


def next_events(pythia: Any, n: int) -> ak.Array:
    """The records of the next n events, without those that Pythia failed to make: it does not count them either.

    Raises
    ------
    HepaaError
        Pythia failed to make any.
    """
    records = pythia.nextBatch(n, "skip")
    if n and not len(records):
        raise HepaaError(f"Pythia made none of {n} events; its own messages above say why")
    return records


def visible_particles(
    pythia: Any, records: ak.Array
) -> tuple[NDArray[np.int64], NDArray[np.int8], NDArray[np.float64]]:
    """What a detector sees of events: offsets (n + 1,), species (k,) as in `detector`, pT [GeV], eta, phi (k, 3)."""
    particles = records["prt"]
    particles = particles[particles["status"] > 0]
    ids = ak.to_numpy(ak.flatten(particles["id"])).astype(np.int64)
    unique, entry = np.unique(ids, return_inverse=True)
    data = pythia.particleData
    sorts = np.array([_species(int(i), data) for i in unique], np.int8)[entry]
    seen = sorts >= 0
    counts = np.concatenate([[0], np.cumsum(ak.to_numpy(ak.num(particles["id"])))])
    offsets = np.concatenate([[0], np.cumsum(seen)])[counts]
    momenta = (ak.to_numpy(ak.flatten(particles["p"][c]))[seen] for c in ("px", "py", "pz"))
    return offsets, sorts[seen], polar_momenta(*momenta)


def _species(pdgid: int, data: Any) -> int:
    """What a particle is to a detector; -1 where it is invisible."""
    if not data.isVisible(pdgid):
        return -1
    named = {11: ELECTRON, 13: MUON, 22: PHOTON}.get(abs(pdgid))
    if named is not None:
        return named
    return CHARGED_HADRON if data.charge(pdgid) else NEUTRAL_HADRON


def _cross_section(pythia: Any, kept: int, tried: int, factor: float = 1.0) -> tuple[float, float]:
    """Cross-section of the events that were kept, times a factor, and its statistical error, in pb."""
    fraction, info = kept / tried, pythia.infoPython()
    sigma = info.sigmaGen() * MB_TO_PB * fraction * factor
    return sigma, sigma * math.hypot(info.sigmaErr() / info.sigmaGen(), math.sqrt((1 - fraction) / kept))


def _origin(pythia: Any, seed: int, settings: list[str], tried: int) -> dict[str, Any]:
    version = f"{pythia.settings.parm('Pythia:versionNumber'):.3f}"
    return {"generator": "Pythia", "version": version, "seed": seed, "settings": settings, "events_tried": tried}
