"""The loop between the byte stream and the LHE kernel: windows in, batches of events out, errors with their place."""

from __future__ import annotations

import re
import zlib
from itertools import islice
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from hepaa.errors import InputError, TruncatedInputError
from hepaa.io.lhe import header as lhe_header
from hepaa.io.lhe.columns import Batch, Columns
from hepaa.io.lhe.kernel import codes
from hepaa.io.stream import ByteStream, StreamError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

LONGEST = 16 << 20
"""A head, an event or a comment of more bytes than this, and up to twice as many, is taken for a broken file."""

_SLOW = 4096
_MOST_TAGS = 65536
"""Different spellings of `<wgt>` in a file, and weights an event, at most."""
_LANDMARK = re.compile(rb"<!--|<header[\s>]|<init[\s>]|<event[\s>]")
_CLOSING = {b"<!-": re.compile(rb"-->"), b"<he": re.compile(rb"</header[\s>]"), b"<in": re.compile(rb"</init[\s>]")}
_COMMENT = re.compile(rb"<!--.*?(?:-->|\Z)", re.DOTALL)
_NO_NUMBERS = re.compile(rb"<!--.*?(?:-->|\Z)|#[^\n\r<]*", re.DOTALL)
_WGT = re.compile(rb"""<wgt[\s>/](?:[^<>'"]|"[^"<]*"|'[^'<]*')*>|<wgt>""")
_PLAIN_WGT = re.compile(rb"""<wgt id=("[^"<&]*"|'[^'<&]*')>""")
_SPACE = b" \t\r\n"
_SKIPPED = {rb"<!--": b"-->", rb"</?eventgroup[\s>]": b">", rb"#": b"\n"}
"""What may stand between events, and where it ends."""
_GO_ON = (codes.DONE, codes.UNKNOWN, codes.OPEN, codes.FULL, codes.SLOW_FULL, codes.NEW_ID, codes.NEW_POSITION)


class _NeedMore(Exception):
    """The window ends before what it takes to go on."""


