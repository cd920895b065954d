"""One score alone: what its figure calls processes."""

from __future__ import annotations

import numpy as np
import pytest

from hepaa import plots
from hepaa.card import ScoreRules
from hepaa.errors import InputError
from hepaa.run.one_score import histogram
from hepaa.table import EventTable, concatenate


def scored(seed):
    """A scored table of background and signal."""
    rng = np.random.default_rng(seed)
    return concatenate(
        EventTable.build(
            rng.normal(size=(400, 1)), ["x"], label=label, process=process, event=np.arange(400),
            spectators={"score_d": rng.normal(2 * label, 1, 400)},
        )
        for label, process in ((0, "QCD"), (1, "X_1"))
    )  # fmt: skip


def test_the_figure_calls_processes_by_their_labels(tmp_path, monkeypatch):
    saved = []
    monkeypatch.setattr(plots, "save_figure", lambda figure, stem: saved.append(figure))
    labels = {"X_1": "$X_1$"}
    histogram("d", scored(0), scored(1), ScoreRules(luminosity_fb=1, process_labels=labels), tmp_path)
    words = [t.get_text() for t in saved[0].axes[0].get_legend().get_texts()]
    assert ("$X_1$" in words, "X_1" in words) == (True, False)


@pytest.mark.parametrize(
    ("labels", "message"), [({"X1": "X"}, "no process 'X1'.*'X_1'"), ({"X_1": "$\\frac$"}, "cannot be drawn")]
)
def test_a_label_of_nothing_or_that_cannot_be_drawn_is_refused(labels, message, tmp_path):
    with pytest.raises(InputError, match=message):
        histogram("d", scored(0), scored(1), ScoreRules(luminosity_fb=1, process_labels=labels), tmp_path)
