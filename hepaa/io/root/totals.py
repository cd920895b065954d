"""What a file of the experiments says of all events that were generated, before anything was skimmed away.

NanoAOD keeps a row a run in the tree `Runs` (names with a trailing `_` in versions 5 and 6). DAOD_PHYSLITE keeps
cutbookkeepers in the tree `MetaData`: of those named AllExecutedEvents the last cycle of the stream of the AOD (of
EVGEN, for truth derivations) counts, as in the ATLAS analysis tutorial. Delphes writes every event, and no totals.
"""

from __future__ import annotations

from typing import Any

import numpy as np

_RUNS = ("genEventSumw", "genEventCount")
_BOOKS = "CutBookkeepersAux."
_STREAMS = ("StreamAOD", "StreamEVGEN")


def generated(file: Any, *, weighted: bool) -> dict[str, float]:
    """The entries "generated_sum_weights" and "generated_events" of a header; none where the file does not say.

    Parameters
    ----------
    file : uproot file
    weighted : bool
        The events have the generator's weights; if each has a weight of 1, the sum is the number of events.
    """
    totals = _of_runs(file) or _of_bookkeepers(file)
    if totals is None or (not weighted and totals[1] is None):
        return {}
    weights, events = totals
    stated = {} if events is None else {"generated_events": events}
    return {"generated_sum_weights": weights if weighted or events is None else events, **stated}


def _of_runs(file: Any) -> tuple[float, float | None] | None:
    if "Runs" not in file:
        return None
    runs = file["Runs"]
    names = set(map(str, runs.keys()))
    sums = [
        next((float(np.sum(runs[b].array(library="np"))) for b in (name, f"{name}_") if b in names), None)
        for name in _RUNS
    ]
    return None if sums[0] is None else (sums[0], sums[1])


def _of_bookkeepers(file: Any) -> tuple[float, float] | None:
    if "MetaData" not in file or f"{_BOOKS}sumOfEventWeights" not in (books := file["MetaData"]):
        return None
    fields = ("name", "inputStream", "cycle", "sumOfEventWeights", "nAcceptedEvents")
    rows = zip(*(books[_BOOKS + f].array().tolist() for f in fields), strict=True)
    weights = events = 0.0
    for row in rows:
        entries = [e for e in zip(*row, strict=True) if e[0] == "AllExecutedEvents" and e[1] in _STREAMS]
        if not entries:
            return None
        # the AOD comes before EVGEN, then the last cycle
        _, _, _, weight, n = min(entries, key=lambda e: (_STREAMS.index(e[1]), -e[2]))
        weights, events = weights + weight, events + n
    return weights, events
