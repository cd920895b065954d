"""The uncertainties that a card lists, from files to templates: weights of events, varied scores, spread of generators.

A variation travels with the table as a column of its own: `weight:NAME:up` is the ratio of a varied weight to the
nominal one, `score_DETECTOR:NAME:up` the score of an event whose features are varied. Where objects are varied, a file
is read again with other branches: the table has `FEATURE:NAME:up`, a ratio of 0 for events that the varied selection
refuses, and more rows, those that it alone accepts, which `outside` marks and `accepted` leaves out.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from hepaa.errors import InputError, nearest
from hepaa.stats.histogram import fill, score_histograms
from hepaa.stats.systematics import Normalisation, Shape, Uncertainty, generator_spread, one_sided
from hepaa.table import BACKGROUND, DATA, concatenate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from hepaa.card import Rules, SystematicCard
    from hepaa.events import Events
    from hepaa.stats.histogram import ScoreHistograms
    from hepaa.table import EventTable

Way = Literal["up", "down"]
OUTSIDE = "outside"
"""Column that is 1 for rows that no selection but a varied one accepts."""

BACKGROUND_UNCERTAINTY = "background_uncertainty"
"""Nuisance parameter of the card's overall uncertainty of the background."""


def variations(systematics: Sequence[SystematicCard], source: str) -> Iterator[tuple[SystematicCard, Way]]:
    """The systematics of a kind with each way that is given."""
    ways: tuple[Way, Way] = ("up", "down")
    yield from ((s, way) for s in systematics if s.kind == source for way in ways if getattr(s, way) is not None)


def with_weight_ratios(
    table: EventTable, events: Events, systematics: Sequence[SystematicCard], *, process: str, data: bool = False
) -> EventTable:
    """The table of a file's events with a column `weight:NAME:up` (and `:down`) for each varied weight: its ratio.

    The ratio is 1 for data, for processes that are not affected, and, where no process is named, for files without this
    weight.

    Raises
    ------
    InputError
        If a process that is named has no such weight, or a nominal weight is 0 where the varied one is not.
    """
    columns: dict[str, NDArray[np.float64]] = {}
    for systematic, way in variations(systematics, "weight"):
        name = str(getattr(systematic, way))
        ratio = np.ones(table.n)
        named = process in systematic.processes
        if name not in events.weights and named and not data:
            raise InputError(
                f"{events.path}: no weight {name!r} for the systematic {systematic.name!r}; "
                f"{nearest(name, events.weights)}"
            )
        if not data and name in events.weights and (named or not systematic.processes):
            rows = np.searchsorted(events.index, table.event)
            nominal, varied = events.weight[rows], np.asarray(events.weights[name])[rows]
            if np.any((nominal == 0) & (varied != 0)):
                raise InputError(f"{events.path}: an event of weight 0 has the weight {name!r}: it has no ratio")
            ratio = np.divide(varied, nominal, out=ratio, where=nominal != 0)
        columns[f"weight:{systematic.name}:{way}"] = ratio
    return table.with_spectators(**columns) if columns else table


def with_varied_objects(
    table: EventTable, systematics: Sequence[SystematicCard], again: Mapping[tuple[str, Way], EventTable]
) -> EventTable:
    """The table with varied features and weights for each systematic of objects, and the rows that these alone accept.

    Parameters
    ----------
    again : mapping of (name, way) -> EventTable
        The same events read with varied objects; a systematic without one changes nothing.
    """
    ways = [(s.name, way) for s, way in variations(systematics, "objects")]
    if not ways:
        return table
    seen, more = table.event_hash(), []
    for other in again.values():
        rows = ~np.isin(other.event_hash(), seen)
        more.append(other[rows])
        seen = np.concatenate([seen, more[-1].event_hash()])
    n, table = table.n, concatenate([table, *more])
    order = np.argsort(seen)
    columns: dict[str, NDArray[Any]] = {OUTSIDE: np.arange(table.n) >= n}
    for name, way in ways:
        values, weight = table.X.copy(), np.ones(table.n)
        if (name, way) in again:
            varied_table = again[name, way]
            positions = order[np.searchsorted(seen, varied_table.event_hash(), sorter=order)]
            weight[:] = 0
            weight[positions] = 1
            values[positions] = varied_table.X
        columns[f"weight:{name}:{way}"] = weight
        columns |= {f"{feature}:{name}:{way}": values[:, i] for i, feature in enumerate(table.columns)}
    return table.with_spectators(**columns)


def accepted(table: EventTable) -> EventTable:
    """The rows that the nominal selection accepts, of which the cutflow tells."""
    if OUTSIDE not in table.spectators:
        return table
    nominal: EventTable = table[table[OUTSIDE] == 0]
    return replace(nominal, cutflow=table.cutflow)


def varied(table: EventTable, changes: Mapping[str, str | float]) -> EventTable:
    """The table with features replaced: multiplied by a factor, or by the values of another column.

    Raises
    ------
    InputError
        If a feature or column is unknown.
    """
    X = table.X.copy()
    for feature, change in changes.items():
        if feature not in table.columns:
            hint = nearest(feature, table.columns)
            raise InputError(f"systematics: {feature!r} is no feature of the detectors; {hint}")
        column = table.columns.index(feature)
        X[:, column] = table[change] if isinstance(change, str) else X[:, column] * change
    return replace(table, X=X)


