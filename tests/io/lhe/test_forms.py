"""What LHE files may look like, and what is no LHE file: small texts made here, with known values."""

from __future__ import annotations

import re

import numpy as np
import pytest

from hepaa import io
from hepaa.errors import InputError, TruncatedInputError
from hepaa.io.lhe import loop as lhe_reader
from hepaa.io.lhe import read as lhe

INIT = "<init>\n2212 2212 6500. 6500. 0 0 1 1 -4 1\n 2.0 0.1 1.0 7\n</init>\n"
PARTICLE = " 11 -1 0 0 501 0 0. 0. {z} {z} 0. 0. 9.\n"
EVENT = "<event>\n 1 7 {w} 91.2 0.0078 0.118\n" + PARTICLE + "{more}</event>\n"
END = "</LesHouchesEvents>\n"


def event(weight="1.5", z="10.25", more=""):
    return EVENT.format(w=weight, z=z, more=more)


def weights(**values):
    return "<rwgt>\n" + "".join(f"<wgt id='{k}'> {v} </wgt>\n" for k, v in values.items()) + "</rwgt>\n"


def text(*events, header="", init=INIT, end=END):
    return f'<LesHouchesEvents version="3.0">\n{header}{init}{"".join(events)}{end}'


@pytest.fixture
def save(tmp_path):
    def write(content):
        path = tmp_path / "x.lhe"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


@pytest.fixture
def read(save):
    return lambda content, **options: io.open(save(content), **options)


@pytest.fixture
def fails(save):
    def check(content, message, good=None, kind=None):
        path = save(content)
        with pytest.raises(InputError, match=message) as caught:
            io.open(path)
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)
        if kind is not InputError:
            assert isinstance(caught.value, TruncatedInputError)
            assert (caught.value.path, caught.value.good_events) == (str(path), good)
            assert f"event {good} (byte {caught.value.byte})" in str(caught.value)
        return caught.value

    return check


# ---- forms that real files take ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("token", "value"),
    [
        ("1", 1.0), ("+1.5", 1.5), ("-.5", -0.5), ("5.", 5.0), ("1e3", 1000.0), ("1.5D+01", 15.0), ("2d-3", 0.002),
        ("1.25-101", 1.25e-101), ("3.5+120", 3.5e120), ("nan", np.nan), ("NaN", np.nan), ("-inf", -np.inf),
        ("Infinity", np.inf), ("1e400", np.inf), ("4.9e-324", 5e-324), ("-0.0", -0.0), ("0e999", 0.0),
        ("123456789012345678901234567890", 123456789012345678901234567890.0), ("1e-400", 0.0),
        ("0.1234567890123456789", 0.1234567890123456789), ("2.2250738585072011e-308", 2.2250738585072011e-308),
        ("9007199254740993", 9007199254740992.0), ("9007199254740993.00000000000000000000001", 9007199254740994.0),
    ],
)  # fmt: skip
def test_numbers(read, token, value):
    more = weights(a=token)
    events = read(text(event(token, token, more)))
    for values in (events.weight, events.weights["a"], events.particles.pz[0].to_numpy()):
        assert np.array(values).tobytes() == np.array([value]).tobytes() or (np.isnan(value) and np.isnan(values[0]))


@pytest.mark.parametrize(
    "token", ["1_0", "1.2.3", "--1", "1e", "e5", ".", "+", "0x10", "1.5-2", "****", "1,5", "1.5f", "na", "١"]
)
def test_what_is_no_number(fails, token):
    fails(text(event(), event(z=token)), "no number", good=1)
    fails(text(event(weight=token)), "no number", good=0)


def test_integers(read, fails):
    particle = " {} -1 0 0 501 0 0. 0. 1. 1. 0. 0. 9.\n"
    base = text(event())

    def with_id(token):
        return base.replace(PARTICLE.format(z="10.25"), particle.format(token))

    for token, value in (("+22", 22), ("-11.0", -11), ("1000822080", 1000822080), ("9223372036854775807", 2**63 - 1)):
        assert read(with_id(token)).particles.pdgid.tolist() == [[value]]
    for token in ("1.5", "9223372036854775808", "nan", "0x1"):
        fails(with_id(token), "no integer", good=0)


