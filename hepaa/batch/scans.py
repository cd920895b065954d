"""Scans: one card with several seeds, values or left-out samples, each run a task like any other.

What the runs read is read once: their features are shards in the same store. A run is stored under a key of its card,
of the content of its inputs and of the code; its folder is that of `hepaa run`.
"""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from hepaa import io
from hepaa.batch import keys
from hepaa.batch.outcome import Outcome
from hepaa.batch.plan import Plan
from hepaa.batch.runs import card_table, features_plan
from hepaa.batch.shard import Part, Shard, Task
from hepaa.batch.store import Store
from hepaa.card import Card, load_card, parse_card
from hepaa.errors import IncompleteError, InputError, nearest
from hepaa.io.files import atomic_path, file_name, write_json
from hepaa.io.remote import is_remote
from hepaa.io.sealed import digest
from hepaa.run import pipeline
from hepaa.run.variations import accepted
from hepaa.table.mixing import Tally

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from hepaa.batch.keys import Identity
    from hepaa.batch.runs import BatchSetup
    from hepaa.progress import Reporter
    from hepaa.table import EventTable

Folds = Literal["generators", "processes"]


def trials(
    card: Card,
    *,
    seeds: Sequence[int] = (),
    changes: Mapping[str, Sequence[Any]] | None = None,
    leave_out: Folds | None = None,
    same_split: bool = False,
) -> dict[str, Card]:
    """The cards of a scan by name: every combination of seeds, values and folds.

    Parameters
    ----------
    card : Card
    seeds : sequence of int
        Default: that of the card.
    changes : mapping of key -> values, optional
        Keys of the card as paths: "detectors.0.options.latent", "histogram.bins".
    leave_out : "generators" or "processes", optional
        One fold for each generator of the background, or for each signal process: scored but not trained on.
    same_split : bool
        All seeds share the card's split; otherwise each seed but the card's own has another, so that the spread over
        seeds holds that of the events too.

    Raises
    ------
    InputError
        If there is nothing to leave out, or a fold is unknown.
    CardError
        If a changed card is not valid.
    """
    axes: list[list[tuple[str, Any]]] = [[("seed", seed) for seed in seeds or (card.seed,)]]
    axes += [[(key, value) for value in values] for key, values in (changes or {}).items()]
    if leave_out is not None:
        axes.append([("split.train_without", [name]) for name in _folds(card, leave_out)])
    plain = card.model_dump(by_alias=True, mode="json")
    cards: dict[str, Card] = {}
    for choice in itertools.product(*axes):
        content = json.loads(json.dumps(plain))
        for key, value in choice:
            _put(content, key, value)
        if content["seed"] != card.seed and not same_split:
            content["split"]["salt"] += f" seed {content['seed']}"
        texts = [(key, "+".join(map(str, v)) if isinstance(v, list) else str(v)) for key, v in choice]
        name = ",".join(f"{file_name(key.rpartition('.')[2])}={file_name(text)}" for key, text in texts)
        trial = parse_card(content, source=Path(name))
        if cards.setdefault(name, trial) != trial:
            raise InputError(f"two runs of this scan would be called {name}; give values that differ as names of files")
    return cards


def _folds(card: Card, leave_out: Folds) -> list[str]:
    if leave_out == "generators":
        names = [s.generator for s in card.samples if s.role == "background"]
    elif leave_out == "processes":
        names = [s.process for s in card.samples if s.role == "signal"]
    else:
        raise InputError(f"{leave_out!r} cannot be left out; {nearest(str(leave_out), ('generators', 'processes'))}")
    left_out = list(dict.fromkeys(names))
    if leave_out == "generators" and len(left_out) < 2:
        raise InputError(f"the background has one generator, {left_out[0]!r}: nothing would be left to train on")
    return left_out


def _put(content: Any, path: str, value: Any) -> None:
    steps = path.split(".")
    for number, step in enumerate(steps):
        if isinstance(content, list):
            if not step.isdigit() or int(step) >= len(content):
                raise InputError(f"{path}: {step!r} is no position in a list of {len(content)}")
            key: Any = int(step)
        elif isinstance(content, dict):
            key = step
        else:
            raise InputError(f"{path}: {'.'.join(steps[:number])} is {content!r} and has nothing inside")
        if number == len(steps) - 1:
            content[key] = value
            return
        if isinstance(content, dict) and key not in content:
            raise InputError(f"{path}: no key {step!r}; {nearest(step, content)}")
        content = content[key]


