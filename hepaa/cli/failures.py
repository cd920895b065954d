"""What went wrong, as one line for the user and an exit code; the traceback only for who asks with `--debug`."""

from __future__ import annotations

import errno
import traceback
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from hepaa.errors import HepaaError

if TYPE_CHECKING:
    from collections.abc import Iterator

_REMEDIES = {
    errno.ENOSPC: "make room there, or choose another place",
    errno.EDQUOT: "make room there, or choose another place",
    errno.EACCES: "ask for the right to it, or choose another place",
    errno.EPERM: "ask for the right to it, or choose another place",
    errno.EROFS: "choose another place",
    errno.EFBIG: "raise the limit of the size of files (ulimit -f), or choose another place",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.EMFILE: "raise the limit of open files (ulimit -n)",
    errno.ENOENT: "check the name",
}
_DEBUG = "hepaa.debug"
QUIET = "hepaa.quiet"


def with_debug(command: click.Command) -> None:
    """Give a command, and all commands in it, the options `--quiet` and `--debug`."""
    for name, words in (
        (QUIET, "Say no progress: results and errors alone."),
        (_DEBUG, "Show the traceback of an error."),
    ):
        option = click.Option(
            [f"--{name.removeprefix('hepaa.')}"], is_flag=True, expose_value=False, callback=_ask, help=words
        )
        command.params.append(option)
    for inner in command.commands.values() if isinstance(command, click.Group) else ():
        with_debug(inner)


def _ask(ctx: click.Context, option: click.Parameter, asked: bool) -> None:
    # contexts of inner commands share the mapping of the outer one
    key = f"hepaa.{option.name}"
    ctx.meta[key] = ctx.meta.get(key, False) or asked


@contextmanager
def worded(ctx: click.Context) -> Iterator[None]:
    """End the command with one line and an exit code where it fails; click words the mistakes of its own usage.

    Warnings are one line each, too, without the place in the code.
    """
    usual, warnings.formatwarning = warnings.formatwarning, lambda message, *_, **__: f"hepaa: warning: {message}\n"
    try:
        yield
    except (click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError):
        raise
    except Exception as failure:  # every other one becomes a line: this is where a command ends
        if ctx.meta.get(_DEBUG):
            click.echo(traceback.format_exc(), err=True, nl=False)
        click.echo(f"hepaa: {' '.join(_words(failure).split())}", err=True)
        ctx.exit(failure.exit_code if isinstance(failure, HepaaError) else 2)
    finally:
        warnings.formatwarning = usual


def _words(failure: Exception) -> str:
    if isinstance(failure, HepaaError):
        return str(failure)
    if isinstance(failure, MemoryError) or type(failure).__name__ == "OutOfMemoryError":  # torch has its own
        return f"not enough memory{_brief(failure)}; work on fewer events at once, or in batches (--executor)"
    if isinstance(failure, OSError):
        names = " -> ".join(str(name) for name in (failure.filename, failure.filename2) if name is not None)
        remedy = _REMEDIES.get(failure.errno or 0)
        parts = [_cut(names), failure.strerror or _cut(str(failure)) or type(failure).__name__]
        return ": ".join(filter(None, parts)) + (f"; {remedy}" if remedy else "")
    return (
        f"a defect of hepaa, not of your input: {type(failure).__name__}{_brief(failure)}; "
        "please report it with what the same command says with --debug"
    )


def _brief(failure: Exception) -> str:
    return f" ({_cut(str(failure))})" if str(failure) else ""


def _cut(words: str) -> str:
    return words if len(words) <= 300 else f"{words[:200]} ... {words[-80:]}"
