"""Speed of the feature kernels against their peers; interleaved repeats, medians. Run with `nox -s bench`."""

from __future__ import annotations

import time

import awkward as ak
import numba
import numpy as np
import pytest

import hepaa
from hepaa.features.kernels.leading_jets import leading_jets

pytestmark = pytest.mark.bench


def medians(repeats, *functions, clock=time.process_time):
    """Median time of each function [s], called in turn, after one call that does not count.

    Processor time by default: all that is compared runs in one thread, and other work on the machine counts less.
    """
    times = [[] for _ in functions]
    for _ in range(repeats + 1):
        for function, mine in zip(functions, times, strict=True):
            start = clock()
            function()
            mine.append(clock() - start)
    return [float(np.median(mine[1:])) for mine in times]


@pytest.fixture
def one_thread():
    before = numba.get_num_threads()
    numba.set_num_threads(1)
    yield
    numba.set_num_threads(before)


@pytest.fixture
def olympics(data):
    particles = hepaa.open(data / "lhco" / "events_anomalydetection_tiny.h5").particles
    offsets = np.append(0, np.cumsum(ak.to_numpy(ak.num(particles))))
    return offsets, *(ak.to_numpy(ak.flatten(particles[f])).astype(float) for f in ("pt", "eta", "phi"))


def test_dijets_against_fastjet(olympics, one_thread):
    """Raw LHC Olympics events to 14 features and m_jj: at least 3 times FastJet with its njettiness, one thread."""
    import fastjet

    offsets, pt, eta, phi = olympics
    n, counts = len(offsets) - 1, np.diff(offsets)

    def ours():
        jets = leading_jets(offsets, pt, eta, phi)
        total = jets.momenta.sum(axis=1)
        return jets.momenta, jets.nsubjettiness(3), np.sqrt(total[:, 3] ** 2 - np.sum(total[:, :3] ** 2, axis=1))

    def theirs():
        fields = {"px": pt * np.cos(phi), "py": pt * np.sin(phi), "pz": pt * np.sinh(eta), "E": pt * np.cosh(eta)}
        particles = ak.zip({k: ak.unflatten(v, counts) for k, v in fields.items()})
        sequence = fastjet.ClusterSequence(particles, fastjet.JetDefinition(fastjet.antikt_algorithm, 1.0))
        jets, parts = sequence.inclusive_jets(min_pt=100.0), sequence.constituents(min_pt=100.0)
        order = ak.argsort(np.hypot(jets.px, jets.py), axis=1, ascending=False)
        jets, parts = jets[order][:, :2], ak.flatten(parts[order][:, :2], axis=1)
        inside = fastjet.ClusterSequence(parts, fastjet.JetDefinition(fastjet.antikt_algorithm, 10.0))
        taus = inside.njettiness(njets=[1, 2, 3], R0=1.0)
        total = [ak.sum(jets[c], axis=1) for c in ("E", "px", "py", "pz")]
        return jets, taus, np.sqrt(total[0] ** 2 - total[1] ** 2 - total[2] ** 2 - total[3] ** 2)

    np.testing.assert_allclose(ours()[2], theirs()[2], rtol=1e-9)
    mine, peer = medians(5, ours, theirs)
    print(f"\nLHCO: kernel {n / mine:.0f} events/s, FastJet + njettiness {n / peer:.0f} events/s: {peer / mine:.1f} x")
    assert peer / mine >= 3


@pytest.mark.skipif(numba.config.NUMBA_NUM_THREADS < 2, reason="NUMBA_NUM_THREADS allows one thread only")
def test_two_threads_against_one(olympics):
    offsets, pt, eta, phi = olympics
    offsets = np.concatenate([offsets[:-1] + k * offsets[-1] for k in range(4)] + [[4 * offsets[-1]]])
    particles = tuple(np.tile(x, 4) for x in (pt, eta, phi))
    before = numba.get_num_threads()

    def run(threads):
        numba.set_num_threads(threads)
        leading_jets(offsets, *particles).nsubjettiness(3)

    one, two = medians(7, lambda: run(1), lambda: run(2), clock=time.perf_counter)
    numba.set_num_threads(before)
    print(f"\nLHCO: two threads {one / two:.2f} x one")
    assert one / two >= 1.7
