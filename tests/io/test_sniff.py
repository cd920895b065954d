"""Formats are told by content, and what is not read is refused with a reason."""

from __future__ import annotations

import bz2
import gzip
import lzma
import shutil

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hepaa.errors import InputError
from hepaa.io.sniff import sniff, split_key
from hepaa.table import EventTable

REAL = {
    "lhe/powheg-box-v2-W.lhe": "lhe",
    "lhe/pr29.lhe": "lhe",
    "zh/zh_sm_rwgt.lhe.gz": "lhe",
    "lhco/events_anomalydetection_tiny.h5": "lhco",
    "dijets/svj.h5": "lhco",
    "dijets/svj.h5:features": "lhco-features",
    "dijets/features/svj.npz": "lhco-features",
    "lhco/cathode_innerdata_test.npy": "lhco-features",
    "lhco/rd_event_features_12k.csv.gz": "lhco-features",
    "smeft/bbyy_SM.h5": "lhco-features",
    "generators/bead_bkg_train_pythia.csv": "bead",
    "generators/bead_bkg_train_pythia.h5": "bead",
    "root/uproot-HZZ.root": "root",
    "root/nano_dy.root:Events": "root",
}


@pytest.mark.parametrize(("name", "expected"), REAL.items())
def test_real_files(data, name, expected):
    assert sniff(data / name).format == expected


def test_the_name_of_a_file_says_nothing(data, tmp_path):
    for i, name in enumerate(
        ("lhe/powheg-box-v2-W.lhe", "lhco/events_anomalydetection_tiny.h5", "root/uproot-Zmumu.root")
    ):
        shutil.copy(data / name, tmp_path / f"{i}.txt")
    assert [sniff(tmp_path / f"{i}.txt").format for i in range(3)] == ["lhe", "lhco", "root"]


@pytest.mark.parametrize(
    "compress", [gzip.compress, bz2.compress, lzma.compress, lambda b: pa.compress(b, "zstd", asbytes=True)]
)
def test_compressed_text(tmp_path, compress):
    (tmp_path / "a").write_bytes(compress(b'<LesHouchesEvents version="1.0">\n<init>\n'))
    (tmp_path / "b").write_bytes(compress(b"x,y\n1,2\n3,4\n"))
    assert [sniff(tmp_path / n).format for n in "ab"] == ["lhe", "lhco-features"]


def test_lheh5_and_hepaa_parquet(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for name in ("init", "event", "particle", "procInfo"):
            file.create_group(name)
    EventTable.build(np.ones((2, 1)), ["x"]).save(tmp_path / "t.parquet")
    assert sniff(tmp_path / "a.h5").format == "lheh5"
    assert sniff(tmp_path / "t.parquet").format == "table"


REFUSED = {
    b"": "is empty",
    b" \n\t ": "text of no known format",
    b"\n <!DOCTYPE HTML><html>": "web page",
    b"<html><head>": "web page",
    b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n": "Git LFS pointer",
    b"\x80\x04\x95\x00": "pickle",
    b"\x00\x01\x02\x03" * 9: "binary data of no known format",
    b"dear diary\nnothing here\n": "text of no known format",
    b"<header>\n<init>\n 2212 2212\n</init>\n": "no <LesHouchesEvents>",
    b"PAR1 and then nothing": "broken Parquet",
    b"PK\x03\x04 and then nothing": "broken zip",
    b"\x89HDF\r\n\x1a\n and then nothing": "HDF5",
    gzip.compress(b""): "empty inside",
    gzip.compress(b"root and more"): "decompress it first",
    b'{"a": 1}': "JSON",
}


@pytest.mark.parametrize(("content", "words"), REFUSED.items())
def test_refused_with_a_reason_on_one_line(tmp_path, content, words):
    (tmp_path / "x.lhe").write_bytes(content)
    with pytest.raises(InputError, match=words) as refusal:
        sniff(tmp_path / "x.lhe")
    assert "x.lhe" in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_missing_folder_and_foreign_parquet(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        sniff(tmp_path / "none.root:tree")
    with pytest.raises(InputError, match="is a folder"):
        sniff(tmp_path)
    pq.write_table(pa.table({"a": [1]}), tmp_path / "p.parquet")
    assert sniff(tmp_path / "p.parquet").format == "lhco-features"
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["image"] = np.zeros((2, 2, 2))
    with pytest.raises(InputError, match=r"no table of events.*image"):
        sniff(tmp_path / "other.h5")
    np.savez(tmp_path / "o.npz", x=np.zeros((2, 2)))
    (tmp_path / "l.lhe").write_text("<LesHouchesEvents>\n")
    with pytest.raises(InputError, match="nothing called 'tree'"):
        sniff(f"{tmp_path / 'l.lhe'}:tree")


def test_inner_names(tmp_path):
    (tmp_path / "a:b.root").write_bytes(b"root")
    assert split_key(str(tmp_path / "a:b.root")) == (str(tmp_path / "a:b.root"), "")
    assert split_key("f.root:dir/tree") == ("f.root", "dir/tree")
    assert split_key("root://host//f.root:dir/tree") == ("root://host//f.root", "dir/tree")
    assert split_key("root://host:1094//f.root") == ("root://host:1094//f.root", "")
    assert split_key("C:/f.root") == ("C:/f.root", "")


def test_a_message_is_one_line_whatever_a_file_calls_its_parts():
    assert str(InputError("a\nb \udca5 \x1b[2J \u00e4")) == "a b \\udca5 \\x1b[2J \u00e4"
