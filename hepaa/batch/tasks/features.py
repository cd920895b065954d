"""Events of files to rows of features."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from hepaa import io
from hepaa.batch import keys
from hepaa.batch.shard import Part, Task
from hepaa.errors import InputError
from hepaa.features.registry import find_set
from hepaa.run.reading import SampleReading

if TYPE_CHECKING:
    from hepaa.batch.shard import Shard


@dataclass(frozen=True)
class FeatureTask(SampleReading, Task):
    """The reading of a sample, shard by shard.

    Attributes
    ----------
    set_code : str
        Version of the file of a user's own set when the task was made: a part of the keys of its results.
    """

    kind: ClassVar[str] = "features"
    grouped: ClassVar[bool] = True
    set_code: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.set_code is None:
            object.__setattr__(self, "set_code", self._code())

    def _code(self) -> str:
        return keys.function_digest(find_set(self.feature_set).compute)

    def count(self, path: str) -> int | None:
        """Events of a file whose format lets a reader begin anywhere; else None."""
        return io.count(path, schema=self.schema)

    def compute(self, shard: Shard) -> Part:
        """Rows of one shard; errors as `hepaa.run.reading.SampleReading.rows`.

        Raises
        ------
        InputError
            If the file of the set is another than when the task was made.
        """
        if self._code() != self.set_code:
            raise InputError(f"{self.feature_set}: the file has changed since the plan was made; run again")
        table, tally = self.rows(shard.path, events=shard.bounds)
        return Part(tally, table)
