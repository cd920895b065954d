"""LHE files that hypothesis makes, and real ones with damage: the right values or an error, never anything else."""

from __future__ import annotations

import gzip

import hypothesis.strategies as st
import numpy as np
import pytest
from helpers.lhe import FIELDS, Plain, assert_same, number, read
from hypothesis import HealthCheck, given, settings

from hepaa import io
from hepaa.errors import InputError, TruncatedInputError

HEAD = "<LesHouchesEvents version='3.0'>\n<init>\n2212 2212 6500. 6500. 0 0 1 1 -4 1\n 2.0 0.1 1.0 7\n</init>\n"

# ---- files made up ----------------------------------------------------------------------------------------------

digits = st.text("0123456789", min_size=1, max_size=22)
mantissas = st.one_of(
    digits, digits.map(lambda d: d + "."), digits.map(lambda d: "." + d), st.builds("{}.{}".format, digits, digits)
)
exponents = st.one_of(
    st.just(""),
    st.builds("{}{}{}".format, st.sampled_from("eEdD"), st.sampled_from(["", "+", "-"]), st.integers(0, 340)),
    st.builds("{}{}".format, st.sampled_from("+-"), st.integers(100, 340)),
)
reals = st.one_of(
    st.builds("{}{}{}".format, st.sampled_from(["", "+", "-"]), mantissas, exponents),
    st.floats().map(repr),
    st.floats(-1e5, 1e5).map("{:+.10e}".format),
    st.sampled_from(["nan", "-inf", "NaN", "+Infinity"]),
)
integers = st.integers(-(2**63) + 1, 2**63 - 1).map(str) | st.integers(-600, 600).map("{:+d}".format)
spaces = st.sampled_from([" ", "  ", "\t", " \t ", " <!-- > --> "])
breaks = st.sampled_from(["\n", "\r\n", " \n\n", "\n# 1 2 3\n", "\n<!-- 4 5 -->\n", " # 6\n"])
names = st.lists(st.text("abcXYZ019_.:- ", min_size=1, max_size=8), unique=True, max_size=5)


@st.composite
def files(draw):
    """Text of a file, and the values in it."""
    plain, out, columns = Plain(), [HEAD], draw(names)
    for _ in range(draw(st.integers(0, 4))):
        count = draw(st.integers(0, 3))
        head = [draw(st.integers(-9, 10**6).map(str)), *(draw(reals) for _ in range(4))]
        rows = [[draw(integers if i < 6 else reals) for i in range(13)] for _ in range(count)]
        values = {name: draw(reals) for name in columns}
        plain.counts.append(count)
        plain.events.append([number(v) for v in head])
        plain.particles += [[int(v) for v in row[:6]] + [number(v) for v in row[6:]] for row in rows]
        plain.weights.append({k: number(v) for k, v in values.items()})
        lines = [draw(spaces).join(row) for row in [[str(count), *head], *rows]]
        out += [draw(st.sampled_from(["<event>", "<event a='>' >", "<event\n>"])), draw(breaks)]
        out += [line + draw(breaks) for line in lines]
        if columns:
            quote = draw(st.sampled_from("'\""))
            order = draw(st.permutations(columns)) if len(plain.counts) > 1 else columns
            tags = [f"<wgt id={quote}{k}{quote}>{draw(spaces)}{values[k]} </wgt>{draw(breaks)}" for k in order]
            out += ["<mgrwt> 1 <a/> </mgrwt>", "<rwgt>", draw(breaks), *tags, "</rwgt>", draw(breaks)]
        out += [draw(st.sampled_from(["</event>\n", "</event >", "</event>\n<!-- <event> -->\n# x\n"]))]
    return "".join([*out, "</LesHouchesEvents>", draw(st.sampled_from(["", "\n", "\n # 1 2\n"]))]), plain


def check_made_up(folder, file, block):
    content, plain = file
    path = folder / "x.lhe"
    path.write_text(content, newline="")
    for events in (io.open(path), joined(path, block)):
        assert_exact(events, plain)


def joined(path, block):
    pieces = list(io.iterate(path, step_size=block))
    columns = {name: np.concatenate([p.particles.layout.content.content(name).data for p in pieces]) for name in FIELDS}
    return {
        "counts": np.concatenate([np.diff(np.asarray(p.particles.layout.offsets)) for p in pieces]),
        "columns": columns,
        "weight": np.concatenate([p.weight for p in pieces]),
        "weights": {k: np.concatenate([p.weights[k] for p in pieces if p.n]) for k in pieces[-1].weights},
    }


def assert_exact(events, plain):
    if not isinstance(events, dict):
        layout = events.particles.layout
        events = {
            "counts": np.diff(np.asarray(layout.offsets)),
            "columns": {name: layout.content.content(name).data for name in FIELDS},
            "weight": events.weight,
            "weights": events.weights,
        }
    assert events["counts"].tolist() == plain.counts
    for i, name in enumerate(FIELDS):
        expected = np.array([row[i] for row in plain.particles], np.int64 if i < 6 else np.float64)
        assert expected.tobytes() == events["columns"][name].tobytes(), name
    assert np.array([e[1] for e in plain.events], float).tobytes() == events["weight"].tobytes()
    assert list(events["weights"]) == (list(plain.weights[0]) if plain.weights else [])
    for name, column in events["weights"].items():
        assert np.array([w[name] for w in plain.weights]).tobytes() == np.ascontiguousarray(column).tobytes()


