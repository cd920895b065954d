"""Feature sets of the LHC Olympics: two R = 1.0 jets and what is inside them.

From raw events (particles pT, eta, phi: anti-kT jets, N-subjettiness) or straight from files that hold the 14 columns.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hepaa.errors import InputError
from hepaa.features.registry import Feature, feature_set

if TYPE_CHECKING:
    from collections.abc import Mapping

    import awkward as ak
    from numpy.typing import NDArray

    from hepaa.events import Events
    from hepaa.features.kernels.leading_jets import LeadingJets
    from hepaa.features.registry import Cuts, Values

RADIUS = 1.0
# One jet, in the order of the LHC Olympics feature files.
_OF_A_JET = ("px", "py", "pz", "m", "tau1", "tau2", "tau3")
COLUMNS = tuple(f"{q}j{j}" for j in (1, 2) for q in _OF_A_JET)
INPUTS = ["particles", " + ".join(COLUMNS)]


def of_jet(j: int) -> dict[str, Feature]:
    """What is computed of jet j, by quantity."""
    taus = {**{f"tau{n}": rf"\tau_{n}" for n in (1, 2, 3)}, "tau21": r"\tau_{21}", "tau32": r"\tau_{32}"}
    momenta = {"px": "p_x", "py": "p_y", "pz": "p_z", "pt": "p_T"}
    units = dict.fromkeys(momenta, "GeV") | {"phi": "rad"}
    symbols = momenta | {"eta": r"\eta", "phi": r"\phi"} | taus
    known = {q: Feature(f"{q}j{j}", rf"${symbol}^{{j_{j}}}$", units.get(q, "")) for q, symbol in symbols.items()}
    return known | {"m": Feature(f"mj{j}", rf"$m_{{j_{j}}}$", "GeV")}


MJJ = Feature("mjj", r"$m_{jj}$", "GeV")
MJ1 = Feature("mj1", r"$m_{J_1}$", "GeV")
DMJ = Feature("dmj", r"$\Delta m_j$", "GeV")


@feature_set(
    "dijet",
    inputs=INPUTS,
    columns=[of_jet(j)[q] for j in (1, 2) for q in _OF_A_JET],
    spectators=[
        MJJ,
        Feature("ml", r"$m_j$ (lighter)", "GeV"),
        Feature("mh", r"$m_j$ (heavier)", "GeV"),
        DMJ,
        Feature("detajj", r"$|\Delta\eta_{jj}|$"),
        *(of_jet(j)[q] for j in (1, 2) for q in ("pt", "eta", "phi", "tau21", "tau32")),
    ],
)
def dijet(events: Events) -> tuple[Values, Cuts]:
    """Two leading anti-kT R = 1.0 jets, the 14 inputs of LHC Olympics papers: momentum, mass, tau_1..3; j1 has more pT.

    tau_N: beta = 1, R0 = 1, one-pass minimised exclusive kT axes.
    """
    values, cuts = _jets(events)
    return values | pair(values), cuts


@feature_set(
    "dijet-hl",
    inputs=INPUTS,
    columns=[
        MJJ,
        MJ1,
        DMJ,
        *(Feature(f"tau{n}{n - 1}j{j}", rf"$\tau_{{{n}{n - 1}}}^{{J_{j}}}$") for n in (2, 3) for j in (1, 2)),
    ],
)
def dijet_high_level(events: Events) -> tuple[Values, Cuts]:
    """Dijet masses and tau ratios as CATHODE and CWoLa use them; j1 is the LIGHTER of the two leading jets.

    dmj is the heavier mass minus the lighter.
    """
    values, cuts = _jets(events)
    derived = pair(values)
    swap = values["mj2"] < values["mj1"]
    out = {"mjj": derived["mjj"], "mj1": derived["ml"], "dmj": derived["dmj"]}
    for ratio in ("tau21", "tau32"):
        leading, second = derived[f"{ratio}j1"], derived[f"{ratio}j2"]
        out[f"{ratio}j1"], out[f"{ratio}j2"] = np.where(swap, second, leading), np.where(swap, leading, second)
    return out, cuts


def _jets(events: Events) -> tuple[Values, Cuts]:
    """The 14 columns, and the cut on two jets."""
    if "particles" in events.collections:
        jets, mass = two_jets(events)
        taus = jets.nsubjettiness(3, r0=RADIUS)
        px, py, pz, _ = np.moveaxis(jets.momenta, -1, 0)
        quantities = (px, py, pz, mass, *np.moveaxis(taus, -1, 0))
        values = {f"{q}j{j + 1}": v[:, j] for j in (0, 1) for q, v in zip(_OF_A_JET, quantities, strict=True)}
        return values, {"two jets": jets.counts[:, 1] > 0}
    values = {c: events.columns[c] for c in COLUMNS}
    two = np.ones(events.n, bool)
    for j in (1, 2):
        # A jet that is not there is all zeros in such files.
        two &= (values[f"pxj{j}"] != 0) | (values[f"pyj{j}"] != 0)
    return values, {"two jets": two}


def two_jets(events: Events) -> tuple[LeadingJets, NDArray[np.float64]]:
    """The two leading jets of raw events, and their masses (n, 2)."""
    from hepaa.features import kinematics
    from hepaa.features.kernels.leading_jets import leading_jets

    offsets, pt, eta, phi = raw_particles(events)
    jets = leading_jets(offsets, pt, eta, phi, RADIUS)
    # The mass of a single massless particle is zero, whatever its rounding says.
    return jets, np.where(jets.counts > 1, kinematics.mass(*np.moveaxis(jets.momenta, -1, 0)), 0.0)


def visible_particles(events: Events) -> ak.Array:
    """Particles that jets are made of: all of the file, or the visible final state of a full record (HepMC)."""
    particles = events.arrays["particles"]
    if "vx" in particles.fields:
        from hepaa.io.hepmc import final_state, is_full_record

        return final_state(particles) if is_full_record(particles) else particles
    return particles


def raw_particles(events: Events) -> tuple[Any, ...]:
    """Offsets, pT, eta, phi of raw events, after a check that they are finite; of the visible final state of HepMC.

    Raises
    ------
    InputError
        Naming the event of the first particle that is not.
    """
    from hepaa.features.columnar import flat

    names = ("pt", "eta", "phi")
    particles = visible_particles(events)
    offsets, *arrays = flat(particles, names, name=f"particles of {events.path} ({events.format})")
    arrays = [a.astype(np.float64, copy=False) for a in arrays]
    for name, values in zip(names, arrays, strict=True):
        bad = np.flatnonzero(~np.isfinite(values))
        if len(bad):
            event = events.index[np.searchsorted(offsets, bad[0], side="right") - 1]
            raise InputError(
                f"{events.path}: a particle of event {event} has {name} = {values[bad[0]]}; mend or drop this event"
            )
    return (offsets, *arrays)


def pair(values: Mapping[str, NDArray[np.float64]]) -> Values:
    """All that follows from the 14 columns."""
    from hepaa.features import kinematics

    out: Values = {}
    total = [np.zeros_like(values["mj1"]) for _ in range(4)]
    for j in (1, 2):
        px, py, pz, m = (values[f"{q}j{j}"] for q in ("px", "py", "pz", "m"))
        e = np.sqrt(np.maximum(px**2 + py**2 + pz**2 + m * np.abs(m), 0))
        total = [t + c for t, c in zip(total, (px, py, pz, e), strict=True)]
        out[f"ptj{j}"] = kinematics.pt(px, py)
        out[f"etaj{j}"] = kinematics.eta(px, py, pz)
        out[f"phij{j}"] = kinematics.phi(px, py)
        for n in (2, 3):
            out[f"tau{n}{n - 1}j{j}"] = ratio(values[f"tau{n}j{j}"], values[f"tau{n - 1}j{j}"])
    out["mjj"] = kinematics.mass(*total)
    out["ml"], out["mh"] = np.minimum(values["mj1"], values["mj2"]), np.maximum(values["mj1"], values["mj2"])
    out["dmj"] = out["mh"] - out["ml"]
    out["detajj"] = np.abs(out["etaj1"] - out["etaj2"])
    return out


def ratio(over: NDArray[np.float64], under: NDArray[np.float64]) -> NDArray[np.float64]:
    """over / under, (n,) each; 0 where `under` is 0: a jet of so few constituents has nothing to resolve."""
    result: NDArray[np.float64] = np.divide(over, under, out=np.zeros(np.shape(over)), where=np.asarray(under) != 0)
    return result
