"""Commands in batches: features of files, the samples of a card, scores and histograms of tables."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from hepaa import io
from hepaa.batch import merge
from hepaa.batch.engine import RETRIES, process
from hepaa.batch.executors.local import Executor, serial
from hepaa.batch.filesets import fileset_tasks, read_fileset
from hepaa.batch.plan import SHARD_EVENTS, make_plan
from hepaa.batch.tasks.features import FeatureTask
from hepaa.batch.tasks.histogram import HistogramTask
from hepaa.batch.tasks.score import ScoreTask
from hepaa.errors import InputError
from hepaa.io.files import write_json
from hepaa.io.folders import add_files, refuse_folder
from hepaa.io.repeated import refuse_repetitions
from hepaa.progress import Silent
from hepaa.run import blinding
from hepaa.run.one_score import write_histogram
from hepaa.run.reading import normalised, one_table, read_sample
from hepaa.run.results import binning_for, evaluate_counts, generator_cuts, require_classes
from hepaa.run.steps import IncompleteRun

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from hepaa.batch.keys import Identity
    from hepaa.batch.outcome import Outcome
    from hepaa.batch.plan import Plan
    from hepaa.batch.shard import Task
    from hepaa.card import Card, ScoreRules
    from hepaa.events import Role
    from hepaa.progress import Reporter
    from hepaa.table import EventTable


_TABLES = (".parquet", ".root")
"""Ends of names of tables; other outputs are folders of parts."""


@dataclass(frozen=True)
class BatchSetup:
    """Settings of a batch: its folder, executor and limits.

    Attributes
    ----------
    folder : Path
        Of the store; on a filesystem that all workers see.
    executor : Executor
    retries : int
        How often a shard is tried again.
    allow_missing : int
        How many shards may be missing from a result.
    identity : "content" or "stat"
        See `hepaa.batch.keys.identify`.
    shard_events : int
        Events in a shard of a file that can be read from anywhere.
    progress : Reporter
    """

    folder: Path
    executor: Executor = serial
    retries: int = RETRIES
    allow_missing: int = 0
    identity: Identity = "content"
    shard_events: int = SHARD_EVENTS
    progress: Reporter = field(default_factory=Silent)

    def plan(self, work: Sequence[tuple[Task, Sequence[str]]]) -> Plan:
        """The plan of tasks on their files."""
        self.folder.mkdir(parents=True, exist_ok=True)
        return make_plan(work, folder=self.folder, identity=self.identity, shard_events=self.shard_events)

    def do(self, plan: Plan) -> Outcome:
        """Compute what the store lacks; see `hepaa.batch.engine.process`."""
        return process(
            plan, self.folder, self.executor,
            retries=self.retries, allow_missing=self.allow_missing, progress=self.progress,
        )  # fmt: skip


def refuse_rows_output(output: Path, inputs: Sequence[str | Path]) -> None:
    """Raise InputError if `save_rows` would refuse to write rows of these inputs as a folder, before the work."""
    if output.suffix not in _TABLES:
        refuse_folder(output, overwrite=True, inputs=inputs)


def save_rows(outcome: Outcome, output: Path) -> int:
    """All rows of a batch: as one table where `output` ends in .parquet or .root, else as a folder of parts.

    `NAME.missing.json` beside it says which events an incomplete result lacks; that of an earlier one is removed.

    Returns
    -------
    int
        Rows.
    """
    if output.suffix not in _TABLES:
        n = merge.write_parts(outcome, output)
    else:
        table = merge.table(outcome)
        table.save(output)
        n = table.n
    listing = output.with_name(f"{output.name}.missing.json")
    if outcome.missing:
        write_json({"shards": [asdict(failure) for failure in outcome.missing]}, listing)
    else:
        listing.unlink(missing_ok=True)
    return n


def feature_work(
    files: Sequence[str],
    feature_set: str | tuple[str, ...],
    *,
    process: str,
    role: Role,
    generator: str,
    selection: str | None,
    schema: str | None,
) -> list[tuple[FeatureTask, list[str]]]:
    """Features of files, or of the datasets of filesets where these end in .json."""
    filesets = [file for file in files if file.endswith(".json")]
    if 0 < len(filesets) < len(files):
        raise InputError("give either filesets (.json) or event files, not both")
    work = [
        entry
        for file in filesets
        for entry in fileset_tasks(read_fileset(file), feature_set, selection=selection, schema=schema)
    ] or [(FeatureTask(feature_set, process, role, generator, selection, schema=schema), list(files))]
    for _, paths in work:
        refuse_repetitions(io.expand(paths))
    return work


def tables_in(path: Path) -> list[str]:
    """A table, or the parts in a folder.

    Raises
    ------
    InputError
        If the folder has none.
    """
    if not path.is_dir():
        return [str(path)]
    parts = sorted(str(part) for part in path.glob("part-*.parquet"))
    if not parts:
        raise InputError(f"{path}: no part-*.parquet in this folder; `hepaa features --executor` writes them")
    return parts


def card_work(card: Card) -> list[tuple[FeatureTask, list[str]]]:
    """The reading that a card asks for. Samples with `max_events` are not in it: which events those are depends on
    all files before, so they are read in one piece."""
    return [
        (FeatureTask.from_card(sample, card), list(sample.files))
        for sample in card.samples
        if sample.max_events is None
    ]


def read_card(card: Card, batch: BatchSetup) -> tuple[EventTable, Outcome | None]:
    """The table of a card, as `hepaa.run.reading.read` gives it, made in batches.

    Returns
    -------
    EventTable
    Outcome or None
        None where every sample is limited by `max_events`.
    """
    work = card_work(card)
    outcome = batch.do(batch.plan(work)) if work else None
    return card_table(card, outcome, batch.progress), outcome


def card_table(card: Card, outcome: Outcome | None, progress: Reporter) -> EventTable:
    """Rows of all samples of a card, each normalised."""
    tables, number = [], 0
    for sample in card.samples:
        if sample.max_events is not None or outcome is None:
            tables.append(read_sample(card, sample, progress))
        else:
            tables.append(normalised(card, sample, merge.table(outcome, number), merge.tally(outcome, number)))
            number += 1
    return one_table(card, tables)


def run(card: Card, batch: BatchSetup, *, overwrite: bool = False) -> Path:
    """`hepaa.run.pipeline.run`, with its events read in batches; `missing.json` in the folder says what it lacks.

    Returns
    -------
    Path
        The folder of results.
    """
    from hepaa.run import pipeline

    outcomes: list[Outcome | None] = []

    def reader(card: Card, progress: Reporter) -> EventTable:
        table, outcome = read_card(card, batch)
        progress.say(f"{table.n} events from {batch.folder}")
        outcomes.append(outcome)
        return table

    try:
        folder = pipeline.run(card, overwrite=overwrite, progress=batch.progress, reader=reader)
    except IncompleteRun as incomplete:
        _list_missing(outcomes, incomplete.folder)
        raise
    _list_missing(outcomes, folder)
    return folder


def _list_missing(outcomes: Sequence[Outcome | None], folder: Path) -> None:
    for outcome in outcomes:
        if outcome is not None and outcome.missing:
            write_json({"shards": [asdict(failure) for failure in outcome.missing]}, folder / "missing.json")
            add_files(folder, folder / "missing.json")


def score(
    models: Mapping[str, Path],
    tables: Sequence[str],
    batch: BatchSetup,
    *,
    cuts: Mapping[str, float | None] | None = None,
) -> Outcome:
    """Scores of saved detectors for the rows of tables, those of data up to `cuts`; `save_rows` writes them."""
    return batch.do(batch.plan([(ScoreTask.of(models, cuts), list(tables))]))


def histogram(
    name: str,
    validation: EventTable,
    tables: Sequence[str],
    card: ScoreRules,
    output: Path,
    batch: BatchSetup,
    *,
    record: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """`hepaa.run.one_score.histogram` of any number of events: tables are counted shard by shard.

    What needs all scores in order (AUC, AUC-PR, signal efficiencies, SIC) is None in the result.

    Parameters
    ----------
    name : str
        The score is the column `score_NAME`.
    validation : EventTable
        Other events, weighted to the full yield; the bins are chosen on them.
    tables : sequence of str
        Parquet files or patterns.
    card : ScoreRules
    output : Path
        Folder.
    record : mapping, optional
        As of `hepaa.run.blinding.record`: goes into the results where there are data.

    Returns
    -------
    dict
        The content of `results.json`.
    """
    column = f"score_{name}"
    binning, cuts = binning_for(validation, column, card), generator_cuts(column, validation, card)
    blind_above = blinding.cut(column, validation, card)
    task = HistogramTask(column, binning.edges, tuple(cuts.values()), blind_above)
    outcome = batch.do(batch.plan([(task, list(tables))]))
    counts = merge.counts(outcome)
    require_classes(validation.label, [label for _, _, label in counts])
    result = evaluate_counts(name, counts, binning, cuts, card, blind_above=blind_above)
    missing = [vars(m) for m in outcome.missing]
    return write_histogram(result, merge.tally(outcome), card, output, missing=missing, record=record)


def features_plan(card: Card, folder: Path, identity: Identity, shard_events: int) -> Plan | None:
    """The plan to read a card; None if every sample is limited by `max_events`."""
    work = card_work(card)
    return make_plan(work, folder=folder, identity=identity, shard_events=shard_events) if work else None
