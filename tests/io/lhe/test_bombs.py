"""LHE files that are small, or cheap to write, and were expensive to read: linear time, bounded memory."""

from __future__ import annotations

import gzip
import random
import zlib

import pytest
from helpers.faults import attack

from hepaa import io
from hepaa.io.lhe.kernel import parse as kernel

TOP = "<LesHouchesEvents version='3.0'>\n"
INIT = "<init>\n2212 2212 6500. 6500. 0 0 1 1 -4 1\n 2.0 0.1 1.0 7\n</init>\n"
HEAD = TOP + INIT
EVENT = "<event>\n0 7 1.0 91. .007 .1\n{}</event>\n"
END = "</LesHouchesEvents>\n"


def read(path):
    """All events, as text of their numbers."""
    return io.open(path)


def wgts(names):
    return "<rwgt>\n" + "".join(f"<wgt id='{name}'>1.5</wgt>\n" for name in names) + "</rwgt>\n"


def shuffled(n, events):
    """Each event has its weights in another order."""
    names, rng = list(range(n)), random.Random(1)
    text = [HEAD]
    for _ in range(events):
        text.append(EVENT.format(wgts(names)))
        rng.shuffle(names)
    return "".join(text) + END


def weights(n, number="1.5"):
    return "<weights>" + f" {number}" * n + "</weights>\n"


def gzipped(head, megabytes, blanks=b" " * 1_000_000):
    """A gzip of a head and blanks, which has a thousandth of their size; most of it is one piece, repeated."""
    squeeze = zlib.compressobj(9, zlib.DEFLATED, 31)
    parts = [squeeze.compress(head.encode())]
    parts += [squeeze.compress(blanks) for _ in range(megabytes)]
    return b"".join([*parts, squeeze.flush()])


def comments(length, n):
    return ("<!-- " + "x" * length + " -->\n") * n