@dataclass(frozen=True)
class TrialTask(Task):
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

    def count(self, path: str) -> None:
        """A card is one piece of work."""

    def compute(self, shard: Shard) -> Part:
        """Run the card on the features in the store.

        Raises
        ------
        IncompleteError
            If features are missing.
        """
        store = Store(self.folder)
        card = load_card(shard.path)
        card = card.model_copy(update={"output": str(store.run_path(shard.key))})
        tables: list[EventTable] = []

        def reader(card: Card, progress: Reporter) -> EventTable:
            tables.append(card_table(card, self._stored(card, store), progress))
            return tables[0]

        folder = pipeline.run(card, overwrite=True, reader=reader)
        numbers = json.loads((folder / "results.json").read_text(encoding="utf-8"))
        return Part(Tally.of(accepted(tables[0]).weight), result={"detectors": numbers["detectors"]})

    def _stored(self, card: Card, store: Store) -> Outcome | None:
        plan = features_plan(card, store.root, self.identity, self.shard_events)
        if plan is None:
            return None
        receipts = store.receipts(plan.shards)
        for shard in plan.shards:
            if shard.key not in receipts:
                raise IncompleteError(f"{shard.describe()}: its features are not in {self.folder}; run the scan again")
        return Outcome(plan, store, receipts, (), 0)


def scan(cards: Mapping[str, Card], batch: BatchSetup) -> dict[str, dict[str, Any]]:
    """Run all cards: first the features that the store lacks, then one task for each card.

    Parameters
    ----------
    cards : mapping of name -> Card
        See `trials`.
    batch : BatchSetup

    Returns
    -------
    dict of name -> detectors of its `results.json`
        `FOLDER/runs/NAME` leads to the folder of each run, `FOLDER/scan.json` has what is returned.

    Raises
    ------
    IncompleteError
        If features or runs are missing; what is done stays done.
    """
    folder = batch.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    # a shard's key holds the name of its file: that of the plan has to be that which the written card will give
    cards = {name: _with_absolute_files(card) for name, card in cards.items()}
    features = {name: features_plan(card, folder, batch.identity, batch.shard_events) for name, card in cards.items()}
    merged = _joined(plan for plan in features.values() if plan is not None)
    if merged is not None:
        replace(batch, folder=folder, allow_missing=0).do(merged)
    for name in ("cards", "runs"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    tasks, shards, code = [], [], keys.versions()
    for number, (name, card) in enumerate(cards.items()):
        path = folder / "cards" / f"{name}.yaml"
        _write_card(card, path)
        plan = features[name]
        stored = [] if plan is None else [shard.key for shard in plan.shards]
        # files that are not read in batches enter by their state
        limited = [f for s in card.samples if s.max_events is not None for f in io.expand(s.files)]
        inputs = digest([stored, [[file, keys.identify(file, batch.identity)] for file in limited]])
        task = TrialTask(str(folder), batch.identity, batch.shard_events, inputs)
        state = keys.identify(str(path), "content")
        tasks.append(task)
        key = keys.result_key(str(path), state, None, keys.request_of(task, code))
        shards.append(Shard(str(path), None, None, number, key, state))
    outcome = replace(batch, folder=folder).do(Plan(tuple(tasks), tuple(shards), code))
    results = {}
    for name, shard in zip(cards, shards, strict=True):
        link = folder / "runs" / name
        if link.is_symlink():
            link.unlink()
        elif link.exists():
            raise InputError(f"{link}: is no link of a scan; move it away and run the scan again")
        if shard.key in outcome.receipts:
            link.symlink_to(outcome.store.run_path(shard.key))
            results[name] = outcome.receipts[shard.key]["result"]["detectors"]
    write_json(results, folder / "scan.json")
    return results


def _joined(plans: Iterator[Plan]) -> Plan | None:
    """One plan of several; what two of them share is done once."""
    tasks: list[Any] = []
    shards: dict[str, Shard] = {}
    versions: dict[str, str] = {}
    for plan in plans:
        for shard in plan.shards:
            shards.setdefault(shard.key, replace(shard, task=len(tasks) + shard.task))
        tasks += plan.tasks
        versions = plan.versions
    return Plan(tuple(tasks), tuple(shards.values()), versions) if shards else None


def _with_absolute_files(card: Card) -> Card:
    files = [[f if is_remote(f) else str(Path(f).absolute()) for f in s.files] for s in card.samples]
    samples = [s.model_copy(update={"files": names}) for s, names in zip(card.samples, files, strict=True)]
    return card.model_copy(update={"samples": samples})


def _write_card(card: Card, path: Path) -> None:
    """Write a card; an equal one is left alone, with its time of change."""
    text = card.to_yaml()
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return
    with atomic_path(path) as partial:
        partial.write_text(text, encoding="utf-8")
