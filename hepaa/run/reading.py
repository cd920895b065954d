"""The samples of a card as normalised tables."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np

from hepaa import io
from hepaa.errors import InputError, nearest
from hepaa.events import LABEL, Role, Sample
from hepaa.features.own import split_own
from hepaa.features.registry import features, find_set
from hepaa.io.files import is_file
from hepaa.io.objects import with_masks
from hepaa.io.sniff import split_key
from hepaa.table import CutflowRow, EventTable, concatenate
from hepaa.table.mixing import Tally, expected_events

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from hepaa.card import Card, SampleCard, SystematicCard
    from hepaa.events import Events
    from hepaa.progress import Advance, Reporter


def read(card: Card, progress: Reporter) -> EventTable:
    """Features of all samples of a card, weighted to cross-section x luminosity, after its selection."""
    return one_table(card, [read_sample(card, sample, progress) for sample in card.samples])


def one_table(card: Card, tables: Sequence[EventTable]) -> EventTable:
    """All samples of a card, without optional features that are no inputs and that not all files can give.

    Raises
    ------
    InputError
        If an input cannot be computed for all.
    """
    optional = find_set(card.features.named, card.features.selection).optional
    some = {name for table in tables for name in (*table.columns, *table.spectators) if name in optional}
    for table in tables:
        lacking = some - {*table.columns, *table.spectators}
        if lacking & {name for other in tables for name in other.columns}:
            raise InputError(
                f"{table.sources[0].path} cannot give {', '.join(sorted(lacking))} of {card.features.title!r}, which "
                "other samples have; name features that all have under features.inputs"
            )
        some -= lacking
    return concatenate(
        replace(t, spectators={k: v for k, v in t.spectators.items() if k in some or k not in optional}) for t in tables
    )


def input_files(card: Card) -> list[str]:
    """Files that a card reads: events, schemas, and a feature set of one's own."""
    events = [split_key(path)[0] for sample in card.samples for path in io.expand(sample.files)]
    own = split_own(card.features.set or "")
    events += [own[0]] if own else []
    events += [card.features.luminosity_mask] if card.features.luminosity_mask else []
    return events + [s.schema_ for s in card.samples if isinstance(s.schema_, str) and is_file(s.schema_)]


def read_sample(card: Card, sample: SampleCard, progress: Reporter) -> EventTable:
    """Features of one sample of a card, weighted to cross-section x luminosity, after the card's selection."""
    from hepaa.run.variations import accepted

    name = sample.process if sample.generator == "unknown" else f"{sample.process} ({sample.generator})"
    with progress.bar(f"reading {name}", None) as advance:
        rows, tally = SampleReading.from_card(sample, card).rows(
            sample.files, max_events=sample.max_events, advance=advance
        )
        table = normalised(card, sample, rows, tally)
    counting = accepted(table)
    expected = "" if sample.role == "data" else f", {counting.sum_weights:.4g} expected"
    progress.say(f"{name}: {counting.n} events{expected}")
    return table


