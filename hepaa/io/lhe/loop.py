"""The loop between the byte stream and the LHE kernel: windows in, batches of events out, errors with their place."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NoReturn

import numpy as np

from hepaa.errors import InputError, TruncatedInputError
from hepaa.io.lhe import header as lhe_header
from hepaa.io.lhe.columns import Batch, Columns
from hepaa.io.lhe.kernel import codes
from hepaa.io.stream import ByteStream, StreamError

if TYPE_CHECKING:
    from collections.abc import Iterator

LONGEST = 64 << 20
"""A head or an event longer than this many bytes is taken for a broken file."""

_SLOW = 4096
_MOST_TAGS = 65536
_LANDMARK = re.compile(rb"<!--|<header[\s>]|<init[\s>]|<event[\s>]")
_COMMENT = re.compile(rb"<!--.*?-->", re.DOTALL)
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
        self._spellings: list[bytes] = []
        self._columns: list[int] = []
        self._positions: list[int] = []
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
            closing = {b"<!-": b"-->", b"<he": b"</header", b"<in": b"</init"}[tag[:3]]
            end = text.find(closing, match.end() - 1)
            close = text.find(b">", end)
            if end < 0 or close < 0:
                raise _NeedMore
            if closing == b"</init":
                first = text.find(b">", match.end() - 1) + 1
                return text[: match.start()], text[first:end], stream.start + close + 1
            at = close + 1

    # -- weights ----------------------------------------------------------------------------------------------------

    def _tables(self) -> None:
        self._tags = np.frombuffer(bytearray(b"".join(self._spellings)), np.uint8)
        self._bounds = np.cumsum([0, *map(len, self._spellings)], dtype=np.int64)
        self._column_of = np.array(self._columns, np.int64)
        self._position_of = np.array(self._positions, np.int64)
        self._seen = np.zeros(len(self.names), np.int64)
        if self._store.width != len(self.names):  # before the first event
            self._store.set_width(len(self.names))

    def _column(self, name: str, at: int) -> int:
        if name not in self.names:
            if self.good:
                self._broken(f"it has a weight {name!r} that the events before it lack", at)
            self.names[name] = len(self.names)
        return self.names[name]

    def _new_ids(self, start: int) -> None:
        # Enter the tag that stopped the kernel, and those behind it in the same block: they would stop it next.
        stream = self.stream
        first, last = self._state[[codes.STATE_A, codes.STATE_B]].tolist()
        rest = stream.bytes(last, max(last, stream.find(b"</rwgt", last, stream.stop)))
        rest = _COMMENT.sub(lambda comment: b" " * len(comment[0]), rest)
        tags = [(first, stream.bytes(first, last)), *((last + m.start(), m[0]) for m in _WGT.finditer(rest))]
        known = set(self._spellings)
        for at, tag in tags:
            if tag in known:
                continue
            plain = _PLAIN_WGT.fullmatch(tag)
            try:
                text = lhe_header.decode(plain[1] if plain else tag)
                name = text[1:-1] if plain else lhe_header.strict_attributes(text)["id"]
            except (ValueError, KeyError) as error:
                problem = "it has no id" if isinstance(error, KeyError) else str(error)
                self._broken(f"a weight has the tag {lhe_header.decode(tag[:60])!r}: {problem}", at)
            if len(known) >= _MOST_TAGS:
                self._broken(f"more than {_MOST_TAGS} different <wgt> tags in one file", start)
            self._columns.append(self._column(name, at))
            self._spellings.append(tag)
            known.add(tag)
        self._tables()

    def _new_position(self, start: int) -> None:
        k, declared = len(self._positions), self.header.declared
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
                    self._new_ids(p)
                elif status == codes.NEW_POSITION:
                    self._new_position(p)
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
        stop = stream.stop
        while (at := stream.rfind(b"</event", p, stop)) >= 0:
            close = stream.find(b">", at, stream.stop)
            if close >= 0 and not stream.bytes(at + 7, close).strip(_SPACE):
                return close + 1
            stop = at + 6
        return p

    def take(self) -> Batch:
        """The events that were read since this was called last; none before the first."""
        n, store = self.waiting, self._store
        k = int(self._state[codes.PARTICLES]) if n else 0
        particles, heads = [column[:k] for column in (*store.ints, *store.reals)], [column[:n] for column in store.head]
        weights = store.flat[: n * store.width].reshape(n, store.width)
        batch = Batch(self.good - n, store.offsets[: n + 1], particles, heads, weights, self._texts or [])
        self._store = Columns(width=store.width)
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
            self._tags, self._bounds, self._column_of, self._position_of, self._seen, self._slow, state,
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
            text = stream.bytes(p, min(p + 32, stream.stop))
            lead = len(text) - len(text.lstrip(_SPACE))
            p += lead
            text = text[lead:]
            if not text:
                continue
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
        # The file ended without </LesHouchesEvents>: fine when it ended between two events and nothing is missing.
        stream = self.stream
        if stream.bytes(p, stream.stop).strip(_SPACE):
            self._broken("the file ends in the middle of it", stream.stop)
        promised = self.header.promised
        if promised is not None and self.good < promised:
            self._broken(f"the file ends here, though its header says {promised} events", stream.stop)
