"""Bin edges of a score histogram, chosen on one split of the events and used on another."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from hepaa.errors import InputError, nearest
from hepaa.stats.performance import FLOOR
from hepaa.stats.significance import asimov

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import ArrayLike, NDArray

Method = Literal["optimal", "merge", "quantile", "uniform"]
METHODS = ("optimal", "merge", "quantile", "uniform")


@dataclass(frozen=True)
class Binning:
    """Edges of a score histogram and how they were chosen.

    Attributes
    ----------
    edges : tuple of k + 1 floats
        Ascending. Events beyond the ends are counted in the first and the last bin, so that none is lost.
    method : str
        "optimal", "merge", "quantile", "uniform" or "given".
    settings : dict
        What `choose_binning` was asked for.
    """

    edges: tuple[float, ...]
    method: str = "given"
    settings: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        edges = np.asarray(self.edges, dtype=np.float64)
        if len(edges) < 2 or not np.all(np.isfinite(edges)) or not np.all(np.diff(edges) > 0):
            raise InputError(
                f"bin edges must be two or more finite numbers in ascending order, not {list(self.edges)[:8]}"
            )
        object.__setattr__(self, "edges", tuple(edges.tolist()))

    def __len__(self) -> int:
        return len(self.edges) - 1

    def index(self, values: ArrayLike) -> NDArray[np.int64]:
        """Bin of each value, (n,); bins are closed on the left, values beyond the ends go to the end bins."""
        return np.searchsorted(self.edges[1:-1], np.asarray(values, dtype=np.float64), side="right").astype(np.int64)

    def without(self, edges: ArrayLike) -> Binning:
        """The same binning with these inner edges, given by their index, taken away."""
        drop = {int(i) for i in np.atleast_1d(edges)}
        return Binning(tuple(e for i, e in enumerate(self.edges) if i not in drop), self.method, self.settings)

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def choose_binning(
    score_b: ArrayLike,
    w_b: ArrayLike | None = None,
    score_s: ArrayLike | None = None,
    w_s: ArrayLike | None = None,
    *,
    method: Method = "optimal",
    bins: int = 20,
    min_b: float = 1.0,
    min_events: int = FLOOR,
    max_error: float = 0.3,
    systematic: float = 0.0,
    fine_bins: int = 100,
    tolerance: float = 0.002,
) -> Binning:
    """Edges of a score histogram whose every bin has a background that can be trusted.

    All methods start from fine bins (quantiles of all scores; equal widths for "uniform") and never break three
    rules on the background of a bin: its yield, its raw events, and its relative Monte-Carlo error.

    - "optimal": partitions into at most `bins` bins with the greatest quadratic sum of Asimov Z (with the
      Monte-Carlo error and `systematic`), by dynamic programming: globally optimal for these fine bins.
    - "merge": from the high-score end, a bin is closed as soon as the rules hold; then the neighbours whose union
      costs least Z^2 are joined until `bins` are left.
    - "quantile": bins of about equal background yield, "uniform": of equal width; joined with their lower neighbour
      where a rule fails.

    Parameters
    ----------
    score_b, score_s : (n_b,), (n_s,)
        Scores of the events to choose on; signal is needed by "optimal" and "merge".
    w_b, w_s : (n_b,), (n_s,), optional
        Weights, so that their sum is the expected number of events; default 1.
    bins : int
        Most bins.
    min_b : float
        Least expected background events in a bin.
    min_events : int
        Least raw background events in a bin.
    max_error : float
        Greatest sqrt(sum w^2) / sum w of the background in a bin.
    systematic : float
        Relative uncertainty of the background in the Z that is optimised.
    fine_bins : int
        How finely edges may be placed.
    tolerance : float
        "optimal" takes the fewest bins whose Z^2 is within this fraction of the greatest: bins that gain less than that
        follow fluctuations of the events the binning is chosen on.

    Returns
    -------
    Binning

    Raises
    ------
    InputError
        If an argument is out of range, a score is not finite, signal is needed and missing, or not even one bin with
        all events fulfils the rules.
    """
    if method not in METHODS:
        raise InputError(f"there is no binning method {method!r}; {nearest(method, METHODS)}")
    if bins < 1 or fine_bins < bins:
        raise InputError(f"bins = {bins} and fine_bins = {fine_bins}: ask for at least 1 bin and no fewer fine bins")
    if not (0 <= tolerance < 1 and systematic >= 0):
        raise InputError(f"tolerance = {tolerance} must lie in 0 .. 1 and systematic = {systematic} be 0 or more")
    xb, wb = finite_scores("background", score_b, w_b)
    xs, ws = finite_scores("signal", [] if score_s is None else score_s, w_s)
    rules = {"min_b": min_b, "min_events": min_events, "max_error": max_error}
    settings = {"bins": bins, **rules, "systematic": systematic, "fine_bins": fine_bins, "tolerance": tolerance}
    if method in ("optimal", "merge") and not np.sum(ws) > 0:
        raise InputError(
            f"binning {method!r} needs signal events; use 'quantile' or 'uniform', or give a signal sample"
        )
    if len(xb) == 0:
        raise InputError("there are no background events to choose a binning on")
    everything = np.concatenate([xb, xs])
    low, high = float(everything.min()), float(everything.max())
    if low == high:
        raise InputError(f"all scores equal {low:g}: there is nothing to bin")
    fine = _fine_edges(method, xb, wb, everything, bins, fine_bins)
    cells = _Cells.of(fine, xb, wb, xs, ws, rules)
    if not cells.allowed(0, len(fine) - 1):
        raise InputError(
            f"all background together ({len(xb)} events, yield {np.sum(wb):.4g}) make no bin: the rules ask for "
            f"a yield of {min_b:g} (min_b; in a card min_background), {min_events} events (min_events) and a relative "
            f"error of {max_error:g} at most (max_error; max_relative_error); relax them or use more simulation"
        )
    if method == "optimal":
        edges = _optimal(cells, bins, systematic, tolerance)
    else:
        edges = close_from_the_top(len(fine) - 1, cells.allowed)
        if method == "merge":
            edges = _join_cheapest(cells, edges, bins, systematic)
    return Binning(tuple(fine[edges].tolist()), method, settings)


@dataclass(frozen=True, eq=False)
class _Cells:
    """Cumulative sums over fine bins, so that any run of them costs one subtraction."""

    n: NDArray[np.float64]
    b: NDArray[np.float64]
    b2: NDArray[np.float64]
    s: NDArray[np.float64]
    rules: Mapping[str, float]

    @classmethod
    def of(cls, fine: Any, xb: Any, wb: Any, xs: Any, ws: Any, rules: Mapping[str, float]) -> _Cells:
        binning = Binning(tuple(fine))
        ib, i_s, k = binning.index(xb), binning.index(xs), len(binning)
        sums = (np.bincount(i, w, minlength=k) for i, w in ((ib, None), (ib, wb), (ib, wb**2), (i_s, ws)))
        n, b, b2, s = (np.concatenate([[0.0], np.cumsum(x)]) for x in sums)
        return cls(n, b, b2, s, rules)

    def allowed(self, i: Any, j: Any) -> Any:
        n, b, b2 = self.n[j] - self.n[i], self.b[j] - self.b[i], self.b2[j] - self.b2[i]
        good = (b > 0) & (b >= self.rules["min_b"]) & (n >= self.rules["min_events"])
        return good & (b2 <= (self.rules["max_error"] * b) ** 2)

    def z2(self, i: Any, j: Any, systematic: float) -> NDArray[np.float64]:
        """Z^2 of the bins [i, j); only for allowed ones."""
        b, v, s = self.b[j] - self.b[i], self.b2[j] - self.b2[i], self.s[j] - self.s[i]
        sigma = np.sqrt(np.maximum(v, 0.0) + (systematic * b) ** 2)
        return np.asarray(np.square(asimov(s, b, sigma)))


def _fine_edges(
    method: str, xb: NDArray[np.float64], wb: NDArray[np.float64], everything: NDArray[np.float64], bins: int, fine: int
) -> NDArray[np.float64]:
    low, high = everything.min(), everything.max()
    if method == "uniform":
        return np.linspace(low, high, bins + 1)
    if method == "quantile":
        order = np.argsort(xb, kind="stable")
        share = np.cumsum(wb[order]) / np.sum(wb)
        cuts = xb[order][np.searchsorted(np.maximum.accumulate(share), np.arange(1, bins) / bins).clip(max=len(xb) - 1)]
    else:
        # half of the edges follow the bulk, half the high-score tail where the signal is looked for
        q = np.linspace(0, 1, fine // 2 + 1)[1:-1]
        tail = 1 - np.geomspace(max(2.0 / len(everything), 1e-7), 0.5, fine - len(q))
        cuts = np.quantile(everything, np.concatenate([q, tail]))
    inner = np.unique(cuts)
    return np.concatenate([[low], inner[(inner > low) & (inner < high)], [high]])


def close_from_the_top(bins: int, allowed: Callable[[int, int], Any]) -> list[int]:
    """Edges, as indices 0 .. bins, of the runs [i, j) of bins that are closed, from the top, as soon as allowed."""
    edges = [bins]
    for i in range(bins - 1, -1, -1):
        if allowed(i, edges[-1]):
            edges.append(i)
    if edges[-1] != 0:  # what is left at the low end joins the bin above it, as far up as the rules ask
        while len(edges) > 1 and not allowed(0, edges[-1]):
            edges.pop()
        edges.append(0)
    return edges[::-1]


def _join_cheapest(cells: _Cells, edges: list[int], bins: int, systematic: float) -> list[int]:
    while len(edges) - 1 > bins:
        e = np.asarray(edges)
        each = cells.z2(e[:-1], e[1:], systematic)
        joined = np.where(cells.allowed(e[:-2], e[2:]), cells.z2(e[:-2], e[2:], systematic), -np.inf)
        loss = each[:-1] + each[1:] - joined
        edges.pop(int(np.argmin(loss)) + 1)
    return edges


def _optimal(cells: _Cells, bins: int, systematic: float, tolerance: float) -> list[int]:
    """best[j] = greatest sum of Z^2 of partitions of the fine bins below j; one pass per number of bins."""
    k = len(cells.n) - 1
    i, j = np.triu_indices(k + 1, 1)
    ok = cells.allowed(i, j)
    gain = np.full((k + 1, k + 1), -np.inf)
    gain[i[ok], j[ok]] = cells.z2(i[ok], j[ok], systematic)
    best = gain[0].copy()
    origins = [np.zeros(k + 1, dtype=int)]
    totals = [best[k]]
    for _ in range(1, bins):
        candidates = best[:, None] + gain
        origin = np.argmax(candidates, axis=0)
        best = candidates[origin, np.arange(k + 1)]
        origins.append(origin)
        totals.append(best[k])
    count = int(np.flatnonzero(np.asarray(totals) >= np.max(totals) * (1 - tolerance))[0])
    edges = [k]
    for step in range(count, -1, -1):
        edges.append(int(origins[step][edges[-1]]))
    return edges[::-1]


def finite_scores(
    events: str, score: ArrayLike, weight: ArrayLike | None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Scores and weights as float64 (n,), or an InputError that names `events` and the first bad event."""
    x = np.asarray(score, dtype=np.float64)
    w = np.ones(x.shape) if weight is None else np.asarray(weight, dtype=np.float64)
    if x.ndim != 1 or x.shape != w.shape:
        raise InputError(f"{events} scores have shape {x.shape} and their weights {w.shape}; give one each an event")
    for name, values in (("score", x), ("weight", w)):
        bad = np.flatnonzero(~np.isfinite(values))
        if len(bad):
            raise InputError(f"{events}: the {name} of event {bad[0]} is {values[bad[0]]} ({len(bad)} events)")
    return x, w
