"""The hot path of the LHC Olympics: particles of an event -> its two leading jets -> N-subjettiness, all compiled.

On one core 9,900 raw events a second become jets and tau_1..3; FastJet with the N-subjettiness of its contrib makes
2,000.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numba
import numpy as np

from hepaa.compiled import kernel
from hepaa.features.kernels.clustering import E_SCHEME, FOLLOW, N_LINKS, N_ROWS, blocks, cluster, set_particle
from hepaa.features.kernels.momentum import int64
from hepaa.features.kernels.nsubjettiness import C_PHI, C_PT, C_RAP, N_JET_ROWS, taus

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Integers = NDArray[np.int64]


@kernel
def leading_jets_kernel(
    offsets: Integers, pt: Floats, eta: Floats, phi: Floats, radius: float,
    jets: Floats, counts: Integers, members: Integers,
) -> None:  # fmt: skip
    """The two leading anti-kT jets of each event: momenta, numbers of constituents, and which particles they are."""
    most = 1
    for i in range(len(offsets) - 1):
        most = max(most, offsets[i + 1] - offsets[i])
    most = blocks(most)
    w, link, particle = np.empty((N_ROWS, most)), np.empty((N_LINKS, most), np.int64), np.empty(most, np.int64)
    leading, first = np.zeros((2, 4)), np.zeros(2, np.int64)
    for i in range(len(offsets) - 1):
        n = int64(0)
        for j in range(offsets[i], offsets[i + 1]):
            if pt[j] > 0.0:
                set_particle(w, link, n, pt[j], eta[j], phi[j], int64(-1))
                particle[n] = j
                n += 1
        number = cluster(w, link, n, int64(1), radius * radius, int64(-1), int64(E_SCHEME), int64(0), leading, first)
        position = offsets[i]
        for k in range(2):
            count = 0
            if k < number:
                j = first[k]
                while j >= 0:
                    members[position + count] = particle[j]
                    count += 1
                    j = link[FOLLOW, j]
            for c in range(4):
                jets[i, k, c] = leading[k, c] if k < number else 0.0
            counts[i, k] = count
            position += count


@kernel
def nsubjettiness_kernel(
    starts: Integers, counts: Integers, members: Integers, pt: Floats, eta: Floats, phi: Floats,
    scheme: int, minimise: int, beta: float, r0: float, out: Floats,
) -> None:  # fmt: skip
    """tau_1 .. tau_N of jets, into out (n, N); jet i has the particles members[starts[i]], ..., counts[i] of them."""
    most = 1
    for i in range(len(counts)):
        most = max(most, counts[i])
    w, link = np.empty((N_ROWS, blocks(most))), np.empty((N_LINKS, blocks(most)), np.int64)
    room = np.empty(N_JET_ROWS * blocks(most))
    for i in range(len(counts)):
        n = counts[i]
        jet = room[: N_JET_ROWS * blocks(n)].reshape((N_JET_ROWS, blocks(n)))
        jet[: C_PHI + 1, n:] = 0.0
        for c in range(n):
            j = members[starts[i] + c]
            jet[C_PT, c], jet[C_RAP, c], jet[C_PHI, c] = pt[j], eta[j], phi[j]
        taus(w, link, jet, n, scheme, minimise, beta, r0, out[i])


@dataclass(frozen=True)
class LeadingJets:
    """The two leading jets of n events.

    Attributes
    ----------
    momenta : float64 (n, 2, 4)
        px, py, pz, E [GeV], harder jet first; 0 where there is no such jet.
    counts : int64 (n, 2)
        Constituents; 0 where there is no such jet.
    starts, members : int64 (n, 2), (total,)
        Particles of jet (i, k) are members[starts[i, k]] and the counts[i, k] - 1 that follow.
    pt, eta, phi : float64 (total,)
        The particles, azimuths in (-pi, pi].
    """

    momenta: Floats
    counts: Integers
    starts: Integers
    members: Integers
    pt: Floats
    eta: Floats
    phi: Floats

    def nsubjettiness(
        self, n_max: int, *, beta: float = 1.0, r0: float = 1.0, scheme: int = E_SCHEME, minimise: bool = True
    ) -> Floats:
        """tau_1 .. tau_n_max at kT axes, (n, 2, n_max)."""
        n = len(self.counts)
        out = np.empty((2 * n, n_max))

        def piece(rows: slice) -> None:
            nsubjettiness_kernel(
                self.starts.reshape(-1)[rows], self.counts.reshape(-1)[rows], self.members, self.pt, self.eta, self.phi,
                scheme, int(minimise), float(beta), float(r0), out[rows],
            )  # fmt: skip

        _in_threads(piece, 2 * n)
        return out.reshape(n, 2, n_max)


def leading_jets(offsets: Integers, pt: Floats, eta: Floats, phi: Floats, radius: float = 1.0) -> LeadingJets:
    """The two anti-kT jets of the largest pT of each event.

    Parameters
    ----------
    offsets : int64 (n + 1,)
        Particles of event i are offsets[i] .. offsets[i + 1]; those of pT <= 0 do not count.
    pt, eta, phi : float64 (total,)
        Massless particles, GeV and radians, finite.
    radius : float

    Notes
    -----
    Runs in `numba.get_num_threads()` threads; the result does not depend on their number.
    """
    n = len(offsets) - 1
    momenta, counts = np.empty((n, 2, 4)), np.empty((n, 2), np.int64)
    members = np.empty(len(pt), np.int64)

    def piece(rows: slice) -> None:
        ends = offsets[rows.start : rows.stop + 1]
        leading_jets_kernel(ends, pt, eta, phi, float(radius), momenta[rows], counts[rows], members)

    _in_threads(piece, n)
    starts = offsets[:-1, None] + np.stack([np.zeros(n, np.int64), counts[:, 0]], axis=1)
    turns = np.ceil((phi - np.pi) / (2 * np.pi))
    return LeadingJets(momenta, counts, starts, members, pt, eta, phi - 2 * np.pi * turns)


def _in_threads(function: Callable[[slice], None], n: int) -> None:
    """Call function(slice) on pieces of n rows, in threads: the kernels release Python's lock."""
    threads = min(numba.get_num_threads(), max(n // 64, 1))
    if threads < 2:
        function(slice(0, n))
        return
    # More pieces than threads, for jets differ in size.
    edges = np.linspace(0, n, 4 * threads + 1).astype(int)
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(function, (slice(a, b) for a, b in pairwise(edges))))
