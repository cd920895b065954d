"""Events of files to rows of features."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from hepaa import io
from hepaa.batch import keys
from hepaa.batch.shard import Part
from hepaa.errors import InputError, nearest
from hepaa.events import LABEL, Role, Sample
from hepaa.features.registry import feature_sets, features
from hepaa.table import EventTable, concatenate
from hepaa.table.selection import select

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from hepaa.batch.shard import Shard
    from hepaa.card import Card, SampleCard
    from hepaa.events import Events


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

    @classmethod
    def from_dict(cls, options: dict[str, Any]) -> FeatureTask:
        """From what `to_dict` gave, without `kind`."""
        return cls(**{**options, "systematics": tuple(options["systematics"])})

    def count(self, path: str) -> int | None:
        """Events of a file whose format lets a reader begin anywhere; else None."""
        return io.count(path, schema=self.schema)

    def code(self) -> dict[str, str]:
        """Version of the file of a user's own set."""
        sets = feature_sets()
        if self.feature_set not in sets:
            raise InputError(f"there is no feature set {self.feature_set!r}; {nearest(self.feature_set, sets)}")
        return {"set": keys.function_digest(sets[self.feature_set].compute)}

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
