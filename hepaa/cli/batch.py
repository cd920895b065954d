"""Commands on batches: plan, shard, merge, status, submit, scan; and the options that other commands take for them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from hepaa.cli.common import FILE, reporter, words
from hepaa.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable

    from hepaa.batch.runs import BatchSetup

_OPTIONS = (
    click.option(
        "--executor",
        help="Work in batches: serial, processes[:N], local-jobs[:N], dask://HOST:PORT, htcondor or slurm[:OPTIONS].",
    ),
    click.option("--work", type=FILE, help="Folder of the batch, where results are kept.  [default: OUTPUT.batch]"),
    click.option("--retries", type=int, default=2, show_default=True, help="Of each shard that fails."),
    click.option("--allow-missing", type=int, default=0, show_default=True, help="Shards that a result may lack."),
    click.option(
        "--identity",
        type=click.Choice(["content", "stat"]),
        default="content",
        show_default=True,
        help="Files are known by a hash of all bytes, or by size, time and both ends.",
    ),
    click.option(
        "--shard-events", type=int, default=100_000, show_default=True, help="Events in a shard of a seekable file."
    ),
)  # fmt: skip


@dataclass(frozen=True)
class BatchOptions:
    """Options of the command line for batches.

    Attributes
    ----------
    executor : str or None
        None: no batch is asked for.
    """

    executor: str | None
    work: Path | None
    retries: int
    allow_missing: int
    identity: Literal["content", "stat"]
    shard_events: int

    def batch(self, output: Path) -> BatchSetup:
        """The batch that makes `output`."""
        from hepaa.batch import executor
        from hepaa.batch.runs import BatchSetup

        limits = {name: value for name, value in vars(self).items() if name not in ("executor", "work")}
        folder = self.work or output.with_name(f"{output.name}.batch")
        if output.resolve() in (folder.resolve(), *folder.resolve().parents):
            raise InputError(f"--work {folder}: is or lies inside the output {output}; give it a folder of its own")
        return BatchSetup(folder, executor(self.executor or "serial"), progress=reporter(), **limits)


def batch_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of batches, as one argument `batch`."""
    from functools import wraps

    names = list(BatchOptions.__dataclass_fields__)

    @wraps(command)
    def wrapped(**options: Any) -> None:
        command(batch=BatchOptions(**{name: options.pop(name) for name in names}), **options)

    for option in reversed(_OPTIONS):
        wrapped = option(wrapped)
    return wrapped


def say_missing(outcome: Any) -> None:
    """Warn on standard error that shards are missing from a result, as was allowed."""
    if outcome.missing:
        missing = f"{len(outcome.missing)} shards are missing from this result, as allowed"
        click.echo(f"hepaa: {missing}; all are listed in {outcome.store.failures_path}", err=True)


@click.group()
def batch() -> None:
    """Work on many files in batches that can be stopped and resumed anywhere.

    Files below 100 MB are computed and stored in groups. 100,000 files of 1 MB take 0.1 GB in the work folder (1,000
    files), and the engine, status and merge 0.1 ms, 0.04 ms and 0.04 ms of CPU time for each; all grow in proportion.

    \b
    Example: hepaa batch plan zh.yaml --work zh-batch
             hepaa batch shard zh-batch --index 3 --of 100
             hepaa batch merge zh-batch --output features
    """


@batch.command()
@click.argument("source", type=FILE)
@click.option("--set", "feature_set", help="Name of the feature set, for a fileset.")
@click.option("--select", "selection", help="Cut on columns, for a fileset.")
@batch_options
def plan(source: Path, feature_set: str | None, selection: str | None, batch: BatchOptions) -> None:
    """Plan the reading of a card, or of a fileset of coffea (JSON), as numbered shards.

    \b
    Example: hepaa batch plan zh.yaml --work zh-batch
    """
    setup = batch.batch(source)
    made = _planned(setup, _work_of(source, feature_set, selection))
    click.echo(f"{setup.folder}: {len(made.shards)} shards; `hepaa batch shard {setup.folder} --index N --of M`")


def _planned(setup: BatchSetup, work: Any) -> Any:
    from hepaa.batch.store import Store

    Store(str(setup.folder)).create()
    made = setup.plan(work)
    made.save(setup.folder / "plan.json")
    return made


