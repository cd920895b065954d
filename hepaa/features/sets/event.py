"""A feature set of whole events, from reconstructed objects of any ntuple: missing momentum, activity, counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hepaa.features.registry import Feature, feature_set

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hepaa.events import Events
    from hepaa.features.registry import Cuts, Values

    Floats = NDArray[np.float64]

_NEAR_MET = 4


@feature_set(
    "event",
    inputs="jets",
    uses=["leptons", "met", "met_phi", "met_x", "met_y"],
    optional=["met", "nb", "nl", "ptl1", "dphimin"],
    columns=[
        Feature("met", r"$p_T^{miss}$", "GeV"),
        Feature("ht", r"$H_T$", "GeV"),
        Feature("mht", r"$H_T^{miss}$", "GeV"),
        Feature("mjets", r"$m_{jets}$", "GeV"),
        Feature("njets", r"$N_{jets}$"),
        Feature("nb", r"$N_b$"),
        Feature("nl", r"$N_\ell$"),
        Feature("ptj1", r"$p_T^{j_1}$", "GeV"),
        Feature("ptj2", r"$p_T^{j_2}$", "GeV"),
        Feature("ptl1", r"$p_T^{\ell_1}$", "GeV"),
        Feature("dphimin", r"min $|\Delta\phi(p_T^{miss}, j)|$", "rad"),
    ],
)
def event(events: Events) -> tuple[Values, Cuts]:
    """The event as a whole: missing momentum, HT, counts of jets, b jets and leptons, leading pT; one jet is asked for.

    ht: sum of the jets' pT. mht: pT of the sum of the jets, mjets its mass. ptj2 and ptl1 are 0 where there is no such
    object. dphimin: over the four leading jets. Columns of what a file lacks (MET, b tags, leptons) are left out.
    """
    from hepaa.features import kinematics
    from hepaa.features.columnar import codes, flat, leading
    from hepaa.features.jets import four_momenta

    place = f"{events.path} ({events.format})"
    offsets, px, py, pz, e = flat(four_momenta(events.arrays["jets"]), ("px", "py", "pz", "E"), name=f"jets of {place}")
    number = np.diff(offsets)
    of_event = np.repeat(np.arange(events.n), number)

    def total(values: Floats) -> Floats:
        sums: Floats = np.bincount(of_event, weights=values, minlength=events.n).astype(np.float64, copy=False)
        return sums

    pt = kinematics.pt(px, py)
    hardest = leading(offsets, pt, _NEAR_MET)
    px_of_all, py_of_all = total(px), total(py)
    values: Values = {
        "ht": total(pt),
        "mht": kinematics.pt(px_of_all, py_of_all),
        "mjets": kinematics.mass(px_of_all, py_of_all, total(pz), total(e)),
        "njets": number.astype(np.float64),
        "ptj1": np.append(pt, 0.0)[hardest[:, 0]],
        "ptj2": np.append(pt, 0.0)[hardest[:, 1]],
    }
    if "btag" in events.arrays["jets"].fields:
        values["nb"] = total(codes(events.arrays["jets"], "btag", name=f"jets of {place}").astype(np.float64))
    if "leptons" in events.arrays:
        starts, *momentum = flat(four_momenta(events.arrays["leptons"]), ("px", "py"), name=f"leptons of {place}")
        ptl = kinematics.pt(*momentum)
        values["nl"] = np.diff(starts).astype(np.float64)
        values["ptl1"] = np.append(ptl, 0.0)[leading(starts, ptl, 1)[:, 0]]
    met = _missing_momentum(events)
    if "met" in met:
        values["met"] = met["met"]
    if "phi" in met:
        azimuth = np.append(kinematics.phi(px, py), 0.0)[hardest]
        apart = np.abs(kinematics.delta_phi(azimuth, met["phi"][:, None]))
        values["dphimin"] = np.min(np.where(hardest >= 0, apart, np.inf), axis=1)
    return values, {"a jet": number > 0}


def _missing_momentum(events: Events) -> dict[str, Floats]:
    """Size and azimuth of the missing transverse momentum, as far as the columns of the file say."""
    from hepaa.features import kinematics

    columns = events.columns
    if {"met_x", "met_y"} <= set(columns):
        x, y = columns["met_x"], columns["met_y"]
        return {"met": kinematics.pt(x, y), "phi": kinematics.phi(x, y)}
    return {key: columns[name] for key, name in (("met", "met"), ("phi", "met_phi")) if name in columns}