def test_numbers_of_every_length(read):
    # Eight digits are taken at once where there are so many: all counts on both sides of the point, and all signs.
    rng = np.random.default_rng(5)

    def digits(n):
        return "".join(map(str, rng.integers(10, size=n)))

    tokens = [
        f"{sign}{digits(before)}.{digits(after)}{exponent}"
        for before in range(12)
        for after in range(25)
        for sign, exponent in (("", "E-04"), ("-", ""), ("+", "d+003"))
        if before + after
    ]
    lines = [f" 11 -1 0 0 501 0 {t} 0. 1. {t} 0. 0. {t}\n" for t in tokens]
    head = f"<event>\n{len(lines)} 7 1.5 91.2 0.0078 0.118\n"
    named = weights(**{f"w{i}": t for i, t in enumerate(tokens)})
    events = read(text(f"{head}{''.join(lines)}{named}</event>\n" * 2))
    expected = np.array([float(t.replace("d", "e")) for t in tokens])
    for field in ("px", "e", "spin"):
        assert events.particles[field][1].to_numpy().tobytes() == expected.tobytes()
    assert np.array([column[1] for column in events.weights.values()]).tobytes() == expected.tobytes()


def test_integers_of_every_length_and_column_width(read):
    rng = np.random.default_rng(6)
    values = [[int(rng.integers(10 ** (n - 1), 10**n)) * s for s in (1, -1, 1, -1, 1, -1)] for n in range(1, 19)]
    for width in (0, 3, 9, 20, 27):
        lines = "".join("".join(f" {v:{width}d}" for v in row) + " 0. 0. 1. 1. 0. 0. 9.\n" for row in values)
        events = read(text(f"<event>\n{len(values)} 7 1.5 91.2 0.0078 0.118\n{lines}</event>\n"))
        names = lhe.PARTICLE_FIELDS[:6]
        assert np.transpose([events.particles[name][0].to_numpy() for name in names]).tolist() == values


@pytest.mark.parametrize("newline", ["\r\n", "\r", "\n\n", " \t\n\t "])
def test_line_ends_and_tabs(read, newline):
    content = (
        text(event(), event(weight="2.5", z="3"))
        .replace(" ", "\t ")
        .replace("<LesHouchesEvents\t ", "<LesHouchesEvents ")
    )
    events = read(content.replace("\n", newline).encode())
    assert events.weight.tolist() == [1.5, 2.5]
    assert events.particles.pz.tolist() == [[10.25], [3.0]]


def test_byte_order_mark_and_xml_declaration(read):
    assert read(b"\xef\xbb\xbf<?xml version='1.0'?>\n" + text(event()).encode()).n == 1


def test_comments_in_odd_places(read):
    odd = (
        "<!-- <event> -->\n# between\n<event npLO='1'>\n# first\n 2 7 1.5 91.2 0.0078 0.118 # behind\n#second\n"
        " 11 -1 0 0 <!-- in > a line --> 501 0 0. 0. 1. 1. 0. 0. 9. # and here\n\n#<!-- third 1 2 3 -->\n"
        "<!-- </event> <event> 1 2 3 -->\n -11 -1 0 0 501 0 0. 0. 2. 2. 0. 0. 9.<!-- x --># last\n"
        "#aMCatNLO 1 2 3\n<mgrwt><!-- y --><asrwt>0</asrwt> # 5 <x/> </mgrwt>\n"
        "<rwgt> <!-- z -->\n<wgt id='a'><!-- w -->7.5<!-- v --></wgt>\n<!-- u --> </rwgt></event  >\n"
    )
    events = read(text(odd, "<!-- -->\n<eventgroup nreal='1'>\n", event(more=weights(a=1)), "</eventgroup>\n"))
    assert events.particles.pz.tolist() == [[1.0, 2.0], [10.25]]
    assert events.weights["a"].tolist() == [7.5, 1.0]


def test_event_on_one_line(read):
    assert read(text("<event>0 7 1.5 91.2 0.0078 0.118</event><event>0 7 2 1 1 1</event>")).weight.tolist() == [1.5, 2]


def test_unruly_header(read):
    header = (
        "<!-- a run card: <init> and <event> -->\n<header>\n"
        "\x1b[31m if (a<b && c>d) <init> 5 <event> \x1b[0m\n<unclosed>\n"
        "<MGRunCard>\n 6500 = ebeam1 ! x < y & \xe4\n</MGRunCard>\n</header>\n"
    )
    events = read(text(event(), header=header).encode("latin-1"))
    assert events.weight.tolist() == [1.5]
    assert events.header["blocks"]["MGRunCard"] == "6500 = ebeam1 ! x < y & \xe4"
    assert events.header["comment"] == "a run card: <init> and <event>"