@dataclass(frozen=True)
class SampleReading:
    """Events of files to rows of features, after a selection: the sections `samples` and `features` of a card.

    Attributes
    ----------
    feature_set : str, or tuple of str
        Name of a set, or columns and expressions of them; see `hepaa.features.registry.find_set`.
    process, generator : str
    role : "background", "signal" or "data"
    selection : str or None
        Cut on columns.
    weight : str or None
        Named weight to take in place of the nominal one; the tally stays that of the nominal one.
    truth : 0, 1 or None
        Keep only events of this label.
    relabel : bool
        Replace the labels of the file by that of `role`.
    systematics : tuple of dict
        Entries of a card whose varied event weights, or features of varied objects, are kept as columns.
    schema : str, mapping or None
        Branches of ROOT and feature files; the content of a YAML file, never its name.
    inputs : tuple of str or None
        Columns to train on; the others of the set become spectators.
    objects : mapping or None
        Which objects and events count, in place of steps of the schema; the content of a luminosity mask, never its
        name.
    """

    feature_set: str | tuple[str, ...]
    process: str = "unknown"
    role: Role = "background"
    generator: str = "unknown"
    selection: str | None = None
    weight: str | None = None
    truth: int | None = None
    relabel: bool = False
    systematics: tuple[dict[str, Any], ...] = ()
    schema: str | dict[str, Any] | None = None
    inputs: tuple[str, ...] | None = None
    objects: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        if self.role not in LABEL:
            raise InputError(f"{self.process}: there is no role {self.role!r}; {nearest(str(self.role), LABEL)}")
        if isinstance(self.schema, str) and is_file(self.schema):
            from hepaa.io.schemas import read_schema

            object.__setattr__(self, "schema", read_schema(Path(self.schema)))
        if self.objects is not None:
            object.__setattr__(self, "objects", with_masks(self.objects, Path()))

    @classmethod
    def from_card(cls, sample: SampleCard, card: Card) -> Self:
        """The reading of one sample of a card."""
        return cls(
            feature_set=card.features.named,
            process=sample.process,
            role=sample.role,
            generator=sample.generator,
            selection=card.features.selection,
            weight=sample.weight,
            truth=sample.truth,
            relabel=True,
            systematics=tuple(s.model_dump(mode="json") for s in card.systematics if s.kind in ("weight", "objects")),
            schema=sample.schema_,
            inputs=None if card.features.inputs is None else tuple(card.features.inputs),
            objects=card.features.objects or None,
        )

    def rows(
        self,
        files: str | Sequence[str],
        *,
        events: tuple[int, int] | None = None,
        max_events: int | None = None,
        advance: Advance | None = None,
    ) -> tuple[EventTable, Tally]:
        """Rows of the selected events, in bounded memory but for the rows, and the tally of all that were read.

        Parameters
        ----------
        files : str or sequence of str
            Paths or patterns.
        events : (start, stop), optional
            Range of events of one file that can be entered anywhere.
        max_events : int, optional
            Read no more than this many events (of the truth).
        advance : optional
            Is told the number of events read.

        Raises
        ------
        InputError
            As `hepaa.iterate` and `hepaa.features`; if a named weight or the truth of events is missing.
        """
        table, tally = self._read(files, events, max_events, advance)
        if self.systematics:
            from hepaa.run.variations import with_varied_objects

            again = {
                (s.name, way): self._read(files, events, max_events, None, varied=getattr(s, way))[0]
                for s, way in self._varied_objects()
            }
            table = with_varied_objects(table, self._listed_systematics(), again)
        # those of a card are counted when all of its rows are there, by `normalised`
        return table if self.relabel else counted(table), tally

    def check(self, path: str) -> tuple[EventTable | None, set[str]]:
        """Features of the first events of a file, None where it has none, and the names of its weights.

        Little more than the header of the file is read.

        Raises
        ------
        InputError
            If the file, or what is asked of it, is not there: objects, columns, weights, labels, varied branches.
        """
        table, weights = None, set()
        for varied in (None, *(getattr(s, way) for s, way in self._varied_objects())):
            part = next(self._events(path, None, None, varied, step_size=1), None)
            if part is not None:
                table, weights = self._features(self._weighted(part)), {*part.weights}
        return table, weights

    def _varied_objects(self) -> list[tuple[SystematicCard, Literal["up", "down"]]]:
        """Systematics of varied objects of this process, each with its way: up and, where it is given, down."""
        if not self.systematics or self.role == "data":
            return []
        from hepaa.run.variations import variations

        listed = variations(self._listed_systematics(), "objects")
        return [(s, way) for s, way in listed if not s.processes or self.process in s.processes]

    def _read(
        self,
        files: str | Sequence[str],
        events: tuple[int, int] | None,
        max_events: int | None,
        advance: Advance | None,
        varied: str | dict[str, str | float] | None = None,
    ) -> tuple[EventTable, Tally]:
        """The rows and the tally of one pass over the files, with other branches where objects are `varied`."""
        tables: list[EventTable] = []
        tallies: list[Tally] = []
        for part in self._events(files, events, max_events, varied):
            tallies.append(Tally.of_piece(part))
            if part.n == 0 and tables:
                continue
            tables.append(self._features(self._weighted(part)))
            if advance is not None:
                advance(sum(tally.events for tally in tallies))
        return tables[0] if len(tables) == 1 else concatenate(tables), Tally.total(tallies)

    def _events(
        self,
        files: str | Sequence[str],
        events: tuple[int, int] | None,
        max_events: int | None,
        varied: str | dict[str, str | float] | None,
        step_size: str | int = "100 MB",
    ) -> Iterator[Events]:
        """Events of the truth, at most `max_events` of them, with the label of the role if `relabel` is set."""
        options: dict[str, Any] = {} if events is None else {"start": events[0], "stop": events[1]}
        wanted = find_set(self.feature_set, self.selection).needs
        options |= {"needs": wanted, "columns": None if isinstance(self.feature_set, str) else wanted}
        options |= {"weights": self._weights(), "missing": "nan", "varied": varied, "objects": self.objects}
        sample = Sample(self.process, self.role, self.generator)
        left = max_events
        for whole in io.iterate(files, step_size=step_size, schema=self.schema, sample=sample, **options):
            part = whole
            if self.truth is not None:
                if whole.label is None:
                    raise InputError(f"{whole.path}: truth = {self.truth} needs labels, and the file has none")
                if "generated_sum_weights" in whole.header:
                    raise InputError(
                        f"{whole.path}: truth = {self.truth} takes a part of the events, and the file states the sum "
                        "of weights of all that were generated; split the file by its labels"
                    )
                part = part.select(whole.label == self.truth)
            if left is not None:
                part = part.select(np.arange(part.n) < left)
                left -= part.n
            yield replace(part, label=np.full(part.n, LABEL[self.role], np.int8)) if self.relabel else part
            if left == 0:
                return

    def _features(self, events: Events) -> EventTable:
        """Rows of features of the selected events, with a column for each varied weight."""
        table = features(events, self.feature_set, selection=self.selection, inputs=self.inputs)
        if not self.systematics:
            return table
        from hepaa.run.variations import with_weight_ratios

        listed = self._listed_systematics()
        return with_weight_ratios(table, events, listed, process=self.process, data=self.role == "data")

    def _listed_systematics(self) -> list[SystematicCard]:
        from hepaa.card import SystematicCard  # 0.3 s of imports that reading without a card does not need

        return [SystematicCard(**entry) for entry in self.systematics]

    def _weights(self) -> tuple[str, ...]:
        """Names of the weights that are read, beside the nominal one."""
        listed = [s for s in self.systematics if s["kind"] == "weight" and self.role != "data"]
        mine = [s for s in listed if not s["processes"] or self.process in s["processes"]]
        varied = [s[way] for s in mine for way in ("up", "down") if s[way]]
        return tuple(dict.fromkeys([*([self.weight] if self.weight else []), *varied]))

    def _weighted(self, events: Events) -> Events:
        if self.weight is None:
            return events
        if self.weight not in events.weights:
            raise InputError(f"{events.path}: no weight {self.weight!r}; {nearest(self.weight, events.weights)}")
        return replace(events, weight=events.weights[self.weight])


