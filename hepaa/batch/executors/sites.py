"""Sites: HTCondor and Slurm, through dask-jobqueue or as plain array jobs."""

from __future__ import annotations

import shlex
import sys
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Literal

from hepaa.batch.executors.dask import Dask
from hepaa.batch.executors.local import THREADS, Answer, Function
from hepaa.errors import InputError, nearest

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_SCHEDULERS = ("htcondor", "slurm", "local")


@dataclass(frozen=True)
class Site:
    """Resources that a batch system gives each job.

    Attributes
    ----------
    system : "htcondor", "slurm" or "local"
        "local" starts the same jobs on this machine, to try a set-up.
    jobs : int
    cores : int
        Each runs one worker with one thread.
    memory : str
        Such as "2GB".
    disk : str
        Scratch space; HTCondor wants to know it.
    walltime : str
        HH:MM:SS.
    queue : str
        Slurm: partition. HTCondor: job flavour.
    python : str
        Command of the interpreter on the node, such as "apptainer exec hepaa.sif python".
    prologue : str
        Shell command before the worker starts, such as the activation of an environment.
    interface : str
        Network interface that scheduler and workers listen on, such as "ib0". Default: the one address by which this
        machine reaches others; for "local" the loopback alone.
    shared : str
        Folder that the nodes see too. Keys and certificates of the connection lie there while the cluster lives,
        readable by their owner alone. Default: the home folder.
    """

    system: Literal["htcondor", "slurm", "local"]
    jobs: int = 10
    cores: int = 1
    memory: str = "2GB"
    disk: str = "1GB"
    walltime: str = "02:00:00"
    queue: str = ""
    python: str = sys.executable
    prologue: str = ""
    interface: str = ""
    shared: str = ""

    def __post_init__(self) -> None:
        if self.system not in _SCHEDULERS:
            raise InputError(f"there is no batch system {self.system!r}; {nearest(str(self.system), _SCHEDULERS)}")
        parts = self.walltime.split(":")
        if len(parts) != 3 or not all(part.isdigit() for part in parts):
            raise InputError(f"walltime {self.walltime!r} is not HH:MM:SS")
        if self.jobs < 1 or self.cores < 1:
            raise InputError(f"a site needs at least one job and one core, not {self.jobs} and {self.cores}")

    @classmethod
    def parse(cls, system: Any, options: str) -> Site:
        """Options as NAME=VALUE, separated by commas."""
        known = {f.name: f for f in fields(cls) if f.name != "system"}
        settings: dict[str, Any] = {}
        for pair in filter(None, options.split(",")):
            name, equals, value = pair.partition("=")
            if not equals or name not in known:
                raise InputError(f"{system}: {pair!r} is no option NAME=VALUE; {nearest(name, known)}")
            if name in ("jobs", "cores"):
                if not value.isdigit():
                    raise InputError(f"{system}: {name} is a number, not {value!r}")
                settings[name] = int(value)
            else:
                settings[name] = value
        return cls(system, **settings)

    @property
    def seconds(self) -> int:
        """Walltime in seconds."""
        hours, minutes, seconds = map(int, self.walltime.split(":"))
        return 3600 * hours + 60 * minutes + seconds

    @contextmanager
    def cluster(self, logs: str | None = None) -> Iterator[Any]:
        """A cluster of dask-jobqueue that has no jobs yet; what they say goes into the folder `logs`.

        Its scheduler runs whatever a client sends it, so it talks TLS alone, with keys made for this cluster, and
        listens on one interface.

        Raises
        ------
        InputError
            If dask-jobqueue is not installed.
        """
        try:
            import dask
            import dask_jobqueue
            from dask_jobqueue.local import LocalCluster
            from distributed.utils import get_ip
        except ImportError:
            raise InputError("batch systems need dask-jobqueue; install hepaa[batch]") from None
        listen = {"interface": self.interface} if self.interface else {"host": get_ip()}
        options: dict[str, Any] = {
            "cores": self.cores,
            "processes": self.cores,
            "memory": self.memory,
            "python": self.python,
            # the scheduler has a web server in any case: here without pages, for this machine alone
            "scheduler_options": {"dashboard": False, "dashboard_address": "127.0.0.1:0", **listen},
            "worker_extra_args": ["--no-dashboard"],
            "interface": self.interface or None,
            # else each job leaves a file in the working directory
            "log_directory": logs,
        }
        prologue = [*(f"export {name}=1" for name in THREADS), *filter(None, [self.prologue])]
        cluster = LocalCluster
        if self.system == "local":
            options["scheduler_options"]["host"] = "127.0.0.1"
        elif self.system == "slurm":
            cluster = dask_jobqueue.SLURMCluster
            options |= {"walltime": self.walltime, "queue": self.queue or None, "job_script_prologue": prologue}
        else:
            cluster = dask_jobqueue.HTCondorCluster
            flavour = {"+JobFlavour": f'"{self.queue}"'} if self.queue else {}
            extra = {"+MaxRuntime": str(self.seconds)} | flavour
            options |= {"disk": self.disk, "job_extra_directives": extra, "job_script_prologue": prologue}
        with (
            TemporaryDirectory(prefix=".hepaa-keys-", dir=self.shared or Path.home()) as keys,
            dask.config.set({"distributed.scheduler.http.routes": []}),
            cluster(**options, security=_security(Path(keys))) as started,
        ):
            yield started

    def worker_script(self) -> str:
        """The job script of one worker, as dask-jobqueue would submit it."""
        with self.cluster() as cluster:
            return str(cluster.job_script())

    def array_script(self, folder: str) -> str:
        """Submit file of an array job: job N does the groups N, N + M, N + 2 M ... of the plan in `folder`.

        For sites that allow no scheduler of one's own. `hepaa batch merge` puts the results together.
        """
        command = f"-m hepaa.cli batch shard {shlex.quote(folder)} --of {self.jobs} --index"
        if self.system == "htcondor":
            flavour = f'+JobFlavour = "{self.queue}"\n' if self.queue else ""
            before = f"{self.prologue}; " if self.prologue else ""
            return (
                "executable = /bin/sh\ntransfer_executable = false\n"
                f"arguments = {_condor_words('-c', f'{before}exec {self.python} {command} $(Process)')}\n"
                f"request_cpus = 1\nrequest_memory = {self.memory}\nrequest_disk = {self.disk}\n"
                f"+MaxRuntime = {self.seconds}\n{flavour}"
                f'environment = "{" ".join(f"{name}=1" for name in THREADS)}"\n'
                f"getenv = true\nlog = {folder}/condor.log\noutput = {folder}/job-$(Process).out\n"
                f"error = {folder}/job-$(Process).err\nqueue {self.jobs}\n"
            )
        partition = f"#SBATCH --partition={self.queue}\n" if self.queue else ""
        # Slurm warns a minute before the time limit; what is stored by then stays stored
        return (
            f"#!/bin/sh\n#SBATCH --array=0-{self.jobs - 1}\n#SBATCH --ntasks=1\n#SBATCH --cpus-per-task=1\n"
            f"#SBATCH --mem={self.memory.removesuffix('B')}\n#SBATCH --time={self.walltime}\n#SBATCH --signal=TERM@60\n"
            f"{partition}#SBATCH --output={folder}/job-%a.out\n"
            + "".join(f"export {name}=1\n" for name in THREADS)
            + (f"{self.prologue}\n" if self.prologue else "")
            + f'exec {self.python} {command} "$SLURM_ARRAY_TASK_ID"\n'
        )


