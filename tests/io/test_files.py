"""Names of files: distinct for distinct names, whatever the disk makes of capitals."""

from __future__ import annotations

import pytest

from hepaa.io.files import distinct, file_name, file_names


def test_names_that_fall_together_stay_apart():
    assert file_names(["m<500", "m>500", "VAE", "vae", "m-500-2"]) == {
        "m<500": "m-500", "m>500": "m-500-2", "VAE": "VAE", "vae": "vae-2", "m-500-2": "m-500-2-2",
    }  # fmt: skip
    assert distinct(["VAE", "vae", "a b", "a-b"], lambda n: n.replace("-", " "), joint="_") == {
        "VAE": "VAE", "vae": "vae", "a b": "a b", "a-b": "a b_2",
    }  # fmt: skip


@pytest.mark.parametrize("name", ["..", ".hidden", "***", "", "-", "ä" * 300, "a" * 300, "../x", "a/b"])
def test_a_file_name_stays_in_its_folder_and_is_bearable(name):
    assert 0 < len(file_name(name).encode()) <= 100
    assert not file_name(name).startswith(".")
    assert "/" not in file_name(name)


def test_a_plain_name_stays_as_it_is():
    assert file_name("VAE_2+b.1") == "VAE_2+b.1"
    assert file_name("ZH (SM)") == "ZH-SM"
