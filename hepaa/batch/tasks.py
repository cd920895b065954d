"""Tasks: pure functions of one shard. What they are asked is plain data, so that it can be hashed and sent anywhere."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np

from hepaa import io
from hepaa.batch import keys
from hepaa.errors import InputError, nearest
from hepaa.events import LABEL, Role, Sample
from hepaa.features.registry import feature_sets, features
from hepaa.table import EventTable, concatenate
from hepaa.table.selection import select

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from hepaa.batch.shards import Shard
    from hepaa.card import Card, SampleCard
    from hepaa.events import Events

_ROOMS = ("table.py", "samples.py", "systematics.py")


@dataclass(frozen=True, eq=False)
class Part:
    """Result of a task on one shard.

    Attributes
    ----------
    events : int
        Events that were read, before any cut.
    sum_weights, sum_weights2 : float
        Their sum w and sum w^2.
    table : EventTable or None
        Rows, where the task makes rows.
    result : dict or None
        Numbers, where it makes numbers; for JSON.
    """

    events: int
    sum_weights: float
    sum_weights2: float
    table: EventTable | None = None
    result: dict[str, Any] | None = None


@dataclass(frozen=True)
class FeatureTask:
    """Events of a file to rows of features, after a selection: the sections `samples` and `features` of a card.

    Attributes
    ----------
    feature_set : str
    process, generator : str
    role : "background", "signal" or "data"
    selection : str or None
        Cut on columns.
    weight : str or None
        Named weight to take in place of the nominal one; sums of weights stay those of the nominal one.
    truth : 0, 1 or None
        Keep only events of this label.
    relabel : bool
        `role` is the truth, whatever labels the file has.
    systematics : tuple of dict
        Entries of a card whose varied event weights are kept as columns.
    schema : str, mapping or None
        Branches of ROOT and feature files; the content of a YAML file, never its name.
    """

    kind: ClassVar[str] = "features"
    needs: ClassVar[tuple[str, ...]] = ()
    feature_set: str
    process: str = "unknown"
    role: Role = "background"
    generator: str = "unknown"
    selection: str | None = None
    weight: str | None = None
    truth: int | None = None
    relabel: bool = False
    systematics: tuple[dict[str, Any], ...] = ()
    schema: str | dict[str, Any] | None = None

    def __post_init__(self) -> None:
        if self.role not in LABEL:
            raise InputError(f"{self.process}: there is no role {self.role!r}; {nearest(str(self.role), LABEL)}")
        if isinstance(self.schema, str) and Path(self.schema).is_file():
            from hepaa.io.schemas import read_yaml

            object.__setattr__(self, "schema", read_yaml(Path(self.schema)))

    @classmethod
    def from_card(cls, sample: SampleCard, card: Card) -> FeatureTask:
        """What a card asks of the files of one sample."""
        return cls(
            feature_set=card.features.set,
            process=sample.process,
            role=sample.role,
            generator=sample.generator,
            selection=card.features.selection,
            weight=sample.weight,
            truth=sample.truth,
            relabel=True,
            systematics=tuple(s.model_dump(mode="json") for s in card.systematics if s.kind == "weight"),
            schema=sample.schema_,
        )

    def to_dict(self) -> dict[str, Any]:
        """For JSON and for keys."""
        return {"kind": self.kind, **asdict(self)}

    def code(self) -> dict[str, str]:
        """Versions of the code behind the result: the rooms it goes through, and the file of a user's own set."""
        sets = feature_sets()
        if self.feature_set not in sets:
            raise InputError(f"there is no feature set {self.feature_set!r}; {nearest(self.feature_set, sets)}")
        own = keys.function_digest(sets[self.feature_set].compute)
        return {"rooms": keys.source_digest(_ROOMS), "set": own}

    def compute(self, shard: Shard) -> Part:
        """Rows of one shard, in bounded memory but for the rows.

        Raises
        ------
        InputError
            As `hepaa.iterate` and `hepaa.features`.
        """
        n, sums, squares = 0, [], []
        cross_section = None
        tables: list[EventTable] = []
        for whole in self._events(shard):
            events = self._of_truth(whole)
            n += events.n
            sums.append(float(np.sum(events.weight)))
            squares.append(float(np.sum(events.weight**2)))
            cross_section = cross_section or events.header.get("cross_section_pb")
            if events.n == 0 and tables:
                continue
            table = self._rows(self._weighted(events))
            tables.append(select(table, self.selection) if self.selection else table)
        rows = tables[0] if len(tables) == 1 else concatenate(tables)
        return Part(n, math.fsum(sums), math.fsum(squares), rows, result={"cross_section_pb": cross_section})

    def _rows(self, events: Events) -> EventTable:
        table = features(events, self.feature_set)
        if not self.systematics:
            return table
        from hepaa.card import SystematicCard
        from hepaa.run.variations import with_weight_ratios

        varied = [SystematicCard(**entry) for entry in self.systematics]
        return with_weight_ratios(table, events, varied, process=self.process, data=self.role == "data")

    def _events(self, shard: Shard) -> Iterator[Events]:
        sample = Sample(self.process, self.role, self.generator)
        chosen: Mapping[str, Any] = {} if shard.start is None else {"start": shard.start, "stop": shard.stop}
        return io.iterate(shard.path, schema=self.schema, sample=sample, **chosen)

    def _of_truth(self, events: Events) -> Events:
        part = events
        if self.truth is not None:
            if events.label is None:
                raise InputError(f"{events.path}: truth = {self.truth} is asked, but the file has no labels")
            part = events.select(events.label == self.truth)
        return replace(part, label=np.full(part.n, LABEL[self.role], np.int8)) if self.relabel else part

    def _weighted(self, events: Events) -> Events:
        if self.weight is None:
            return events
        if self.weight not in events.weights:
            raise InputError(f"{events.path}: no weight {self.weight!r}; {nearest(self.weight, events.weights)}")
        return replace(events, weight=events.weights[self.weight])


