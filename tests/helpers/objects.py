"""Feature sets of reconstructed objects written once more, event by event in vector's terms."""

from __future__ import annotations

from typing import Any

import awkward as ak
import numpy as np
import vector

vector.register_awkward()

M_Z = 91.1876


def records(scale: float = 1.0, **fields: Any) -> ak.Array:
    """Momentum records of vector in float64 from pt, eta, phi, mass (GeV after `scale`) and whatever else."""
    momenta = {k: ak.values_astype(v, np.float64) for k, v in fields.items()}
    for name in ("pt", "mass", "mj"):
        if name in momenta:
            momenta[name] = momenta[name] * scale
    return ak.zip(momenta, with_name="Momentum4D")


def hardest_first(objects: ak.Array) -> ak.Array:
    return objects[ak.argsort(objects.pt, axis=1, ascending=False, stable=True)]


def far_from(objects: ak.Array, others: ak.Array, radius: float) -> ak.Array:
    """Those of the objects that have none of the others nearby."""
    mine, theirs = ak.unzip(ak.cartesian([objects, others], nested=True))
    return objects[~ak.any(mine.deltaR(theirs) < radius, axis=2)]


def dijet(fatjets: ak.Array) -> tuple[Any, dict[str, Any]]:
    """Which events have two jets, and all columns of the three dijet sets by (set, column)."""
    two = ak.num(fatjets) >= 2
    jets = hardest_first(fatjets[two])
    j1, j2 = jets[:, 0], jets[:, 1]
    mass = [ak.where(j.mj > 0, j.mj, 0) if "mj" in fatjets.fields else j.mass for j in (j1, j2)]
    out: dict[str, Any] = {}
    for number, (j, m) in enumerate(zip((j1, j2), mass, strict=True), 1):
        of_jet = {"px": j.px, "py": j.py, "pz": j.pz, "m": m, "pt": j.pt, "eta": j.eta, "phi": j.phi}
        of_jet |= {f"tau{n}": j[f"tau{n}"] for n in (1, 2, 3)}
        for n in (2, 3):
            below = j[f"tau{n - 1}"]
            of_jet[f"tau{n}{n - 1}"] = ak.where(below > 0, j[f"tau{n}"] / ak.where(below > 0, below, 1), 0)
        out |= {("dijet", f"{q}j{number}"): v for q, v in of_jet.items()}
        sign = ak.where(j1.eta < 0, -1, 1)
        out |= {("dijet-invariant", f"{q}j{number}"): of_jet[q] for q in ("pt", "m", "tau21", "tau32")}
        out["dijet-invariant", f"etafj{number}"] = j.eta * sign
        out["dijet-invariant", f"ltau1j{number}"] = np.log(np.maximum(ak.to_numpy(j.tau1), 1e-4))
    mjj = (j1 + j2).mass
    light, heavy = np.minimum(*map(ak.to_numpy, mass)), np.maximum(*map(ak.to_numpy, mass))
    pair = {"mjj": mjj, "ml": light, "mh": heavy, "dmj": heavy - light, "detajj": abs(j1.eta - j2.eta)}
    out |= {("dijet", k): v for k, v in pair.items()}
    out["dijet-invariant", "mjj"] = mjj
    out["dijet-invariant", "lacop"] = np.log(np.pi - abs(ak.to_numpy(j1.deltaphi(j2))) + 0.02)
    out |= {("dijet-hl", k): v for k, v in (("mjj", mjj), ("mj1", light), ("dmj", heavy - light))}
    first = mass[1] < mass[0]
    for q in ("tau21", "tau32"):
        a, b = out["dijet", f"{q}j1"], out["dijet", f"{q}j2"]
        out["dijet-hl", f"{q}j1"], out["dijet-hl", f"{q}j2"] = ak.where(first, b, a), ak.where(first, a, b)
    return ak.to_numpy(two), out


