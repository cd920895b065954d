"""The command that searches data: search."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from hepaa.cli.common import FILE
from hepaa.io.texts import parse_json

if TYPE_CHECKING:
    from pathlib import Path


@click.command()
@click.argument("card", type=FILE)
@click.option("--output", "-o", type=FILE, help="Folder for the results, instead of the card's.")
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), help="Seed, instead of the card's.")
@click.option("--unblind", is_flag=True, help="Look at the data of the signal region; recorded in the results.")
@click.option("--jobs", type=click.IntRange(1), default=1, show_default=True, help="Processes that search toys.")
@click.option("--overwrite", is_flag=True, help="Replace the results of an earlier search.")
def search(card: Path, output: Path | None, seed: int | None, unblind: bool, jobs: int, overwrite: bool) -> None:
    """Search data without knowing the signal: for a resonance, or for any difference from the background.

    Blind by default: the data of the signal region are replaced by a background-only toy, and checks, expected numbers
    and the injection curve are the same as after --unblind.

    \b
    Example: hepaa search search.yaml --output found --jobs 2
    """
    from hepaa.card import load_card
    from hepaa.io.folders import refuse_output
    from hepaa.progress import reporter
    from hepaa.search import pipeline

    changes = {k: v for k, v in (("output", output and str(output)), ("seed", seed)) if v is not None}
    changed = load_card(card).changed(**changes)
    refuse_output(changed.output, [card])
    with pipeline.parallel(jobs) as mapped:
        folder = pipeline.search(changed, unblind=unblind, overwrite=overwrite, progress=reporter(), map=mapped)
    results = parse_json((folder / "results.json").read_text(encoding="utf-8"))
    numbers = results.get("resonant") or results["two_sample"]
    click.echo(numbers["verdict"])
    click.echo(f"results: {folder / 'results.json'}    report: {folder / 'report.html'}")
