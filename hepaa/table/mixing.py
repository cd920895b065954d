"""Samples: what a set of files stands for, how it is normalised, mixed with others, and split."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING, Self

import numpy as np

from hepaa.errors import InputError
from hepaa.events import LABEL
from hepaa.table.table import EventTable, concatenate

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    import pandas
    from numpy.typing import ArrayLike, NDArray

    from hepaa.events import Events

PB_IN_FB = 1000.0
_CROSS_SECTIONS_AGREE = 0.1


@dataclass(frozen=True)
class Tally:
    """Events of a sample before any cut, and their sums of weights, by which it is normalised.

    Adding up tallies gives the same bits however the events were cut into pieces: `rest` keeps what rounding lost.

    Attributes
    ----------
    events : int
    sum_weights, sum_weights2 : float
        The float64 nearest to sum w and sum w^2.
    rest : (float, float, float)
        What each of the three sums lost by its rounding.
    cross_section_pb : float or None
        As the files state it; the mean where they differ by 10 % at most, as statistical errors of a generator do.
    other_cross_section_pb : float or None
        The greatest where they differ by more, and `cross_section_pb` is then the least: they are no one sample.
    generated : float or None
        Sum of the weights of all events that were generated, kept or not, where the files state it; nan where only
        some of them do. Of a file that was read in part, the same part of it.
    generated_events : float
        Their number, of the files that state it.
    """

    events: int
    sum_weights: float
    sum_weights2: float
    rest: tuple[float, float, float] = (0.0, 0.0, 0.0)
    cross_section_pb: float | None = None
    other_cross_section_pb: float | None = None
    generated: float | None = None
    generated_events: float = 0.0

    @classmethod
    def of(cls, weight: ArrayLike, cross_section_pb: float | None = None) -> Self:
        """The tally of events with these weights, (n,)."""
        w = np.asarray(weight, dtype=np.float64)
        (total, rest), (squares, rest_of_squares) = _exact_sum(w.tolist()), _exact_sum((w**2).tolist())
        return cls(len(w), total, squares, (rest, rest_of_squares, 0.0), cross_section_pb)

    @classmethod
    def of_piece(cls, events: Events) -> Self:
        """The tally of consecutive events of one file, with what its header says of the cross-section and of all events
        that were generated; of these, the part of the file that the piece is."""
        header = events.header
        tally = cls.of(events.weight, header.get("cross_section_pb"))
        if "generated_sum_weights" not in header:
            return tally
        n, of_file = header["generated_sum_weights"], header["events"]
        first, end = (int(events.index[0]), int(events.index[-1]) + 1) if events.n else (0, 0)
        # What the file is worth up to the end of the piece, less that up to its begin: of all pieces together, what
        # stands between cancels to the last bit. A file of which no event was kept is one piece.
        before, after = (first / of_file, end / of_file) if of_file else (0.0, 1.0)
        generated, rest = _exact_sum([n * after, -n * before])
        number = header.get("generated_events", 0.0) * (after - before)
        return replace(tally, rest=(*tally.rest[:2], rest), generated=generated, generated_events=number)

    @classmethod
    def total(cls, tallies: Iterable[Tally]) -> Self:
        """The tally of all events together, in whatever order."""
        parts = list(tallies)
        total, rest = _exact_sum(chain.from_iterable((t.sum_weights, t.rest[0]) for t in parts))
        squares, rest_of_squares = _exact_sum(chain.from_iterable((t.sum_weights2, t.rest[1]) for t in parts))
        stated = {x for t in parts for x in (t.cross_section_pb, t.other_cross_section_pb) if x is not None}
        least, most = min(stated, default=None), max(stated, default=None)
        if least is not None and most is not None and most - least > _CROSS_SECTIONS_AGREE * abs(most):
            sigma: tuple[float | None, float | None] = (least, most)
        else:
            sigma = (math.fsum(stated) / len(stated) if stated else None, None)
        generated, rest_of_generated = cls._generated(parts)
        return cls(
            sum(t.events for t in parts), total, squares, (rest, rest_of_squares, rest_of_generated), *sigma,
            generated, math.fsum(t.generated_events for t in parts),
        )  # fmt: skip

    @staticmethod
    def _generated(parts: Iterable[Tally]) -> tuple[float | None, float]:
        parts = [t for t in parts if t.events or t.generated is not None]
        stated = [x for t in parts if t.generated is not None for x in (t.generated, t.rest[2])]
        if not stated:
            return None, 0.0
        return _exact_sum(stated) if len(stated) == 2 * len(parts) else (math.nan, 0.0)


def _exact_sum(terms: Iterable[float]) -> tuple[float, float]:
    """The float64 nearest to a sum, and what is left of the sum beyond it."""
    values = list(terms)
    total = math.fsum(values)
    return total, math.fsum([*values, -total])


def expected_events(cross_section_pb: float, luminosity_fb: float, k_factor: float = 1.0) -> float:
    """Yield sigma x k x L.

    Parameters
    ----------
    cross_section_pb : float
        pb, branching fractions included.
    luminosity_fb : float
        fb^-1.
    """
    return cross_section_pb * k_factor * luminosity_fb * PB_IN_FB


def mix(
    tables: Mapping[str, EventTable], *, fractions: Mapping[str, float] | None = None, rng: np.random.Generator
) -> EventTable:
    """One background from several generators of the same process, in chosen proportions.

    As many events as the proportions allow are drawn from each table without replacement, in random order, and
    weighted such that generator g carries the share f_g of its own prediction: sum w = sum_g f_g * (sum w)_g, a
    weighted mean of the generators' yields.

    Parameters
    ----------
    tables : mapping of generator name -> EventTable
        The name replaces the generator of the table.
    fractions : mapping of the same names -> float, optional
        Shares, scaled to a sum of one; equal by default.
    rng : numpy Generator
        Draws and shuffles.

    Raises
    ------
    InputError
        If the names of `fractions` differ from those of `tables`, a share is not positive, or a table is empty.
    """
    shares = dict.fromkeys(tables, 1.0) if fractions is None else dict(fractions)
    if set(shares) != set(tables):
        raise InputError(
            f"fractions are given for {sorted(shares)}, tables for {sorted(tables)}; name the same generators"
        )
    if not tables or min(shares.values()) <= 0 or min(len(t) for t in tables.values()) == 0:
        raise InputError("mixing needs at least one event and a positive fraction for each generator")
    total = sum(shares.values())
    n = min(len(t) / (shares[g] / total) for g, t in tables.items())
    parts = []
    for name, table in tables.items():
        share = shares[name] / total
        rows = rng.choice(len(table), size=min(len(table), round(n * share)), replace=False)
        part = table[rows].with_generator(name)
        parts.append(part.with_weight(part.weight * share * table.sum_weights / part.sum_weights))
    mixed = concatenate(parts)
    return mixed[rng.permutation(len(mixed))]


def split(
    table: EventTable | pandas.DataFrame, fractions: Mapping[str, float], *, salt: str = ""
) -> dict[str, EventTable]:
    """Disjoint parts of a table, each weighted up to the full yield.

    An event's part follows from a hash of its file's content and its number in that file, so it is the same whatever
    the order of files or the size of the pieces they were read in, and equal files land in equal parts. Each part of
    each process, generator and label is scaled to the sum of weights of the whole, so that every part predicts the
    full number of events. Data are neither split nor scaled, for an event of them counts 1: all are in the last part.

    Parameters
    ----------
    table : EventTable, or pandas DataFrame
        A data frame is taken as `EventTable.from_pandas` takes it.
    fractions : mapping of part name -> float
        Sizes; they must sum to at most 1.
    salt : str
        Another salt gives another, independent split.

    Raises
    ------
    InputError
        If the sizes are not positive or sum to more than 1, the table has data alone, or a part has no event, or no
        sum of weights, of a class that the table has.
    """
    if not isinstance(table, EventTable):
        table = EventTable.from_pandas(table)
    sizes = np.array(list(fractions.values()))
    if not len(sizes) or sizes.min() <= 0 or sizes.sum() > 1 + 1e-9:
        raise InputError(f"split fractions {dict(fractions)} must be positive and sum to at most 1")
    of_data = table.label == LABEL["data"]
    if of_data.any():
        if of_data.all():
            raise InputError("the table has data alone, which are not split: an event of them counts 1")
        parts = split(table[~of_data], fractions, salt=salt)
        last = list(fractions)[-1]
        return parts | {last: concatenate([parts[last], table[of_data]])}
    position = table.event_hash(salt) / 2.0**64
    part = np.searchsorted(np.cumsum(sizes), position, side="right")
    index, classes = classes_of(table)
    full = np.bincount(index, table.weight, len(classes))
    parts = {}
    for i, name in enumerate(fractions):
        rows = np.flatnonzero(part == i)
        sums = np.bincount(index[rows], table.weight[rows], len(classes))
        for (process, generator, label), whole, kept in zip(classes, full, sums, strict=True):
            if whole != 0 and kept / whole <= 0:
                raise InputError(
                    f"split part {name!r} has no sum of weights for {process!r} from {generator!r} (label {label}); "
                    "give more events or another fraction"
                )
        scale = np.divide(full, sums, out=np.ones_like(full), where=sums != 0)
        parts[name] = table[rows].with_weight(table.weight[rows] * scale[index[rows]])
    return parts


def classes_of(table: EventTable) -> tuple[NDArray[np.int64], list[tuple[str, str, int]]]:
    """The class of each event, (n,), as an index in the list of (process, generator, label) that the table has."""
    generators = len(table.generators)
    code = (table.process.astype(np.int64) * generators + table.generator) * 3 + table.label + 1
    present = np.flatnonzero(np.bincount(code, minlength=1))
    index = np.searchsorted(present, code)
    names = [(table.processes[c // 3 // generators], table.generators[c // 3 % generators], c % 3 - 1)
             for c in present.tolist()]  # fmt: skip
    return index, names


def leave_one_generator_out(table: EventTable) -> Iterator[tuple[str, EventTable, EventTable]]:
    """Each generator of the background in turn: train on the others, and see what its events look like to them.

    Weights stay as they are; compare rates, not yields.

    Yields
    ------
    name : str
        The generator that is left out.
    rest, left_out : EventTable
        All events of the other generators, signal and data included, and all of this one. `rest` knows the names of
        its own generators alone.

    Raises
    ------
    InputError
        If fewer than two generators have background.
    """
    of_background = np.unique(table.generator[table.label == LABEL["background"]])
    names = [table.generators[i] for i in of_background]
    if len(names) < 2:
        raise InputError(
            f"leaving one generator out needs background of two or more, and there is that of {names or 'none'}; "
            "give samples of another generator"
        )
    for index, name in zip(of_background, names, strict=True):
        here = table.generator == index
        rest = table[~here]
        kept, number = np.unique(rest.generator, return_inverse=True)
        generators = tuple(table.generators[i] for i in kept)
        rest = replace(rest, generator=number.astype(np.int16), generators=generators)
        yield name, rest, table[here].with_generator(name)
