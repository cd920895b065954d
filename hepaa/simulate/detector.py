"""A short parametric detector (tracks, two calorimeters, smearing), for samples that look like data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class ParametricDetector:
    """Charged particles become smeared tracks; photons and neutral hadrons are summed in towers, then smeared.

    Attributes
    ----------
    eta_max : float
        Acceptance in |eta|.
    pt_min : float
        Least transverse momentum of what is written, in GeV.
    track_efficiency : float
        Fraction of charged particles that are seen.
    track_resolution : (float, float)
        sigma(pT) / pT = a (+) b pT / GeV, the (+) a sum in quadrature.
    ecal_tower, hcal_tower : float
        Side of a tower in eta and phi.
    ecal_resolution, hcal_resolution : (float, float)
        sigma(E) / E = a / sqrt(E / GeV) (+) b.
    """

    eta_max: float = 2.5
    pt_min: float = 1.0
    track_efficiency: float = 0.95
    track_resolution: tuple[float, float] = (0.01, 1.5e-4)
    ecal_tower: float = 0.02
    hcal_tower: float = 0.1
    ecal_resolution: tuple[float, float] = (0.1, 0.01)
    hcal_resolution: tuple[float, float] = (0.6, 0.05)

    def __call__(
        self,
        particles: NDArray[np.float64],
        charged: NDArray[np.bool_],
        photon: NDArray[np.bool_],
        rng: np.random.Generator,
    ) -> NDArray[np.float64]:
        """Detector-level objects of one event.

        Parameters
        ----------
        particles : (k, 3)
            pT [GeV], eta, phi of the visible final particles.
        charged, photon : bool (k,)
            What each is; neither means neutral hadron.
        rng : numpy Generator
            Source of the smearing.

        Returns
        -------
        float64 (m, 3)
            pT [GeV], eta, phi in [-pi, pi), hardest first.
        """
        inside = np.abs(particles[:, 1]) < self.eta_max
        particles, charged, photon = particles[inside], charged[inside], photon[inside]
        tracks = particles[charged]
        tracks = tracks[rng.random(len(tracks)) < self.track_efficiency]
        a, b = self.track_resolution
        tracks[:, 0] *= 1 + np.hypot(a, b * tracks[:, 0]) * rng.standard_normal(len(tracks))
        ecal = self._towers(particles[photon], self.ecal_tower, self.ecal_resolution, rng)
        hcal = self._towers(particles[~charged & ~photon], self.hcal_tower, self.hcal_resolution, rng)
        out = np.concatenate([tracks, ecal, hcal])
        out = out[out[:, 0] > self.pt_min]
        return out[np.argsort(-out[:, 0], kind="stable")]

    def _towers(
        self, particles: NDArray[np.float64], side: float, resolution: tuple[float, float], rng: np.random.Generator
    ) -> NDArray[np.float64]:
        """Sum energies of massless particles in square towers and put them in the towers' centres."""
        pt, eta, phi = particles.T
        row, column = np.floor(eta / side).astype(np.int64), np.floor(phi / side).astype(np.int64)
        # one number a tower: columns run from -pi / side to pi / side
        columns = 2 * (int(np.pi / side) + 2)
        unique, tower = np.unique(row * columns + column + columns // 2, return_inverse=True)
        row, column = unique // columns, unique % columns - columns // 2
        energy = np.zeros(len(unique))
        np.add.at(energy, tower, pt * np.cosh(eta))
        a, b = resolution
        energy *= 1 + np.hypot(a / np.sqrt(energy), b) * rng.standard_normal(len(unique))
        centre_eta, centre_phi = (row + 0.5) * side, (column + 0.5) * side
        centre_phi = np.mod(centre_phi + np.pi, 2 * np.pi) - np.pi
        return np.stack([energy / np.cosh(centre_eta), centre_eta, centre_phi], axis=1)