def with_varied_scores(
    table: EventTable, systematics: Sequence[SystematicCard], score: Callable[[EventTable], EventTable]
) -> EventTable:
    """The scored table with a column `score_DETECTOR:NAME:up` (and `:down`) for each variation of features.

    Data and processes that are not affected keep their scores.
    """
    columns: dict[str, NDArray[np.float32]] = {}
    for systematic, way in (*variations(systematics, "column"), *variations(systematics, "objects")):
        affected = table.label != DATA
        if systematic.processes:
            affected = affected & np.isin(np.array(table.processes)[table.process], systematic.processes)
        scores = [c for c in table.spectators if c.startswith("score_")]
        again = score(varied(table, _changes(table, systematic, way)))
        for column in scores:
            columns[f"{column}:{systematic.name}:{way}"] = np.where(affected, again[column], table[column])
    return table.with_spectators(**columns) if columns else table


def _changes(table: EventTable, systematic: SystematicCard, way: Way) -> Mapping[str, str | float]:
    """For each varied feature its factor or the column of its values."""
    if systematic.kind == "objects":
        return {feature: f"{feature}:{systematic.name}:{way}" for feature in table.columns}
    changes: Mapping[str, str | float] = getattr(systematic, way)
    return changes


def uncertainties(
    card: Rules, detector: str, table: EventTable, histograms: ScoreHistograms, *, channel: str = ""
) -> list[Uncertainty]:
    """Nuisance parameters of a score's histograms with their templates, from the card's systematics.

    Parameters
    ----------
    card : Rules
        Such as a Card.
    detector : str
        The score is the column `score_DETECTOR`.
    table : EventTable
        The events in `histograms`, with the columns of this module, and rows that varied selections alone accept.
    histograms : ScoreHistograms
        By process.
    channel : str
        Of the templates; "" if there is one channel.

    Raises
    ------
    InputError
        If a systematic fits no sample, or a varied yield is negative.
    """
    nominal = {**histograms.backgrounds, **histograms.signals}
    nuisances = overall_uncertainty(card)
    for s in card.systematics:
        if s.size is not None:
            nuisances.append(Normalisation(s.name, 1 + s.size, 1 / (1 + s.size), tuple(s.processes)))
        elif s.kind == "generators":
            nuisances += _spread(card, s, detector, table, histograms, channel)
        else:
            for sample in s.processes or nominal:
                nuisances += _template(s, detector, table, sample, histograms, channel)
    return nuisances


def overall_uncertainty(card: Rules) -> list[Uncertainty]:
    """The card's uncertainty of the whole background, where it has one."""
    relative = card.significance.background_uncertainty
    return [Normalisation(BACKGROUND_UNCERTAINTY, 1 + relative, 1 / (1 + relative))] if relative > 0 else []


def _template(
    s: SystematicCard, detector: str, table: EventTable, sample: str, histograms: ScoreHistograms, channel: str
) -> list[Uncertainty]:
    """A Shape of one sample from varied weights or scores; none where nothing changes."""
    part = table[(table.label != DATA) & (table.process == table.processes.index(sample))]
    if s.kind != "objects":
        part = accepted(part)
    score, nominal = f"score_{detector}", (histograms.backgrounds | histograms.signals)[sample].values()

    def yields(way: Way) -> NDArray[np.float64]:
        values = part[score] if s.kind == "weight" else part[f"{score}:{s.name}:{way}"]
        weight = part.weight if s.kind == "column" else part.weight * part[f"weight:{s.name}:{way}"]
        return np.asarray(fill(values, weight, histograms.binning).values())

    up = yields("up")
    if s.down is None:
        shape = one_sided(s.name, sample, nominal, up)
    else:
        shape = Shape(s.name, sample, tuple(up.tolist()), tuple(yields("down").tolist()))
    changes = np.abs([np.array(shape.up) - nominal, np.array(shape.down) - nominal])
    # ratios are stored as float32: a weight that varies nothing leaves differences of a few times 1e-8
    if np.all(changes <= 1e-6 * np.maximum(nominal, 1e-300)):
        return []
    return [replace(shape, channel=channel)]


def several_generators(card: Rules, s: SystematicCard, backgrounds: Sequence[str]) -> list[str]:
    """The background processes whose generators a systematic compares: those that have two.

    Raises
    ------
    InputError
        If there is none.
    """
    asked = s.processes or backgrounds
    several = [p for p in asked if p in backgrounds and len(card.shares(p)) > 1]
    if not several:
        raise InputError(
            f"systematics: {s.name!r} is the spread of generators, but no background process ({', '.join(asked)}) has "
            "two of them"
        )
    return several


def _spread(
    card: Rules, s: SystematicCard, detector: str, table: EventTable, histograms: ScoreHistograms, channel: str
) -> list[Uncertainty]:
    """Shape and normalisation of each background process that has several generators."""
    table = accepted(table)
    out: list[Uncertainty] = []
    several = several_generators(card, s, list(histograms.backgrounds))
    for process in several:
        part = table[(table.label == BACKGROUND) & (table.process == table.processes.index(process))]
        by = score_histograms(part, part[f"score_{detector}"], histograms.binning, by="generator").backgrounds
        name = s.name if len(several) == 1 else f"{s.name} {process}"
        spread = generator_spread(
            by, histograms.backgrounds[process].values(), sample=process, name=name, shares=card.shares(process),
            method=s.method,
        )  # fmt: skip
        out += [replace(u, channel=channel) for u in spread]
    return out
