"""Feature sets of jets as clouds of particles: shares of pT and angles about the jet axis, padded with zeros.

What encoders of particles read (`particles` of the VAE is the number of particles of a jet).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hepaa.features.registry import Feature, feature_set
from hepaa.features.sets.dijet import MJJ, RADIUS, RAW, raw_particles, visible_particles

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hepaa.events import Events
    from hepaa.features.registry import Cuts, Values

    Floats = NDArray[np.float64]
    Integers = NDArray[np.int64]


def _columns(jets: int, particles: int) -> list[Feature]:
    """Jet by jet, particle by particle: share of pT, delta eta, delta phi."""
    return [
        feature
        for j in range(1, jets + 1)
        for i in range(1, particles + 1)
        for feature in (
            Feature(f"z{i}j{j}", rf"$z_{{{i}}}^{{j_{j}}}$"),
            Feature(f"deta{i}j{j}", rf"$\Delta\eta_{{{i}}}^{{j_{j}}}$"),
            Feature(f"dphi{i}j{j}", rf"$\Delta\phi_{{{i}}}^{{j_{j}}}$", "rad"),
        )
    ]


def _momenta(jets: int) -> list[Feature]:
    return [
        Feature(f"{q}j{j}", rf"${symbol}^{{j_{j}}}$", unit)
        for j in range(1, jets + 1)
        for q, symbol, unit in (("pt", "p_T", "GeV"), ("eta", r"\eta", ""), ("phi", r"\phi", "rad"), ("m", "m", "GeV"))
    ]


@feature_set("constituents-2x30", inputs=RAW, uses=["jets"], columns=_columns(2, 30), spectators=[MJJ, *_momenta(2)])
def two_jets(events: Events) -> tuple[Values, Cuts]:
    """The 30 hardest particles of each of the two leading jets: share of pT, delta eta, delta phi; 180 columns.

    Jets are those of the file, where it says which particle is in which, or else anti-kT R = 1.0; two are asked for.
    Zeros stand where a jet has fewer particles.
    """
    from hepaa.features import kinematics

    values, cuts, momenta = _jets(events, 2, 30)
    px, py, pz, e = np.moveaxis(momenta, -1, 0)
    values["mjj"] = kinematics.mass(*(c.sum(axis=1) for c in (px, py, pz, e)))
    return values, cuts


@feature_set("constituents-3x15", inputs=RAW, uses=["jets"], columns=_columns(3, 15), spectators=_momenta(3))
def three_jets(events: Events) -> tuple[Values, Cuts]:
    """The 15 hardest particles of each of the three leading jets, BEAD's input: z, delta eta, delta phi; 135 columns.

    Jets are those of the file, where it says which particle is in which, or else anti-kT R = 1.0; one is asked for, and
    zeros stand for jets and particles that are not there.
    """
    values, cuts, _ = _jets(events, 3, 15)
    return values, cuts


def _jets(events: Events, jets: int, particles: int) -> tuple[Values, Cuts, Floats]:
    """All columns, the cut, and the momenta of the jets (n, jets, 4)."""
    from hepaa.features import kinematics

    offsets, pt, eta, phi = raw_particles(events)
    if {"jets", "particles"} <= set(events.arrays) and "jet" in events.arrays["particles"].fields:
        momenta, owner = _of_the_file(events, offsets, jets)
    elif jets <= 2:
        momenta, owner = _compiled(offsets, pt, eta, phi)
    else:
        momenta, owner = _with_fastjet(events, offsets, jets)
    px, py, pz, e = np.moveaxis(momenta, -1, 0)
    there = (px != 0) | (py != 0)
    axes = {
        "pt": kinematics.pt(px, py),
        "eta": np.where(there, kinematics.eta(px, py, np.where(there, pz, 1.0)), 0.0),
        "phi": kinematics.phi(px, py),
        "m": np.where(there, kinematics.mass(px, py, pz, e), 0.0),
    }
    cloud = _cloud(offsets, pt, eta, phi, owner, axes, particles)
    names = [f.name for f in _columns(jets, particles)]
    values = dict(zip(names, cloud.reshape(len(cloud), -1).T, strict=True))
    values |= {f"{q}j{j + 1}": axes[q][:, j] for q in axes for j in range(jets)}
    return values, {"two jets": there[:, 1]} if jets == 2 else {"a jet": there[:, 0]}, momenta


def _cloud(
    offsets: Integers, pt: Floats, eta: Floats, phi: Floats, owner: Integers, axes: dict[str, Floats], particles: int
) -> Floats:
    """Hardest particles of every jet (n, jets, particles, 3); `owner` is the jet of every particle, -1 for none."""
    n, jets = axes["pt"].shape
    out = np.zeros((n, jets, particles, 3))
    event = np.repeat(np.arange(n), np.diff(offsets))
    inside = np.flatnonzero((owner >= 0) & (pt > 0))
    jet = event[inside] * jets + owner[inside]
    order = np.lexsort((-pt[inside], jet))
    inside, jet = inside[order], jet[order]
    rank = np.arange(len(jet)) - np.searchsorted(jet, jet, side="left")
    kept = rank < particles
    inside, jet, rank = inside[kept], jet[kept], rank[kept]
    flat = out.reshape(n * jets, particles, 3)
    turn = phi[inside] - axes["phi"].reshape(-1)[jet]
    flat[jet, rank, 0] = pt[inside] / axes["pt"].reshape(-1)[jet]
    flat[jet, rank, 1] = eta[inside] - axes["eta"].reshape(-1)[jet]
    flat[jet, rank, 2] = turn - 2 * np.pi * np.round(turn / (2 * np.pi))
    return out


def _compiled(offsets: Integers, pt: Floats, eta: Floats, phi: Floats) -> tuple[Floats, Integers]:
    """The two leading jets: momenta (n, 2, 4), and the jet of every particle."""
    from hepaa.features.kernels.leading_jets import leading_jets

    leading = leading_jets(offsets, pt, eta, phi, RADIUS)
    owner = np.full(len(pt), -1)
    for j in (0, 1):
        counts = leading.counts[:, j]
        position = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        owner[leading.members[np.repeat(leading.starts[:, j], counts) + position]] = j
    return leading.momenta, owner


def _with_fastjet(events: Events, offsets: Integers, jets: int) -> tuple[Floats, Integers]:
    """As many leading jets as asked for, by FastJet."""
    import awkward as ak

    from hepaa.features.jets import inclusive_jets

    particles = visible_particles(events)
    alive = particles["pt"] > 0
    leading = inclusive_jets(particles[alive], algorithm="anti-kt", radius=RADIUS)[:, :jets]
    # positions among the particles of positive pT, and then among all
    places = np.flatnonzero(ak.to_numpy(ak.flatten(alive)))
    starts = np.searchsorted(places, offsets[:-1])
    counts = ak.to_numpy(ak.flatten(ak.num(leading.constituents, axis=2)))
    jet_event = np.repeat(np.arange(len(particles)), ak.to_numpy(ak.num(leading, axis=1)))
    index = ak.to_numpy(ak.flatten(leading.constituents, axis=None))
    owner = np.full(offsets[-1], -1)
    rank = ak.to_numpy(ak.flatten(ak.local_index(leading.pt)))
    owner[places[index + np.repeat(starts[jet_event], counts)]] = np.repeat(rank, counts)
    parts = [ak.fill_none(ak.pad_none(leading[f], jets, clip=True), 0.0) for f in ("px", "py", "pz", "e")]
    return np.stack(list(map(ak.to_numpy, parts)), axis=-1).astype(np.float64), owner


def _of_the_file(events: Events, offsets: Integers, jets: int) -> tuple[Floats, Integers]:
    """The hardest jets of files that say which particle is in which: momenta as sums over particles, and the jet."""
    from hepaa.features.columnar import flat

    begins, jet_pt = flat(events.arrays["jets"], ("pt",), name="jets")
    event_of_jet = np.repeat(np.arange(events.n), np.diff(begins))
    rank = np.empty(len(jet_pt), np.int64)
    rank[np.lexsort((-jet_pt, event_of_jet))] = np.arange(len(jet_pt)) - begins[event_of_jet]
    _, mine, *parts = flat(events.arrays["particles"], ("jet", "pt", "eta", "phi"))
    pt, eta, phi = (part.astype(np.float64) for part in parts)
    event = np.repeat(np.arange(events.n), np.diff(offsets))
    mine = mine.astype(np.int64)
    owner = np.full(len(mine), -1)
    inside = (mine >= 0) & (mine < np.diff(begins)[event])
    owner[inside] = rank[begins[event[inside]] + mine[inside]]
    owner[owner >= jets] = -1
    momenta = np.zeros((events.n, jets, 4))
    kept = owner >= 0
    for c, value in enumerate((pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta), pt * np.cosh(eta))):
        np.add.at(momenta[:, :, c], (event[kept], owner[kept]), value[kept])
    return momenta, owner
