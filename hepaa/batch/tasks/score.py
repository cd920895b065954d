"""Rows of stored tables to the same rows with scores."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from hepaa import io
from hepaa.batch.shard import Part
from hepaa.batch.tasks.rows import TableTask, rows_of
from hepaa.errors import InputError
from hepaa.run.blinding import hide, refuse_unasked
from hepaa.table.mixing import Tally

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from hepaa.batch.shard import Shard
    from hepaa.detectors import Detector


def inputs_of(*detectors: Detector) -> tuple[str, ...] | None:
    """Columns that fitted detectors were trained on; None where one of them does not know their names."""
    if not all(hasattr(detector, "feature_names_in_") for detector in detectors):
        return None
    return tuple(dict.fromkeys(str(name) for detector in detectors for name in detector.feature_names_in_))


@dataclass(frozen=True)
class ScoreTask(TableTask):
    """Rows of a stored table to the same rows with a score beside them.

    Attributes
    ----------
    models : tuple of (name, path, sha256)
        The score of each is the column `score_NAME`.
    cuts : tuple of (name, float or None), or None
        Data are blind above the cut of each, and are not where that is None; without cuts they are refused.
    """

    kind: ClassVar[str] = "score"
    needs: ClassVar[tuple[str, ...]] = ("hepaa.detectors",)
    models: tuple[tuple[str, str, str], ...]
    cuts: tuple[tuple[str, float | None], ...] | None = None

    @classmethod
    def of(cls, models: Mapping[str, str | Path], cuts: Mapping[str, float | None] | None = None) -> ScoreTask:
        """Scores of saved detectors, by the name that their columns get."""
        named = tuple((name, str(path), io.sha256(path)) for name, path in models.items())
        return cls(named, None if cuts is None else tuple(cuts.items()))

    def compute(self, shard: Shard) -> Part:
        """Scored rows of one shard.

        Raises
        ------
        InputError
            If the model is another than when the plan was made, or does not fit the table, or the table has data and
            nothing says which of them are blind.
        """
        from hepaa.detectors import load_detector

        detectors = {}
        for name, path, digest in self.models:
            if io.sha256(path) != digest:
                raise InputError(f"{path}: this model has changed since the plan was made; make the plan again")
            detectors[f"score_{name}"] = load_detector(path)
        table = rows_of(shard, inputs_of(*detectors.values()))
        if self.cuts is None:
            refuse_unasked(table)
        scores = {name: detector.anomaly_score(table) for name, detector in detectors.items()}
        scored = replace(table.with_spectators(**scores), cutflow=table.cutflow)
        return Part(Tally.of(table.weight), hide(scored, dict(self.cuts or ())))
