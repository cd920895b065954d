"""The executor that a word on the command line stands for."""

from __future__ import annotations

from hepaa.batch.executors.dask import Dask
from hepaa.batch.executors.local import Executor, LocalJobs, Processes, serial
from hepaa.batch.executors.sites import Site, SiteExecutor
from hepaa.errors import InputError


def executor(text: str) -> Executor:
    """The executor that a word on the command line stands for.

    Parameters
    ----------
    text : str
        "serial"; "processes" or "processes:4"; "local-jobs" or "local-jobs:4"; "dask://HOST:PORT"; "htcondor" or
        "slurm", with options of `Site` behind a colon: "slurm:jobs=50,memory=4GB,queue=short".

    Raises
    ------
    InputError
        If it is none of these.
    """
    name, _, options = text.partition(":")
    if name == "serial" and not options:
        return serial
    if name in ("processes", "local-jobs"):
        if options and not options.isdigit():
            raise InputError(f"--executor {text}: give a number of workers, as in {name}:4")
        number = (int(options),) if options else ()
        return Processes(*number) if name == "processes" else LocalJobs(*number)
    if name in ("dask", "tls"):
        return Dask(f"{'tcp' if name == 'dask' else 'tls'}:{options}")
    if name in ("htcondor", "slurm"):
        return SiteExecutor(Site.parse(name, options))
    raise InputError(
        f"there is no executor {text!r}; available: serial, processes[:N], local-jobs[:N], dask://HOST:PORT, "
        "tls://HOST:PORT, htcondor[:OPTIONS], slurm[:OPTIONS]"
    )
