"""Commands that simulate events: dijets, wprime, svj, zh, hepmc."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hepaa.cli.common import FILE, reporter
from hepaa.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable

    from hepaa.simulate.processes import JetProcess
    from hepaa.simulate.tasks import BlockTask

_COMMON = (
    click.option("--events", "-n", type=click.IntRange(min=1), default=10_000, show_default=True, help="To keep."),
    click.option("--output", "-o", type=FILE, required=True, help="Folder to make."),
    click.option("--seed", type=click.IntRange(min=0), default=1, show_default=True),
    click.option("--jobs", type=click.IntRange(min=1), default=1, show_default=True, help="Processes."),
    click.option("--executor", help="In place of --jobs: dask://HOST:PORT, htcondor or slurm[:OPTIONS] ..."),
    click.option("--work", type=FILE, help="Folder where blocks are kept.  [default: OUTPUT.batch]"),
    click.option("--block", type=click.IntRange(min=1), default=2000, show_default=True, help="Events in a block."),
    click.option("--allow-missing", type=int, default=0, show_default=True, help="Blocks that a result may lack."),
    click.option("--overwrite", is_flag=True, help="Replace the files of an earlier run."),
)  # fmt: skip
_GENERATOR = (
    click.option("--tune", default="monash", show_default=True,
                 help="monash, 4cx, cuetp8m1, a14, vincia or vincia-global."),
    click.option("--pythia", "more", multiple=True, help="Setting of Pythia, as 'PartonLevel:MPI = on'; many."),
)  # fmt: skip
_DETECTOR = (
    click.option("--detector", default="lhco-like", show_default=True, help="lhco-like or embedded."),
    click.option("--jet-pt-min", type=float, default=1200.0, show_default=True,
                 help="Of the leading R = 1.0 jet of the detector, in GeV."),
    click.option("--features-only", is_flag=True, help="Do not write raw particles."),
)  # fmt: skip
_PT_HAT = (
    click.option("--pt-hat-min", type=float, default=950.0, show_default=True, help="Of the hard process, in GeV."),
    click.option("--pt-hat-max", type=float, default=float("inf"), help="In GeV.  [default: none]"),
)  # fmt: skip


def _options(*groups: tuple[Callable[..., Any], ...]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    def give(command: Callable[..., None]) -> Callable[..., None]:
        for option in reversed([option for group in groups for option in group]):
            command = option(command)
        return command

    return give


@click.group()
def simulate() -> None:
    """Simulate events with Pythia 8 (pip install 'hepaa[simulate]').

    A run that was killed goes on where it stopped when the same command is given again; with more --events it adds to
    those that are there.

    \b
    Example: hepaa simulate dijets --events 100000 --jobs 2 --output dijets
             hepaa simulate wprime --masses 3500 1000 400 --output wprime
    """


@simulate.command()
@_options(_COMMON, _PT_HAT, _GENERATOR, _DETECTOR)
def dijets(pt_hat_min: float, pt_hat_max: float, tune: str, more: tuple[str, ...], **options: Any) -> None:
    """Simulate QCD dijets: LHCO particles and the features `dijet`.

    \b
    Example: hepaa simulate dijets --events 100000 --tune vincia --output vincia
    """
    from hepaa.simulate.processes import Dijets

    _detect(Dijets(tune=tune, more=more, pt_hat_min=pt_hat_min, pt_hat_max=pt_hat_max), **options)


@simulate.command()
@click.option("--masses", type=(float, float, float), default=(3500.0, 500.0, 100.0), show_default=True,
              help="Of W', X and Y, in GeV.")  # fmt: skip
@click.option("--width", type=float, default=0.01, show_default=True, help="Of W', over its mass.")
@click.option("--daughter-width", type=float, default=0.002, show_default=True, help="Of X and Y, over theirs.")
@click.option("--neutral", type=click.Choice(["x", "y"]), default="x", show_default=True,
              help="X to pairs of five flavours, or Y to pairs of four; the other decays to ud and cs.")  # fmt: skip
@_options(_COMMON, _GENERATOR, _DETECTOR)
def wprime(
    masses: tuple[float, float, float], width: float, daughter_width: float, neutral: Any, tune: str,
    more: tuple[str, ...], **options: Any,
) -> None:  # fmt: skip
    """Simulate W' -> X Y -> four quarks, the signal of the LHC Olympics R&D set.

    \b
    Example: hepaa simulate wprime --masses 3500 1000 400 --events 5000 --output wprime
    """
    from hepaa.simulate.processes import WPrime

    process = WPrime(tune=tune, more=more, masses=masses, width=width, daughter_width=daughter_width, neutral=neutral)
    _detect(process, **options)


@simulate.command()
@click.option("--mass", type=float, default=3500.0, show_default=True, help="Of Z', in GeV.")
@click.option("--r-inv", type=float, default=0.3, show_default=True, help="Fraction of dark mesons that are invisible.")
@click.option("--width", type=float, default=0.01, show_default=True, help="Of Z', over its mass.")
@click.option("--meson-mass", type=float, default=20.0, show_default=True, help="Of dark mesons, in GeV.")
@click.option("--scale", type=float, default=5.0, show_default=True, help="Lambda of the dark force, in GeV.")
@_options(_COMMON, _GENERATOR, _DETECTOR)
def svj(
    mass: float, r_inv: float, width: float, meson_mass: float, scale: float, tune: str, more: tuple[str, ...],
    **options: Any,
) -> None:  # fmt: skip
    """Simulate semi-visible jets: Z' -> dark quarks, by the Hidden Valley of Pythia.

    \b
    Example: hepaa simulate svj --r-inv 0.5 --events 5000 --output svj
    """
    from hepaa.simulate.processes import SemiVisible

    process = SemiVisible(tune=tune, more=more, mass=mass, r_inv=r_inv, width=width, meson_mass=meson_mass, scale=scale)
    _detect(process, **options)


@simulate.command()
@_options(_COMMON)
def zh(events: int, output: Path, **options: Any) -> None:
    """Simulate ZH -> l+ l- b bbar at parton level, with named weights in c_HW, as LHE.

    \b
    Example: hepaa simulate zh --events 100000 --jobs 2 --output zh
    """
    from hepaa.simulate.tasks import PartonTask

    work = _work(output, options)
    task = PartonTask(folder=work, name="zh", seed=options["seed"], block=options["block"])
    _produce(task, events, output, work, options)


@simulate.command()
@click.option("--process", type=click.Choice(["dijets", "wprime", "svj"]), default="dijets", show_default=True)
@_options(_COMMON, _PT_HAT, _GENERATOR)
def hepmc(
    process: str, events: int, output: Path, pt_hat_min: float, pt_hat_max: float, tune: str, more: tuple[str, ...],
    **options: Any,
) -> None:  # fmt: skip
    """Simulate full event records, before any detector, as HepMC3 (pip install 'hepaa[hepmc]').

    \b
    Example: hepaa simulate hepmc --process svj --events 1000 --output records
    """
    from hepaa.io.hepmc import import_pyhepmc
    from hepaa.simulate.processes import Dijets, SemiVisible, WPrime
    from hepaa.simulate.tasks import RecordTask

    import_pyhepmc()
    made: JetProcess
    if process == "dijets":
        made = Dijets(tune=tune, more=more, pt_hat_min=pt_hat_min, pt_hat_max=pt_hat_max)
    else:
        made = (WPrime if process == "wprime" else SemiVisible)(tune=tune, more=more)
    work = _work(output, options)
    task = RecordTask(folder=work, name=process, seed=options["seed"], block=options["block"], settings=made.settings())
    _produce(task, events, output, work, options)


def _detect(
    process: JetProcess, events: int, output: Path, detector: str, jet_pt_min: float, features_only: bool,
    **options: Any,
) -> None:  # fmt: skip
    from hepaa.simulate.detector import detector as detector_named
    from hepaa.simulate.tasks import DetectedTask

    detector_named(detector)
    if jet_pt_min <= 0:
        raise InputError(f"--jet-pt-min {jet_pt_min:g}: has to be above 0 GeV")
    work = _work(output, options)
    task = DetectedTask.of(
        process, folder=work, seed=options["seed"], block=options["block"], detector=detector, jet_pt_min=jet_pt_min,
        raw=not features_only,
    )  # fmt: skip
    _produce(task, events, output, work, options)


def _work(output: Path, options: dict[str, Any]) -> str:
    return str((options["work"] or output.with_name(f"{output.name}.batch")).absolute())


def _produce(task: BlockTask, events: int, output: Path, work: str, options: dict[str, Any]) -> None:
    from hepaa.batch import executor
    from hepaa.batch.runs import BatchSetup
    from hepaa.io.folders import refuse_output
    from hepaa.simulate.production import produce

    if options["executor"] and options["jobs"] > 1:
        raise InputError("give either --jobs or --executor, not both")
    refuse_output(output, [work])
    if output.exists() and not options["overwrite"]:
        raise InputError(f"{output}: exists already; choose another output, or --overwrite to replace it")
    jobs = options["jobs"]
    workers = executor(options["executor"] or (f"processes:{jobs}" if jobs > 1 else "serial"))
    batch = BatchSetup(Path(work), workers, allow_missing=options["allow_missing"], progress=reporter())
    total, folder = produce(task, events, batch, output, overwrite=options["overwrite"])
    sigma = f"{total.value_pb:.4g} +- {total.error_pb:.2g} pb"
    share = f"{total.passed / total.tried:.4f} of {total.tried} generated events pass"
    click.echo(f"{folder}: {total.kept} events kept; {share}; cross-section {sigma} after selection")
