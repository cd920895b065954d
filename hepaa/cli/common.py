"""Parts that commands share: arguments for files and options, and the printed table of results."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import click

from hepaa.cli.failures import QUIET
from hepaa.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hepaa.progress import Reporter
    from hepaa.table import EventTable


class _File(click.Path):
    """A path. One on a server stands for a copy of it here: an input is fetched, an output copied there at the end."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The path here."""
        from hepaa.io.remote import is_remote

        if ctx is None or param is None or not isinstance(value, str) or not is_remote(value):
            return super().convert(value, param, ctx)
        if param.name == "work":
            raise InputError(f"--work {value}: a batch works in a folder that all workers can write to; name one here")
        return destination(value, ctx) if param.name in ("output", "target") else _fetched(value, ctx)


FILE = _File(path_type=Path)


def destination(address: str, ctx: click.Context) -> Path:
    """Where a command writes what goes to an address; it is copied when the command ends."""
    from hepaa.io.remote import staged

    return ctx.with_resource(staged(address, Path()))


def _fetched(address: str, ctx: click.Context) -> Path:
    """A copy of a file or folder, and of the description beside a detector, for as long as a command runs."""
    from hepaa.io.remote import fetch

    folder = Path(ctx.with_resource(TemporaryDirectory(prefix="hepaa-")))
    name = address.rstrip("/").rpartition("/")[2]
    fetch(address, folder / name)
    if name.endswith(".safetensors"):
        fetch(f"{address.removesuffix('.safetensors')}.json", (folder / name).with_suffix(".json"))
    return folder / name


def refuse_several_processes() -> None:
    """Raise InputError where torchrun has started more than one process: all would write the same files."""
    if "TORCHELASTIC_RUN_ID" in os.environ and os.environ.get("WORLD_SIZE", "1") != "1":
        raise InputError(
            "torchrun is for `hepaa train` alone, the one command that several processes share; start this one without "
            "it, or use its --executor"
        )


def reporter() -> Reporter:
    """Bars or lines of progress on standard error; none where the user asked for --quiet."""
    from hepaa import progress

    return progress.Silent() if click.get_current_context().meta.get(QUIET) else progress.reporter()


def load(paths: Sequence[Path | str], inputs: Sequence[str] | None = None) -> EventTable:
    """One table of several; `inputs` are the features of those that are not hepaa's own."""
    from hepaa.table import EventTable, concatenate

    return concatenate([EventTable.load(path, inputs=inputs) for path in paths])


def words(pairs: Sequence[str]) -> dict[str, Any]:
    """NAME=VALUE words as a mapping; values are read as YAML, so that 3 is a number and [16, 8] a list."""
    from hepaa.io.texts import parse_yaml

    values = {}
    for name, value in split_pairs(pairs).items():
        try:
            values[name] = parse_yaml(value)
        except InputError as wrong:
            raise InputError(f"{name}={value}: the value cannot be read: {wrong}") from None
    return values


def split_pairs(pairs: Sequence[str]) -> dict[str, str]:
    """NAME=TEXT words as a mapping, the text as it stands."""
    values = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals:
            raise InputError(f"{pair!r} is not NAME=VALUE")
        values[name] = text
    return values


def number(name: str, value: Any) -> float:
    if not isinstance(value, (int, float)):
        raise InputError(f"{name}={value}: give a number")
    return float(value)


def table_of(results: dict[str, Any]) -> list[str]:
    """Detectors beside their numbers, as aligned text: what is expected, and what is observed where there are data."""
    head = ["detector", "signal", "AUC", "eps_S at eps_B = 1 %", "max SIC", "Z expected"]
    rows = [head]
    for name, detector in results["detectors"].items():
        for signal, numbers in detector["signals"].items():
            p, z = numbers["performance"], numbers["significance"]
            closed = detector.get("sculpting") is not None and not detector["sculpting"]["passed"]
            separation = ["not in batches"] * 3
            if p["auc"] is not None:
                separation = [
                    f"{p['auc']:.4f} +- {p['auc_error']:.4f}",
                    _with_error(p["eps_s"]["0.01"], p["eps_s_error"]["0.01"]),
                    _with_error(p["max_sic"], p["max_sic_error"]),
                ]
            worth = "no discovery (sculpting)" if closed else _with_error(z["total"], z["total_error"])
            rows.append([name, signal, *separation, worth])
    gates = {name: detector.get("sculpting") for name, detector in results["detectors"].items()}
    shut = [f"{name}: {gate['message']}" for name, gate in gates.items() if gate is not None and not gate["passed"]]
    lines = aligned(rows) if len(rows) > 1 else []
    return lines + _observed(results) + [click.style(line, fg="red", bold=True) for line in shut]


def _observed(results: dict[str, Any]) -> list[str]:
    """Lines of data against their prediction; none without data."""
    rows = [["detector", "region", "observed", "predicted", "p of the excess", "Z observed"]]
    for name, detector in results["detectors"].items():
        for region, numbers in (("signal region", detector), *detector.get("regions", {}).items()):
            seen = numbers.get("observed")
            if seen is None or (seen["total"] is None and seen["blind_above"] is None):
                continue
            total = seen["total"]
            if total is None:
                rows.append([name, region, "blind", f"{sum(seen['b']):.6g}", "blind", "blind"])
                continue
            z = "no event" if total["z"] is None else f"{total['z']:.2f}"
            predicted = f"{total['b']:.6g} +- {total['sigma_b']:.3g}"
            rows.append([name, region, str(total["events"]), predicted, f"{total['p']:.3g}", z])
    return aligned(rows) if len(rows) > 1 else []


def _with_error(value: float | None, error: float | None) -> str:
    return "too few events" if value is None else f"{value:.3f} +- {error:.3f}"


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows of cells as lines of text with straight columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
