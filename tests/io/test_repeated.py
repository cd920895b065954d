"""The same events in several files."""

from __future__ import annotations

import pytest

from hepaa.cli import main
from hepaa.errors import InputError
from hepaa.io.repeated import refuse_repetitions, repetitions


def test_copies_are_found_by_their_content(tmp_path):
    for name, text in (("a", "x"), ("copy", "x"), ("b", "y"), ("longer", "xx")):
        (tmp_path / name).write_text(text)
    a, copy, b, longer = (str(tmp_path / name) for name in ("a", "copy", "b", "longer"))
    assert list(repetitions([a, b, longer, "root://far/a.root"])) == []
    assert list(repetitions([a, copy, a])) == [(1, 0), (2, 0), (2, 1)]
    assert list(repetitions([f"{a}:t", f"{copy}:u"])) == []  # two trees of a file
    with pytest.raises(InputError, match=r"copy holds the events of .*a, which would count twice"):
        refuse_repetitions([a, b, copy])


@pytest.mark.parametrize("executor", [[], ["--executor", "serial"]])
def test_features_of_a_file_are_not_computed_twice(tmp_path, capsys, executor):
    text = "mjj,pt\n1,2\n3,4\n"
    for name in ("a.csv", "copy.csv"):
        (tmp_path / name).write_text(text)
    output = tmp_path / "out.parquet"
    with pytest.raises(SystemExit) as stopped:
        main(["features", str(tmp_path / "*.csv"), "--set", "dijet", "--output", str(output), *executor])
    assert stopped.value.code == 2
    assert "would count twice" in capsys.readouterr().err
    assert not output.exists()
