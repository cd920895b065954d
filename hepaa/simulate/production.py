"""Productions: blocks of simulated events in a batch, and the folder of files that they become."""

from __future__ import annotations

import math
import os
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hepaa import io
from hepaa._version import __version__
from hepaa.batch import merge
from hepaa.errors import InputError
from hepaa.io.files import write_json
from hepaa.io.folders import new_folder
from hepaa.io.lhco.write import write as write_pieces
from hepaa.simulate.pythia import PartonEvents
from hepaa.simulate.tasks import BlockTask, DetectedTask, PartonTask, parton_arrays, plan_blocks
from hepaa.simulate.weights import named_weights, parton_coefficients
from hepaa.simulate.writers import write_lhe
from hepaa.simulate.zh import Parameters

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from hepaa.batch.outcome import Outcome
    from hepaa.batch.runs import BatchSetup


@dataclass(frozen=True)
class CrossSection:
    """Cross-section of the events of several blocks, after selection.

    Attributes
    ----------
    kept : int
        Events that were written.
    tried, passed : int
        Events that were generated, and those of them that passed the selection; a few pass beyond those that a block
        needed.
    value_pb, error_pb : float
        The error is statistical.
    """

    kept: int
    tried: int
    passed: int
    value_pb: float
    error_pb: float

    @classmethod
    def of(cls, results: Sequence[dict[str, Any]]) -> CrossSection:
        """The mean of blocks, each weighted by the events that it tried: they are independent."""
        tried = sum(r["tried"] for r in results)
        value = math.fsum(r["tried"] * r["cross_section_pb"] for r in results) / tried
        error = math.sqrt(math.fsum((r["tried"] * r["error_pb"]) ** 2 for r in results)) / tried
        return cls(sum(r["kept"] for r in results), tried, sum(r["passed"] for r in results), value, error)


def produce(
    task: BlockTask, events: int, batch: BatchSetup, output: Path, *, overwrite: bool = False
) -> tuple[CrossSection, Path]:
    """Simulate the blocks that the store of a batch lacks, and write all of them into a new folder.

    Parameters
    ----------
    task : BlockTask
        Its folder is that of the batch.
    events : int
        To be kept.
    batch : BatchSetup
    output : Path
        Folder: `summary.json`, and what the task makes: `features.parquet` (the set `dijet`) and `events.h5` (LHCO),
        `zh.lhe.gz`, or one `events-00000.hepmc3.gz` a block.
    overwrite : bool
        Replace a folder of an earlier production.

    Returns
    -------
    CrossSection
    Path
        The folder.

    Raises
    ------
    InputError
        If the numbers of events make no sense, or the folder is there already.
    IncompleteError
        If blocks are missing: the same call goes on where it stopped.
    """
    if events < 1 or task.block < 1:
        raise InputError(f"{events} events in blocks of {task.block}: both have to be at least 1")
    outcome = batch.do(plan_blocks(task, events))
    receipts = outcome.of_task(0)
    if not receipts:
        raise InputError(f"{batch.folder}: no block is stored, so there is nothing to write")
    results = [receipt["result"] for _, receipt in receipts]
    total = CrossSection.of(results)
    summary = {
        "made_by": f"hepaa {__version__}", "task": {k: v for k, v in task.to_dict().items() if k != "folder"},
        "generator": "Pythia", "version": results[0]["version"], "blocks": len(results),
        "missing_blocks": len(outcome.missing),
        "kept": total.kept, "tried": total.tried, "passed": total.passed, "cross_section_pb": total.value_pb,
        "error_pb": total.error_pb,
        "events_cut_to_their_hardest_700_objects": sum(r.get("truncated", 0) for r in results),
        "cpu_seconds": round(math.fsum(r["cpu_seconds"] for r in results), 1),
    }  # fmt: skip
    with new_folder(output, overwrite=overwrite, inputs=[batch.folder]) as folder:
        _write(task, outcome, [key for key, _ in receipts], results, total, folder, summary)
        write_json(summary, folder / "summary.json")
    return total, output


def _write(
    task: BlockTask, outcome: Outcome, keys: Sequence[str], results: Sequence[dict[str, Any]], total: CrossSection,
    folder: Path, summary: dict[str, Any],
) -> None:  # fmt: skip
    if isinstance(task, DetectedTask):
        merge.table(outcome, 0).save(folder / "features.parquet")
        if task.raw:
            blocks = [str(task.file(key)) for key in keys]
            if len(blocks) == 1:
                shutil.copyfile(blocks[0], folder / "events.h5")
            else:
                write_pieces(io.iterate(blocks), folder / "events.h5", provenance=summary)
    elif isinstance(task, PartonTask):
        arrays, par = parton_arrays(task, keys), Parameters()
        facts = {**results[0]["provenance"], **summary}
        events = PartonEvents(**arrays, cross_section_pb=total.value_pb, error_pb=total.error_pb, provenance=facts)
        weights = named_weights(parton_coefficients(events, par), total.value_pb)
        write_lhe(folder / "zh.lhe.gz", events, provenance=facts, weights=weights, alpha_em=par.alpha)
    else:
        for number, key in enumerate(keys):
            _link(task.file(key), folder / f"events-{number:05d}{task.suffix}")


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # another filesystem, or one without links
        shutil.copyfile(source, target)
