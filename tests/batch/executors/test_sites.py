"""Clusters that hepaa starts let nobody in: TLS with keys of their own, one interface, no dashboard."""

from __future__ import annotations

import warnings
from dataclasses import replace
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
from helpers.batches import dask_workers

from hepaa.batch.executors.choose import executor
from hepaa.batch.executors.sites import Site

distributed = pytest.importorskip("distributed")
pytest.importorskip("dask_jobqueue")
pytestmark = pytest.mark.filterwarnings("ignore")  # tornado and dask close their sockets late


@pytest.fixture
def cluster(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with Site("local", shared=str(tmp_path)).cluster() as started:
            yield started
    assert list(tmp_path.iterdir()) == []


def test_the_scheduler_listens_on_the_loopback_alone_and_shows_nothing(cluster, tmp_path):
    assert cluster.scheduler_address.startswith("tls://127.0.0.1:")
    (served,) = {s.getsockname()[0] for s in cluster.scheduler.http_server._sockets.values()}
    assert served == "127.0.0.1"
    for page in ("status", "info/main/workers.html", "json/counts.json", "metrics"):
        with pytest.raises(HTTPError, match="404"):
            urlopen(f"http://127.0.0.1:{cluster.scheduler.http_server.port}/{page}", timeout=5)
    (folder,) = tmp_path.iterdir()
    keys = list(folder.iterdir())
    assert len(keys) == 3
    assert all(path.stat().st_mode & 0o077 == 0 for path in (folder, *keys))


def test_clients_without_its_keys_are_refused(cluster):
    from distributed import Client, Security

    address = cluster.scheduler_address
    for wrong, security in ((address.replace("tls:", "tcp:"), None), (address, Security.temporary())):
        with pytest.raises(OSError, match=r"closed|match"):
            Client(wrong, security=security, timeout=3, set_as_default=False)
    cluster.scale(jobs=1)
    with Client(cluster, set_as_default=False) as client:
        assert client.submit(sum, [2, 3]).result(timeout=60) == 5


def test_a_scheduler_that_is_named_by_tls_gets_the_keys_of_dasks_configuration(tmp_path):
    import dask
    from distributed import Security

    security = Security.temporary()
    for name in ("ca_file", "scheduler_cert", "scheduler_key"):
        (tmp_path / name).write_text(getattr(security, f"tls_{name}"))
    keys = [f"--tls-{flag}={tmp_path / name}" for flag, name in
            (("ca-file", "ca_file"), ("cert", "scheduler_cert"), ("key", "scheduler_key"))]  # fmt: skip
    settings = {"ca-file": "ca_file", "client.cert": "scheduler_cert", "client.key": "scheduler_key"}
    config = {f"distributed.comm.tls.{key}": str(tmp_path / name) for key, name in settings.items()}
    with dask_workers(1, "tls", *keys) as (at, _):
        with dask.config.set(config):
            assert executor(f"tls://{at}")([1, 2, 3], float, 0.0) == (6.0, 0)
        total, failure = replace(executor(f"dask://{at}"), timeout_s=3)([1], float, 0.0)
    assert total == 0.0
    assert "no dask scheduler answers" in str(failure)


def test_the_interface_is_a_choice(tmp_path):
    site = Site.parse("slurm", f"interface=lo,shared={tmp_path}")
    assert (site.interface, site.shared) == ("lo", str(tmp_path))
