"""Named weights of parton-level ZH events in c_HW, from the amplitudes of `hepaa.simulate.zh`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hepaa.simulate.zh import Coefficients, Parameters, coefficients

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hepaa.simulate.pythia import PartonEvents

OPERATOR = "O_HW = H^dag H W^i_munu W^{i munu}, SMEFT Warsaw basis, c_HW / Lambda^2 in TeV^-2"


def parton_coefficients(events: PartonEvents, parameters: Parameters) -> Coefficients:
    """Coefficients in c_HW (TeV^-2) of Pythia's ZH events."""
    rows = np.arange(len(events))
    quark = np.where(events.pdgid[:, 0] > 0, 0, 1)
    p = events.momentum[:, :, :3]
    return coefficients(
        events.pdgid[rows, quark], p[rows, quark], p[rows, 1 - quark], p[:, 5], p[:, 4], parameters=parameters
    )


def named_weights(c: Coefficients, cross_section_pb: float) -> dict[str, tuple[str, NDArray[np.float64]]]:
    """SM, linear and quadratic piece, and c_HW = -1, 1 TeV^-2: weights in pb, each with its cross-section as mean."""
    linear, quadratic = c.linear / c.sm, c.quadratic / c.sm
    relative = {
        "sm": ("c_HW/Lambda^2 = 0.0 TeV^-2: Standard Model", np.ones(len(linear))),
        "chw_lin": ("coefficient of (c_HW/Lambda^2)/TeV^-2: interference alone, may be negative", linear),
        "chw_quad": ("coefficient of ((c_HW/Lambda^2)/TeV^-2)^2: pure O_HW", quadratic),
        "chw_m1": ("c_HW/Lambda^2 = -1.0 TeV^-2, quadratic included", c.ratio(-1.0)),
        "chw_p1": ("c_HW/Lambda^2 = 1.0 TeV^-2, quadratic included", c.ratio(1.0)),
    }
    return {name: (text, cross_section_pb * values) for name, (text, values) in relative.items()}