@dataclass(frozen=True)
class ScoreTask:
    """Rows of a stored table to the same rows with a score beside them.

    Attributes
    ----------
    models : tuple of (name, path, sha256)
        The score of each is the column `score_NAME`.
    """

    kind: ClassVar[str] = "score"
    needs: ClassVar[tuple[str, ...]] = ("hepaa.detectors",)
    models: tuple[tuple[str, str, str], ...]

    @classmethod
    def of(cls, models: Mapping[str, str | Path]) -> ScoreTask:
        """Scores of saved detectors, by the name that their columns get."""
        return cls(tuple((name, str(path), io.sha256(path)) for name, path in models.items()))

    def to_dict(self) -> dict[str, Any]:
        """For JSON and for keys."""
        return {"kind": self.kind, "models": [list(model) for model in self.models]}

    def code(self) -> dict[str, str]:
        """Versions of the code behind the result."""
        return {"rooms": keys.source_digest((*_ROOMS, "models", "detectors.py", "preprocess.py", "scores.py"))}

    def compute(self, shard: Shard) -> Part:
        """Scored rows of one shard.

        Raises
        ------
        InputError
            If the model is another than when the plan was made, or does not fit the table.
        """
        from hepaa.detectors import load_detector

        table = rows_of(shard)
        scores = {}
        for name, path, digest in self.models:
            if io.sha256(path) != digest:
                raise InputError(f"{path}: this model has changed since the plan was made; make the plan again")
            scores[f"score_{name}"] = load_detector(path).anomaly_score(table)
        return _part_of_rows(table, replace(table.with_spectators(**scores), cutflow=table.cutflow))


@dataclass(frozen=True)
class HistogramTask:
    """Rows of a stored table to sums w and w^2 in fixed bins, for each process, generator and label.

    Attributes
    ----------
    column : str
    edges : tuple of k + 1 floats
        Chosen on other events; rows beyond the ends count in the end bins.
    """

    kind: ClassVar[str] = "histogram"
    needs: ClassVar[tuple[str, ...]] = ()
    column: str
    edges: tuple[float, ...]

    def to_dict(self) -> dict[str, Any]:
        """For JSON and for keys."""
        return {"kind": self.kind, "column": self.column, "edges": list(self.edges)}

    def code(self) -> dict[str, str]:
        """Versions of the code behind the result."""
        return {"rooms": keys.source_digest((*_ROOMS, "stats/binning.py"))}

    def compute(self, shard: Shard) -> Part:
        """Cells `process, generator, label` with value, variance and events, (k,) each."""
        from hepaa.stats.binning import Binning

        table = rows_of(shard)
        values = table[self.column]
        if not np.all(np.isfinite(values)):
            raise InputError(f"{shard.path}: {self.column!r} is not finite in some rows; mend the table")
        binning = Binning(self.edges)
        index, bins = binning.index(values), len(binning)
        cells = []
        kinds = np.stack([table.process, table.generator, table.label.astype(np.int16)], axis=1)
        for process, generator, label in np.unique(kinds, axis=0).tolist():
            mine = (table.process == process) & (table.generator == generator) & (table.label == label)
            w = table.weight[mine]
            cells.append(
                {
                    "process": table.processes[process],
                    "generator": table.generators[generator],
                    "label": label,
                    "value": np.bincount(index[mine], w, bins).tolist(),
                    "variance": np.bincount(index[mine], w**2, bins).tolist(),
                    "events": np.bincount(index[mine], minlength=bins).tolist(),
                }
            )
        return replace(_part_of_rows(table, None), result={"cells": cells})


def rows_of(shard: Shard) -> EventTable:
    """Rows of a stored table; its cutflow goes with the first shard of it, so that it is counted once."""
    table = EventTable.load(shard.path)
    if shard.start is None:
        return table
    if shard.stop is None or shard.stop > table.n:
        raise InputError(f"{shard.path}: rows {shard.start} .. {shard.stop} are asked for, but the table has {table.n}")
    return replace(table[shard.start : shard.stop], cutflow=table.cutflow if shard.start == 0 else ())


def _part_of_rows(table: EventTable, made: EventTable | None) -> Part:
    return Part(table.n, float(np.sum(table.weight)), float(np.sum(table.weight**2)), made)


class Task(Protocol):
    """What a shard can be asked. `needs`: modules whose threads have to be known before it starts."""

    kind: ClassVar[str]
    needs: ClassVar[tuple[str, ...]]

    def to_dict(self) -> dict[str, Any]:
        """All options, for JSON and for keys."""
        ...

    def code(self) -> dict[str, str]:
        """Versions of the code behind the result, by room."""
        ...

    def compute(self, shard: Shard) -> Part:
        """The result, from nothing but the shard and the options."""
        ...


def task_from_dict(content: dict[str, Any]) -> Task:
    """The task that `to_dict` wrote."""
    options = {k: v for k, v in content.items() if k != "kind"}
    if content["kind"] == "score":
        return ScoreTask(tuple((name, path, digest) for name, path, digest in options["models"]))
    if content["kind"] == "trial":
        from hepaa.batch.scans import TrialTask

        return TrialTask(**options)
    if content["kind"] == "histogram":
        return HistogramTask(options["column"], tuple(options["edges"]))
    return FeatureTask(**{**options, "systematics": tuple(options["systematics"])})
