"""The `hepaa` command. Thin: a command parses, calls one function, and prints. Heavy imports stay inside commands."""

from __future__ import annotations

from typing import Any

import click

from hepaa._version import __version__
from hepaa.cli import batch, cards, detect, files, report, search, simulate
from hepaa.cli.common import refuse_several_processes
from hepaa.cli.failures import with_debug, worded


class _Commands(click.Group):
    """Commands in the order of an analysis, and errors as one line on standard error."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return list(self.commands)

    def invoke(self, ctx: click.Context) -> Any:
        with worded(ctx):
            return super().invoke(ctx)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="hepaa")
@click.pass_context
def main(ctx: click.Context) -> None:
    """Find anomalies in collider data and say what they are worth in sigmas.

    \b
    Example: hepaa demo
    Completion of commands, options and files with the tab key, for bash (or zsh, fish) in its start-up file:
        eval "$(_HEPAA_COMPLETE=bash_source hepaa)"
    """
    if ctx.invoked_subcommand != detect.train.name:
        refuse_several_processes()


for _command in (
    cards.run,
    search.search,
    cards.demo,
    cards.init,
    cards.card,
    files.fetch,
    files.info,
    files.convert,
    files.features,
    files.split,
    detect.train,
    detect.score,
    detect.hist,
    detect.compare,
    report.report,
    report.plot,
    report.cite,
    batch.batch,
    batch.compile_loops,
    simulate.simulate,
):
    main.add_command(_command)
with_debug(main)
