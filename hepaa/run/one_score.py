"""Results of one score alone, for `hepaa hist`: from a scored table, or from counts of its events."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hepaa import plots
from hepaa.errors import InputError, nearest
from hepaa.io.files import file_name, write_json
from hepaa.io.root.results import write_histograms_root
from hepaa.run.results import evaluate, root_histograms
from hepaa.table.mixing import Tally

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from hepaa.card import ScoreRules
    from hepaa.run.results import DetectorResult
    from hepaa.table import EventTable


def histogram(
    name: str,
    validation: EventTable,
    test: EventTable,
    card: ScoreRules,
    output: Path,
    *,
    record: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The score of a table histogrammed and judged, as `write_histogram` writes it.

    Parameters
    ----------
    name : str
        The score is the column `score_NAME` of both tables.
    validation, test : EventTable
        Disjoint, each weighted to the full yield; the bins are chosen on the first.
    card : ScoreRules
    output : Path
        Folder.
    record : mapping, optional
        As of `hepaa.run.blinding.record`: goes into the results where there are data.
    """
    return write_histogram(evaluate(name, validation, test, card), Tally.of(test.weight), card, output, record=record)


def write_histogram(
    result: DetectorResult,
    tally: Tally,
    card: ScoreRules,
    output: Path,
    *,
    missing: Sequence[dict[str, Any]] = (),
    record: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Write `results.json`, `histograms.root` and the figure of one score into a folder.

    Parameters
    ----------
    tally : Tally
        Of the events in the histograms.
    missing : sequence of dict
        Shards that the result lacks, as was allowed.
    record : mapping, optional
        See `histogram`.

    Returns
    -------
    dict
        The content of `results.json`.

    Raises
    ------
    InputError
        If a process has a label and no histogram, or its label cannot be drawn.
    """
    drawn = [*result.histograms.backgrounds, *result.histograms.signals, "data"]
    for process, text in card.process_labels.items():
        if process not in drawn:
            raise InputError(f"the figure has no process {process!r} to label; {nearest(process, drawn)}")
        plots.refuse_unreadable(text)
    output.mkdir(parents=True, exist_ok=True)
    sums = {"events": tally.events, "sum_weights": tally.sum_weights, "sum_weights2": tally.sum_weights2}
    numbers = {"score": result.name, **sums, **result.to_dict(), "missing": list(missing)}
    if result.observed is not None:
        numbers |= dict(record or {})
    write_json(numbers, output / "results.json")
    write_histograms_root(root_histograms([result]), output / "histograms.root")
    figure = plots.score_histogram(
        result.histograms,
        systematic=card.significance.background_uncertainty,
        shifts=result.shifts,
        response=result.response,
        xlabel=f"{result.name} anomaly score",
        look=plots.Look(luminosity=card.luminosity_fb, sqrt_s=card.sqrt_s_tev, names=card.process_labels),
    )
    plots.save_figure(figure, output / f"score-{file_name(result.name)}")
    return numbers
