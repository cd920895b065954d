"""Short parametric detectors (tracks, two calorimeters, smearing) in compiled code, for samples that look like data."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import awkward as ak
import numpy as np

from hepaa.compiled import kernel
from hepaa.errors import InputError, nearest
from hepaa.io.hepmc import final_rows, is_full_record, polar_momenta
from hepaa.io.pdg import charged

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hepaa.events import Events

    Floats = NDArray[np.float64]
    Integers = NDArray[np.int64]

NEUTRAL_HADRON, PHOTON, CHARGED_HADRON, ELECTRON, MUON = range(5)
"""What a visible particle is to a detector."""


@dataclass(frozen=True)
class TrackRegion:
    """Tracks up to some |eta|, from the end of the region before.

    Attributes
    ----------
    eta_max : float
    efficiency : (float, float)
        Below and above pT = 1 GeV.
    resolution : (float, float)
        sigma(pT) / pT = a (+) b pT / GeV, the (+) a sum in quadrature.
    """

    eta_max: float
    efficiency: tuple[float, float]
    resolution: tuple[float, float]


@dataclass(frozen=True)
class CellRegion:
    """Cells of a calorimeter up to some |eta|, from the end of the region before.

    Attributes
    ----------
    eta_max : float
    side : float
        Of a cell, in eta and in phi.
    resolution : (float, float, float)
        sigma(E) / E = a / sqrt(E / GeV) (+) b (+) c / (E / GeV).
    """

    eta_max: float
    side: float
    resolution: tuple[float, float, float]


@dataclass(frozen=True)
class ParametricDetector:
    """Charged particles become smeared tracks; the energies of others are summed in cells, then smeared.

    The defaults are the detector of the embedded samples.

    Attributes
    ----------
    tracker : tuple of TrackRegion
    ecal : tuple of CellRegion
        For photons and electrons.
    hcal : tuple of CellRegion
        For hadrons, and for photons and electrons beyond the ECAL.
    track_pt_min, ecal_cell_min, hcal_cell_min : float
        Least pT of a track before smearing, and energies of a cell after it, in GeV.
    pt_min : float
        Least transverse momentum of what is written, in GeV.
    origin : (float, float)
        eta and phi where the first cell begins.
    lost_tracks_in_cells : bool
        Charged particles without a track leave their energy in the calorimeters; muons never do.
    log_normal : bool
        Smear by log-normal factors of mean 1, not by Gaussian ones.
    """

    tracker: tuple[TrackRegion, ...] = (TrackRegion(2.5, (0.95, 0.95), (0.01, 1.5e-4)),)
    ecal: tuple[CellRegion, ...] = (CellRegion(2.5, 0.02, (0.1, 0.01, 0.0)),)
    hcal: tuple[CellRegion, ...] = (CellRegion(2.5, 0.1, (0.6, 0.05, 0.0)),)
    track_pt_min: float = 0.0
    ecal_cell_min: float = 0.0
    hcal_cell_min: float = 0.0
    pt_min: float = 1.0
    origin: tuple[float, float] = (0.0, 0.0)
    lost_tracks_in_cells: bool = False
    log_normal: bool = False

    def __call__(
        self, offsets: Integers, species: NDArray[np.int8], momenta: Floats, rng: np.random.Generator
    ) -> tuple[Integers, Floats]:
        """Detector-level objects of events.

        Parameters
        ----------
        offsets : int64 (n + 1,)
            Particles of event i are offsets[i] .. offsets[i + 1].
        species : int8 (k,)
            `NEUTRAL_HADRON`, `PHOTON`, `CHARGED_HADRON`, `ELECTRON` or `MUON`.
        momenta : float64 (k, 3)
            pT [GeV], eta, phi of the visible final particles; masses are neglected.
        rng : numpy Generator
            Source of the smearing; event by event, so that events do not depend on how they come in blocks.

        Returns
        -------
        offsets : int64 (n + 1,)
        objects : float64 (m, 3)
            pT [GeV], eta, phi in [-pi, pi), hardest first.
        """
        # a sequence of regions is one table of numbers for the compiled code
        tracker = np.array([(r.eta_max, *r.efficiency, *r.resolution) for r in self.tracker])
        ecal = np.array([(r.eta_max, r.side, *r.resolution) for r in self.ecal])
        hcal = np.array([(r.eta_max, r.side, *r.resolution) for r in self.hcal])
        minima = np.array([self.track_pt_min, self.ecal_cell_min, self.hcal_cell_min, self.pt_min])
        out, ends = np.empty((len(momenta), 3)), np.zeros(len(offsets), np.int64)
        _detect(
            offsets, species, np.ascontiguousarray(momenta, np.float64), tracker, ecal, hcal, minima,
            np.array(self.origin), self.lost_tracks_in_cells, self.log_normal, rng, out, ends,
        )  # fmt: skip
        return ends, out[: ends[-1]]


DETECTORS = {
    "embedded": ParametricDetector(),
    "lhco-like": ParametricDetector(
        tracker=(
            TrackRegion(0.5, (0.70, 0.95), (0.01, 1e-4)),
            TrackRegion(1.5, (0.70, 0.95), (0.015, 1.5e-4)),
            TrackRegion(2.5, (0.60, 0.85), (0.025, 3.5e-4)),
        ),
        ecal=(CellRegion(3.0, 0.0174, (0.11, 0.008, 0.4)),),
        hcal=(
            CellRegion(1.7, 0.0873, (1.5, 0.05, 0.0)),
            CellRegion(3.0, 0.175, (1.5, 0.05, 0.0)),
            CellRegion(5.0, 0.175, (2.7, 0.13, 0.0)),
        ),
        track_pt_min=0.5,
        ecal_cell_min=0.5,
        hcal_cell_min=1.0,
        pt_min=0.0,
        origin=(-6.0, -math.pi),
        lost_tracks_in_cells=True,
        log_normal=True,
    ),
}
"""Detectors by name: that of the embedded samples, and one like the detectors of the LHC (numbers of the CMS card of
Delphes, arXiv:1307.6346, with coarser hadron calorimetry), whose dijets look like those of the LHC Olympics."""


def detector(name: str) -> ParametricDetector:
    """The detector of this name.

    Raises
    ------
    InputError
        If there is none.
    """
    if name not in DETECTORS:
        raise InputError(f"there is no detector {name!r}; {nearest(name, DETECTORS)}")
    return DETECTORS[name]


def detected(events: Events, detector: ParametricDetector, rng: np.random.Generator) -> Events:
    """What a detector makes of full event records (HepMC): `particles` of pt [GeV], eta, phi, hardest first.

    Parameters
    ----------
    events : Events
    detector : ParametricDetector
    rng : numpy Generator
        Source of the smearing; piece after piece of a file draws from the same one.

    Raises
    ------
    InputError
        If they are no full records.
    """
    particles = events.arrays.get("particles")
    if particles is None or not is_full_record(particles):
        raise InputError(f"{events.path} ({events.format}) holds no full event records; a detector takes HepMC files")
    offsets, rows = final_rows(particles)
    px, py, pz, pdgid = (ak.to_numpy(ak.flatten(particles[name]))[rows] for name in ("px", "py", "pz", "pdgid"))
    number = np.abs(pdgid)
    named = [(number == n, sort) for n, sort in ((11, ELECTRON), (13, MUON), (22, PHOTON))]
    hadrons = np.where(charged(pdgid), CHARGED_HADRON, NEUTRAL_HADRON)
    species = np.select([mask for mask, _ in named], [sort for _, sort in named], hadrons).astype(np.int8)
    ends, objects = detector(offsets, species, polar_momenta(px, py, pz), rng)
    records = ak.zip(dict(zip(("pt", "eta", "phi"), objects.T, strict=True)))
    return replace(events, collections={"particles": ak.unflatten(records, np.diff(ends))})


@kernel
def _detect(
    offsets: Integers, species: NDArray[np.int8], momenta: Floats, tracker: Floats, ecal: Floats, hcal: Floats,
    minima: Floats, origin: Floats, lost_in_cells: bool, log_normal: bool, rng: np.random.Generator,
    out: Floats, ends: Integers,
) -> None:  # fmt: skip
    """Events one after another: tracks in the order of the particles, then the cells of ECAL and HCAL in that of
    eta and phi; each draws its random numbers in this order."""
    m = 0
    for event in range(len(offsets) - 1):
        first, stop = offsets[event], offsets[event + 1]
        begin = m
        tracks, region = np.empty(stop - first, np.int64), np.empty(stop - first, np.int64)
        in_ecal, in_hcal = np.empty(stop - first, np.int64), np.empty(stop - first, np.int64)
        n_tracks = n_ecal = n_hcal = 0
        for i in range(first, stop):
            sort, eta = species[i], abs(momenta[i, 1])
            if sort >= CHARGED_HADRON:
                r, pt = _region(tracker, eta), momenta[i, 0]
                if r >= 0 and pt > minima[0] and rng.random() < tracker[r, 1 if pt < 1.0 else 2]:
                    tracks[n_tracks], region[n_tracks] = i, r
                    n_tracks += 1
                    continue
                if not lost_in_cells or sort == MUON:
                    continue
            if sort in (PHOTON, ELECTRON) and _region(ecal, eta) >= 0:
                in_ecal[n_ecal] = i
                n_ecal += 1
            elif _region(hcal, eta) >= 0:
                in_hcal[n_hcal] = i
                n_hcal += 1
        for k in range(n_tracks):
            i, r = tracks[k], region[k]
            pt = momenta[i, 0]
            pt *= _smearing(math.hypot(tracker[r, 3], tracker[r, 4] * pt), log_normal, rng)
            if pt > minima[3]:
                out[m, 0], out[m, 1], out[m, 2] = pt, momenta[i, 1], momenta[i, 2]
                m += 1
        m = _cells(momenta, in_ecal[:n_ecal], ecal, minima[1], minima[3], origin, log_normal, rng, out, m)
        m = _cells(momenta, in_hcal[:n_hcal], hcal, minima[2], minima[3], origin, log_normal, rng, out, m)
        order = np.argsort(-out[begin:m, 0], kind="mergesort")
        out[begin:m] = out[begin:m][order]
        ends[event + 1] = m


@kernel
def _region(regions: Floats, eta: float) -> int:
    """Row of the region in which |eta| lies; -1 beyond all of them."""
    for r in range(len(regions)):
        if eta < regions[r, 0]:
            return r
    return -1


@kernel
def _smearing(sigma: float, log_normal: bool, rng: np.random.Generator) -> float:
    """A random factor of mean 1 and relative width sigma."""
    if log_normal:
        variance = math.log1p(sigma * sigma)
        return math.exp(math.sqrt(variance) * rng.standard_normal() - 0.5 * variance)
    return 1.0 + sigma * rng.standard_normal()


@kernel
def _cells(
    momenta: Floats, particles: Integers, regions: Floats, cell_min: float, pt_min: float, origin: Floats,
    log_normal: bool, rng: np.random.Generator, out: Floats, m: int,
) -> int:  # fmt: skip
    """Sum energies of massless particles in cells, smear them, and put what is left after cuts in the cells' centres.

    Returns the number of objects in `out`, which were m before.
    """
    key = np.empty(len(particles), np.int64)
    for k in range(len(particles)):
        i = particles[k]
        r = _region(regions, abs(momenta[i, 1]))
        row = math.floor((momenta[i, 1] - origin[0]) / regions[r, 1])
        column = math.floor((momenta[i, 2] - origin[1]) / regions[r, 1])
        # one number a cell; no calorimeter has 2^20 rows or columns
        key[k] = (r << 42) + ((row + (1 << 20)) << 21) + column + (1 << 20)
    order = np.argsort(key, kind="mergesort")
    k = 0
    while k < len(order):
        cell, energy = key[order[k]], 0.0
        while k < len(order) and key[order[k]] == cell:
            i = particles[order[k]]
            energy += momenta[i, 0] * math.cosh(momenta[i, 1])
            k += 1
        side, a, b, c = regions[cell >> 42, 1], regions[cell >> 42, 2], regions[cell >> 42, 3], regions[cell >> 42, 4]
        sigma = math.hypot(math.hypot(a / math.sqrt(energy), b), c / energy)
        energy *= _smearing(sigma, log_normal, rng)
        eta = origin[0] + (((cell >> 21) & ((1 << 21) - 1)) - (1 << 20) + 0.5) * side
        phi = origin[1] + ((cell & ((1 << 21) - 1)) - (1 << 20) + 0.5) * side
        pt = energy / math.cosh(eta)
        if energy > cell_min and pt > pt_min:
            out[m, 0], out[m, 1], out[m, 2] = pt, eta, (phi + math.pi) % (2 * math.pi) - math.pi
            m += 1
    return m