def _work_of(source: Path, feature_set: str | None, selection: str | None) -> Any:
    from hepaa.batch.filesets import fileset_tasks, read_fileset
    from hepaa.batch.runs import card_work
    from hepaa.card import load_card

    if source.suffix != ".json":
        return card_work(load_card(source))
    if feature_set is None:
        raise InputError(f"{source}: a fileset does not name a feature set; give --set")
    return fileset_tasks(read_fileset(source), feature_set, selection=selection)


@batch.command()
@click.argument("folder", type=FILE)
@click.option("--index", type=int, required=True, help="Number of this job, from 0.")
@click.option("--of", type=int, required=True, help="Number of jobs.")
@click.option("--retries", type=int, default=2, show_default=True, help="Of each shard that fails.")
def shard(folder: Path, index: int, of: int, retries: int) -> None:
    """Do one share of a plan, as one job of an array.

    \b
    Example: hepaa batch shard zh-batch --index 3 --of 100
    """
    from hepaa.batch.status import work_on_share

    click.echo(f"{folder}: {work_on_share(folder, index, of, retries=retries)} shards are stored")


@batch.command()
@click.argument("folder", type=FILE)
@click.option("--output", "-o", type=FILE, required=True, help="Table (.parquet, .root), or folder of parts.")
@click.option("--allow-missing", type=int, default=0, show_default=True, help="Shards that a result may lack.")
def merge(folder: Path, output: Path, allow_missing: int) -> None:
    """Put the results of a plan together, in the order of the plan. Computes nothing.

    \b
    Example: hepaa batch merge zh-batch --output features
    """
    from hepaa.batch.engine import collect
    from hepaa.batch.runs import save_rows

    outcome = collect(folder, allow_missing=allow_missing)
    click.echo(f"{output}: {save_rows(outcome, output)} rows")
    say_missing(outcome)


@batch.command()
@click.argument("folder", type=FILE)
@click.option("--json", "as_json", is_flag=True, help="As JSON, without the batch system's word.")
def status(folder: Path, as_json: bool) -> None:
    """Print the progress of a batch, and what the queue says of its array jobs.

    \b
    Example: hepaa batch status zh-batch
    """
    from hepaa.batch.queue import jobs, last_words
    from hepaa.batch.status import status as state

    progress = state(folder)
    if as_json:
        import json
        from dataclasses import asdict

        click.echo(json.dumps(asdict(progress), indent=1, default=str))
        return
    left = "unknown" if progress.left_s is None else f"{progress.left_s:.0f} s"
    click.echo(f"shards          {progress.stored} of {progress.shards} stored")
    unit = progress.unit
    if unit == "events":  # toys share one file, and have no weights
        click.echo(f"files           {progress.files_stored} of {progress.files} whole")
    click.echo(f"{unit:<15} {progress.events}    {progress.events_per_s:.4g} {unit}/s    left {left}")
    if unit == "events":
        click.echo(f"sum of weights  {progress.sum_weights:.6g}")
    try:
        queue = jobs(folder)
        for job in queue:
            reason = f" ({job.reason})" if job.reason else ""
            click.echo(f"jobs            {job.count} {job.state}{reason} of {job.system} {job.number}")
        if any(job.failed for job in queue):
            for name, line in last_words(folder).items():
                click.echo(f"{name:<15} {line}")
    except InputError as silent:  # the folder tells the rest without the batch system
        click.echo(f"jobs            unknown: {silent}")
    for shard in progress.working:
        click.echo(f"begun           {shard}")
    for failure in progress.failures:
        click.echo(f"failed          {failure['path']}: {failure['reason']} ({failure['attempts']} attempts)")


