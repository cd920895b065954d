"""The `hepaa` command. Thin: a command parses, calls one function, and prints. Heavy imports stay inside commands."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hepaa._version import __version__
from hepaa.errors import HepaaError, InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from hepaa.table import EventTable

_TABLE = click.Path(path_type=Path)


class _Commands(click.Group):
    """Commands in the order of an analysis, and errors as one line on standard error."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return list(self.commands)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except HepaaError as wrong:
            click.echo(f"hepaa: {' '.join(str(wrong).split())}", err=True)
            ctx.exit(wrong.exit_code)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="hepaa")
def main() -> None:
    """Find anomalies in collider data and say what they are worth in sigmas.

    \b
    Example: hepaa demo
    """


@main.command()
@click.argument("card", type=click.Path(path_type=Path))
@click.option("--output", "-o", type=click.Path(path_type=Path), help="Folder for the results, instead of the card's.")
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
    for line in _table_of(results):
        click.echo(line)
    click.echo(f"results: {folder / 'results.json'}    figures: {folder / 'figures'}")


def _table_of(results: dict[str, Any]) -> list[str]:
    """Detectors beside their numbers, as aligned text."""
    head = ["detector", "signal", "AUC", "eps_S at eps_B = 1 %", "max SIC", "Z expected"]
    rows = [head]
    for name, detector in results["detectors"].items():
        for signal, numbers in detector["signals"].items():
            p, z = numbers["performance"], numbers["significance"]
            rows.append(
                [
                    name,
                    signal,
                    f"{p['auc']:.4f} +- {p['auc_error']:.4f}",
                    _with_error(p["eps_s"]["0.01"], p["eps_s_error"]["0.01"]),
                    _with_error(p["max_sic"], p["max_sic_error"]),
                    _with_error(z["total"], z["total_error"]),
                ]
            )
    widths = [max(len(row[i]) for row in rows) for i in range(len(head))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _with_error(value: float | None, error: float | None) -> str:
    return "too few events" if value is None else f"{value:.3f} +- {error:.3f}"


@main.command()
@click.option(
    "--output", "-o", type=click.Path(path_type=Path), default=Path("hepaa-demo"), show_default=True, help="Folder."
)
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


@main.command()
@click.argument("kind", type=click.Choice(["zh", "lhco"]))
@click.option("--output", "-o", type=click.Path(path_type=Path), help="File to write.  [default: KIND.yaml]")
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


@main.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--show", is_flag=True, help="Print the card with all defaults.")
def card(file: Path, show: bool) -> None:
    """Check a card, and print it with all defaults.

    \b
    Example: hepaa card --show zh.yaml
    """
    from hepaa.card import load_card

    checked = load_card(file)
    click.echo(checked.to_yaml() if show else f"{file}: a valid card")


@main.command()
@click.argument("file")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def info(file: str, as_json: bool) -> None:
    """Say what is in a file: format, events, sum of weights, cross-section, columns.

    \b
    Example: hepaa info events.lhe.gz
    """
    from hepaa import io

    found = io.probe(file)
    if as_json:
        click.echo(json.dumps(found, indent=2, default=str))
        return
    for line in _lines(found):
        click.echo(line)


def _lines(found: dict[str, Any], indent: str = "") -> Iterator[str]:
    """Keys beside values; what is inside a value stands below it."""
    width = max((len(str(key)) for key in found), default=0)
    for key, value in found.items():
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


@main.command()
@click.argument("source")
@click.argument("target", type=click.Path(path_type=Path))
@click.option("--weight", help="Named weight to take as the nominal one.")
@click.option("--schema", help="Branch mapping of ROOT and feature files: a name or a YAML file.")
@click.option("--keep-partial", is_flag=True, help="Keep the events before a break in the source.")
def convert(source: str, target: Path, weight: str | None, schema: str | None, keep_partial: bool) -> None:
    """Write the events of a file in another format: .lhe, .lhe.gz, .root, .parquet, .h5 (LHCO).

    \b
    Example: hepaa convert events.lhe.gz events.root
    """
    from hepaa.io.convert import convert as write

    n = write(source, target, weight=weight, schema=schema, keep_partial=keep_partial)
    click.echo(f"{target}: {n} events")


@main.command()
@click.argument("files", nargs=-1)
@click.option("--list", "show", is_flag=True, help="List the feature sets with their columns and units.")
@click.option("--set", "feature_set", help="Name of the feature set.")
@click.option("--output", "-o", type=_TABLE, help="Parquet file to write.")
@click.option("--process", default="unknown", show_default=True)
@click.option("--generator", default="unknown", show_default=True)
@click.option("--role", type=click.Choice(["background", "signal", "data"]), default="background", show_default=True)
@click.option("--select", "selection", help="Cut on columns, such as 'mZH > 300'.")
@click.option("--schema", help="Branch mapping of ROOT and feature files: a name or a YAML file.")
def features(
    files: tuple[str, ...],
    show: bool,
    feature_set: str | None,
    output: Path | None,
    process: str,
    generator: str,
    role: Any,
    selection: str | None,
    schema: str | None,
) -> None:
    """Compute features of events into a Parquet table.

    \b
    Example: hepaa features sm.lhe.gz --set zh-paper --process ZH --output sm.parquet
             hepaa features --list
    """
    from hepaa import io
    from hepaa.features.registry import features as compute
    from hepaa.samples import Sample

    if show:
        _list_feature_sets()
        return
    if not files or feature_set is None or output is None:
        raise InputError("give files, --set and --output, or --list to see the feature sets")
    chunks = io.iterate(list(files), schema=schema, sample=Sample(process, role, generator))
    table = compute(chunks, feature_set)
    if selection:
        from hepaa.features.selection import select

        table = select(table, selection)
    table.save(output)
    for row in table.cutflow:
        click.echo(f"{row.step:<40} {row.n:>10}  sum of weights {row.sum_weights:.6g}")
    click.echo(f"{output}: {table.n} events, {len(table.columns)} features")


def _list_feature_sets() -> None:
    from hepaa.features.registry import feature_sets

    for name, found in feature_sets().items():
        click.echo(f"{name}: from {' or '.join(found.inputs)}")
        for kind, columns in (("features", found.columns), ("spectators", found.spectators)):
            if columns:
                click.echo(f"  {kind}: " + ", ".join(f"{c.name} [{c.unit}]" if c.unit else c.name for c in columns))


@main.command()
@click.argument("table", type=_TABLE)
@click.option("--fraction", "fractions", multiple=True, required=True, help="NAME=SHARE; give one for each part.")
@click.option("--output", "-o", type=click.Path(path_type=Path), required=True, help="Folder for NAME.parquet.")
@click.option("--salt", default="", help="Another word gives another split.")
def split(table: Path, fractions: tuple[str, ...], output: Path, salt: str) -> None:
    """Split a table into disjoint parts, each weighted to the full yield.

    \b
    Example: hepaa split all.parquet --fraction train=0.6 --fraction test=0.4 --output parts
    """
    from hepaa.samples import split as divide

    parts = divide(_load([table]), {k: _number(k, v) for k, v in _options(fractions).items()}, salt=salt)
    output.mkdir(parents=True, exist_ok=True)
    for name, part in parts.items():
        part.save(output / f"{name}.parquet")
        click.echo(f"{output / name}.parquet: {part.n} events")


@main.command()
@click.argument("tables", nargs=-1, type=_TABLE, required=True)
@click.option("--detector", "name", required=True, help="A preset, such as aa-zh, or a class, such as VAE.")
@click.option("--option", "options", multiple=True, help="NAME=VALUE, of the detector; may be given often.")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--output", "-o", type=_TABLE, required=True, help="Model to write, .safetensors.")
def train(tables: tuple[Path, ...], name: str, options: tuple[str, ...], seed: int, output: Path) -> None:
    """Train a detector on the background of tables, and on their labelled anomalies where it uses them.

    \b
    Example: hepaa train parts/train.parquet --detector aa-zh --option epochs=20 --output aa.safetensors
    """
    from hepaa.detectors import detector

    model = detector(name, **{"seed": seed} | _options(options)).fit(_load(tables))
    model.save(output)
    click.echo(f"{output}: {name}, trained on {', '.join(map(str, tables))}")


@main.command()
@click.argument("model", type=_TABLE)
@click.argument("table", type=_TABLE)
@click.option("--name", help="The scores become the column score_NAME.  [default: name of the model's file]")
@click.option("--output", "-o", type=_TABLE, required=True, help="Parquet file to write; .root writes a TTree.")
def score(model: Path, table: Path, name: str | None, output: Path) -> None:
    """Score the events of a table with a trained detector.

    \b
    Example: hepaa score aa.safetensors parts/test.parquet --output scored.parquet
    """
    from hepaa.detectors import load_detector
    from hepaa.io.outputs import write_scores_root
    from hepaa.pipeline import score as scored

    found = scored({name or model.stem: load_detector(model)}, _load([table]))
    if output.suffix == ".root":
        write_scores_root(found, output)
    else:
        found.save(output)
    click.echo(f"{output}: {found.n} events, column score_{name or model.stem}")


@main.command()
@click.argument("scored", type=_TABLE)
@click.option("--validation", type=_TABLE, required=True, help="Scored table of other events, to choose the bins on.")
@click.option("--score", "name", required=True, help="NAME of the column score_NAME.")
@click.option("--luminosity-fb", type=float, required=True, help="For the label; weights are taken as they are.")
@click.option("--sqrt-s-tev", type=float, default=13.0, show_default=True)
@click.option("--background-uncertainty", type=float, default=0.1, show_default=True, help="Relative.")
@click.option("--bins", type=int, default=10, show_default=True, help="Bins at most.")
@click.option("--output", "-o", type=click.Path(path_type=Path), required=True, help="Folder for the results.")
def hist(
    scored: Path,
    validation: Path,
    name: str,
    luminosity_fb: float,
    sqrt_s_tev: float,
    background_uncertainty: float,
    bins: int,
    output: Path,
) -> None:
    """Histogram a score and say what the signal in it is worth.

    \b
    Example: hepaa hist test.parquet --validation val.parquet --score AA --luminosity-fb 300 --output hist
    """
    from hepaa.card import HistogramCard
    from hepaa.pipeline import histogram
    from hepaa.plots import Look

    numbers = histogram(
        name,
        _load([validation]),
        _load([scored]),
        HistogramCard(bins=bins),
        output,
        background_uncertainty=background_uncertainty,
        look=Look(luminosity=luminosity_fb, sqrt_s=sqrt_s_tev),
    )
    for line in _table_of({"detectors": {name: numbers}}):
        click.echo(line)
    click.echo(f"results: {output}")


def _load(paths: Sequence[Path]) -> EventTable:
    from hepaa.table import EventTable, concatenate

    return concatenate([EventTable.load(path) for path in paths])


def _options(pairs: Sequence[str]) -> dict[str, Any]:
    """NAME=VALUE words as a mapping; values are read as YAML, so that 3 is a number and [16, 8] a list."""
    import yaml

    found = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            raise InputError(f"{pair!r} is not NAME=VALUE")
        try:
            found[name] = yaml.safe_load(value)
        except yaml.YAMLError:
            raise InputError(f"{pair!r}: the value cannot be read") from None
    return found


def _number(name: str, value: Any) -> float:
    if not isinstance(value, (int, float)):
        raise InputError(f"{name}={value}: give a number")
    return float(value)


if __name__ == "__main__":
    sys.exit(main())
