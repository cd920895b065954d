"""What would be counted wrongly in silence: labels, cross-sections, columns; and tables of no events."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from hepaa.detectors import Flow, SumOfSquares
from hepaa.errors import InputError
from hepaa.table import EventTable
from hepaa.table.mixing import Tally


def test_labels_are_background_signal_or_data():
    table = EventTable.build(np.ones((4, 1)), ["x"], label=[0.0, 1.0, -1.0, np.nan])
    assert table.label.tolist() == [0, 1, -1, -1]
    for wrong in (2, 0.5, 256, np.array([0, 3, 0, 0], np.int8)):  # 256 is 0 in 8 bits
        with pytest.raises(InputError, match=r"a label is (2|0.5|256|3); labels are"):
            EventTable.build(np.ones((4, 1)), ["x"], label=wrong)


def test_cross_sections_of_files_do_not_depend_on_their_order():
    near, far = [Tally.of([1.0], x) for x in (1.0, 1.05)], [Tally.of([1.0], x) for x in (10.0, 1.0, 5.0)]
    assert Tally.total(near).cross_section_pb == Tally.total(near[::-1]).cross_section_pb == 1.025
    for parts in (far, far[::-1], [Tally.total(far[:2]), far[2]]):
        total = Tally.total(parts)
        assert (total.cross_section_pb, total.other_cross_section_pb) == (1.0, 10.0)


def test_a_column_that_stands_twice_is_named():
    X = np.random.default_rng(0).normal(size=(50, 2))
    frame = pd.DataFrame(X, columns=["a", "b"])
    model = SumOfSquares().fit(frame)
    with pytest.raises(InputError, match="column 'b' stands twice"):
        model.anomaly_score(pd.concat([frame[["b"]] * 0, frame], axis=1))  # as merging frames makes it


def test_no_events_have_no_scores_and_one_feature_has_a_density():
    X = np.random.default_rng(0).normal(size=(200, 1))
    for model in (SumOfSquares(), Flow(epochs=1)):
        model.fit(EventTable.build(X, ["x"]))
        assert model.anomaly_score(EventTable.build(np.empty((0, 1)), ["x"])).shape == (0,)
        assert np.isfinite(model.anomaly_score(X)).all()
