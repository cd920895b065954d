"""Commands from tables to numbers: train, score, hist, compare."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from hepaa.cli.batch import BatchOptions, batch_options, say_missing
from hepaa.cli.common import FILE, aligned, load, split_pairs, table_of, words

if TYPE_CHECKING:
    from pathlib import Path

    from hepaa.report.compare import Line


@click.command()
@click.argument("tables", nargs=-1, type=FILE, required=True)
@click.option("--detector", "name", required=True, help="A preset, such as aa-zh, or a class, such as VAE.")
@click.option("--option", "options", multiple=True, help="NAME=VALUE, of the detector; may be given often.")
@click.option("--inputs", help="Columns to train on, separated by commas.  [default: all features of the tables]")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--output", "-o", type=FILE, required=True, help="Model to write, .safetensors.")
def train(
    tables: tuple[Path, ...], name: str, options: tuple[str, ...], inputs: str | None, seed: int, output: Path
) -> None:
    """Train a detector on the background of tables, and on their labelled anomalies where it uses them.

    Tables are Parquet of `hepaa features`, or CSV, HDF5, npz and npy files with one row an event.

    Several processes share the work: torchrun --nproc-per-node=2 -m hepaa train ...

    \b
    Example: hepaa train parts/train.parquet --detector aa-zh --option epochs=20 --output aa.safetensors
             hepaa train mine.csv --detector VAE --inputs mjj,mj1,tau21j1 --output vae.safetensors
    """
    from hepaa.io.files import refuse_input_as_output
    from hepaa.models.presets import detector
    from hepaa.models.processes import is_first

    refuse_input_as_output(output, tables)
    model = detector(name, **{"seed": seed} | words(options))
    model.check()
    model.check_output(output)
    columns = inputs.split(",") if inputs else None
    table = load(tables, columns)
    model.fit(table if columns is None else table.select(columns)).save(output)
    if is_first():
        click.echo(f"{output}: {name}, trained on {', '.join(map(str, tables))}")


@click.command()
@click.argument("model", type=FILE)
@click.argument("table", type=FILE)
@click.option("--name", help="The scores become the column score_NAME.  [default: name of the model's file]")
@click.option("--validation", type=FILE, help="Table of other events, whose background says which data stay blind.")
@click.option("--unblind", is_flag=True, help="Write the scores of all data, where the table has some.")
@click.option("--output", "-o", type=FILE, required=True, help="Parquet file to write; .root writes a TTree.")
@batch_options
def score(
    model: Path,
    table: Path,
    name: str | None,
    validation: Path | None,
    unblind: bool,
    output: Path,
    batch: BatchOptions,
) -> None:
    """Score the events of a table, in batches also of a folder of parts, with a trained detector.

    The table is Parquet, or a CSV, HDF5, npz or npy file with one row an event.

    Data, where the table has some, are blind: their scores are NaN where the highest 10 % of the background of
    --validation lie, until --unblind. `hepaa hist` with the same events as validation shows the others.

    \b
    Example: hepaa score aa.safetensors parts/test.parquet --output scored.parquet
             hepaa score aa.safetensors data.parquet --validation parts/validation.parquet --output blind.parquet
    """
    from hepaa.batch.tasks.score import inputs_of
    from hepaa.detectors import load_detector
    from hepaa.io.files import refuse_input_as_output
    from hepaa.run import blinding
    from hepaa.run.pipeline import score as scored

    label, inputs = name or model.stem, [model, model.with_suffix(".json"), table]
    refuse_input_as_output(output, inputs if validation is None else [*inputs, validation])
    detector = load_detector(model)
    cuts: dict[str, float | None] | None = {label: None} if unblind else None
    if validation is not None and not unblind:
        others = scored({label: detector}, load([validation], inputs_of(detector)))
        cuts = {label: blinding.cut(f"score_{label}", others)}
    if batch.executor is not None:
        from hepaa.batch.runs import refuse_rows_output, save_rows, tables_in
        from hepaa.batch.runs import score as score_in_batches

        refuse_rows_output(output, [model, table])
        done = score_in_batches({label: model}, tables_in(table), batch.batch(output), cuts=cuts)
        click.echo(f"{output}: {save_rows(done, output)} events, column score_{label}")
        say_missing(done)
        return
    events = load([table], inputs_of(detector))
    if cuts is None:
        blinding.refuse_unasked(events)
    scored_table = blinding.hide(scored({label: detector}, events), cuts or {})
    scored_table.save(output)
    click.echo(f"{output}: {scored_table.n} events, column score_{label}")


@click.command()
@click.argument("scored", type=FILE)
@click.option("--validation", type=FILE, required=True, help="Scored table of other events, to choose the bins on.")
@click.option("--score", "name", required=True, help="NAME of the column score_NAME.")
@click.option("--luminosity-fb", type=float, required=True, help="Luminosity that the weights stand for.")
@click.option("--sqrt-s-tev", type=float, default=13.0, show_default=True)
@click.option("--background-uncertainty", type=float, default=0.1, show_default=True, help="Relative.")
@click.option("--bins", type=int, default=10, show_default=True, help="Bins at most.")
@click.option(
    "--process-label",
    "labels",
    multiple=True,
    help="PROCESS=TEXT: what the figure calls a process, as text or mathtext; may be given often.",
)
@click.option("--unblind", is_flag=True, help="Look at all data, where the table has some; recorded in the results.")
@click.option("--output", "-o", type=FILE, required=True, help="Folder for the results; an earlier one is replaced.")
@batch_options
def hist(
    scored: Path,
    validation: Path,
    name: str,
    luminosity_fb: float,
    sqrt_s_tev: float,
    background_uncertainty: float,
    bins: int,
    labels: tuple[str, ...],
    unblind: bool,
    output: Path,
    batch: BatchOptions,
) -> None:
    """Histogram a score and print the expected significance of its signal. SCORED is a table or a folder of parts.

    Data, where the table has some, are blind in bins that reach into the highest 10 % of the background, and have no
    p-value, until --unblind.

    Batches (--executor) take any number of events; AUC, signal efficiencies and SIC need all scores in order and are
    null in their results.

    \b
    Example: hepaa hist test.parquet --validation val.parquet --score AA --luminosity-fb 300 --output hist
             hepaa hist test.parquet --validation val.parquet --score AA --luminosity-fb 300 --output hist \\
               --process-label 'O_HW=$O_{HW}$'
    """
    from hepaa.batch.runs import histogram as histogram_in_batches
    from hepaa.batch.runs import tables_in
    from hepaa.card import HistogramCard, ScoreRules, SignificanceCard
    from hepaa.io.folders import new_folder
    from hepaa.run.blinding import record
    from hepaa.run.one_score import histogram

    rules = ScoreRules(
        histogram=HistogramCard(bins=bins),
        significance=SignificanceCard(background_uncertainty=background_uncertainty),
        luminosity_fb=luminosity_fb,
        sqrt_s_tev=sqrt_s_tev,
        unblind=unblind,
        process_labels=split_pairs(labels),
    )
    looked = record(rules, output, unblind=unblind)
    tables = tables_in(scored)
    with new_folder(output, overwrite=True, inputs=[scored, validation]) as folder:
        if batch.executor is not None:
            numbers = histogram_in_batches(
                name, load([validation]), tables, rules, folder, batch.batch(output), record=looked
            )
        else:
            numbers = histogram(name, load([validation]), load(tables), rules, folder, record=looked)
    click.echo("\n".join(table_of({"detectors": {name: numbers}})))
    if numbers["missing"]:
        click.echo(f"hepaa: {len(numbers['missing'])} shards are missing from this result, as allowed", err=True)
    click.echo(f"results: {output}")


@click.command()
@click.argument("runs", nargs=-1, type=FILE, required=True)
@click.option("--json", "as_json", is_flag=True, help="As JSON, with the value of each run.")
def compare(runs: tuple[Path, ...], as_json: bool) -> None:
    """Put runs side by side; those of one card with several seeds become a mean and its spread.

    \b
    Example: hepaa compare zh-seed0 zh-seed1 zh-seed2 zh-seed3 zh-seed4
    """
    import json
    from dataclasses import asdict

    from hepaa.report.compare import OBSERVED, QUANTITIES
    from hepaa.report.compare import compare as lines_of

    lines = lines_of(runs)
    if as_json:
        click.echo(json.dumps([asdict(line) for line in lines], indent=1))
        return
    shown = [q for q in QUANTITIES if any(q in line.values for line in lines)]
    shown += [OBSERVED] if any(OBSERVED in line.values or not line.signal for line in lines) else []
    rows = [["card", "detector", "signal", *shown]]
    rows += [[line.card, line.detector, line.signal or "-", *(_spread(line, q) for q in shown)] for line in lines]
    click.echo("\n".join(aligned(rows)))


def _spread(line: Line, quantity: str) -> str:
    if quantity not in line.values:
        return "blind" if quantity == "Z observed" else "-"
    statistics = line.mean(quantity)
    if statistics is None:
        return "too few events"
    mean, spread, n = statistics
    return f"{mean:.4f} (1 run)" if n == 1 else f"{mean:.4f} +- {spread:.4f} ({n} runs)"
