"""Compilation: vector's extension of numba is loaded where vector is imported alone; garbage waits."""

from __future__ import annotations

import gc
import subprocess
import sys
from typing import ClassVar

from hepaa.demo import path

PROGRAM = """
import sys

from numba import njit
from hepaa.features import kinematics

kinematics.pt(3.0, 4.0)
assert "vector" not in sys.modules
assert "awkward.numba" in sys.modules or "awkward._connect.numba.arrayview" in sys.modules
import vector

@njit
def pt_of(momentum):
    return momentum.pt

@njit
def pt_made_inside(px, py):
    return vector.obj(px=px, py=py).pt

assert pt_of(vector.obj(px=3.0, py=4.0, pz=0.0, E=5.0)) == 5
assert pt_of(vector.array({"px": [3.0], "py": [4.0]})[0]) == 5
assert pt_made_inside(3.0, 4.0) == 5
"""


def test_vectors_compile_after_kernels_did(tmp_path):
    script = tmp_path / "program.py"
    script.write_text(PROGRAM)
    subprocess.run([sys.executable, script], check=True)


def test_a_command_imports_what_it_needs(tmp_path):
    program = (
        "import sys\n"
        "from hepaa.cli import main\n"
        f"arguments = ['features', {str(path('zh_chw.lhe.gz'))!r}, '--set', 'zh-paper', '-o', 'x.parquet']\n"
        "main(arguments, standalone_mode=False)\n"
        "assert not {'vector', 'sympy', 'pylhe', 'pandas'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=tmp_path)
    assert (tmp_path / "x.parquet").is_file()


def test_no_garbage_is_looked_for_while_a_loop_compiles():
    from numba.core import event

    from hepaa.compiled import compiled

    class Collecting(event.Listener):
        seen: ClassVar[set[bool]] = set()

        def on_start(self, _event):
            self.seen.add(gc.isenabled())

        def on_end(self, _event):
            self.seen.add(gc.isenabled())

    with event.install_listener("numba:run_pass", Collecting()):
        assert compiled(cache=False)(lambda x: x + 1)(1) == 2
    assert Collecting.seen == {False}
    assert gc.isenabled()
