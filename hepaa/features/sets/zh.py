"""Feature sets of pp -> ZH -> l l b b: the 13 of the Anomaly Awareness paper, and a rotation-invariant set.

Inputs are LHE final states (partons), or reconstructed leptons and b-tagged jets of an ntuple.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hepaa.errors import InputError
from hepaa.features.registry import Feature, feature_set

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hepaa.events import Events
    from hepaa.features.registry import Cuts, Values

_INPUTS = ["particles", "leptons + jets"]
_PT_OF = {"b1": "b_1", "b2": "b_2", "l1": r"\ell_1", "l2": r"\ell_2", "H": "H", "Z": "Z"}
PT = {f"pt{k}": Feature(f"pt{k}", rf"$p_T^{{{symbol}}}$", "GeV") for k, symbol in _PT_OF.items()}
DRLL = Feature("drll", r"$\Delta R_{\ell\ell}$")
DRBB = Feature("drbb", r"$\Delta R_{bb}$")
MZH = Feature("mZH", r"$m_{ZH}$", "GeV")
_MLL = Feature("mll", r"$m_{\ell\ell}$", "GeV")
_MBB = Feature("mbb", r"$m_{bb}$", "GeV")


@feature_set(
    "zh-paper",
    inputs=_INPUTS,
    uses=[],
    columns=[
        *PT.values(),
        Feature("etaH", r"$\eta^{H}$"),
        Feature("phiH", r"$\phi^{H}$", "rad"),
        Feature("etaZ", r"$\eta^{Z}$"),
        Feature("phiZ", r"$\phi^{Z}$", "rad"),
        DRLL,
        DRBB,
        MZH,
    ],
    spectators=[_MLL, _MBB],
)
def zh_paper(events: Events) -> tuple[Values, Cuts]:
    """ZH -> l l b b, the 13 variables of Anomaly Awareness (arXiv:2504.11520).

    The paper names twelve; Delta R(b, b) is the 13th. b1 and l1 are the harder of their pair.
    """
    momenta, cuts = _pairs(events)
    return _rows(momenta), cuts


@feature_set(
    "zh",
    inputs=_INPUTS,
    uses=[],
    columns=[
        *(PT[k] for k in PT if k != "ptH"),
        MZH,
        _MLL,
        _MBB,
        Feature("yZH", r"$|y_{ZH}|$"),
        Feature("dyZH", r"$|\Delta y_{ZH}|$"),
        DRLL,
        DRBB,
        Feature("dphill", r"$|\Delta\phi_{\ell\ell}|$", "rad"),
        Feature("dphibb", r"$|\Delta\phi_{bb}|$", "rad"),
        Feature("balll", r"$p_T$ balance of $\ell\ell$"),
        Feature("balbb", r"$p_T$ balance of $bb$"),
        Feature("cthstar", r"$|\cos\theta^*|$"),
        Feature("cthcs", r"$\cos\theta_{CS}$"),
        Feature("phics", r"$\phi_{CS}$", "rad"),
        Feature("cthl", r"$\cos\theta_\ell$"),
    ],
    spectators=[
        PT["ptH"],
        Feature("dphiZH", r"$|\Delta\phi_{ZH}|$", "rad"),
        Feature("balZH", r"$p_T$ balance of $ZH$"),
    ],
)
def zh(events: Events) -> tuple[Values, Cuts]:
    """ZH -> l l b b, 20 variables that do not change when the event turns about the beam.

    cthstar: the Z in the Collins-Soper frame of ZH, absolute. cthcs, phics: the negative lepton in the Collins-Soper
    frame of the Z (z to the side the Z moves to). cthl: the negative lepton in the Z frame, against the H. A pT balance
    is (pT1 - pT2) / (pT1 + pT2) of a pair, harder first. What is constant at leading order (the balance and the azimuth
    between Z and H) is a spectator.
    """
    from hepaa.features.kernels.zh import ANGLES, zh_angles

    momenta, cuts = _pairs(events)
    values = _rows(momenta)
    angles = np.empty((len(ANGLES), momenta.shape[1]))
    zh_angles(momenta, angles)
    values |= dict(zip(ANGLES, angles, strict=True))
    values["balll"] = _balance(values["ptl1"], values["ptl2"])
    values["balbb"] = _balance(values["ptb1"], values["ptb2"])
    values["balZH"] = np.abs(_balance(values["ptZ"], values["ptH"]))
    return values, cuts


def _pairs(events: Events) -> tuple[NDArray[np.float64], Cuts]:
    from hepaa.features.columnar import flat
    from hepaa.features.kernels.zh import lhe_pairs, object_pairs

    momenta, leptons, b = np.zeros((16, events.n)), np.zeros(events.n, np.bool_), np.zeros(events.n, np.bool_)
    if "particles" in events.collections:
        fields = ("pdgid", "status", "px", "py", "pz", "e")
        label = f"particles of {events.path} ({events.format})"
        if (
            "vx" in events.arrays["particles"].fields
        ):  # HepMC: partons are no final particles, leptons come from hadrons
            raise InputError(f"{label} are full records, in which b quarks became hadrons; zh takes LHE, or jets")
        lhe_pairs(momenta, leptons, b, *flat(events.arrays["particles"], fields, name=label))
    else:
        objects = *_objects(events, "leptons", "pdgid"), *_objects(events, "jets", "btag")
        object_pairs(momenta, leptons, b, *objects)
    return momenta, {"lepton pair": leptons, "b pair": b}


def _objects(events: Events, name: str, code: str) -> tuple[Any, ...]:
    """Offsets, the code (an id, a tag) as integers, pT, eta, phi, m of the leptons or jets."""
    from hepaa.features.columnar import codes, flat

    label = f"{name} of {events.path} ({events.format})"
    offsets, *momentum = flat(events.arrays[name], ("pt", "eta", "phi", "m"), name=label)
    of_objects = codes(events.arrays[name], code, name=label)
    return (offsets, of_objects, *(m.astype(np.float64, copy=False) for m in momentum))


def _rows(momenta: NDArray[np.float64]) -> Values:
    from hepaa.features.kernels.zh import ROWS, zh_rows

    rows = np.empty((len(ROWS), momenta.shape[1]))
    zh_rows(momenta, rows)
    return dict(zip(ROWS, rows, strict=True))


def _balance(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """(a - b) / (a + b), 0 where both are 0."""
    total = a + b
    return np.divide(a - b, total, out=np.zeros_like(total), where=total > 0)