def normalised(card: Card, sample: SampleCard, table: EventTable, tally: Tally) -> EventTable:
    """The selected rows of one sample, weighted to its cross-section x luminosity.

    Parameters
    ----------
    tally : Tally
        Of the nominal weights of all events that were read, before any cut.

    Raises
    ------
    InputError
        If no event is left, or the sample cannot be normalised.
    """
    files = ", ".join(sample.files)
    if sample.truth is not None and tally.events == 0:
        raise InputError(f"{files}: no events with truth = {sample.truth}")
    if table.n == 0:
        left = "; ".join(f"{row.step} {row.n}" for row in table.cutflow)
        raise InputError(f"{files}: no event passes the selection of {card.features.title!r} ({left})")
    if sample.role == "data":
        return counted(_drawn(table) if sample.unweight else table)
    total = sample.expected_events
    if total is None:
        if sample.cross_section_pb is None and tally.other_cross_section_pb is not None:
            raise InputError(
                f"{files}: state cross-sections of {tally.cross_section_pb:g} and {tally.other_cross_section_pb:g} pb; "
                f"make processes of them, or give cross_section_pb for {sample.process!r}"
            )
        cross_section = sample.cross_section_pb or tally.cross_section_pb
        if cross_section is None or not 0 < cross_section < np.inf:
            stated = "no usable cross-section" if cross_section is None else f"a cross-section of {cross_section:g} pb"
            raise InputError(
                f"{sample.files[0]}: {stated} in the file; "
                f"give cross_section_pb or expected_events for {sample.process!r}"
            )
        total = expected_events(cross_section, card.luminosity_fb, sample.k_factor)
    generated = tally.sum_weights if tally.generated is None else tally.generated
    if np.isnan(generated):
        raise InputError(
            f"{files}: some state the sum of weights of all events that were generated, others do not, so that nobody "
            f"knows what {sample.process!r} lost before; make processes of them"
        )
    if generated <= 0:
        raise InputError(
            f"{sample.files[0]}: the weights sum to {generated:g}; {sample.process!r} cannot be normalised"
        )
    if abs(generated - tally.sum_weights) > _EQUAL * generated:
        table = replace(table, cutflow=_with_skim(table.cutflow, generated, round(tally.generated_events)))
    return table.scaled(total * card.share(sample) / generated)


