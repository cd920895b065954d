"""The command that searches data: search."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click

from hepaa.cli.batch import BatchOptions, batch_options
from hepaa.cli.common import FILE, destination
from hepaa.errors import InputError
from hepaa.io.texts import parse_json


@click.command()
@click.argument("card", type=FILE)
@click.option("--output", "-o", type=FILE, help="Folder for the results, instead of the card's.")
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), help="Seed, instead of the card's.")
@click.option("--unblind", is_flag=True, help="Look at the data of the signal region; recorded in the results.")
@click.option("--jobs", type=click.IntRange(1), default=1, show_default=True, help="Processes that search toys.")
@click.option("--overwrite", is_flag=True, help="Replace the results of an earlier search.")
@batch_options
def search(
    card: Path, output: Path | None, seed: int | None, unblind: bool, jobs: int, overwrite: bool, batch: BatchOptions
) -> None:
    """Search data without knowing the signal: for a resonance, or for any difference from the background.

    Blind by default: the data of the signal region are replaced by a background-only toy, and checks, expected numbers
    and the injection curve are the same as after --unblind. Toys are kept in the folder --work: a search that was
    killed goes on when the same command is given again, and --unblind or more toys search none of them twice.

    \b
    Example: hepaa search search.yaml --output result --jobs 2
             hepaa search search.yaml --output result --executor slurm:jobs=50 --overwrite --unblind
    """
    from hepaa.batch.searches import search as search_in_batches
    from hepaa.card import load_card
    from hepaa.io.folders import refuse_output
    from hepaa.io.remote import is_remote

    if batch.executor is not None and jobs > 1:
        raise InputError("give either --jobs or --executor, not both")
    changes = {k: v for k, v in (("output", output and str(output)), ("seed", seed)) if v is not None}
    changed = load_card(card).changed(**changes)
    if is_remote(changed.output):
        changed = changed.changed(output=str(destination(changed.output, click.get_current_context())))
    refuse_output(changed.output, [card])
    setup = replace(batch, executor=batch.executor or (f"processes:{jobs}" if jobs > 1 else "serial"))
    folder = search_in_batches(
        changed,
        setup.batch(Path(changed.output)),
        unblind=unblind,
        overwrite=overwrite,
        read_in_batches=batch.executor is not None,
    )
    show(folder)


def show(folder: Path) -> None:
    """Print what a search has given."""
    results = parse_json((folder / "results.json").read_text(encoding="utf-8"))
    numbers = results.get("resonant") or results["two_sample"]
    click.echo(numbers["verdict"])
    click.echo(f"results: {folder / 'results.json'}    report: {folder / 'report.html'}")
