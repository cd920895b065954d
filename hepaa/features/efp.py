"""Energy flow polynomials (Komiske, Metodiev, Thaler, arXiv:1712.07124).

EFP_G = sum over constituents i_1 .. i_N of z_1 ... z_N times theta_kl for every edge (k, l) of the multigraph G, with
z = pT / sum pT and theta_ij = dR_ij^beta. They span all infrared- and collinear-safe observables of a jet.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from hepaa.errors import InputError
from hepaa.features.kinematics import delta_phi

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

# All connected multigraphs of 1 to 4 edges; an edge is two letters, a constituent each.
GRAPHS = (
    "ab", "ab ab", "ab ac", "ab ab ab", "ab ab ac", "ab ac bc", "ab ac ad", "ab ac bd", "ab ab ab ab", "ab ab ab ac",
    "ab ab ac ac", "ab ab ac bc", "ab ab ac ad", "ab ab ac bd", "ab ab ac cd", "ab ac ad bc", "ab ac bd cd",
    "ab ac ad ae", "ab ac ad be", "ab ac bd ce",
)  # fmt: skip
_MAX_EDGES = 4


@cache
def _contraction(graph: str) -> tuple[str, tuple[int, ...], list[object]]:
    """Subscripts for einsum, the powers of theta it multiplies, and an order that costs little."""
    edges = graph.split()
    pairs = sorted(set(edges))
    letters = sorted(set("".join(edges)))
    subscripts = ",".join([*pairs, *letters]) + "->"
    theta, z = np.empty((64, 64)), np.empty(64)
    order = np.einsum_path(subscripts, *[theta] * len(pairs), *[z] * len(letters), optimize="greedy")[0]
    return subscripts, tuple(edges.count(p) for p in pairs), order


def energy_flow_polynomials(
    pt: Floats, y: Floats, phi: Floats, *, beta: float = 1.0, graphs: Sequence[str] = GRAPHS
) -> Floats:
    """The polynomials of one jet.

    Parameters
    ----------
    pt, y, phi : float64 (n,)
        Constituents: GeV, rapidity, radians.
    beta : float
        Angular exponent, > 0.
    graphs : names as in `GRAPHS`
        Multigraphs of at most four edges.

    Returns
    -------
    float64 (len(graphs),)
        0 for a jet of no or one constituent.

    Raises
    ------
    InputError
        If beta is not positive, or a graph is not one of `GRAPHS`.
    """
    if not beta > 0:
        raise InputError(f"beta is {beta}; it must be positive")
    unknown = [g for g in graphs if g not in GRAPHS]
    if unknown:
        raise InputError(f"there is no graph {unknown[0]!r}; the graphs are {', '.join(map(repr, GRAPHS))}")
    if len(pt) < 2:
        return np.zeros(len(graphs))
    z = pt / np.sum(pt)
    theta = ((y[:, None] - y) ** 2 + delta_phi(phi[:, None], phi) ** 2) ** (0.5 * beta)
    powers = [theta]
    for _ in range(1, _MAX_EDGES):
        powers.append(powers[-1] * theta)
    out = np.empty(len(graphs))
    for i, graph in enumerate(graphs):
        subscripts, degrees, order = _contraction(graph)
        vertices = subscripts.count(",") + 1 - len(degrees)
        out[i] = np.einsum(subscripts, *(powers[d - 1] for d in degrees), *[z] * vertices, optimize=order)
    return out
