"""Workspaces in the hands of pyhf: is it valid, what does it expect, what do the data say.

pyhf (Heinrich et al., J. Open Source Softw. 6 (2021) 2823) profiles all nuisance parameters; the test statistics and
asymptotic formulas are those of Cowan et al., Eur. Phys. J. C 71 (2011) 1554.
"""

from __future__ import annotations

import logging
import warnings
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import optimize, special

from hepaa.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray


@dataclass(frozen=True)
class FitResult:
    """Discovery significance and limits of a workspace.

    Attributes
    ----------
    expected_z : float
        Median discovery significance for signal of strength 1: sqrt(q0) on its Asimov data.
    observed_z : float or None
        Of the observed counts; None if they are the expected background.
    expected_limit : tuple of 5 floats
        Upper CLs limit on the strength without signal, for -2, -1, 0, 1, 2 standard deviations.
    observed_limit : float or None
    level : float
        Confidence level of the limits.
    """

    expected_z: float
    observed_z: float | None
    expected_limit: tuple[float, ...]
    observed_limit: float | None
    level: float

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def validate(spec: dict[str, Any]) -> None:
    """Check a workspace against HistFactory's schema and pyhf's own rules.

    Raises
    ------
    InputError
        If it is not valid: with the path to what is wrong.
    """
    with _pyhf() as pyhf:
        try:
            pyhf.Workspace(spec).model()
        except (
            pyhf.exceptions.InvalidSpecification,
            pyhf.exceptions.InvalidModel,
            pyhf.exceptions.SchemaNotFound,
        ) as wrong:
            raise InputError(f"the workspace is not valid: {' '.join(str(wrong).split())[:300]}") from wrong


def infer(spec: dict[str, Any], *, observed: bool, level: float = 0.95) -> FitResult:
    """Discovery significances and upper limits of a workspace with the parameter of interest "mu".

    Parameters
    ----------
    spec : dict
        As from `hepaa.stats.workspace.workspace`.
    observed : bool
        Whether its observations are data. If not, they are expected background and give no observed numbers.
    level : float
        Of the limits.

    Raises
    ------
    InputError
        If the workspace is not valid, or the limit lies beyond the bounds of mu.
    """
    validate(spec)
    with _pyhf() as pyhf:
        # SLSQP is quick and exact; where it stops short, MINUIT goes on
        for optimiser in (pyhf.optimize.scipy_optimizer(tolerance=1e-8), pyhf.optimize.minuit_optimizer(strategy=2)):
            pyhf.set_backend("numpy", optimiser)
            try:
                return _infer(pyhf, spec, observed, level)
            except pyhf.exceptions.FailedMinimization:
                continue
    raise InputError("the fit of the workspace did not converge: merge bins, or look at it with pyhf")


def _infer(pyhf: Any, spec: dict[str, Any], observed: bool, level: float) -> FitResult:
    workspace = pyhf.Workspace(spec)
    model = workspace.model()
    config = model.config
    data = np.asarray(workspace.data(model))
    start = np.asarray(config.suggested_init())
    signal = np.asarray(model.expected_data(start.tolist()))
    start[config.poi_index] = 0.0
    background = np.asarray(model.expected_data(start.tolist()))
    settings = (model, config.suggested_init(), config.suggested_bounds(), config.suggested_fixed())
    q0 = [float(pyhf.infer.test_statistics.q0(0.0, d, *settings)) for d in (signal, data)]
    z = [float(np.sqrt(max(q, 0.0))) for q in q0]
    limit, band = _limits(pyhf, data if observed else background, model, 1 - level, 2 / max(z[0], 1e-3))
    return FitResult(z[0], z[1] if observed else None, band, limit if observed else None, level)


def _limits(pyhf: Any, data: Any, model: Any, alpha: float, guess: float) -> tuple[float, tuple[float, ...]]:
    """Observed and expected limits on mu by CLs, of q-tilde with asymptotic formulae (Eur. Phys. J. C 71 (2011) 1554).

    They are looked for around `guess` first. A fit takes seconds where every bin has a parameter, so those that do not
    depend on mu are done once, the others begin where the last one ended, and all limits share them.
    """
    mle, poi = pyhf.infer.mle, model.config.poi_index
    top = model.config.suggested_bounds()[poi][1]
    at_zero = mle.fixed_poi_fit(0.0, data, model)
    best, lowest = mle.fit(data, model, return_fitted_val=True)
    asimov = model.expected_data(at_zero)  # which these parameters fit best
    sets = [(data, float(lowest)), (asimov, float(mle.twice_nll(at_zero, asimov, model)[0]))]
    last = [list(best), list(at_zero)]
    known: dict[float, NDArray[np.float64]] = {}

    def excess(mu: float, i: int) -> float:
        """CLs - alpha: observed, then expected for background alone 2, 1, 0, -1 and -2 sigma below its median."""
        if mu not in known:
            root = []
            for k, (counts, least) in enumerate(sets):
                fitted, value = mle.fixed_poi_fit(mu, counts, model, init_pars=last[k], return_fitted_val=True)
                last[k] = list(fitted)
                root.append(np.sqrt(max(float(value) - least, 0.0)))
            observed, expected = (root[0] if mu > best[poi] else 0.0), max(root[1], 1e-9)
            test = observed - expected if observed <= expected else (observed**2 - expected**2) / (2 * expected)
            tests = np.array([test, 2, 1, 0, -1, -2])
            known[mu] = special.ndtr(-tests - expected) / special.ndtr(-tests) - alpha
        return float(known[mu][i])

    def limit(i: int, low: float, high: float) -> float:
        excess(low, i), excess(high, i)
        below = max(mu for mu, values in known.items() if values[i] > 0)
        above = min(mu for mu, values in known.items() if values[i] <= 0)
        return float(optimize.toms748(excess, below, above, args=(i,), rtol=1e-3))

    for low, high in ((min(guess, top) / 5, min(5 * guess, top)), (1e-6 * top, top)):
        try:
            observed, *band = (limit(i, low, high) for i in range(6))
        except ValueError:  # the limit lies outside
            continue
        return observed, tuple(band)
    raise InputError(
        f"the upper limit on the signal strength lies beyond {top:g}: scale the signal up, to a limit near 1"
    )


@contextmanager
def _pyhf() -> Iterator[Any]:
    """pyhf, silent about what its dependencies deprecate and fits that are tried again; its backend is put back."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        import pyhf

        before, log = pyhf.get_backend(), logging.getLogger("pyhf")
        loudness = log.level
        log.setLevel(logging.CRITICAL)
        try:
            yield pyhf
        finally:
            log.setLevel(loudness)
            pyhf.set_backend(*before)
