"""Messages of errors: short enough to be read, whatever they quote."""

import pickle

import pytest

from hepaa.errors import InputError, NotFittedError, TruncatedInputError


@pytest.mark.parametrize("error", [InputError, NotFittedError])
def test_a_long_message_keeps_its_ends(error):
    message = "card.yaml: seed: a whole number, not " + "9" * 5000 + " (2 more)"
    shown = str(error(message))
    assert len(shown) < 1500
    assert shown.startswith("card.yaml: seed")
    assert shown.endswith("(2 more)")
    assert "characters left out" in shown
    assert str(error("short")) == "short"


def test_an_error_survives_the_way_between_processes():
    error = TruncatedInputError("x.lhe ends " + "early " * 1000, path="x.lhe", good_events=3, byte=17)
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.path, again.good_events, again.byte) == (str(error), "x.lhe", 3, 17)