@batch.command()
@click.argument("card", type=FILE)
@click.option("--site", "system", type=click.Choice(["htcondor", "slurm", "local"]), required=True)
@click.option("--jobs", type=int, help="Number of jobs.  [default: 10]")
@click.option("--queue", help="Partition (Slurm) or job flavour (HTCondor).")
@click.option("--memory", help="Of a job, such as 2GB.  [default: 2GB]")
@click.option("--walltime", help="HH:MM:SS.  [default: 02:00:00]")
@click.option("--python", help="Interpreter on the node.  [default: this one]")
@click.option("--prologue", help="Shell command before a worker starts.")
@click.option("--array", is_flag=True, help="Plain array job, for sites that allow no scheduler of one's own.")
@click.option("--dry-run", is_flag=True, help="Print the job script, submit nothing.")
@click.option("--output", "-o", type=FILE, help="Folder for the results, instead of the card's.")
@click.option("--overwrite", is_flag=True, help="Replace the results of an earlier run.")
@batch_options
def submit(card: Path, system: Any, array: bool, dry_run: bool, output: Path | None, overwrite: bool,
           batch: BatchOptions, **wishes: Any) -> None:  # fmt: skip
    """Run a card with its events read by jobs of a batch system.

    With --array the jobs are left alone in the queue; `hepaa batch status` follows them.

    \b
    Example: hepaa batch submit zh.yaml --site slurm --jobs 50 --memory 2GB --walltime 01:00:00 --dry-run
             hepaa batch submit zh.yaml --site slurm --jobs 50 --array --work zh-batch
    """
    from dataclasses import replace

    from hepaa.batch.executors.sites import SiteExecutor, site
    from hepaa.batch.queue import submit_array
    from hepaa.batch.runs import card_work, run
    from hepaa.card import load_card

    target, loaded = site(system, **wishes), load_card(card)
    if output is not None:
        loaded = loaded.model_copy(update={"output": str(output)})
    setup = replace(batch.batch(Path(loaded.output)), executor=SiteExecutor(target))
    if dry_run:
        folder = str(setup.folder.resolve())
        click.echo(target.array_script(folder) if array else target.worker_script(), nl=False)
        return
    if array:
        made = _planned(setup, card_work(loaded))
        number = submit_array(setup.folder, target)
        click.echo(f"{system} {number}: {target.jobs} jobs for {len(made.shards)} shards; `hepaa batch status "
                   f"{setup.folder}` shows them; then `hepaa run {card} --work {setup.folder}`")  # fmt: skip
        return
    click.echo(f"results: {run(loaded, setup, overwrite=overwrite) / 'results.json'}")


@batch.command()
@click.argument("card", type=FILE)
@click.option("--seed", "seeds", type=int, multiple=True, help="May be given often.")
@click.option("--set", "sets", multiple=True, help="KEY=[VALUES] of the card, as detectors.0.options.latent=[2,4].")
@click.option("--leave-one-out", "folds", type=click.Choice(["generators", "processes"]), help="One fold for each.")
@click.option("--same-split", is_flag=True, help="All seeds share one split; otherwise each draws its own.")
@batch_options
def scan(card: Path, seeds: tuple[int, ...], sets: tuple[str, ...], folds: Any, same_split: bool,
         batch: BatchOptions) -> None:  # fmt: skip
    """Run a card with several seeds, values or left-out samples; files are read once.

    \b
    Example: hepaa batch scan zh.yaml --seed 0 --seed 1 --set detectors.0.options.latent=[2,4] --executor processes
    """
    from hepaa.batch.scans import scan as run_all
    from hepaa.batch.scans import trials
    from hepaa.card import load_card
    from hepaa.cli.common import table_of

    changes = {key: value if isinstance(value, list) else [value] for key, value in words(sets).items()}
    setup = batch.batch(card)
    cards = trials(load_card(card), seeds=seeds, changes=changes, leave_out=folds, same_split=same_split)
    for name, detectors in run_all(cards, setup).items():
        click.echo("\n".join([f"== {name}", *table_of({"detectors": detectors})]))
    click.echo(f"runs: {setup.folder / 'runs'}")


@batch.command()
@click.argument("system", type=click.Choice(["docker", "apptainer"]))
@click.option("--output", "-o", type=FILE, help="File to write, instead of printing.")
def container(system: str, output: Path | None) -> None:
    """Print the recipe of a container with this version of hepaa and its compiled loops.

    \b
    Example: hepaa batch container apptainer -o hepaa.def
             apptainer build hepaa.sif hepaa.def
             hepaa batch submit zh.yaml --site slurm --python "apptainer exec hepaa.sif python"
    """
    from hepaa.batch.containers import recipe
    from hepaa.io.files import write_text

    if output is None:
        click.echo(recipe(system), nl=False)
        return
    write_text(recipe(system), output)
    click.echo(f"{output}: a recipe for {system}")


@click.command(name="compile")
def compile_loops() -> None:
    """Compile the loops of readers and feature sets into the cache at NUMBA_CACHE_DIR, once for all jobs that share it.

    \b
    Example: hepaa compile
    """
    from hepaa.batch.kernels import compile_all

    for computed in compile_all():
        click.echo(computed)