def test_weight_declarations(read):
    header = (
        "<header>\n<initrwgt>\n<weight id='lone'> alone </weight>\n<weightgroup type='t' combine=\"none\" extra='1'>\n"
        "<!-- <weight id='no'/> --><weight MUF='2.0' id='a&lt;b' > x &gt; y </weight>\n<weight id='c'/>\n"
        "</weightgroup>\n<weight id='d'></weight>\n</initrwgt></header>\n"
    )
    tags = "<rwgt>\n<wgt id='d'>1</wgt><wgt\n id = \"a&lt;b\" extra='>'>2</wgt>\n</rwgt>\n"
    events = read(text(event(more=tags), header=header))
    assert {k: v.tolist() for k, v in events.weights.items()} == {"d": [1.0], "a<b": [2.0]}
    assert events.header["weight_info"] == {
        "lone": {"group": None, "text": "alone", "attributes": {}},
        "a<b": {"group": "t", "text": "x > y", "attributes": {"MUF": "2.0"}},
        "c": {"group": "t", "text": "", "attributes": {}},
        "d": {"group": None, "text": "", "attributes": {}},
    }
    assert events.header["weight_groups"] == [
        {"name": "t", "combine": "none", "weights": ["a<b", "c"], "attributes": {"type": "t", "extra": "1"}}
    ]


def test_bare_weights_are_named_by_position(read, fails):
    header = "<header><initrwgt>\n<weight id='a'/><weight id='b'/>\n</initrwgt></header>\n"
    bare = "<weights> 3.5 \n NaN </weights>\n"
    events = read(text(event(more=bare), event(more=bare.replace("NaN", "4")), header=header))
    assert events.weights["a"].tolist() == [3.5, 3.5]
    assert events.weights["b"][1] == 4
    assert np.isnan(events.weights["b"][0])
    assert list(read(text(event(more=bare))).weights) == ["0", "1"]
    fails(text(event(more="<weights>1 2 3</weights>\n"), header=header), "more than the 2 numbers", good=0)


@pytest.mark.parametrize("bare", ["<weights>1 2</weights>\n", "<weights>nan 1e999</weights>\n"])
def test_a_named_weight_goes_before_a_bare_one(read, bare):
    header = "<header><initrwgt>\n<weight id='a'/><weight id='b'/>\n</initrwgt></header>\n"
    named = weights(a=10)
    for more in (bare + named, named + bare):
        events = read(text(event(more=more), header=header))
        assert events.weights["a"].tolist() == [10.0]
        assert events.weights["b"].tolist() == [np.inf if "e999" in bare else 2.0]
    assert sorted(events.weights) == ["a", "b"]


def test_weights_in_any_order(read):
    content = text(event(more=weights(a=1, b=2, c=3)), event(more=weights(c=6, a=4, b=5)))
    assert {k: v.tolist() for k, v in read(content).weights.items()} == {"a": [1, 4], "b": [2, 5], "c": [3, 6]}
    requoted = content.replace("'a'> 4", '"a" > 4')
    assert read(requoted).weights["a"].tolist() == [1, 4]


def test_no_events(read):
    events = read(text())
    assert events.n == 0
    assert events.particles.fields == list(lhe.PARTICLE_FIELDS)
    assert events.columns["scale"].shape == (0,)


def test_a_file_without_its_end_tag_is_cut(save, fails):
    fails(text(event(), end=""), "ends here without </LesHouchesEvents>; 1 good", good=1)
    fails(text(end=""), "ends here without </LesHouchesEvents>", good=0)
    fails(text(event(), end="\n# comment\n\n"), "ends here without </LesHouchesEvents>", good=1)
    banner = "<header>\n<MGGenerationInfo>\n#  Number of Events        :       2\n</MGGenerationInfo>\n</header>\n"
    fails(text(event(), header=banner, end=""), "its header says 2 events", good=1)
    kept = io.open(save(text(event(), event(), end="")), keep_partial=True)
    assert kept.n == 2
    assert not kept.header["complete"]
    assert "</LesHouchesEvents>" in kept.header["broken"]
    assert io.open(save(text(event()))).header["complete"]


