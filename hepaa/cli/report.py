"""Commands on the folder of a run: report, plot, cite."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from hepaa.cli.common import FILE

if TYPE_CHECKING:
    from pathlib import Path

_STYLE = click.option("--style", help="plain, CMS, ATLAS, LHCb or ALICE.  [default: that of the card]")
_LABEL = click.option("--label", help="Text beside the experiment's name, such as 'Work in progress'.")


@click.command()
@click.argument("run", type=FILE)
@click.option("--output", "-o", type=FILE, help="File to write.  [default: RUN/report.html]")
@_STYLE
@_LABEL
def report(run: Path, output: Path | None, style: str | None, label: str | None) -> None:
    """Write one self-contained HTML page of a run.

    \b
    Example: hepaa report zh-run
    """
    from hepaa.io.folders import add_files
    from hepaa.report.page import write_report
    from hepaa.report.saved import SavedRun

    target = output or run / "report.html"
    write_report(SavedRun(run), target, style=style, label=label)
    if output is None:
        add_files(run, target)
    click.echo(f"{target}: open it in a browser")


@click.command()
@click.argument("name")
@click.argument("run", type=FILE)
@click.option("--output", "-o", type=FILE, help="Folder for the PDF and PNG files.  [default: RUN/figures]")
@_STYLE
@_LABEL
def plot(name: str, run: Path, output: Path | None, style: str | None, label: str | None) -> None:
    """Draw a figure of a run again: score, regions, generators, roc, sic, luminosity, sculpting, features, training,
    latent, latent-umap or pulls.

    \b
    Example: hepaa plot roc zh-run --style CMS --label "Work in progress"
    """
    from hepaa.io.folders import add_files
    from hepaa.report.figures import draw, look_of
    from hepaa.report.saved import SavedRun

    saved = SavedRun(run)
    paths = draw(saved, name, output or run / "figures", look_of(saved, style=style, label=label))
    if output is None:
        add_files(run, *paths)
    for path in paths:
        click.echo(path)


@click.command()
@click.argument("run", type=FILE)
def cite(run: Path) -> None:
    """Print BibTeX entries for what a run or a search used: methods, features, generators, data sets, hepaa itself.

    RUN is its folder, or the card before there is one.

    \b
    Example: hepaa cite zh-run > zh.bib
    """
    from hepaa.card import load_card
    from hepaa.report.cite import bibtex

    click.echo(bibtex(load_card(run / "card.yaml" if run.is_dir() else run)), nl=False)
