"""An LHE reader that is slow and plain: regular expressions and `float()`. The fast one has to agree with it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import numpy as np

ATTRIBUTES = """(?:[^<>'"]|'[^'<]*'|"[^"<]*")*"""
FIELDS = ("pdgid", "status", "mother1", "mother2", "color1", "color2", "px", "py", "pz", "e", "m", "lifetime", "spin")


@dataclass
class Plain:
    counts: list[int] = field(default_factory=list)
    events: list[list[float]] = field(default_factory=list)  # pid, weight, scale, aqed, aqcd
    particles: list[list[float]] = field(default_factory=list)
    weights: list[dict[str, float]] = field(default_factory=list)


def number(text: str) -> float:
    return float(re.sub("[dD]", "e", re.sub(r"(?<=[\d.])([+-]\d\d\d)$", r"e\1", text)))


def read(text: str) -> Plain:
    """All events of a text, comments and unknown elements left out."""
    plain = Plain()
    body = re.sub(r"<!--.*?-->", "", text[text.index("</init") :], flags=re.DOTALL)
    for event in re.findall(rf"<event(?=[\s>]){ATTRIBUTES}>(.*?)</event\s*>", body, re.DOTALL):
        lines = [re.sub("#.*", "", line).split() for line in re.split(r"[\n\r]", event.split("<")[0])]
        first, *rest = [line for line in lines if line]
        plain.counts.append(len(rest))
        plain.events.append([number(v) for v in first[1:]])
        plain.particles += [[number(v) for v in line] for line in rest]
        plain.weights.append(
            {i: number(v) for _, i, v in re.findall(r"<wgt\s+id\s*=\s*(['\"])(.*?)\1\s*>(.*?)</wgt", event, re.DOTALL)}
        )
    return plain


def assert_same(events, plain: Plain) -> None:
    """Every value of `events` is, bit for bit, that of `plain`."""
    particles = events.particles
    assert np.asarray(particles.layout.offsets).tolist() == [0, *np.cumsum(plain.counts).tolist()]
    table = np.array(plain.particles, dtype=float).reshape(-1, 13).T
    for i, name in enumerate(FIELDS):
        column = particles.layout.content.content(name).data
        assert column.dtype == (np.int64 if i < 6 else np.float64)
        np.testing.assert_array_equal(column, table[i], err_msg=name)
        assert np.array_equal(np.signbit(column[table[i] == 0]), np.signbit(table[i][table[i] == 0])) or i < 6
    head = np.array(plain.events, dtype=float).reshape(-1, 5).T
    for name, column in zip(("pid", "scale", "aqed", "aqcd"), head[[0, 2, 3, 4]], strict=True):
        np.testing.assert_array_equal(events.columns[name], column, err_msg=name)
    np.testing.assert_array_equal(events.weight, head[1])
    names = list(plain.weights[0]) if plain.weights else []
    assert list(events.weights) == names
    for name in names:
        np.testing.assert_array_equal(events.weights[name], [w[name] for w in plain.weights], err_msg=name)
