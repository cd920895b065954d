"""A batch system and a file server of one's own, on loopback: Slurm with one node, and XRootD.

Every file of theirs lies in the folder that is given, and every process is stopped by its id.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "xrootd")
PACKAGES = ("munge", "slurm-wlm", "xrootd-server")
_WAIT_S = 30.0


def missing() -> list[str]:
    """Programs that the services need and this machine lacks."""
    return [name for name in PROGRAMS if shutil.which(name) is None]


def free_port() -> int:
    """A port of the loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(true: Callable[[], bool], what: str, seconds: float = _WAIT_S) -> None:
    """Wait for a condition; TimeoutError says for which."""
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            raise TimeoutError(f"{what}: not within {seconds:g} s")
        time.sleep(0.1)


def _stop(pid_file: Path) -> None:
    """End the daemon whose id is in a file, and wait until it is gone."""
    if not pid_file.is_file() or not (text := pid_file.read_text().strip()):
        return
    with suppress(ProcessLookupError):
        os.kill(int(text), signal.SIGTERM)
        for _ in range(100):
            os.kill(int(text), 0)
            time.sleep(0.1)
        os.kill(int(text), signal.SIGKILL)


@dataclass
class Slurm:
    """One node with four cores and 8 GB, in one partition; `environment` makes sbatch and its like talk to it."""

    folder: Path
    host: str
    environment: dict[str, str]

    def __call__(self, *words: str) -> str:
        """What a command of Slurm prints."""
        return subprocess.run(
            words, env=os.environ | self.environment, check=True, capture_output=True, text=True, timeout=60
        ).stdout

    def jobs(self, state: str = "") -> list[str]:
        """Ids of the jobs in the queue, of one state where it is given."""
        words = ["squeue", "--noheader", "--array", "--format=%i", *(["--states", state] if state else [])]
        return self(*words).split()

    def state(self, job: str) -> str:
        """State of one job, such as RUNNING, COMPLETED or OUT_OF_MEMORY."""
        fields = dict(w.split("=", 1) for w in self("scontrol", "--oneliner", "show", "job", job).split() if "=" in w)
        return fields["JobState"]

    def node(self, state: str) -> None:
        """Take the node down, or bring it back with "resume", after the last of its jobs has ended there.

        A node that comes back with a job at its end is drained: the job has been put into the queue again.
        """
        if state == "resume":
            wait_until(lambda: not _steps(), "the jobs of the node ended")
        reason = ["reason=test"] if state == "down" else []
        self("scontrol", "update", f"nodename={self.host}", f"state={state}", *reason)

    def stop_controller(self) -> None:
        """The scheduler dies."""
        _stop(self.folder / "slurmctld.pid")

    def start_controller(self) -> None:
        """The scheduler comes back, with the jobs that it knew."""
        self._daemon("slurmctld")
        wait_until(self.answers, "slurmctld answers")

    def answers(self) -> bool:
        """Whether the scheduler answers and has its node."""
        done = subprocess.run(
            ["sinfo", "--noheader", "--format=%t"],
            env=os.environ | self.environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return done.returncode == 0 and done.stdout.strip() in ("idle", "mix", "alloc")

    def _daemon(self, name: str) -> None:
        subprocess.run([name, "-f", str(self.folder / "slurm.conf")], env=os.environ | self.environment, check=True)


def _steps() -> list[str]:
    """Processes that look after a job on this node."""
    titles = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            titles.append(path.read_bytes().decode(errors="replace"))
    return [title for title in titles if title.startswith("slurmstepd: [")]


@contextmanager
def slurm(folder: Path) -> Iterator[Slurm]:
    """A running Slurm; it is stopped, jobs included, at the end of the block."""
    folder.mkdir(parents=True)
    for name in ("munge", "state", "spool"):
        (folder / name).mkdir(mode=0o755)
    key = folder / "munge.key"
    key.touch(mode=0o600)
    key.write_bytes(secrets.token_bytes(1024))
    host = socket.gethostname().partition(".")[0]
    controller, node = free_port(), free_port()
    (folder / "slurm.conf").write_text(
        f"""\
ClusterName=hepaa
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
SlurmdPort={node}
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SlurmdParameters=config_overrides
SchedulerParameters=sched_interval=1,batch_sched_delay=1
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=1
JobAcctGatherParams=OverMemoryKill
ReturnToService=1
MinJobAge=3600
KillWait=1
OverTimeLimit=0
MpiDefault=none
DefMemPerCPU=500
NodeName={host} NodeAddr=127.0.0.1 CPUs=4 RealMemory=8000 State=UNKNOWN
PartitionName=short Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""
    )
    cluster = Slurm(folder, host, {"SLURM_CONF": str(folder / "slurm.conf")})
    with ExitStack() as stack:
        stack.callback(_stop, folder / "munge" / "pid")
        munge = {"key-file": key, "socket": folder / "munge/socket", "pid-file": folder / "munge/pid"}
        munge |= {"log-file": folder / "munge/log", "seed-file": folder / "munge/seed"}
        subprocess.run(["munged", "--force", *(f"--{name}={path}" for name, path in munge.items())], check=True)
        stack.callback(cluster.stop_controller)
        cluster._daemon("slurmctld")
        stack.callback(_stop, folder / "slurmd.pid")
        cluster._daemon("slurmd")
        stack.callback(_cancel_all, cluster)
        wait_until(cluster.answers, "Slurm has its node")
        yield cluster


def _cancel_all(cluster: Slurm) -> None:
    if cluster.answers() and (jobs := cluster.jobs()):
        cluster("scancel", *jobs)
        wait_until(lambda: not cluster.jobs("RUNNING,COMPLETING"), "the jobs are gone")


@dataclass
class XRootD:
    """A server of the files under `root`; `address` stands before their names."""

    root: Path
    port: int
    folder: Path

    @property
    def address(self) -> str:
        """Such as root://127.0.0.1:1094/"""
        return f"root://127.0.0.1:{self.port}/"

    def start(self) -> None:
        """Start the server, as a user without privileges where this one has them: as root it does not run."""
        user = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"] if os.geteuid() == 0 else []
        self._server = subprocess.Popen(
            [*user, "xrootd", "-c", str(self.folder / "xrootd.cfg"), "-l", str(self.folder / "log")],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wait_until(self.answers, "xrootd listens")

    def answers(self) -> bool:
        """Whether the server listens."""
        with socket.socket() as line:
            return line.connect_ex(("127.0.0.1", self.port)) == 0

    def stop(self) -> None:
        """The server is gone."""
        self._server.terminate()
        self._server.wait()


@contextmanager
def xrootd(folder: Path) -> Iterator[XRootD]:
    """A running XRootD that serves, and takes, files under `folder / "files"`."""
    files, admin = folder / "files", folder / "admin"
    for path in (files, admin):
        path.mkdir(parents=True)
        path.chmod(0o777)
    for parent in (folder, *folder.parents):
        if parent.stat().st_uid == os.geteuid() and parent != Path("/"):
            parent.chmod(parent.stat().st_mode | 0o055)
    port = free_port()
    (admin / "xrootd.cfg").write_text(
        f"xrd.port {port}\nxrd.network nodnr\nall.export / r/w\noss.localroot {files}\nxrootd.chksum adler32\n"
        f"all.adminpath {admin}\nall.pidpath {admin}\n"
    )
    server = XRootD(files, port, admin)
    server.start()
    try:
        yield server
    finally:
        server.stop()
