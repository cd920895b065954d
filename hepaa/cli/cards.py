"""Commands on run cards: run, demo, init, card."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from hepaa.cli.common import FILE, table_of
from hepaa.errors import InputError


@click.command()
@click.argument("card", type=FILE)
@click.option("--output", "-o", type=FILE, help="Folder for the results, instead of the card's.")
@click.option("--seed", type=int, help="Seed, instead of the card's.")
@click.option("--overwrite", is_flag=True, help="Replace the results of an earlier run.")
def run(card: Path, output: Path | None, seed: int | None, overwrite: bool) -> None:
    """Run a card: from files to detectors, figures and significances.

    \b
    Example: hepaa run zh.yaml --output zh-run
    """
    from hepaa.card import load_card

    changes = {k: v for k, v in (("output", output and str(output)), ("seed", seed)) if v is not None}
    _run(load_card(card).model_copy(update=changes), overwrite=overwrite)


def _run(card: Any, *, overwrite: bool) -> None:
    from hepaa import pipeline
    from hepaa.progress import reporter

    folder = pipeline.run(card, overwrite=overwrite, progress=reporter())
    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    for line in table_of(results):
        click.echo(line)
    click.echo(f"results: {folder / 'results.json'}    figures: {folder / 'figures'}")


@click.command()
@click.option("--output", "-o", type=FILE, default=Path("hepaa-demo"), show_default=True, help="Folder.")
@click.option("--overwrite/--keep", default=True, show_default=True, help="Replace an earlier demo.")
def demo(output: Path, overwrite: bool) -> None:
    """Run the ZH and the dijet card on the embedded samples.

    \b
    Example: hepaa demo --output my-folder
    """
    from hepaa.card import load_card
    from hepaa.demo import path

    for name in ("zh", "lhco"):
        click.echo(f"== {name}")
        card = load_card(path(f"{name}.yaml"))
        _run(card.model_copy(update={"output": str(output / name)}), overwrite=overwrite)
    click.echo(f"look at {output / 'zh' / 'figures'} and {output / 'lhco' / 'figures'}")
    click.echo("`hepaa init zh` writes a card to start your own analysis from")


@click.command()
@click.argument("kind", type=click.Choice(["zh", "lhco"]))
@click.option("--output", "-o", type=FILE, help="File to write.  [default: KIND.yaml]")
def init(kind: str, output: Path | None) -> None:
    """Write a commented card to start from; it runs as it is, on the embedded samples.

    \b
    Example: hepaa init zh --output my-analysis.yaml
    """
    from hepaa.demo import path

    target = output or Path(f"{kind}.yaml")
    if target.exists():
        raise InputError(f"{target}: exists already; choose another name with --output")
    target.write_text(path(f"{kind}.yaml").read_text(encoding="utf-8"), encoding="utf-8")
    click.echo(f"{target}: edit the samples, then `hepaa run {target}`")


@click.command()
@click.argument("file", type=FILE)
@click.option("--show", is_flag=True, help="Print the card with all defaults.")
def card(file: Path, show: bool) -> None:
    """Check a card, and print it with all defaults.

    \b
    Example: hepaa card --show zh.yaml
    """
    from hepaa.card import load_card

    checked = load_card(file)
    click.echo(checked.to_yaml() if show else f"{file}: a valid card")
