"""Events of files to rows of features."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from hepaa import io
from hepaa.batch import keys
from hepaa.batch.shard import Part, Task
from hepaa.errors import InputError, nearest
from hepaa.features.registry import feature_sets
from hepaa.run.reading import SampleReading

if TYPE_CHECKING:
    from hepaa.batch.shard import Shard


@dataclass(frozen=True)
class FeatureTask(SampleReading, Task):
    """The reading of a sample, shard by shard."""

    kind: ClassVar[str] = "features"

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
        """Rows of one shard; errors as `hepaa.run.reading.SampleReading.rows`."""
        table, tally = self.rows(shard.path, events=shard.bounds)
        return Part(tally, table)
