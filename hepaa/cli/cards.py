"""Commands on run cards: run, demo, init, card."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from hepaa.cli.batch import BatchOptions, batch_options
from hepaa.cli.common import FILE, destination, reporter, table_of
from hepaa.errors import InputError
from hepaa.io.texts import parse_json


@click.command()
@click.argument("card", type=FILE)
@click.option("--output", "-o", type=FILE, help="Folder for the results, instead of the card's.")
@click.option("--seed", type=int, help="Seed, instead of the card's.")
@click.option("--unblind", is_flag=True, help="Look at the data above the blinding cut; recorded in the results.")
@click.option("--overwrite", is_flag=True, help="Replace the results of an earlier run.")
@batch_options
def run(card: Path, output: Path | None, seed: int | None, unblind: bool, overwrite: bool, batch: BatchOptions) -> None:
    """Run a card: from files to detectors, figures and significances.

    Data are blind by default: until --unblind nothing is computed of them above a cut on the score, and no p-value.

    \b
    Example: hepaa run zh.yaml --output zh-run
    """
    from hepaa.card import load_card
    from hepaa.io.folders import refuse_output
    from hepaa.io.remote import is_remote

    options = {"output": output and str(output), "seed": seed, "unblind": unblind or None}
    changes = {k: v for k, v in options.items() if v is not None}
    changed = load_card(card).changed(**changes)
    if is_remote(changed.output):
        changed = changed.changed(output=str(destination(changed.output, click.get_current_context())))
    refuse_output(changed.output, [card])
    _run(changed, overwrite=overwrite, batch=batch)


def _run(card: Any, *, overwrite: bool, batch: BatchOptions | None = None) -> None:
    from hepaa.run.steps import IncompleteRun

    try:
        _show(_made(card, overwrite=overwrite, batch=batch))
    except IncompleteRun as incomplete:
        _show(incomplete.folder)
        raise


def _made(card: Any, *, overwrite: bool, batch: BatchOptions | None) -> Path:
    """The folder of a run, in batches or not."""
    from hepaa.run import pipeline

    if batch is not None and batch.executor is not None:
        from hepaa.batch.runs import run as run_in_batches

        return run_in_batches(card, batch.batch(Path(card.output)), overwrite=overwrite)
    return pipeline.run(card, overwrite=overwrite, progress=reporter())


def _show(folder: Path) -> None:
    """Print the numbers of a run, and what it lacks."""
    if (folder / "missing.json").exists():
        click.echo(f"hepaa: events are missing from this result, as allowed; see {folder / 'missing.json'}", err=True)
    if not (folder / "results.json").exists():
        return
    results = parse_json((folder / "results.json").read_text(encoding="utf-8"))
    click.echo("\n".join(table_of(results)))
    click.echo(f"results: {folder / 'results.json'}    figures: {folder / 'figures'}")


@click.command()
@click.option("--output", "-o", type=FILE, default=Path("hepaa-demo"), show_default=True, help="Folder.")
@click.option("--overwrite/--keep", default=True, show_default=True, help="Replace an earlier demo.")
def demo(output: Path, overwrite: bool) -> None:
    """Run the ZH and the dijet card, and a search for a resonance, on the embedded samples.

    The search is unblinded and has few toys, so that all of it is quick.

    \b
    Example: hepaa demo --output my-folder
    """
    from hepaa.card import load_card
    from hepaa.cli.search import show
    from hepaa.demo import path
    from hepaa.search import pipeline

    for name in ("zh", "lhco", "search"):
        click.echo(f"== {name}")
        card = load_card(path(f"{name}.yaml"))
        card = card.model_copy(update={"output": str(output / name)})
        if card.search is None:
            _run(card, overwrite=overwrite)
        else:
            show(pipeline.search(card, overwrite=overwrite, progress=reporter()))
    click.echo(f"look at {', '.join(str(output / name / 'figures') for name in ('zh', 'lhco', 'search'))}")
    click.echo("`hepaa init zh` writes a card to start your own analysis from, `hepaa init search` one of a search")


@click.command()
@click.argument("kind", type=click.Choice(["zh", "lhco", "search"]))
@click.option("--output", "-o", type=FILE, help="File to write.  [default: KIND.yaml]")
def init(kind: str, output: Path | None) -> None:
    """Write a commented card to start from; it runs as it is, on the embedded samples.

    \b
    Example: hepaa init zh --output my-analysis.yaml
    """
    from hepaa.demo import path
    from hepaa.io.files import write_text

    target = output or Path(f"{kind}.yaml")
    if target.exists():
        raise InputError(f"{target}: exists already; choose another name with --output")
    write_text(path(f"{kind}.yaml").read_text(encoding="utf-8"), target)
    command = "search" if kind == "search" else "run"
    click.echo(f"{target}: edit the samples, then `hepaa {command} {target}`")


@click.command()
@click.argument("file", type=FILE)
@click.option(
    "--show", is_flag=True, help="Print the card with all defaults, each key with what it is; checks no file."
)
def card(file: Path, show: bool) -> None:
    """Check a card before hours are spent on it: detectors and their options, and the first events of every file.

    \b
    Example: hepaa card zh.yaml
             hepaa card --show zh.yaml
    """
    from hepaa.card import load_card

    checked = load_card(file)
    if show:
        from hepaa.cli.commented import commented

        click.echo(commented(checked), nl=False)
        return
    from hepaa.run import checks

    if checked.detectors:
        checks.untrained(checked)
    if checked.search is not None:
        from hepaa.search.refusals import refuse_card

        refuse_card(checked)
    checks.before_reading(checked)
    checks.first_events(checked)
    click.echo(f"{file}: a valid card; detectors, files, features and weights are there")