def bombs():
    """Name and content of the files."""
    yield "weights.lhe", HEAD + EVENT.format(weights(20_000)) * 20 + END
    yield "odd-weights.lhe", HEAD + EVENT.format(weights(20_000, "1e-320")) * 20 + END
    both = weights(20_000, "1e-320") + wgts(range(20_000))
    yield "both.lhe", HEAD + EVENT.format(both) * 5 + END
    yield "more-weights.lhe", HEAD + EVENT.format(weights(1_000_000)) + END
    yield "longer-and-longer.lhe", HEAD + EVENT.format("".join(weights(n, "1") for n in range(1, 3000))) + END
    yield "shuffled.lhe", shuffled(3000, 60)
    yield "one-by-one.lhe", HEAD + EVENT.format("".join(wgts([n]) for n in range(20_000))) + END
    cut = "".join(f"<!-- </event> -->{wgts([n])}" for n in range(5_000))
    yield "behind-comments.lhe", HEAD + EVENT.format(cut) + END
    spelt = "".join(EVENT.format(f"<rwgt><wgt id='a'{' ' * n}>1</wgt></rwgt>\n") for n in range(4_000))
    yield "spelt-differently.lhe", HEAD + spelt + END
    yield "comments.lhe", HEAD + comments(10_000_000, 3) + EVENT.format(comments(10, 500_000)) + END
    yield "comments-in-head.lhe", TOP + "<header>\n" + comments(10, 900_000) + "</header>\n" + INIT + END
    yield "long-comment.lhe", HEAD + comments(100_000_000, 1) + END
    yield "no-comments.lhe", TOP + "<header>\n" + "<!-- " * 2_000_000 + "\n</header>\n" + INIT + END
    yield "no-comments-in-event.lhe", HEAD + EVENT.format("<!-- " * 2_000_000) + END
    yield "no-ends.lhe", HEAD + "<event>\n" + "</event " * 2_000_000
    for part in ("<a ", "<initrwgt", "<initrwgt>", "<weight", "<weight x='", "<weightgroup '\"", "a=\"'", "<header"):
        text = part * (10_000_000 // len(part))
        yield f"head-{len(part)}-{part.encode().hex()}.lhe", TOP + f"<header>\n{text}\n</header>\n" + INIT + END
        yield f"rwgt-{part.encode().hex()}.lhe", TOP + f"<header><initrwgt>{text}</initrwgt></header>\n" + INIT + END
        yield f"init-{part.encode().hex()}.lhe", HEAD.replace("</init", f"{text}\n</init") + END
    names = "".join(f"<a{n}>\n" for n in range(500_000))
    yield "endless-blocks.lhe", TOP + f"<header>\n{names}</header>\n" + INIT + END
    yield "long-name.lhe", TOP + f"<header>\n<{'a' * 5_000_000}\n</header>\n" + INIT + END
    yield "long-attribute.lhe", f"<LesHouchesEvents {'a' * 5_000_000}>\n" + INIT + END
    yield "digits.lhe", TOP + f"<header a='&#{'1' * 5000};'></header>" + INIT.replace("2212", "1" * 5000) + END
    yield "blanks.lhe.gz", gzipped("", 3000)
    yield "blanks-behind-init.lhe.gz", gzipped(HEAD, 3000)
    yield "blanks-behind-the-end.lhe.gz", gzipped(HEAD + END, 3000)
    yield "blanks-in-event.lhe.gz", gzipped(HEAD + "<event>\n", 3000)
    yield "blanks-in-head.lhe.gz", gzipped(TOP, 3000)
    yield (
        "particles.lhe.gz",
        gzipped(HEAD + "<event>\n900000000 7 1.0 91. .007 .1\n", 300, b"1 1 0 0 0 0 0 0 0 0 0 0 9\n"),
    )
    yield "count.lhe", HEAD + EVENT.replace("0 7", "999999999 7").format("") + END


@pytest.mark.slow
def test_small_files_are_no_bombs(tmp_path):
    warm = tmp_path / "warm.lhe"
    warm.write_text(HEAD + EVENT.format(wgts("ab")) * 2 + END)
    files = ((name, text if isinstance(text, bytes) else text.encode()) for name, text in bombs())
    verdicts, faults = attack(read, files, tmp_path, [warm])
    assert not faults
    assert verdicts["read"] > 10
    assert verdicts["refused"] > 10


def calls(monkeypatch, path):
    """How often the kernel was called to read a file."""
    numbers = []
    monkeypatch.setattr(kernel, "parse", lambda *args, original=kernel.parse: numbers.append(original(*args)))
    events = io.open(path)
    return len(numbers), events


@pytest.mark.parametrize(
    "weights_of_event",
    [
        weights(3000),
        "".join(wgts([n]) for n in range(300)),
        "".join(f"<!-- </event> -->{wgts([n])}" for n in range(99)),
    ],
)
def test_all_new_weights_of_an_event_are_entered_at_once(tmp_path, monkeypatch, weights_of_event):
    path = tmp_path / "x.lhe"
    path.write_text(HEAD + EVENT.format(weights_of_event) * 3 + END)
    n, events = calls(monkeypatch, path)
    assert n <= 3
    assert len(events.weights) in (3000, 300, 99)
    assert all(values.tolist() == [1.5] * 3 for values in events.weights.values())


def test_weights_in_any_order_reach_their_names(tmp_path):
    names, rng = [f"w{i}" for i in range(200)], random.Random(3)
    text = [HEAD]
    for event in range(3):
        rng.shuffle(names)
        block = "".join(f"<wgt id='{n}'>{event}{n[1:]}</wgt>\n" for n in names)
        text.append(EVENT.format(f"<rwgt>\n{block}</rwgt>\n"))
    (tmp_path / "x.lhe.gz").write_bytes(gzip.compress(("".join(text) + END).encode()))
    weights_read = io.open(tmp_path / "x.lhe.gz").weights
    assert {name: values.tolist() for name, values in weights_read.items()} == {
        f"w{i}": [float(f"{event}{i}") for event in range(3)] for i in range(200)
    }


def test_two_blocks_of_weights_of_which_the_second_is_longer_are_refused(tmp_path):
    path = tmp_path / "x.lhe"
    path.write_text(HEAD + EVENT.format(weights(2) + weights(3)) + END)
    with pytest.raises(io.TruncatedInputError, match=r"event 0.*two <weights>"):
        io.open(path)
