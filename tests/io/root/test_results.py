"""ROOT files of a run: no column and no histogram is lost because of its name."""

from __future__ import annotations

import numpy as np
import uproot

from hepaa.io.root.results import write_columns_root, write_histograms_root


def test_columns_and_histograms_whose_names_fall_together_are_all_there(tmp_path):
    columns = {"score_m<500": np.arange(3.0), "score_m>500": np.arange(3.0) + 1, "x": np.ones(3)}
    write_columns_root(columns, {"processes": ["a"]}, tmp_path / "t.root")
    with uproot.open(tmp_path / "t.root") as file:
        arrays = file["events"].arrays(library="np")
    assert {name: values[0] for name, values in arrays.items()} == {"score_m_500": 0, "score_m_500_2": 1, "x": 1}
    edges = np.array([0.0, 1.0])
    names = ["m<500/background_a b", "m<500/background_a-b", "m>500/background_a b", "plain", "a/b/c"]
    write_histograms_root({n: (np.array([float(i)]), edges) for i, n in enumerate(names)}, tmp_path / "h.root")
    with uproot.open(tmp_path / "h.root") as file:
        values = {k: file[k].values()[0] for k in file.keys(cycle=False, filter_classname="TH1*")}
    assert values == {
        "m_500/background_a_b": 0, "m_500/background_a_b_2": 1, "m_500_2/background_a_b": 2, "plain": 3, "a/b/c": 4,
    }  # fmt: skip
