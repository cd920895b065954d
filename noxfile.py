"""Sessions: `nox -s demo`, `tests`, `grid`, `lint`, `types`, `bench`, `analyses`, `docs`, `minimums`, `wheel`.

Words after `--` go to the command of the session: `nox -s tests -- -k table`, `nox -s demo -- --output my-folder`.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import nox

nox.needs_version = ">=2024.10.9"
nox.options.sessions = ["lint", "types", "tests"]
nox.options.default_venv_backend = "virtualenv"

# A fixed release with a CPU build, asked for first: otherwise pip takes a CUDA build of several gigabytes.
TORCH = "torch==2.13.0"
# Containers often forbid Python to keep what it compiles: then each process of a test compiles all that it imports.
KEEP_BYTECODE = {"PYTHONDONTWRITEBYTECODE": ""}
ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


def _install(session: nox.Session, *packages: str) -> None:
    session.install(TORCH)
    session.install(*packages)


@nox.session
def demo(session: nox.Session) -> None:
    """The main job on the embedded samples: from events to figures and significances."""
    _install(session, ".")
    session.run("hepaa", "demo", *session.posargs)


@nox.session
def tests(session: nox.Session) -> None:
    """The default tests; `-- -m slow` runs the long ones."""
    _install(session, "-e", ".[test,simulate,hepmc,docs]")
    session.run("python", "-m", "pytest", *session.posargs, env=KEEP_BYTECODE)


@nox.session
def grid(session: nox.Session) -> None:
    """Batches on a Slurm and files on an XRootD of its own, on loopback; what is missing comes from Debian, as root."""
    if not all(shutil.which(name) for name in ("munged", "slurmctld", "slurmd", "xrootd")):
        if os.geteuid():
            session.error("this needs munge, slurm-wlm and xrootd-server; install them, or run this session as root")
        for words in (
            ("update",),
            ("install", "--yes", "--no-install-recommends", "munge", "slurm-wlm", "xrootd-server"),
        ):
            session.run("apt-get", "-qq", *words, external=True, env={"DEBIAN_FRONTEND": "noninteractive"})
    clients = ("xrootd==6.2.1", "fsspec-xrootd==0.5.5", "aiohttp==3.14.5", "s3fs==2026.9.0", "htcondor==25.14.1")
    _install(session, "-e", ".[test,hepmc]", *clients, "moto[server]==5.2.5", "trustme==1.2.1")
    session.run("python", "-m", "pytest", "-m", "grid", "tests/grid", *session.posargs, env=KEEP_BYTECODE)


@nox.session
def lint(session: nox.Session) -> None:
    """Style, common mistakes, and which package may import which."""
    session.install("ruff==0.17.6", "import-linter==2.17")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("lint-imports")


@nox.session
def types(session: nox.Session) -> None:
    """Static types of the package, strictly."""
    _install(session, "-e", ".[dev]")
    session.run("mypy")


@nox.session
def bench(session: nox.Session) -> None:
    """Speed against the peers, one thread: interleaved repeats, medians, ratios."""
    _install(session, ".[test]", "coffea")
    files = sorted(str(p) for p in Path("tests/benchmarks").glob("bench_*.py"))
    session.run("python", "-m", "pytest", "-m", "bench", "-s", *(session.posargs or files), env=ONE_THREAD)


@nox.session
def analyses(session: nox.Session) -> None:
    """The published results, measured here, and the page of them; `-- --quick` shows only that all work."""
    _install(session, ".[baselines,simulate]")
    session.run("python", "analyses/run.py", *session.posargs)


@nox.session
def docs(session: nox.Session) -> None:
    """The guide, gallery and reference as a site, warnings as errors, and what a browser makes of it."""
    _install(session, "-e", ".[test,docs]")
    if not any(map(shutil.which, ("chromium", "google-chrome"))) and os.geteuid() == 0:
        for words in (("update",), ("install", "--yes", "--no-install-recommends", "chromium")):
            session.run("apt-get", "-qq", *words, external=True, env={"DEBIAN_FRONTEND": "noninteractive"})
    site = Path(session.create_tmp()).resolve() / "site"
    session.run("sphinx-build", "--fail-on-warning", "--keep-going", "--quiet", "analyses/guide", str(site))
    session.run("python", "-m", "pytest", "tests/guide/test_site.py", *session.posargs, env={"HEPAA_SITE": str(site)})
    session.log(f"open {site / 'index.html'}")


@nox.session
def minimums(session: nox.Session) -> None:
    """The default tests on the lowest versions that pyproject.toml allows, torch aside: see TORCH."""
    needs = nox.project.load_toml("pyproject.toml")["project"]["dependencies"]
    lowest = [need.replace(">=", "==") for need in needs if not need.startswith("torch")]
    _install(session, *lowest, "-e", ".[test]")
    # Old releases warn of what their own dependencies have deprecated since.
    session.run("python", "-m", "pytest", "-W", "ignore", *session.posargs)


@nox.session
def wheel(session: nox.Session) -> None:
    """Build the wheel and run the tests against it, away from the checkout's own package."""
    session.install("build")
    shutil.rmtree("dist", ignore_errors=True)
    session.run("python", "-m", "build", "--wheel", "--outdir", "dist", silent=True)
    (built,) = Path("dist").glob("hepaa-*.whl")
    _install(session, f"{built.resolve()}[test]")
    root = Path.cwd()
    away = Path(session.create_tmp())
    shutil.rmtree(away / "tests", ignore_errors=True)
    shutil.copytree(root / "tests", away / "tests")
    data = {"HEPAA_DATA": str(root.parent / "shared" / "data")} if (root.parent / "shared" / "data").is_dir() else {}
    session.chdir(away)
    session.run(
        "python",
        "-m",
        "pytest",
        "-c",
        str(root / "pyproject.toml"),
        "--rootdir",
        ".",
        "tests",
        *session.posargs,
        env=data,
    )
