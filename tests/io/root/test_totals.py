"""What ROOT files say of all events that were generated."""

from __future__ import annotations

from types import SimpleNamespace

import awkward as ak
import numpy as np
import uproot

from hepaa import io
from hepaa.io.root.totals import generated


def nano(path, *, runs, weight=None):
    with uproot.recreate(path) as file:
        file["Events"] = {"x": np.ones(4), **({} if weight is None else {"genWeight": np.full(4, weight)})}
        file["Runs"] = runs
    return io.probe(path, schema={"columns": {"x": "x"}, **({} if weight is None else {"weight": "genWeight"})})


def test_the_runs_of_nanoaod_are_added_up(tmp_path):
    runs = {"genEventSumw": np.array([30.0, 50.0]), "genEventCount": np.array([10, 25])}
    said = nano(tmp_path / "a.root", runs=runs, weight=2.0)
    assert (said["generated_sum_weights"], said["generated_events"]) == (80.0, 35.0)
    old = nano(tmp_path / "b.root", runs={f"{name}_": values for name, values in runs.items()}, weight=2.0)
    assert old["generated_sum_weights"] == 80.0
    assert "generated_sum_weights" not in nano(tmp_path / "data.root", runs={"run": np.array([1, 2])})
    # events without weights of the generator are counted
    assert nano(tmp_path / "c.root", runs=runs)["generated_sum_weights"] == 35.0


def test_the_last_cycle_of_all_executed_events_of_the_aod_counts():
    # uproot writes no branches of strings, so these are stand-ins for branches
    rows = [("AllExecutedEvents", "StreamAOD", 0, 8000.0, 400), ("AllExecutedEvents", "StreamEVGEN", 2, 1.0, 1),
            ("AllExecutedEvents", "StreamAOD", 1, 9000.0, 450), ("PHYSKernel", "StreamAOD", 3, 2.0, 2),
            ("AllExecutedEvents", "StreamDAOD_PHYS", 4, 3.0, 3)]  # fmt: skip
    fields = ("name", "inputStream", "cycle", "sumOfEventWeights", "nAcceptedEvents")
    books = {
        f"CutBookkeepersAux.{name}": SimpleNamespace(array=lambda values=column: ak.Array([values]))
        for name, column in zip(fields, zip(*rows, strict=True), strict=True)
    }
    assert generated({"MetaData": books}, weighted=True) == {"generated_sum_weights": 9000.0, "generated_events": 450.0}
    assert generated({"MetaData": books}, weighted=False)["generated_sum_weights"] == 450.0
    assert generated({"MetaData": {}}, weighted=True) == {}
