"""Commands from files to tables: fetch, info, convert, features, split."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from hepaa.cli.batch import BatchOptions, batch_options, say_missing
from hepaa.cli.common import FILE, aligned, load, number, reporter, words
from hepaa.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from hepaa.events import Events


@click.command()
@click.argument("dataset")
@click.option(
    "--output", "-o", type=FILE, default=".", show_default=True, help="Folder; it is made if it is not there."
)
@click.option(
    "--part",
    "parts",
    multiple=True,
    help="features, features-3prong, raw, raw-3prong; may be given often.  [default: features]",
)
@click.option("--server", help="Take the files from a copy of the record's server.  [default: https://zenodo.org]")
def fetch(dataset: str, output: Path, parts: tuple[str, ...], server: str | None) -> None:
    """Download a public data set and check it. Files that are there are kept, broken downloads go on.

    DATASET is lhco-rd, the R&D events of the LHC Olympics 2020: jet features (74 MB), or raw particles (2.9 GB).

    \b
    Example: hepaa fetch lhco-rd --output lhco
    """
    from hepaa.io.fetch import DATASETS, SERVER
    from hepaa.io.fetch import fetch as download

    for path in download(dataset, output, parts, server=server or SERVER, report=reporter()):
        click.echo(f"{path}: as published")
    record = DATASETS[dataset]
    click.echo(f"cite: {record.citation}, https://doi.org/{record.doi}")


@click.command()
@click.argument("file")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.option(
    "--schema", "as_schema", is_flag=True, help="Which branch of a ROOT file is what, and which objects count, as YAML."
)
def info(file: str, as_json: bool, as_schema: bool) -> None:
    """Print the content of a file: format, events, sum of weights, cross-section, columns.

    What --schema prints can be changed and given to other commands and cards.

    \b
    Example: hepaa info events.lhe.gz
             hepaa info nano.root --schema > nano.yaml
    """
    from hepaa import io

    if as_schema:
        from hepaa.io.schemas import schema_text

        click.echo(schema_text(next(io.iterate(file, step_size=1))), nl=False)
        return
    summary = io.probe(file)
    summary["units"] = _units(summary)
    click.echo(json.dumps(summary, indent=2, default=str) if as_json else "\n".join(_lines(summary)))


def _units(summary: dict[str, Any]) -> dict[str, list[str]]:
    """Fields of objects and columns of a file by their unit, the same for every reader; without pure numbers."""
    from hepaa.events import UNITS

    fields = [*(summary.get("columns") or ()), *(f for c in (summary.get("collections") or {}).values() for f in c)]
    units: dict[str, list[str]] = {}
    for name in dict.fromkeys(fields):
        if name in UNITS:
            units.setdefault(UNITS[name], []).append(name)
    return units


def _lines(content: dict[str, Any], indent: str = "") -> Iterator[str]:
    """Lines of keys and values; values with keys of their own are indented below."""
    width = max((len(str(key)) for key in content), default=0)
    for key, value in content.items():
        name = f"{indent}{key!s:<{width}}"
        if isinstance(value, dict) and value:
            yield name.rstrip()
            yield from _lines(value, indent + "  ")
        elif isinstance(value, (list, tuple)) and value and all(isinstance(item, dict) for item in value):
            for number, item in enumerate(value):
                yield f"{name.rstrip()} {number}"
                yield from _lines(item, indent + "  ")
        elif value not in (None, "", [], {}, ()):
            yield f"{name}  {_short(value)}"


def _short(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, (list, tuple)):
        shown = ", ".join(map(str, value[:12]))
        return f"{shown}, ... ({len(value)} in all)" if len(value) > 12 else shown
    return str(value)


@click.command()
@click.argument("source")
@click.argument("target", type=FILE)
@click.option("--weight", help="Named weight to take as the nominal one.")
@click.option("--schema", help="Branch mapping of ROOT and feature files: a name or a YAML file.")
@click.option("--keep-partial", is_flag=True, help="Keep the events before a break in the source.")
@click.option("--detector", help="Send full records (HepMC) through a detector: embedded or lhco-like.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of the detector.")
def convert(
    source: str, target: Path, weight: str | None, schema: str | None, keep_partial: bool, detector: str | None,
    seed: int,
) -> None:  # fmt: skip
    """Write the events of a file in another format: .lhe, .lhe.gz, .root, .parquet, .h5 (LHCO).

    \b
    Example: hepaa convert events.lhe.gz events.root
             hepaa convert herwig.hepmc.gz herwig.h5 --detector lhco-like
    """
    from hepaa.io.convert import convert as write

    through = None
    if detector:
        through = _detection(detector, seed)
    n = write(source, target, through=through, weight=weight, schema=schema, keep_partial=keep_partial)
    click.echo(f"{target}: {n} events")


def _detection(name: str, seed: int) -> Callable[[Events], Events]:
    """A detector by name, with random numbers of its own."""
    from functools import partial

    import numpy as np

    from hepaa.simulate.detector import detected, detector

    return partial(detected, detector=detector(name), rng=np.random.default_rng(seed))


@click.command()
@click.argument("files", nargs=-1)
@click.option(
    "--list",
    "listed",
    is_flag=False,
    flag_value="",
    metavar="[SET]",
    help="List the feature sets, or the columns of one with their units.",
)
@click.option("--json", "as_json", is_flag=True, help="The list as JSON.")
@click.option("--set", "feature_set", help="Name of the feature set, or ./mine.py:name for one of your own in a file.")
@click.option(
    "--column",
    "columns",
    multiple=True,
    help="In place of a set: a column of the files, or an expression such as 'ratio = pt1 / pt2'; may be given often.",
)
@click.option("--output", "-o", type=FILE, help="Parquet file to write; in batches also a folder of parts.")
@click.option("--process", default="unknown", show_default=True)
@click.option("--generator", default="unknown", show_default=True)
@click.option("--role", type=click.Choice(["background", "signal", "data"]), default="background", show_default=True)
@click.option("--select", "selection", help="Cut on columns, such as 'mZH > 300'.")
@click.option("--schema", help="Branch mapping of ROOT and feature files: a name or a YAML file.")
@batch_options
def features(
    files: tuple[str, ...],
    listed: str | None,
    as_json: bool,
    feature_set: str | None,
    columns: tuple[str, ...],
    output: Path | None,
    process: str,
    generator: str,
    role: Any,
    selection: str | None,
    schema: str | None,
    batch: BatchOptions,
) -> None:
    """Compute features of events into a Parquet table. A fileset of coffea (.json) may stand for the files.

    \b
    Example: hepaa features sm.lhe.gz --set zh-paper --process ZH --output sm.parquet
             hepaa features ntuple.root --column mjj --column 'log(pt1 / pt2)' --output mine.parquet
             hepaa features --list
             hepaa features --list zh-paper
    """
    if listed is not None:
        _list_feature_sets(listed, as_json=as_json)
        return
    named = feature_set or columns
    if not files or not named or output is None:
        raise InputError("give files, --set (or --column) and --output, or --list to see the feature sets")
    if feature_set and columns:
        raise InputError("give either --set or --column, not both")
    from hepaa.features.own import split_own
    from hepaa.io.files import refuse_input_as_output

    own = split_own(feature_set or "")
    refuse_input_as_output(output, [*files, own[0]] if own else files)
    sample = {"process": process, "role": role, "generator": generator, "selection": selection, "schema": schema}
    if batch.executor is not None or files[0].endswith(".json"):
        from hepaa.batch.runs import feature_work, refuse_rows_output, save_rows

        refuse_rows_output(output, files)
        setup = batch.batch(output)
        outcome = setup.do(setup.plan(feature_work(files, named, **sample)))
        click.echo(f"{output}: {save_rows(outcome, output)} events")
        say_missing(outcome)
        return
    from hepaa.io import expand
    from hepaa.io.repeated import refuse_repetitions
    from hepaa.run.reading import SampleReading

    refuse_repetitions(expand(files))
    table, _ = SampleReading(named, **sample).rows(files)
    table.save(output)
    for row in table.cutflow:
        click.echo(f"{row.step:<40} {row.n:>10}  sum of weights {row.sum_weights:.6g}")
    click.echo(f"{output}: {table.n} events, {len(table.columns)} features")


def _list_feature_sets(name: str, *, as_json: bool) -> None:
    """Print all sets, one a line, or the columns of one, one a line."""
    from hepaa.features.registry import feature_sets, find_set

    sets = {name: find_set(name)} if name else feature_sets()
    if as_json:
        content = {
            key: {"from": entry.inputs, "description": entry.description}
            | {
                role: [{"name": c.name, "label": c.label, "unit": c.unit} for c in columns]
                for role, columns in (("features", entry.columns), ("spectators", entry.spectators))
            }
            for key, entry in sets.items()
        }
        click.echo(json.dumps(content, indent=1))
        return
    if not name:
        rows = [["set", "features", "spectators", "from", "what it is"]]
        rows += [
            [key, str(len(entry.columns)), str(len(entry.spectators)), _sources(entry.inputs), entry.description]
            for key, entry in sets.items()
        ]
        click.echo(
            "\n".join([*aligned(rows), "", "hepaa features --list SET prints the columns of one with their units"])
        )
        return
    (entry,) = sets.values()
    rows = [["column", "unit", "symbol", ""]]
    rows += [[c.name, c.unit, c.label, ""] for c in entry.columns]
    rows += [[c.name, c.unit, c.label, "spectator: not trained on"] for c in entry.spectators]
    click.echo("\n".join([f"{name}: {entry.description} From {' or '.join(entry.inputs)}.", "", *aligned(rows)]))


def _sources(inputs: tuple[str, ...]) -> str:
    """What a set is computed from; many columns by their number."""
    names = [needs.split(" + ") for needs in inputs]
    return " or ".join(" + ".join(n) if len(n) < 4 else f"{len(n)} columns" for n in names)


@click.command()
@click.argument("table", type=FILE)
@click.option("--fraction", "fractions", multiple=True, required=True, help="NAME=SHARE; give one for each part.")
@click.option("--output", "-o", type=FILE, required=True, help="Folder for NAME.parquet.")
@click.option("--salt", default="", help="Another word gives another split.")
def split(table: Path, fractions: tuple[str, ...], output: Path, salt: str) -> None:
    """Split a table into disjoint parts, each weighted to the full yield; data are all in the last, and weigh 1.

    The table is Parquet, or a CSV, HDF5, npz or npy file with one row an event; the parts are Parquet.

    \b
    Example: hepaa split all.parquet --fraction train=0.6 --fraction test=0.4 --output parts
    """
    from hepaa.io.files import file_name, refuse_input_as_output
    from hepaa.table.mixing import split as divide

    sizes = {k: number(k, v) for k, v in words(fractions).items()}
    for name in sizes:
        if file_name(name) != name:
            raise InputError(f"{name!r} is no name of a file, which {output}/NAME.parquet would be; rename the part")
    parts = divide(load([table]), sizes, salt=salt)
    for name in parts:
        refuse_input_as_output(output / f"{name}.parquet", [table])
    output.mkdir(parents=True, exist_ok=True)
    for name, part in parts.items():
        part.save(output / f"{name}.parquet")
        click.echo(f"{output / name}.parquet: {part.n} events")
