"""HistFactory workspaces and Combine datacards of a binned score, with the uncertainties that bins share.

The workspace is plain JSON of HistFactory's schema 1.0.0, which pyhf, cabinetry and ROOT read; nothing here needs them.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np

from hepaa.errors import InputError
from hepaa.io.files import distinct
from hepaa.stats.systematics import Normalisation, Shape, generator_spread

__all__ = ["Normalisation", "Shape", "datacard", "generator_spread", "workspace"]

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import hist
    from numpy.typing import ArrayLike, NDArray

    from hepaa.stats.histogram import ScoreHistograms


def workspace(
    channels: Mapping[str, ScoreHistograms],
    signal: str,
    *,
    uncertainties: Sequence[Normalisation | Shape] = (),
    luminosity_error: float = 0.0,
    observed: Mapping[str, ArrayLike] | None = None,
) -> dict[str, Any]:
    """HistFactory workspace: signal of strength mu over backgrounds with Monte-Carlo and shared uncertainties.

    The Monte-Carlo error of each background is one nuisance a bin, constrained by the Poisson distribution of as many
    simulated events ("shapesys"), as in `hepaa.stats.significance`: a Gaussian of the same width ("staterror") holds a
    bin of 15 simulated events too tightly against a large signal. That of the signal is left out, as it does not touch
    the test of the background alone.

    Parameters
    ----------
    channels : mapping of channel -> ScoreHistograms
        One score (category) each.
    signal : str
        The signal whose strength is the parameter of interest; other signals are left out.
    uncertainties : sequence of Normalisation and Shape
        A Shape acts on its sample in every channel with as many bins as it has.
    luminosity_error : float
        Relative; moves signal and backgrounds together. 0 for none.
    observed : mapping of channel -> (bins,), optional
        Counts; by default the data of the histograms, or the expected background where there are none or some are
        blind.

    Returns
    -------
    dict
        For `json.dump`; measurement "hepaa", parameter of interest "mu".

    Raises
    ------
    InputError
        If a sample or channel is unknown, a yield is negative, or a bin has no background at all: a fit of it would
        divide by zero, so it must be merged before.
    """
    if not channels:
        raise InputError("a workspace needs at least one channel")
    known = {name for h in channels.values() for name in (*h.backgrounds, signal)}
    for u in uncertainties:
        for name in u.samples if isinstance(u, Normalisation) else (u.sample,):
            if name not in known:
                raise InputError(
                    f"uncertainty {u.name!r} acts on {name!r}, which is no sample; samples: {', '.join(sorted(known))}"
                )
    out: dict[str, Any] = {"channels": [], "observations": [], "version": "1.0.0"}
    for channel, h in channels.items():
        _refuse_unusable(channel, h, signal)
        samples = []
        for name, values in {signal: h.signals[signal], **h.backgrounds}.items():
            modifiers = _modifiers(channel, name, values, signal, uncertainties, luminosity_error)
            samples.append({"name": name, "data": values.values().tolist(), "modifiers": modifiers})
        out["channels"].append({"name": channel, "samples": samples})
        counts = (observed or {}).get(channel)
        if counts is None:
            counts = h.b if h.data is None or h.blind_above is not None else h.data.values()
        data = np.asarray(counts, dtype=np.float64)
        if data.shape != h.b.shape or np.any(data < 0):
            raise InputError(
                f"observed counts of channel {channel!r}: give one number >= 0 for each of its {len(h.b)} bins"
            )
        out["observations"].append({"name": channel, "data": data.tolist()})
    parameters: list[dict[str, Any]] = [{"name": "mu", "bounds": [[0.0, 100.0]], "inits": [1.0]}]
    if luminosity_error:
        interval = {"auxdata": [1.0], "sigmas": [luminosity_error], "inits": [1.0], "bounds": [[0.5, 1.5]]}
        parameters.append({"name": "lumi", **interval})
    out["measurements"] = [{"name": "hepaa", "config": {"poi": "mu", "parameters": parameters}}]
    return out


def _refuse_unusable(channel: str, h: ScoreHistograms, signal: str) -> None:
    s = h.s(signal)
    for name, values in (*((k, v.values()) for k, v in h.backgrounds.items()), (signal, s)):
        bad = np.flatnonzero(values < 0)
        if len(bad):
            raise InputError(
                f"{name!r} has the negative yield {values[bad[0]]:.4g} in bin {bad[0]} of channel {channel!r}: no "
                "Poisson model can hold it; merge bins or use more simulation"
            )
    empty = np.flatnonzero(h.b <= 0)
    if len(empty):
        raise InputError(f"bin {empty[0]} of channel {channel!r} has no background: merge it first (merge_unusable)")


def _modifiers(
    channel: str,
    name: str,
    values: hist.Hist[Any],
    signal: str,
    uncertainties: Sequence[Normalisation | Shape],
    luminosity_error: float,
) -> list[dict[str, Any]]:
    out: list[dict[str, Any]] = []
    if name == signal:
        out.append({"name": "mu", "type": "normfactor", "data": None})
    else:
        error = np.sqrt(np.asarray(values.variances())).tolist()
        out.append({"name": _parameter(f"mcstat_{channel}_{name}"), "type": "shapesys", "data": error})
    if luminosity_error:
        out.append({"name": "lumi", "type": "lumi", "data": None})
    for u in uncertainties:
        if isinstance(u, Normalisation):
            if u.acts_on(channel, name, signal):
                out.append({"name": _parameter(u.name), "type": "normsys", "data": {"hi": u.up, "lo": u.down}})
        elif u.acts_on(channel, name, len(values.values())):
            varied = {"hi_data": list(u.up), "lo_data": list(u.down)}
            out.append({"name": _parameter(u.name), "type": "histosys", "data": varied})
    return out


def datacard(
    channels: Mapping[str, ScoreHistograms],
    signal: str,
    *,
    uncertainties: Sequence[Normalisation | Shape] = (),
    luminosity_error: float = 0.0,
    shapes: str = "shapes.root",
) -> tuple[str, dict[str, hist.Hist[Any] | tuple[NDArray[np.float64], NDArray[np.float64]]]]:
    """Text datacard for CMS Combine, and the histograms that its shapes file must hold.

    Arguments and errors as `workspace`; `shapes` is the name that the card gives to the ROOT file.

    Returns
    -------
    (card, histograms)
        Histograms by their path in the ROOT file: hist.Hist, or (counts, edges) for varied shapes.
    """
    full = workspace(channels, signal, uncertainties=uncertainties, luminosity_error=luminosity_error)
    observed = {o["name"]: o["data"] for o in full["observations"]}
    bins = distinct(channels, _word, joint="_")
    samples = distinct((name for h in channels.values() for name in (signal, *h.backgrounds)), _word, joint="_")
    columns: list[tuple[str, str, int, float]] = []
    content: dict[str, Any] = {}
    for channel, h in channels.items():
        bin_name, edges = bins[channel], np.asarray(h.binning.edges)
        content[f"{bin_name}/data_obs"] = (np.asarray(observed[channel]), edges)
        for i, (name, values) in enumerate({signal: h.signals[signal], **h.backgrounds}.items()):
            content[f"{bin_name}/{samples[name]}"] = values
            columns.append((channel, name, i, float(np.sum(values.values()))))
            for u in uncertainties:
                if isinstance(u, Shape) and u.acts_on(channel, name, len(h.binning)):
                    for way, varied in (("Up", u.up), ("Down", u.down)):
                        content[f"{bin_name}/{samples[name]}_{_word(u.name)}{way}"] = (np.asarray(varied), edges)
    rows = [("bin", [bins[c[0]] for c in columns]), ("process", [samples[c[1]] for c in columns])]
    rows += [("process", [str(c[2]) for c in columns]), ("rate", [f"{c[3]:.8g}" for c in columns])]
    lines = ["imax *", "jmax *", "kmax *", "-" * 40]
    lines += [f"shapes * * {shapes} $CHANNEL/$PROCESS $CHANNEL/$PROCESS_$SYSTEMATIC", "-" * 40]
    lines.append("bin " + " ".join(bins[c] for c in channels))
    lines += ["observation " + " ".join(f"{sum(observed[c]):.8g}" for c in channels), "-" * 40]
    lines += [f"{key} {' '.join(cells)}" for key, cells in rows] + ["-" * 40]
    if luminosity_error:
        lines.append(f"lumi lnN {' '.join([f'{1 + luminosity_error:g}'] * len(columns))}")
    for name, rows_of in _by_name(uncertainties).items():
        cells = []
        for channel, sample, _, _ in columns:
            h = channels[channel]
            factors = [u for u in rows_of if isinstance(u, Normalisation) and u.acts_on(channel, sample, signal)]
            templates = [u for u in rows_of if isinstance(u, Shape) and u.acts_on(channel, sample, len(h.binning))]
            cells.append(f"{factors[0].down:g}/{factors[0].up:g}" if factors else "1" if templates else "-")
        effect = "lnN" if isinstance(rows_of[0], Normalisation) else "shape"
        lines.append(f"{_word(name)} {effect} {' '.join(cells)}")
    lines += [f"{bins[c]} autoMCStats 0" for c in channels]
    return "\n".join(lines) + "\n", content


def _by_name(uncertainties: Sequence[Normalisation | Shape]) -> dict[str, list[Normalisation | Shape]]:
    """Uncertainties of one name are one nuisance parameter, and one line of a datacard."""
    by_name: dict[str, list[Normalisation | Shape]] = {}
    for u in uncertainties:
        same = by_name.setdefault(u.name, [])
        if same and type(same[0]) is not type(u):
            raise InputError(f"uncertainty {u.name!r} is a shape and a normalisation: give them names of their own")
        same.append(u)
    return by_name


def _parameter(name: str) -> str:
    """A parameter's name that pyhf accepts: it splits its own keys at slashes."""
    return name.replace("/", "_")


def _word(name: str) -> str:
    """A name that Combine and ROOT accept."""
    return re.sub(r"\W+", "_", name).strip("_")
