"""Reals of every form, and events of every size: bit for bit what `float()` gives, and nothing that it refuses."""

from __future__ import annotations

from itertools import chain

import awkward as ak
import numpy as np
import pytest

from hepaa import io
from hepaa.errors import TruncatedInputError

HEAD = "<LesHouchesEvents>\n<init>\n2212 2212 6500. 6500. 0 0 1 1 -4 1\n 2.0 0.1 1.0 7\n</init>\n"
REALS = ("px", "py", "pz", "e", "m", "lifetime", "spin")


def event(rows, weights=()):
    lines = "".join(f"       11  1    1    2  501    0 {' '.join(row)}\n" for row in rows)
    named = "".join(f"<wgt id='{k}'> {w} </wgt>\n" for k, w in enumerate(weights))
    rwgt = f"<rwgt>\n{named}</rwgt>\n" if weights else ""
    return f"<event>\n {len(rows)} 7 1.5 91.2 0.0078 0.118\n{lines}{rwgt}</event>\n"


def write(path, *events):
    path.write_text(HEAD + "".join(events) + "</LesHouchesEvents>\n")
    return path


def bits(values):
    return np.asarray(values, np.float64).view(np.int64).tolist()


def printed(rng, decimals, mark):
    value = 10.0 ** rng.uniform(-3, 4) if rng.random() < 0.8 else 10.0 ** rng.uniform(-99, 99)
    text = f"{value * rng.choice([-1, 1]):{rng.choice(['', '+'])}.{decimals}{mark}}"
    return f"{rng.choice(['', '-'])}{0:.{decimals}{mark}}" if rng.random() < 0.1 else text


@pytest.mark.parametrize("steady", [True, False])
def test_all_numbers_of_decimals(tmp_path, steady):
    # One form a column, as programs print; or another one in every place.
    rng = np.random.default_rng(11)
    events, reals, named = [], [], []
    for k in range(260):
        some = [(k // 20 + i) % 13 if steady else rng.integers(0, 20) for i in range(12)]
        mark = "eE"[k % 2]
        rows = [[printed(rng, d, mark) for d in some[:7]] for _ in range(6)]
        weights = [printed(rng, some[7 if steady else 7 + i], mark) for i in range(5)]
        events.append(event(rows, weights))
        reals += [[float(token) for token in row] for row in rows]
        named.append([float(w) for w in weights])
    read = io.open(write(tmp_path / "x.lhe", *events))
    for i, name in enumerate(REALS):
        assert bits(ak.ravel(read.particles[name])) == bits([row[i] for row in reals])
    for i in range(5):
        assert bits(read.weights[str(i)]) == bits([row[i] for row in named])


@pytest.mark.parametrize("like", ["1.2345678901e+02", "1.23456789e-02", "1.234567e+02", "1.2345e+00"])
@pytest.mark.parametrize("sign", ["", "-"])
def test_what_is_almost_a_number(tmp_path, like, sign):
    # Each character in turn made another one that is near it: Python's float() decides.
    for place in range(len(like)):
        for other in "/:.-)eEdDx \x0f\xb0\t<":
            token = sign + like[:place] + other + like[place + 1 :]
            rows = [[sign + like] * 7, [sign + like] * 3 + [token] + [sign + like] * 3]
            path = tmp_path / "x.lhe"
            path.write_bytes((HEAD + event(rows) + "</LesHouchesEvents>\n").encode("latin-1"))
            try:
                value = float(token.replace("d", "e").replace("D", "e")) if token.isascii() else None
            except ValueError:
                value = None
            if value is None:
                with pytest.raises(TruncatedInputError):
                    io.open(path)
            else:
                assert bits(io.open(path).particles.e[0]) == bits([float(like) * (-1 if sign == "-" else 1), value])


def test_arrays_grow_with_what_is_read(tmp_path):
    # Few particles first, then many: the room that the first events suggest is too small, more than once.
    row = ["+1.2345678901e+02"] * 7
    sizes = [0] * 1500 + [1] * 700 + [400] * 90 + [3] * 10
    path = write(tmp_path / "x.lhe", *(event([row] * n, ["+2.5000000e+00"] * 3) for n in sizes))
    whole = io.open(path)
    assert np.diff(whole.particles.layout.offsets.data).tolist() == sizes
    assert set(ak.ravel(whole.particles.px).tolist()) == {123.45678901}
    assert set(whole.weights["2"].tolist()) == {2.5}
    pieces = list(io.iterate(path, step_size=100_000))
    assert len(pieces) > 20
    assert list(chain.from_iterable(p.particles.px.tolist() for p in pieces)) == whole.particles.px.tolist()
    assert np.concatenate([p.index for p in pieces]).tolist() == list(range(len(sizes)))
    assert np.concatenate([p.weights["1"] for p in pieces]).tolist() == [2.5] * len(sizes)


def test_pieces_are_not_overwritten(tmp_path):
    rows = [[[f"{k + i / 10:.10e}"] * 7 for i in range(4)] for k in range(3000)]
    path = write(tmp_path / "x.lhe", *map(event, rows))
    expected = [[float(row[0]) for row in event_rows] for event_rows in rows]
    pieces = list(io.iterate(path, step_size=200_000))
    assert len(pieces) > 4
    assert list(chain.from_iterable(p.particles.m.tolist() for p in pieces)) == expected