common = {"deadline": None, "suppress_health_check": list(HealthCheck), "derandomize": True, "database": None}


@settings(max_examples=60, **common)
@given(file=files(), block=st.sampled_from([1, 100_000]))
def test_made_up_files(tmp_path_factory, file, block):
    check_made_up(tmp_path_factory.getbasetemp(), file, block)


@pytest.mark.slow
@settings(max_examples=1500, **(common | {"derandomize": False}))
@given(file=files(), block=st.sampled_from([1, 100_000]))
def test_many_made_up_files(tmp_path_factory, file, block):
    check_made_up(tmp_path_factory.getbasetemp(), file, block)


# ---- real files, damaged ----------------------------------------------------------------------------------------

REAL = {
    "lhe/madgraph-2.0.0-wbj.lhe": 6,
    "lhe/powheg-box-v2-W.lhe": 6,
    "lhe/sherpa-3.0.1-eejjj.lhe": 6,
    "zh/zh_sm_rwgt.lhe.gz": 6,
    "lhe/madgraph5-3.5.8-pp_to_jj.lhe.gz": 2,
}


def start_of(path, most):
    """A real file cut down to its first events."""
    raw = path.read_bytes()
    raw = gzip.decompress(raw) if path.suffix == ".gz" else raw
    at = 0
    for _ in range(most):
        at = raw.index(b"</event>", at) + 9
    return raw[:at] + b"</LesHouchesEvents>\n"


@pytest.fixture(scope="module")
def originals(data):
    return {name: (start_of(data / name, most), most) for name, most in REAL.items()}


def damage(rng, content):
    """One kind of damage to the events of a file; what the damage was."""
    first = content.index(b"</init>")
    at = int(rng.integers(first, len(content)))
    size = int(rng.integers(1, 200))
    match rng.choice(["flip", "byte", "remove", "repeat", "insert", "swap"]):
        case "flip":
            return content[:at] + bytes([content[at] ^ 1 << int(rng.integers(8))]) + content[at + 1 :]
        case "byte":
            choice = rng.choice(list(b"0 1-+.e<>/#\n'\"!&\0\xff"))
            return content[:at] + bytes([choice]) + content[at + 1 :]
        case "remove":
            return content[:at] + content[at + size :]
        case "repeat":
            return content[: at + size] + content[at:]
        case "insert":
            return content[:at] + rng.bytes(int(rng.integers(1, 20))) + content[at:]
        case _:
            a, b = sorted((at, int(rng.integers(first, len(content)))))
            one, other = content[a : a + size], content[b : b + size]
            return content[:a] + other + content[a + size : b] + one + content[b + size :]


def outcome(path):
    """The events of a file, or the error that it gives."""
    try:
        return io.open(path)
    except InputError as error:
        return error


def check_damaged(path, content, most, rng):
    broken = damage(rng, content)
    path.write_bytes(broken)
    result = outcome(path)
    if isinstance(result, TruncatedInputError):
        assert 0 <= result.good_events <= 2 * most
        assert 0 <= result.byte <= len(broken)
        if result.good_events:
            kept = io.open(path, keep_partial=True)
            assert kept.n == result.good_events
            assert kept.header["broken"] == str(result)
    if isinstance(result, InputError):
        return 0
    # What was read without complaint is what stands there, by the plain reader's lights; and nothing was skipped.
    plain = read(broken.decode("latin-1"))
    assert result.n == len(plain.counts)
    assert_same(result, plain)
    return 1


def check_cut(path, content, rng):
    content = content[: int(rng.integers(0, len(content)))]
    path.write_bytes(content)
    result, whole = outcome(path), content.count(b"</event>")
    if content.rstrip().endswith(b"</LesHouchesEvents>"):
        assert result.n == whole
        return
    assert isinstance(result, InputError)
    assert not isinstance(result, TruncatedInputError) or result.good_events == whole


def run(originals, folder, seed, rounds):
    rng = np.random.default_rng(seed)
    read_all = 0
    for content, most in originals.values():
        for _ in range(rounds):
            read_all += check_damaged(folder / "x.lhe", content, most, rng)
            check_cut(folder / "x.lhe", content, rng)
    return read_all


def test_damaged_files(originals, tmp_path):
    harmless = run(originals, tmp_path, seed=7, rounds=30)
    assert 0 < harmless < 5 * 30


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_many_damaged_files(originals, tmp_path, seed):
    run(originals, tmp_path, seed=100 + seed, rounds=100)


@pytest.mark.parametrize("seed", range(3))
def test_damaged_gzip(originals, tmp_path, seed):
    content, most = originals["zh/zh_sm_rwgt.lhe.gz"]
    packed, path = gzip.compress(content), tmp_path / "x.lhe.gz"
    rng = np.random.default_rng(seed)
    for _ in range(15):
        path.write_bytes(packed[: int(rng.integers(2, len(packed)))])
        with pytest.raises(InputError):
            io.open(path)
        at = int(rng.integers(10, len(packed)))
        path.write_bytes(packed[:at] + bytes([packed[at] ^ 1 << int(rng.integers(8))]) + packed[at + 1 :])
        with pytest.raises(InputError):
            io.open(path)
    path.write_bytes(packed)
    assert io.open(path).n == most