@pytest.mark.parametrize("place", ["header", "init", "both", "two in the header"])
def test_declarations_of_weights_in_init_too(read, place):
    # LHEF.h of HepMC3 writes <initrwgt> into <init>; a file that was reweighted twice has two
    blocks = [f"<initrwgt>\n<weightgroup name='{g}'>\n<weight id='{i}'>x</weight>\n</weightgroup>\n</initrwgt>\n"
              for g, i in (("scale", "mu"), ("pdf", "a"))]  # fmt: skip
    inside = {"header": "", "init": "".join(blocks), "both": blocks[1], "two in the header": ""}[place]
    top = {"header": "".join(blocks), "init": "", "both": blocks[0], "two in the header": "".join(blocks)}[place]
    init = INIT.replace("</init", inside + "</init")
    for more in (weights(mu=1, a=2), "<weights>\n1.0 2.0\n</weights>\n"):
        events = read(text(event(more=more), header=f"<header>\n{top}</header>\n", init=init))
        assert {name: w.tolist() for name, w in events.weights.items()} == {"mu": [1.0], "a": [2.0]}
        assert [g["name"] for g in events.header["weight_groups"]] == ["scale", "pdf"]
        assert events.header["cross_section_pb"] == 2.0


def test_text_in_init(read):
    init = INIT.replace("</init", "<generator name='own' version='1'> words </generator>\nmade here, 3 times\n</init")
    events = read(text(event(), init=init))
    assert (events.n, events.header["cross_section_pb"], events.header["generator"]) == (1, 2.0, "own 1")


@pytest.mark.parametrize("dummy", ["0.", "-1.", "nan"])
def test_a_dummy_is_no_cross_section(read, dummy):
    header = read(text(event(), init=INIT.replace(" 2.0 0.1", f" {dummy} 0.1"))).header
    assert (header["cross_section_pb"], header["cross_section_error_pb"]) == (None, None)
    assert len(header["init"]["processes"]) == 1


def test_several_processes_and_text_behind_the_end(read):
    init = "<init> # beams\n2212 2212 6.5D3 6500. 0 0 1 1 3 2\n\n"
    init += " 2.0 0.3 1.0 7 # one\n<!-- x -->\n3.0 0.4 1.0 8\n</init>\n"
    events = read(text(event(), init=init, end=END + " #Random number generator exit values: 1 2 3\n"))
    assert events.header["cross_section_pb"] == 5.0
    assert events.header["cross_section_error_pb"] == pytest.approx(0.5)
    assert [p["procId"] for p in events.header["init"]["processes"]] == [7, 8]
    assert events.header["generator"] is None


# ---- bad input --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty"),
        (text(event(), init="<init>\n\n</init>\n"), "<init> is empty"),
        (text(event(), init=INIT.replace("6500. 6500.", "6500.")), "ten numbers"),
        (text(event(), init=INIT.replace("2212 2212", "2212 p")), "'p' is no number"),
        (text(event(), init=INIT.replace("0.1 1.0", "0.1")), "four numbers"),
        (text(event(), init=INIT.replace("-4 1", "-4 2")), "announces 2 processes and lists 1"),
        (text(event(), header="<header>\n<initrwgt>\n<weight id='a'/>\n</header>\n"), "<initrwgt> .* does not end"),
        (text(event(), header="<header>\n<initrwgt>\n<weight ID='a'/>\n</initrwgt></header>\n"), "has no id"),
    ],
)
def test_no_lhe_file(fails, content, message):
    fails(content, message, kind=InputError)


