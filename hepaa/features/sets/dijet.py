"""Feature sets of the LHC Olympics: two R = 1.0 jets and what is inside them.

From raw events (particles pT, eta, phi: anti-kT jets, N-subjettiness), from the large-radius jets of an ntuple with its
own tau_N, from its candidates (particle flow) where it has no such jets, or straight from files that hold the 14
columns.

The mass of a jet of an ntuple is its field `mj` where the schema or the objects of a card define one, such as
`mj = msoftdrop`, and else `m`; m_jj is always that of the whole jets, with `m`. A groomed mass below 0, CMS's mark of a
jet of which grooming leaves one piece, is 0.
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
RAW = ["particles", "candidates"]
INPUTS = ["particles", "fatjets", "candidates", " + ".join(COLUMNS)]


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
    uses=[],
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

    tau_N: beta = 1, R0 = 1, one-pass minimised exclusive kT axes; those of the file for the jets of an ntuple.
    """
    values, cuts = _jets(events)
    return values | pair(values), cuts


@feature_set(
    "dijet-hl",
    inputs=INPUTS,
    uses=[],
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
    """The 14 columns, with m_jj where it does not follow from them, and the cut on two jets."""
    if "fatjets" in events.arrays and "particles" not in events.arrays:
        return _jets_of_the_file(events)
    if "particles" in events.arrays or "candidates" in events.arrays:
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


def _jets_of_the_file(events: Events) -> tuple[Values, Cuts]:
    """The same of the two leading large-radius jets of an ntuple."""
    from hepaa.features import kinematics
    from hepaa.features.columnar import flat, leading

    fatjets = events.arrays["fatjets"]
    names = ("pt", "eta", "phi", "m", "tau1", "tau2", "tau3", *(["mj"] if "mj" in fatjets.fields else []))
    offsets, *contents = flat(fatjets, names, name=f"fatjets of {events.path} ({events.format})")
    two = leading(offsets, contents[0], 2)
    # the number behind the last jet is that of jets that are not there
    picked = {q: np.append(v, 0)[two].astype(np.float64) for q, v in zip(names, contents, strict=True)}
    momenta = _cartesian(*(picked[q] for q in ("pt", "eta", "phi", "m")))
    px, py, pz, _ = momenta
    picked |= {"px": px, "py": py, "pz": pz}
    if "mj" in picked:
        picked["m"] = np.maximum(picked["mj"], 0.0)
    values = {f"{q}j{j + 1}": picked[q][:, j] for j in (0, 1) for q in _OF_A_JET}
    values["mjj"] = kinematics.mass(*(c.sum(axis=1) for c in momenta))
    return values, {"two jets": two[:, 1] >= 0}


def _cartesian(
    pt: NDArray[np.float64], eta: NDArray[np.float64], phi: NDArray[np.float64], m: NDArray[np.float64]
) -> tuple[NDArray[np.float64], ...]:
    """px, py, pz, E [GeV]; a negative mass stands for a negative square."""
    px, py, pz = pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta)
    return px, py, pz, np.sqrt(np.maximum(pt**2 + pz**2 + m * np.abs(m), 0))


def two_jets(events: Events) -> tuple[LeadingJets, NDArray[np.float64]]:
    """The two leading jets of raw events, and their masses (n, 2)."""
    from hepaa.features import kinematics
    from hepaa.features.kernels.leading_jets import leading_jets

    offsets, pt, eta, phi = raw_particles(events)
    jets = leading_jets(offsets, pt, eta, phi, RADIUS)
    # The mass of a single massless particle is zero, whatever its rounding says.
    return jets, np.where(jets.counts > 1, kinematics.mass(*np.moveaxis(jets.momenta, -1, 0)), 0.0)


def visible_particles(events: Events) -> ak.Array:
    """Particles that jets are made of: all of the file, or the visible final state of a full record (HepMC).

    Candidates of an ntuple have pt, eta and phi, here at least, and count with their weight `puppi` where they have one
    (arXiv:1407.6013).
    """
    if "particles" not in events.arrays:
        return _candidates(events.arrays["candidates"])
    particles = events.arrays["particles"]
    if "vx" in particles.fields:
        from hepaa.io.hepmc import final_state, is_full_record

        return final_state(particles) if is_full_record(particles) else particles
    return particles


def _candidates(candidates: ak.Array) -> ak.Array:
    import awkward as ak

    from hepaa.features import kinematics

    if {"px", "py", "pz"} <= set(candidates.fields):
        px, py, pz = (candidates[c] for c in ("px", "py", "pz"))
        polar = {"pt": kinematics.pt(px, py), "eta": kinematics.eta(px, py, pz), "phi": kinematics.phi(px, py)}
        return ak.zip(polar)[polar["pt"] > 0]
    if "puppi" not in candidates.fields:
        return candidates
    weighted = ak.with_field(candidates, candidates["pt"] * candidates["puppi"], "pt")
    return weighted[candidates["puppi"] > 0]


def raw_particles(events: Events) -> tuple[Any, ...]:
    """Offsets, pT, eta, phi of raw events, after a check that they are finite; of the visible final state of HepMC.

    Raises
    ------
    InputError
        Naming the event of the first particle that is not.
    """
    from hepaa.features.columnar import flat

    names = ("pt", "eta", "phi")
    source = "particles" if "particles" in events.arrays else "candidates"
    offsets, *arrays = flat(visible_particles(events), names, name=f"{source} of {events.path} ({events.format})")
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
    out["mjj"] = values["mjj"] if "mjj" in values else kinematics.mass(*total)
    out["ml"], out["mh"] = np.minimum(values["mj1"], values["mj2"]), np.maximum(values["mj1"], values["mj2"])
    out["dmj"] = out["mh"] - out["ml"]
    out["detajj"] = np.abs(out["etaj1"] - out["etaj2"])
    return out


def ratio(over: NDArray[np.float64], under: NDArray[np.float64]) -> NDArray[np.float64]:
    """over / under, (n,) each; 0 where `under` is 0: a jet of so few constituents has nothing to resolve."""
    result: NDArray[np.float64] = np.divide(over, under, out=np.zeros(np.shape(over)), where=np.asarray(under) != 0)
    return result