class Reader:
    """Reads one LHE file from front to back.

    Parameters
    ----------
    stream : ByteStream
    texts : bool
        Keep the text of events too.

    Attributes
    ----------
    header : lhe_header.Header
        What stands before the events.
    names : list of str
        Named weights, in the order of the columns of `Batch.weights`; known after the first event.
    good, waiting : int
        Whole events read so far; of which were not taken yet.
    complete : bool
        The closing `</LesHouchesEvents>` was seen.
    """

    def __init__(self, stream: ByteStream, *, texts: bool = False) -> None:
        self.stream, self.path = stream, stream.path
        self._texts: list[bytes] | None = [] if texts else None
        self.good, self.waiting, self.complete = 0, 0, False
        self.names: dict[str, int] = {}
        self._spellings: dict[bytes, int] = {}
        # a table of tags for the kernel: the first `len(self._spellings)` rows are taken
        self._tags = np.empty(0, np.uint8)
        self._bounds = np.zeros(1, np.int64)
        self._slots = np.full(8, -1, np.int64)
        self._column_of = np.empty(0, np.int64)
        self._positions: list[int] = []
        self._extended = -1  # the event whose `<weights>` was the longest so far
        self._state = np.zeros(codes.SLOTS, np.int64)
        self._slow = np.empty((_SLOW, 4), np.int64)
        self._store = Columns()
        self._tables()
        self.header = self._head()

    # -- errors -----------------------------------------------------------------------------------------------------

    def _broken(self, problem: str, at: int) -> NoReturn:
        byte = self.stream.origin + at
        raise TruncatedInputError(
            f"{self.path}: event {self.good} (byte {byte}): {problem}; {self.good} good events before it"
            + (" (keep_partial=True keeps them)" if self.good else ""),
            path=self.path,
            good_events=self.good,
            byte=byte,
        )

    def _advance(self, keep: int) -> bool:
        # True: the window grew; False: end of the file.
        stream = self.stream
        if stream.stop - keep > LONGEST:
            self._broken(f"it does not end within {LONGEST >> 20} MiB", keep)
        try:
            return stream.advance(keep)
        except StreamError as error:
            self._broken(str(error).removeprefix(f"{self.path}: "), stream.stop)

    # -- before the events ------------------------------------------------------------------------------------------

    def _head(self) -> lhe_header.Header:
        stream = self.stream
        if not self._advance(0):
            raise InputError(f"{self.path}: the file is empty")
        while True:
            try:
                preamble, inside, behind = self._find_init()
            except _NeedMore:
                if not self._advance(stream.start):
                    self._broken("the file ends before the end of <init>", stream.stop)
            else:
                break
        texts = [lhe_header.decode(t) for t in (preamble, inside)]
        try:
            header = lhe_header.parse(*texts)
        except InputError as error:
            raise InputError(f"{self.path}: {error}") from error
        stream.start = behind
        return header

    def _find_init(self) -> tuple[bytes, bytes, int]:
        # Text before <init>, inside of it, and the index behind it.
        stream = self.stream
        text = stream.bytes(stream.start, stream.stop)
        at = 0
        while True:
            match = _LANDMARK.search(text, at)
            if match is None:
                raise _NeedMore
            tag = match[0]
            if tag.startswith(b"<event"):
                self._broken("<event> stands before any <init>: the block with beams and cross-sections is missing",
                             stream.start + match.start())  # fmt: skip
            end = _CLOSING[tag[:3]].search(text, match.end() - 1)
            close = text.find(b">", end.start()) if end else -1
            if end is None or close < 0:
                raise _NeedMore
            if tag.startswith(b"<init"):
                first = text.find(b">", match.end() - 1) + 1
                return text[: match.start()], text[first : end.start()], stream.start + close + 1
            at = close + 1

    # -- weights ----------------------------------------------------------------------------------------------------

    def _tables(self) -> None:
        self._position_of = np.array(self._positions, np.int64)
        self._seen = np.zeros(len(self.names), np.int64)
        if self._store.width != len(self.names):  # before the first event
            self._store.set_width(len(self.names))

    def _enter(self, new: dict[bytes, int]) -> None:
        # Tags and their columns, into the kernel's table; arrays grow to twice the size, so that it takes linear time.
        old, rows = len(self._spellings), len(self._spellings) + len(new)
        bounds = self._bounds[old] + np.cumsum([0, *map(len, new)], dtype=np.int64)
        self._tags = _with_room(self._tags, int(bounds[-1]))
        self._bounds = _with_room(self._bounds, rows + 1)
        self._column_of = _with_room(self._column_of, rows)
        self._tags[bounds[0] : bounds[-1]] = np.frombuffer(b"".join(new), np.uint8)
        self._bounds[old : rows + 1] = bounds
        self._column_of[old:rows] = list(new.values())
        if 2 * rows > len(self._slots):
            self._slots = np.full(1 << (4 * rows).bit_length(), -1, np.int64)
            old = 0
        self._spellings |= new
        mask = len(self._slots) - 1
        for row, tag in enumerate(islice(self._spellings, old, None), old):
            at = zlib.crc32(tag) & mask
            while self._slots[at] >= 0:
                at = (at + 1) & mask
            self._slots[at] = row

    def _column(self, name: str, at: int) -> int:
        if name not in self.names:
            if self.good:
                self._broken(f"it has a weight {name!r} that the events before it lack", at)
            if len(self.names) >= _MOST_TAGS:
                self._broken(f"it has more than {_MOST_TAGS} weights", at)
            self.names[name] = len(self.names)
        return self.names[name]

    def _new_ids(self, start: int, end: int) -> None:
        # Enter the tag that stopped the kernel, and those behind it in the same event: they would stop it next.
        stream = self.stream
        first, last = self._state[[codes.STATE_A, codes.STATE_B]].tolist()
        rest = _before(b"</event", stream.bytes(last, end), _COMMENT)
        tags = [(first, stream.bytes(first, last)), *((last + m.start(), m[0]) for m in _WGT.finditer(rest))]
        new: dict[bytes, int] = {}
        for at, tag in tags:
            if tag in self._spellings or tag in new:
                continue
            plain = _PLAIN_WGT.fullmatch(tag)
            try:
                text = lhe_header.decode(plain[1] if plain else tag)
                name = text[1:-1] if plain else lhe_header.strict_attributes(text)["id"]
            except (ValueError, KeyError) as error:
                problem = "it has no id" if isinstance(error, KeyError) else str(error)
                self._broken(f"a weight has the tag {lhe_header.decode(tag[:60])!r}: {problem}", at)
            if len(self._spellings) + len(new) >= _MOST_TAGS:
                self._broken(f"more than {_MOST_TAGS} different <wgt> tags in one file", start)
            new[tag] = self._column(name, at)
        self._enter(new)
        self._tables()

    def _new_position(self, start: int, end: int) -> None:
        # A position for the number that stopped the kernel, and for those behind it in the same block.
        stream, declared = self.stream, self.header.declared
        if self._extended == self.good:
            self._broken("it has two <weights>, of which the second is longer", start)
        self._extended = self.good
        at = int(self._state[codes.LOCAL])
        for _ in _before(b"</weights", stream.bytes(at, end), _NO_NUMBERS).split():
            k = len(self._positions)
            if declared and k >= len(declared):
                self._broken(f"its <weights> has more than the {len(declared)} numbers that <initrwgt> declares", start)
            self._positions.append(self._column(declared[k] if declared else str(k), start))
        self._tables()

    # -- events -----------------------------------------------------------------------------------------------------

    def read(self) -> Iterator[int]:
        """Read whole events, one window of the stream at a time; how many bytes of text they had.

        Raises
        ------
        TruncatedInputError
            After the last good event, when the file breaks or ends early.
        """
        stream = self.stream
        p, more = stream.start, True
        while True:
            end = self._last_end(p)
            need_more, size = False, 0
            while p < end and not need_more and not self.complete:
                more_size, p, problem = self._parse(p, end)
                size += more_size
                if problem:
                    self._broken(*problem)
                status = int(self._state[codes.STATUS])
                if status == codes.OPEN:
                    need_more = True
                elif status == codes.UNKNOWN:
                    p, need_more = self._between(p, more)
                elif status == codes.NEW_ID:
                    self._new_ids(p, end)
                elif status == codes.NEW_POSITION:
                    self._new_position(p, end)
            if not need_more and not self.complete:
                p, need_more = self._between(p, more)
            yield size
            if self.complete:
                self._drain(p)
                return
            if not more:
                break
            more = self._advance(p)
            if more:
                p = stream.start
        self._finish(p)

    def _last_end(self, p: int) -> int:
        # Index behind the last "</event>" of the window; p when there is none.
        stream = self.stream
        stop = last = stream.stop
        while (at := stream.rfind(b"</event", p, stop)) >= 0:
            close = stream.find(b">", at, last)
            if close >= 0 and not stream.bytes(at + 7, close).strip(_SPACE):
                return close + 1
            stop, last = at + 6, at  # an end whose '>' lies behind the next one is none
        return p

    def take(self) -> Batch:
        """The events that were read since this was called last; none before the first."""
        n, store = self.waiting, self._store
        k = int(self._state[codes.PARTICLES]) if n else 0
        particles, heads = [column[:k] for column in (*store.ints, *store.reals)], [column[:n] for column in store.head]
        weights = store.flat[: n * store.width].reshape(n, store.width)
        batch = Batch(self.good - n, store.offsets[: n + 1], particles, heads, weights, self._texts or [])
        self._store = Columns()
        self._store.set_width(store.width)
        self._texts = None if self._texts is None else []
        self.waiting = 0
        self._state[[codes.EVENTS, codes.PARTICLES]] = 0
        return batch

    def _parse(self, p: int, end: int) -> tuple[int, int, tuple[str, int] | None]:
        # Events from p on until the kernel stops: their bytes, where to go on, and what is wrong there, if anything.
        from hepaa.io.lhe.kernel.parse import parse

        stream, state, store = self.stream, self._state, self._store
        parse(  # type: ignore[no-untyped-call]
            stream.data, p, end, store.ints, store.reals, store.head, store.offsets, store.spans, store.flat,
            self._tags, self._bounds, self._slots, self._column_of[: len(self._spellings)], self._position_of,
            self._seen, self._slow, state,
        )  # fmt: skip
        status, at, before = int(state[codes.STATUS]), int(state[codes.POSITION]), self.waiting
        n = int(state[codes.EVENTS])
        problem = self._problem(status, end)
        for target, index, first, last in self._slow[: state[codes.SLOW]].tolist():
            token = stream.bytes(first, last)
            try:
                self._resolve(target, index, token)
            except (ValueError, OverflowError):
                n = before + int(np.searchsorted(store.spans[before:n, 0], first)) - 1
                expected = "integer" if target < codes.TO_REAL or target == codes.TO_EVENT else "number"
                problem = f"{lhe_header.decode(token)[:40]!r} is no {expected}", first
                break
        state[codes.EVENTS], state[codes.PARTICLES] = n, store.offsets[n]
        size = int(store.spans[n - 1, 1]) - p if n > before else 0
        if self._texts is not None:
            self._texts += [stream.bytes(*span) for span in store.spans[before:n].tolist()]
        self.good += n - before
        self.waiting = n
        if status == codes.FULL:
            least = (end - at) // codes.LEAST + 2 if n == before else 0
            self._store = store.grown(n, int(state[codes.PARTICLES]), least)
        elif status == codes.SLOW_FULL and n == before:
            self._slow = np.empty((8 * len(self._slow), 4), np.int64)
        return size, at, problem

    def _problem(self, status: int, end: int) -> tuple[str, int] | None:
        state = self._state
        at = int(state[codes.LOCAL])
        if status in _GO_ON:
            return None
        if at >= end:  # a comment that holds "</event>" was cut there; the rest of it is still to come
            state[codes.STATUS] = codes.OPEN
            return None
        problem = codes.WRONG[status]
        if status in (codes.LACKS, codes.TWICE):
            problem = problem.format(list(self.names)[int(state[codes.STATE_A])])
        elif status in (codes.TAG, codes.MANY):
            problem = problem.format(
                lhe_header.decode(self.stream.bytes(at, min(at + 30, self.stream.stop))).split("\n")[0]
            )
        return problem, at

    def _resolve(self, target: int, index: int, token: bytes) -> None:
        text = token.decode("latin-1")
        if target < codes.TO_REAL:
            self._store.ints[target, index] = lhe_header.integer(text)
        elif target == codes.TO_EVENT:
            self._store.head[0, index] = lhe_header.integer(text)
        elif target < codes.TO_EVENT:
            self._store.reals[target - codes.TO_REAL, index] = lhe_header.decimal(text)
        elif target < codes.TO_NAMED:
            self._store.head[target - codes.TO_EVENT, index] = lhe_header.decimal(text)
        else:
            value = lhe_header.decimal(text)
            if target != codes.TO_NOWHERE:
                self._store.flat[index] = value

    # -- between and behind the events --------------------------------------------------------------------------------

    def _between(self, p: int, more: bool) -> tuple[int, bool]:
        # Skip what may stand between events; (index behind it, does it take more bytes to tell?).
        stream = self.stream
        while p < stream.stop:
            p = self._behind_space(p)
            text = stream.bytes(p, min(p + 32, stream.stop))
            if not text:
                break
            if re.match(rb"</LesHouchesEvents[\s>]", text):
                self.complete = True
                return p, False
            if re.match(rb"<event[ \t\r\n>]", text):
                return p, stream.find(b"</event", p, stream.stop) < 0
            ending = next((e for start, e in _SKIPPED.items() if re.match(start, text)), None)
            if ending is None:
                if more and len(text) < 20:
                    return p, True
                shown = lhe_header.decode(text).splitlines()[0]
                self._broken(f"expected <event> or </LesHouchesEvents>, found {shown!r}", p)
            end = stream.find(ending, p, stream.stop)
            if end < 0:
                return p, True
            p = end + len(ending)
        return p, True

    def _behind_space(self, p: int) -> int:
        # Index of the first byte from p on that is no white space: a file may have gigabytes of blanks.
        stream, size = self.stream, 64
        while p < stream.stop:
            data = stream.data[p : min(p + size, stream.stop)]
            ink = (data != 32) & (data != 10) & (data != 13) & (data != 9)
            first = int(np.argmax(ink))
            if ink[first]:
                return p + first
            p, size = p + len(data), 2 * size
        return p

    def _drain(self, p: int) -> None:
        # Read on to the end: only there a compressed file proves to be whole, and nothing may follow that has events.
        stream = self.stream
        while True:
            for tag in (b"<event>", b"<LesHouchesEvents"):
                if (at := stream.find(tag, p, stream.stop)) >= 0:
                    self._broken(
                        f"{lhe_header.decode(tag)} after </LesHouchesEvents>: files joined into one have to be split",
                        at,
                    )
            p = max(p, stream.stop - 32)
            if not self._advance(p):
                return
            p = stream.start

    def _finish(self, p: int) -> None:
        # The file ended without </LesHouchesEvents>: it was cut, in an event or between two.
        stream, promised = self.stream, self.header.promised
        if stream.bytes(p, stream.stop).strip(_SPACE):
            self._broken("the file ends in the middle of it", stream.stop)
        events = "" if promised is None else f", and its header says {promised} events"
        self._broken(f"the file ends here without </LesHouchesEvents>{events}", stream.stop)


def _with_room(array: NDArray[Any], n: int) -> NDArray[Any]:
    """An array of at least n entries that begins with those of `array`."""
    return array if len(array) >= n else np.concatenate([array, np.empty(2 * n - len(array), array.dtype)])


def _before(ending: bytes, text: bytes, skipped: re.Pattern[bytes]) -> bytes:
    """The text before an ending, with blanks in place of what is skipped, in which an ending does not count."""
    plain = skipped.sub(lambda part: b" " * len(part[0]), text)
    return plain.partition(ending)[0]