GOOD = event(more=weights(a=1, b=2))


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (GOOD.replace("\n 1 7", "\n 2 7"), "fewer particle lines"),
        (GOOD.replace("\n 1 7", "\n 0 7"), "more particle lines"),
        (GOOD.replace("\n 1 7", "\n 1.0 7"), "number of particles"),
        (GOOD.replace("\n 1 7", "\n -1 7"), "number of particles"),
        (GOOD.replace("\n 1 7", "\n 99999999999999999999 7"), "number of particles"),
        (GOOD.replace(" 0. 9.\n", " 0.\n"), "a line ends before"),
        (GOOD.replace(" 0. 9.\n", " 0. 9. 1\n"), "more numbers"),
        (GOOD.replace("91.2 ", "91.2 3 "), "more numbers"),
        (GOOD.replace("0.118\n", "\n"), "a line ends before"),
        ("<event>\n</event>\n", "it is empty"),
        ("<event/>\n", "out of place"),
        (GOOD.replace("<rwgt>", "<rwgu>"), "out of place"),
        (GOOD.replace("</rwgt>", "</rwgu>"), "out of place"),
        (GOOD.replace("</rwgt>", ""), "out of place"),
        (GOOD.replace("<rwgt>", ""), "out of place"),
        (GOOD.replace("<wgt id='b'> 2 </wgt>\n", ""), "lacks the weight 'b'"),
        (event(), "lacks the weight 'a'"),
        (GOOD.replace("'b'", "'c'"), "weight 'c' that the events before it lack"),
        (GOOD.replace("id='b'", "ib='b'"), "no id"),
        (GOOD.replace("id='b'", "id='b'x"), "not well-formed"),
        (GOOD.replace("id='b'", "id='b' id='c'"), "twice"),
        (GOOD.replace("id='b'", "id='b"), "out of place"),
        (GOOD.replace("</rwgt>", "<wgt id='a'> 3 </wgt></rwgt>"), "weight 'a' twice"),
        (GOOD.replace("> 2 <", "> <"), "a line ends before"),
        (GOOD.replace("> 2 <", "> 2 3 <"), "out of place"),
        (GOOD.replace("</event>", ""), "out of place"),
        (GOOD.replace("</event>\n", "</event <event>\n"), "out of place"),
        (GOOD.replace("<event>", "<evenu>"), "expected <event>"),
        (GOOD.replace("<event>", ""), "expected <event>"),
        (GOOD.replace("<event>", "<event\x0b>"), "expected <event>"),
        (GOOD.replace("</event>", "</event\x0b>"), "out of place"),
        ("text\n" + GOOD, "expected <event>"),
        (GOOD.replace("</rwgt>\n", "</rwgt>\nsome text\n"), "no comment"),
        (GOOD.replace("</rwgt>\n", "</rwgt></mgrwt>\n"), "out of place"),
        (GOOD.replace("</rwgt>\n", "</rwgt><mgrwt>\n"), "out of place"),
        (GOOD.replace("1.5", "1.5\0"), "no number"),
    ],
)
def test_broken_events(fails, save, broken, message):
    content = text(GOOD, GOOD, broken, GOOD)
    error = fails(content, message, good=2)
    start = content.index(GOOD) + 2 * len(GOOD)
    assert start <= error.byte <= start + len(broken) + len(GOOD)
    kept = io.open(save(content), keep_partial=True)
    assert kept.index.tolist() == [0, 1]
    assert kept.header["broken"] == str(error)
    pieces = []
    with pytest.raises(TruncatedInputError):
        pieces.extend(io.iterate(save(content)))


def test_iterate_gives_what_is_good_before_the_error(save):
    path = save(text(*[GOOD] * 1000, GOOD.replace("1.5", "x")))
    seen = []
    with pytest.raises(TruncatedInputError, match="1000 good events"):
        seen.extend(piece.n for piece in io.iterate(path, step_size=20_000))
    assert len(seen) > 1
    assert sum(seen) == 1000


def test_joined_files(fails):
    one = text(event(), event())
    fails(one + one, "joined", good=2)
    fails(one + event(), "joined", good=2)


def test_blocks_out_of_place(fails):
    fails(text(event(), init=""), "before any <init>", good=0)
    fails(text(end="", init="<init>\n2212 2212"), "before the end of <init>", good=0)
    fails(text(header="<header>\n<x>\n"), "before the end of <init>", good=0)


def test_cut_anywhere(save):
    content = text(*[GOOD] * 3).encode()
    ends = [m.end() for m in re.finditer(rb"</event>", content)]
    for cut in range(len(content)):
        path = save(content[:cut])
        if cut == len(content) - 1:  # the newline behind </LesHouchesEvents>
            assert io.open(path).n == 3
            continue
        with pytest.raises(InputError) as caught:
            io.open(path)
        if isinstance(caught.value, TruncatedInputError):
            assert caught.value.good_events == sum(end <= cut for end in ends)


def test_events_across_windows_of_any_size(save, monkeypatch):
    content = text(*[event(weight=str(i), z=str(i), more=weights(a=i)) for i in range(300)])
    path = save(content)
    whole = io.open(path)
    for block in (97, 256, 1000):
        monkeypatch.setattr(lhe, "BLOCK", block)
        parts = io.open(path)
        assert parts.weight.tolist() == whole.weight.tolist() == list(range(300))
        assert parts.particles.pz.tolist() == whole.particles.pz.tolist()
        assert parts.weights["a"].tolist() == list(range(300))


def test_an_endless_event_is_refused(fails, monkeypatch):
    monkeypatch.setattr(lhe_reader, "LONGEST", 100_000)
    monkeypatch.setattr(lhe, "BLOCK", 10_000)
    fails(text(event(), "<event>\n" + "# comment\n" * 50_000), "does not end within", good=1)


def test_many_unusual_numbers(read):
    n = 3000
    events = read(text(*[event(z="1.00000000000000000000000000000001", weight="nan")] * n))
    assert events.n == n
    assert (events.particles.pz.to_numpy() == 1).all()
    assert np.isnan(events.weight).all()
