"""The services of `nox -s grid`: each starts once, on loopback."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pytest
from helpers import services

if TYPE_CHECKING:
    from collections.abc import Iterator


def _needed() -> None:
    if lacking := services.missing():
        pytest.fail(
            f"this machine has no {', '.join(lacking)}; install the packages {', '.join(services.PACKAGES)}, or let "
            "`nox -s grid` do it as root",
            pytrace=False,
        )


@pytest.fixture(scope="session")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[services.Slurm]:
    """A Slurm with one node."""
    _needed()
    with services.slurm(tmp_path_factory.mktemp("slurm") / "cluster") as cluster, pytest.MonkeyPatch.context() as patch:
        for name, value in cluster.environment.items():
            patch.setenv(name, value)
        yield cluster


@pytest.fixture(scope="session")
def xrootd() -> Iterator[services.XRootD]:
    """An XRootD server, outside of pytest's folder: each pytest that starts closes that to other users."""
    _needed()
    with TemporaryDirectory(prefix="hepaa-xrootd-") as folder, services.xrootd(Path(folder) / "server") as server:
        yield server
