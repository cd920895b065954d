"""Cross-fitting: every event is scored by a model that did not see it, and cut at a quantile of its own fold."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypedDict, Unpack, overload

import numpy as np
from threadpoolctl import threadpool_limits

from hepaa.errors import InputError
from hepaa.models.parameters import between, whole
from hepaa.search.methods.base import mass_rows
from hepaa.search.methods.combined import Combined
from hepaa.search.result import CombinedResult, Fold, ResonantResult, Together, tail_fraction

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from hepaa.search.methods.base import MassRows, Method
    from hepaa.search.result import RowScorer
    from hepaa.table import EventTable

    Array = NDArray[np.float64]

EFFICIENCIES = (0.1, 0.01, 0.003)
BINS = 30


class _Settings(TypedDict, total=False):
    folds: int
    efficiencies: Sequence[float]
    bootstraps: int | None
    bins: int
    seed: int


@overload
def cross_fit(method: Method, table: EventTable, **settings: Unpack[_Settings]) -> ResonantResult: ...
@overload
def cross_fit(method: Combined, table: EventTable, **settings: Unpack[_Settings]) -> CombinedResult: ...
def cross_fit(
    method: Method | Combined,
    table: EventTable,
    *,
    folds: int = 5,
    efficiencies: Sequence[float] = EFFICIENCIES,
    bootstraps: int | None = None,
    bins: int = BINS,
    seed: int = 0,
) -> ResonantResult | CombinedResult:
    """Search one window: train on all folds but one, score that one, join the folds.

    Parameters
    ----------
    method : Method or Combined
        Is left as it is; each fold trains its own.
    table : EventTable
        Data; labels are not read.
    folds : int
    efficiencies : sequence of float
        Background efficiencies at which the spectrum is fitted: fractions of the sidebands that pass the cut.
    bootstraps : int, optional
        In place of the method's `members`.
    bins : int
        Of the spectrum, about.
    seed : int
        Of folds and trainings.

    Raises
    ------
    InputError
        If an efficiency is not between 0 and 1, a column is missing, or a fold has too few events.
    """
    rows = mass_rows(table, method.window, method.inputs)
    method = method if bootstraps is None else method.fresh(members=bootstraps)
    return cross_fit_rows(method, rows, folds=folds, efficiencies=efficiencies, bins=bins, seed=seed)


def cross_fit_rows(
    method: Method | Combined, rows: MassRows, *, folds: int, efficiencies: Sequence[float], bins: int, seed: int
) -> ResonantResult | CombinedResult:
    """`cross_fit` on arrays; events outside the window's regions and gaps are left out."""
    settings: dict[str, Any] = {"folds": folds, "efficiencies": efficiencies, "bins": bins}
    if not isinstance(method, Combined):
        return _cross_fit(method, rows, seed=seed, **settings)
    parts = tuple(_cross_fit(part, rows.of(part.inputs), seed=seed, **settings) for part in method.methods)
    together = _together(parts, rows, partial(_all_together, method, **settings))
    return CombinedResult(method, (*parts, together), partial(cross_fit_rows, method, **settings))


def _all_together(method: Combined, rows: MassRows, *, seed: int, **settings: Any) -> ResonantResult:
    """The search of all methods together alone, for its toys: every method is trained for it."""
    return cross_fit_rows(method, rows, seed=seed, **settings).parts[-1]


def _cross_fit(
    method: Method, rows: MassRows, *, folds: int, efficiencies: Sequence[float], bins: int, seed: int
) -> ResonantResult:
    again = partial(_cross_fit, method, folds=folds, efficiencies=efficiencies, bins=bins)
    whole("folds", folds, 2)
    whole("members", method.members)
    whole("bins", bins)
    whole("seed", seed, 0)
    if not len(efficiencies):
        raise InputError("there is no efficiency to cut at: give one or more, such as 0.01")
    for efficiency in efficiencies:
        between("efficiency", efficiency, 0, 1, ends="none")
    low, high = method.window.limits
    rows = rows[(rows.mass >= low) & (rows.mass < high)]
    fold = np.random.default_rng([seed, 0]).permutation(rows.n) % folds
    sidebands = method.window.in_sidebands(rows.mass)
    score, models = np.empty(rows.n), []
    for k in range(folds):
        test = fold == k
        if not (sidebands & test).any():
            raise InputError(f"fold {k} of {folds} holds no sideband event to take its cut from: ask for fewer folds")
        with threadpool_limits(1, user_api="blas"):  # matrices are small: a second thread waits more than it works
            models.append(method.fresh().fit_rows(rows[~test], np.random.default_rng([seed, 1, k])))
            score[test] = models[k].score_rows(rows[test])
    tail, fitted = _cut(score, fold, sidebands, models, seed)
    return ResonantResult(
        method=method, rows=rows, fold=fold, score=score, tail=tail, folds=fitted, seed=seed,
        efficiencies=tuple(sorted(efficiencies, reverse=True)), edges=method.window.edges(bins), again=again,
    )  # fmt: skip


def _together(parts: Sequence[ResonantResult], rows: MassRows, again: Callable[..., ResonantResult]) -> ResonantResult:
    """What all parts of a combination say of each event, as one more search of the same folds."""
    first = parts[0]
    window, fold = first.method.window, first.fold
    low, high = window.limits
    rows = rows[(rows.mass >= low) & (rows.mass < high)]
    models = [Together(window, tuple(part.folds[k] for part in parts), first.seed) for k in range(len(first.folds))]
    score = -np.sum([np.log(part.tail) for part in parts], axis=0)
    tail, fitted = _cut(score, fold, window.in_sidebands(rows.mass), models, first.seed)
    return replace(first, method=Together(window), rows=rows, score=score, tail=tail, folds=fitted, again=again)


def _cut(
    score: Array, fold: NDArray[np.int64], sidebands: NDArray[np.bool_], models: Sequence[RowScorer], seed: int
) -> tuple[Array, tuple[Fold, ...]]:
    """Tail fraction (n,) of each score within its own fold, and the folds."""
    tail, folds = np.empty(len(score)), []
    for k, model in enumerate(models):
        test = fold == k
        reference = score[test & sidebands]
        tail[test] = tail_fraction(reference, score[test], np.random.default_rng([seed, 2, k]), own=sidebands[test])
        folds.append(Fold(model, np.sort(reference)))
    return tail, tuple(folds)