def _with_skim(cutflow: Sequence[CutflowRow], generated: float, events: int) -> tuple[CutflowRow, ...]:
    """A cutflow that begins with all events that were generated, of which the file has those of the row "skim"."""
    rows: list[CutflowRow] = []
    for row in cutflow:
        if row.step == "all":
            rows.append(replace(row, n=max(events, row.n), sum_weights=generated))
        rows.append(replace(row, step="skim") if row.step == "all" else row)
    return tuple(rows)


_EQUAL = 1e-6
"""Relative difference of weights that are equal, but for the digits they are written with."""

_FILES_AGREE = 0.1
"""The same between files of one sample, whose weights are estimates of one cross-section."""


def counted(table: EventTable) -> EventTable:
    """Data, of which each event counts as 1, whatever weight its file has for all of them.

    Raises
    ------
    InputError
        If weights differ, or one is not positive: then the events are no count of anything.
    """
    rows = np.flatnonzero(table.label == LABEL["data"])
    if not len(rows):
        return table
    levels: list[float] = []
    for file in np.unique(table.file[rows]):
        weight = table.weight[rows[table.file[rows] == file]]
        low, high = float(weight.min()), float(weight.max())
        if low <= 0 or high - low > _EQUAL * high:
            raise InputError(
                f"{table.sources[file].path}: the weights of these data differ ({low:.4g} .. {high:.4g}), and each "
                "event of data counts as 1; take unweighted events, or draw some with `unweight: true` in the sample"
            )
        levels.append(high)
    if max(levels) - min(levels) > _FILES_AGREE * max(levels):
        raise InputError(
            f"{table.sources[table.file[rows[0]]].path}: files of these data have weights of {min(levels):.4g} and "
            f"{max(levels):.4g}: they stand for different luminosities, and cannot be counted together"
        )
    weight = table.weight.copy()
    weight[rows] = 1.0
    processes = {table.processes[i] for i in np.unique(table.process[rows])}
    cutflow = (replace(r, sum_weights=float(r.n)) if r.process in processes else r for r in table.cutflow)
    return replace(table, weight=weight, cutflow=tuple(cutflow))


def _drawn(table: EventTable) -> EventTable:
    """Events drawn with a probability in proportion to their weight, the same ones each time, with weights of 1.

    Raises
    ------
    InputError
        If a weight is negative, or all are 0.
    """
    low, high = float(table.weight.min()), float(table.weight.max())
    if low < 0 or high == 0:
        raise InputError(
            f"{table.sources[0].path}: weights of {low:.4g} .. {high:.4g} are no probabilities to draw data with"
        )
    kept = table.event_hash("unweight") / 2.0**64 < table.weight / high
    drawn = table[kept].with_weight(np.ones(int(kept.sum())))
    step = CutflowRow(table.processes[0], table.generators[0], "unweighted", drawn.n, float(drawn.n))
    return replace(drawn, cutflow=(*table.cutflow, step))