def _condor_words(*words: str) -> str:
    """Arguments in the new syntax of HTCondor: each word in single quotes, all in double ones; quotes inside twice."""
    quoted = " ".join("'{}'".format(word.replace("'", "''").replace('"', '""')) for word in words)
    return f'"{quoted}"'


def _security(folder: Path) -> Any:
    """Keys and a certificate for one cluster, as files that its owner alone can read."""
    from distributed import Security

    made = Security.temporary()
    for part in ("ca_file", "key", "cert"):
        pem = made.tls_ca_file if part == "ca_file" else getattr(made, f"tls_worker_{part}")
        (folder / part).touch(mode=0o600)
        (folder / part).write_text(pem, encoding="ascii")
    roles = {
        f"tls_{role}_{part}": str(folder / part)
        for role in ("client", "scheduler", "worker")
        for part in ("key", "cert")
    }
    return Security(require_encryption=True, tls_ca_file=str(folder / "ca_file"), **roles)


@dataclass(frozen=True)
class SiteExecutor:
    """Workers in the jobs of a batch system.

    Attributes
    ----------
    site : Site
    tells_progress : bool
        Results are added as they come.
    """

    site: Site
    tells_progress: bool = True

    def __call__(self, items: Sequence[Any], function: Function, accumulator: Any) -> Answer:
        """Ask for the jobs, map over those that run, and let them go."""
        from distributed import Client

        folder = getattr(function, "folder", None)  # that of the batch, which all nodes see
        with self.site.cluster(folder and f"{folder}/jobs") as cluster:
            cluster.scale(jobs=min(self.site.jobs, len(items)))
            with Client(cluster, set_as_default=False) as client:
                return Dask(client=client)(items, function, accumulator)


def site(system: Any, **options: Any) -> Site:
    """A site with the options that were given; None leaves the default."""
    return replace(Site(system), **{k: v for k, v in options.items() if v is not None})
