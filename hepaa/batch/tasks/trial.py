"""One run of a scan."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from hepaa.batch.outcome import Outcome
from hepaa.batch.runs import card_table, features_plan
from hepaa.batch.shard import Part, Shard
from hepaa.batch.store import Store
from hepaa.card import Card, load_card
from hepaa.errors import IncompleteError

if TYPE_CHECKING:
    from hepaa.batch.keys import Identity
    from hepaa.progress import Reporter
    from hepaa.table import EventTable


@dataclass(frozen=True)
class TrialTask:
    """Runs a card, whose file is the shard. The folder of the run lies beside its receipt.

    Attributes
    ----------
    folder : str
        Of the batch, where the features of the card are stored.
    identity, shard_events
        As the features were planned.
    inputs : str
        Hash of the keys of those features.
    """

    kind: ClassVar[str] = "trial"
    needs: ClassVar[tuple[str, ...]] = ("hepaa.run.pipeline",)
    folder: str
    identity: Identity
    shard_events: int
    inputs: str

    def to_dict(self) -> dict[str, Any]:
        """For JSON and for keys."""
        return {"kind": self.kind, **asdict(self)}

    @classmethod
    def from_dict(cls, options: dict[str, Any]) -> TrialTask:
        """From what `to_dict` gave, without `kind`."""
        return cls(**options)

    def count(self, path: str) -> int | None:
        """A card is one piece of work."""
        del path
        return None

    def code(self) -> dict[str, str]:
        """All of it is hepaa's."""
        return {}

    def compute(self, shard: Shard) -> Part:
        """Run the card on the features in the store.

        Raises
        ------
        IncompleteError
            If features are missing.
        """
        from hepaa.run import pipeline

        store = Store(self.folder)
        card = load_card(shard.path)
        card = card.model_copy(update={"output": str(store.run_path(shard.key))})
        read: list[EventTable] = []

        def reader(chosen: Card, progress: Reporter) -> EventTable:
            read.append(card_table(chosen, self._stored(chosen, store), progress))
            return read[0]

        folder = pipeline.run(card, overwrite=True, reader=reader)
        numbers = json.loads((folder / "results.json").read_text(encoding="utf-8"))
        squares = float((read[0].weight ** 2).sum())
        return Part(read[0].n, read[0].sum_weights, squares, result={"detectors": numbers["detectors"]})

    def _stored(self, card: Card, store: Store) -> Outcome | None:
        plan = features_plan(card, store.root, self.identity, self.shard_events)
        if plan is None:
            return None
        receipts = {s.key: found for s in plan.shards if (found := store.receipt(s.key)) is not None}
        for shard in plan.shards:
            if shard.key not in receipts:
                raise IncompleteError(f"{shard.describe()}: its features are not in {self.folder}; run the scan again")
        return Outcome(plan, store, receipts, (), 0)
