"""The sliding window over plain and compressed files."""

from __future__ import annotations

import bz2
import gzip
import lzma
import threading

import numpy as np
import pyarrow as pa
import pytest

from hepaa.errors import InputError
from hepaa.io.stream import ByteStream, StreamError, compression

PACK = {
    "none": bytes,
    "gzip": gzip.compress,
    "zstd": lambda b: pa.compress(b, "zstd", asbytes=True),
    "xz": lzma.compress,
    "bz2": lambda b: bz2.compress(b, 1),
}


@pytest.fixture(scope="module")
def content():
    # Half random, so that no compression makes it tiny.
    rng = np.random.default_rng(0)
    return b"".join(rng.bytes(500) + b"a line of text\n" * 40 for _ in range(400))


@pytest.fixture
def save(tmp_path):
    def write(packed):
        path = tmp_path / "misleading.txt"
        path.write_bytes(packed)
        return path

    return write


def everything(stream, keep=0):
    """All bytes; `keep` of each window stay for the next, and have to be the same there."""
    passed = b""
    while stream.advance(max(stream.start, stream.stop - keep)):
        window = stream.bytes(stream.start, stream.stop)
        at = stream.origin + stream.start
        assert window.startswith(passed[at:])
        assert len(passed) - at <= keep
        assert stream.data[stream.start : stream.stop].tobytes() == window
        passed = passed[:at] + window
    return passed


@pytest.mark.parametrize("kind", PACK)
@pytest.mark.parametrize(("block", "keep"), [(1000, 0), (4096, 70), (1 << 16, 1 << 17), (1 << 22, 0)])
def test_all_bytes_come_through(content, save, kind, block, keep):
    path = save(PACK[kind](content))
    assert compression(path) == kind
    with ByteStream(path, block=block) as stream:
        assert (stream.compression, stream.path) == (kind, str(path))
        assert everything(stream, keep) == content
        assert not stream.advance(stream.stop)


@pytest.mark.parametrize("kind", [k for k in PACK if k != "none"])
@pytest.mark.parametrize("fraction", [0.1, 0.6, 0.999])
def test_a_cut_stream_is_an_error_after_the_good_bytes(content, save, kind, fraction):
    packed = PACK[kind](content)
    path = save(packed[: int(fraction * len(packed))])
    passed = []
    with ByteStream(path, block=5000) as stream, pytest.raises(StreamError, match=f"misleading.txt: the {kind} data"):
        passed.extend(stream.bytes(stream.start, stream.stop) for _ in iter(lambda: stream.advance(stream.stop), False))
    assert content.startswith(b"".join(passed))
    assert len(b"".join(passed)) > (fraction - 0.5) * len(content)


@pytest.mark.parametrize("kind", ["gzip", "zstd", "xz"])
def test_of_a_cut_stream_little_is_lost(content, save, kind):
    """Blocks are longer than the file here: what came before the break is given all the same."""
    packed, sizes = PACK[kind](content), []
    with ByteStream(save(packed[: len(packed) // 2])) as stream, pytest.raises(StreamError):
        sizes.extend(stream.stop - stream.start for _ in iter(lambda: stream.advance(stream.stop), False))
    assert sum(sizes) > 0.2 * len(content)


def test_a_wrong_checksum_is_an_error(content, save):
    packed = bytearray(gzip.compress(content))
    packed[-6] ^= 1
    with ByteStream(save(packed)) as stream, pytest.raises(StreamError, match="damaged"):
        everything(stream)


def test_several_members_are_one_stream(content, save):
    for kind in ("gzip", "zstd", "xz", "bz2"):
        pack = PACK[kind]
        with ByteStream(save(pack(content[:777]) + pack(content[777:])), block=10_000) as stream:
            assert everything(stream) == content


def test_empty_and_missing_files(save, tmp_path):
    for packed in (b"", gzip.compress(b"")):
        with ByteStream(save(packed)) as stream:
            assert not stream.advance(0)
    for path, problem in ((tmp_path / "none", "cannot be read"), (tmp_path, "no regular file")):
        with pytest.raises(InputError, match=problem):
            ByteStream(path)


def test_find(save):
    with ByteStream(save(b"abcabc")) as stream:
        stream.advance(0)
        assert stream.find(b"bc", stream.start, stream.stop) == stream.start + 1
        assert stream.rfind(b"bc", stream.start, stream.stop) == stream.start + 4
        assert stream.find(b"x", stream.start, stream.stop) == -1


def test_closing_ends_the_thread(content, save):
    with ByteStream(save(gzip.compress(content)), block=1000) as stream:
        stream.advance(0)
        assert [t for t in threading.enumerate() if t.name.startswith("hepaa-stream")]
    assert not [t for t in threading.enumerate() if t.name.startswith("hepaa-stream")]