def event(jets: ak.Array, leptons: ak.Array | None, met: Any, met_phi: Any) -> tuple[Any, dict[str, Any]]:
    """Which events have a jet, and the columns of `event`."""
    some = ak.to_numpy(ak.num(jets) > 0)
    jets, met, met_phi = hardest_first(jets[some]), np.asarray(met)[some], np.asarray(met_phi)[some]
    sums = {c: ak.sum(getattr(jets, c), axis=1) for c in ("px", "py", "pz", "energy")}
    total = vector.zip({"px": sums["px"], "py": sums["py"], "pz": sums["pz"], "E": sums["energy"]})
    apart = (ak.to_numpy(met_phi) - jets.phi[:, :4] + np.pi) % (2 * np.pi) - np.pi
    out = {
        "met": met, "ht": ak.sum(jets.pt, axis=1), "mht": total.pt, "mjets": total.mass, "njets": ak.num(jets),
        "ptj1": jets.pt[:, 0], "ptj2": ak.fill_none(ak.firsts(jets.pt[:, 1:]), 0),
        "dphimin": ak.min(abs(apart), axis=1),
    }  # fmt: skip
    if "btag" in jets.fields:
        out["nb"] = ak.sum(jets.btag, axis=1)
    if leptons is not None:
        leptons = leptons[some]
        out |= {"nl": ak.num(leptons), "ptl1": ak.fill_none(ak.max(leptons.pt, axis=1), 0)}
    return some, out


def zh(leptons: ak.Array, jets: ak.Array) -> tuple[Any, dict[str, Any]]:
    """Which events have a lepton and a b pair, and the columns of all three ZH sets."""
    minus, plus = ak.unzip(ak.cartesian([leptons[leptons.pdgid > 0], leptons[leptons.pdgid < 0]]))
    same = minus.pdgid == -plus.pdgid
    minus, plus = minus[same], plus[same]
    b = hardest_first(jets[jets.btag == 1])
    rows = ak.to_numpy((ak.num(minus) > 0) & (ak.num(b) > 1))
    minus, plus, b = minus[rows], plus[rows], b[rows]
    best = ak.argmin(abs((minus + plus).mass - M_Z), axis=1, keepdims=True)
    minus, plus, b1, b2 = minus[best][:, 0], plus[best][:, 0], b[:, 0], b[:, 1]
    z, h = minus + plus, b1 + b2
    both = z + h
    l1, l2 = np.maximum(minus.pt, plus.pt), np.minimum(minus.pt, plus.pt)
    sign = ak.where(h.eta < 0, -1, 1)
    cs = collins_soper(minus, z)
    out = {
        "ptb1": b1.pt, "ptb2": b2.pt, "ptl1": l1, "ptl2": l2, "ptH": h.pt, "ptZ": z.pt, "etaH": h.eta, "phiH": h.phi,
        "etaZ": z.eta, "phiZ": z.phi, "drll": minus.deltaR(plus), "drbb": b1.deltaR(b2), "mZH": both.mass,
        "mll": z.mass, "mbb": h.mass, "yZH": abs(both.rapidity), "dyZH": abs(z.rapidity - h.rapidity),
        "dphill": abs(minus.deltaphi(plus)), "dphibb": abs(b1.deltaphi(b2)), "dphiZH": abs(z.deltaphi(h)),
        "balll": (l1 - l2) / (l1 + l2), "balbb": (b1.pt - b2.pt) / (b1.pt + b2.pt),
        "balZH": abs(z.pt - h.pt) / (z.pt + h.pt), "cthstar": np.abs(collins_soper(z, both)[0]), "cthcs": cs[0],
        "phics": cs[1], "cthl": -np.cos(ak.to_numpy(minus.boostCM_of(z).deltaangle(h.boostCM_of(z)))),
        "etafH": h.eta * sign, "etafZ": z.eta * sign,
    }  # fmt: skip
    return rows, out


def collins_soper(particle: ak.Array, pair: ak.Array) -> tuple[Any, Any]:
    """cos(theta) and phi about the bisector of the beams in the pair's rest frame, by boosts."""
    n = len(pair)
    beams = [vector.zip({"px": np.zeros(n), "py": np.zeros(n), "pz": s * np.ones(n), "E": np.ones(n)}) for s in (1, -1)]
    one, two = (np.stack([ak.to_numpy(c) for c in (b.px, b.py, b.pz)], axis=1) for b in
                (beam.boostCM_of(pair) for beam in beams))  # fmt: skip
    p = particle.boostCM_of(pair)
    p = np.stack([ak.to_numpy(c) for c in (p.px, p.py, p.pz)], axis=1)
    side = np.where(ak.to_numpy(pair.pz) < 0, -1.0, 1.0)[:, None]

    def unit(v: Any) -> Any:
        return v / np.linalg.norm(v, axis=1, keepdims=True)

    z = unit(unit(one) - unit(two)) * side
    x = unit(-(unit(one) + unit(two)))  # against the beams: along the pair's transverse momentum
    y = np.cross(z, x)
    return (np.sum(unit(p) * z, axis=1), np.arctan2(np.sum(p * y, axis=1), np.sum(p * x, axis=1)))
