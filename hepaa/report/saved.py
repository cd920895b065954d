"""A run as it lies in its folder: everything that figures and the report need, read when it is first asked for."""

from __future__ import annotations

from copy import copy
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hepaa import detectors, html
from hepaa.card import Card, load_card
from hepaa.detectors import NeuralDetector, load_detector
from hepaa.errors import InputError, nearest
from hepaa.features.registry import feature_info
from hepaa.io.files import one_line
from hepaa.io.texts import parse_json
from hepaa.stats.binning import Binning
from hepaa.stats.histogram import ScoreHistograms, score_histograms
from hepaa.stats.performance import SIC, Roc, roc, sic_of
from hepaa.stats.response import Response
from hepaa.stats.sculpting import Gate
from hepaa.table import BACKGROUND, SIGNAL, EventTable
from hepaa.table.regions import in_regions, signal_region

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray


class SavedRun:
    """A folder that `hepaa run` wrote.

    Parameters
    ----------
    folder : str or Path
    scored : EventTable, optional
        The scored test part of all regions, if it is at hand; otherwise read from the folder.
    models : mapping of name -> detector, optional
        Trained detectors, if at hand.
    curves : mapping of (detector, signal) -> Roc, optional
        ROC curves of the test part, if at hand.

    Raises
    ------
    InputError
        If the folder holds no results of a run; later, if a file of it is missing or cannot be read.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        scored: EventTable | None = None,
        models: Mapping[str, Any] | None = None,
        curves: Mapping[tuple[str, str], Roc | None] | None = None,
    ) -> None:
        self.folder = Path(folder)
        if not (self.folder / "results.json").is_file():
            raise InputError(f"{self.folder}: no results.json there; give the folder that `hepaa run` wrote")
        if scored is not None:
            self.__dict__["scored"] = scored
        self._models = dict(models or {})
        self._curves = dict(curves or {})

    @cached_property
    def results(self) -> dict[str, Any]:
        """The content of `results.json`."""
        try:
            content = parse_json((self.folder / "results.json").read_text(encoding="utf-8"))
        except ValueError as broken:
            raise InputError(f"{self.folder / 'results.json'}: no JSON ({broken}); run the card again") from broken
        if not isinstance(content, dict) or not {"card", "detectors", "samples"} <= set(content):
            raise InputError(
                f"{self.folder / 'results.json'}: not the results of a run; give the folder of `hepaa run`"
            )
        try:
            _require_numbers(content)
        except (KeyError, TypeError, ValueError, AttributeError) as damage:
            raise InputError(
                f"{self.folder / 'results.json'}: is damaged ({one_line(damage)}); run the card again"
            ) from damage
        return content

    def _repr_html_(self) -> str:
        """Separation and expected Z of every detector, and the card, for notebooks."""
        rows = [
            (name, signal, p["auc"], p["max_sic"], z["total"], z["total_error"])
            for name, detector in self.results["detectors"].items()
            for signal, numbers in detector["signals"].items()
            for p, z in [(numbers["performance"], numbers["significance"])]
        ]
        header = ["detector", "signal", "AUC", "max SIC", "Z expected", "MC error of Z"]
        return html.table(header, rows, caption=str(self.folder)) + self.card._repr_html_()

    @cached_property
    def card(self) -> Card:
        """The card, with all defaults."""
        return load_card(self.folder / "card.yaml")

    @cached_property
    def scored(self) -> EventTable:
        """The scored test part, with the events of all regions."""
        return EventTable.load(self.folder / "scores.parquet")

    @cached_property
    def test(self) -> EventTable:
        """The scored test part of the signal region."""
        return signal_region(self.scored, self.card.regions)

    @property
    def detectors(self) -> list[str]:
        """Names of the detectors, in the order of the card."""
        return list(self.results["detectors"])

    def only(self, name: str) -> SavedRun:
        """The same run with one of its detectors; what is read of the files is shared."""
        one = copy(self)
        one.__dict__["results"] = {**self.results, "detectors": {name: self.results["detectors"][name]}}
        return one

    def model(self, name: str) -> NeuralDetector | None:
        """The trained network; None for any other detector, and one that is not saved."""
        model = self._model(name)
        return model if isinstance(model, NeuralDetector) else None

    def uses_labels(self, name: str) -> bool:
        """Whether a detector learns from labelled anomalies; the card says which it is, for not all are saved."""
        (entry,) = (d for d in self.card.detectors if d.label == name)
        return bool(detectors.detector(entry.detector, **entry.options).uses_labels)

    def _model(self, name: str) -> Any:
        if name not in self._models:
            path = self.folder / "models" / f"{self.card.file_names[name]}.safetensors"
            self._models[name] = load_detector(path) if path.is_file() else None
        return self._models[name]

    def score(self, name: str) -> NDArray[np.float64]:
        """Score of a detector on the test part, (n,)."""
        if name not in self.detectors:
            raise InputError(f"{self.folder}: no detector {name!r}; {nearest(name, self.detectors)}")
        return np.asarray(self.test[f"score_{name}"], dtype=np.float64)

    def signals(self, name: str) -> list[str]:
        """Signal processes that a detector was judged on."""
        return list(self.results["detectors"][name]["signals"])

    def histograms(self, name: str) -> ScoreHistograms:
        """Score histograms of the test part in the run's binning, its background split as in the run."""
        return self._histograms(self.test, name, self.results["detectors"][name])

    def region(self, name: str, region: str) -> ScoreHistograms:
        """Score histograms of a detector in a control or validation region."""
        rows = in_regions(self.scored, self.card.regions)[region]
        h = self._histograms(self.scored[rows], name, self.results["detectors"][name]["regions"][region])
        return h.complete(self.signals(name), data=self.card.has_data)

    def _histograms(self, table: EventTable, name: str, numbers: Mapping[str, Any]) -> ScoreHistograms:
        """Histograms in the binning of these numbers of `results.json`; data as they may be seen."""
        score, observed = np.asarray(table[f"score_{name}"], dtype=np.float64), numbers.get("observed")
        blind_above = None if observed is None else observed["blind_above"]
        shown = ~np.isnan(score)  # scores of data are NaN where they are blind
        h = score_histograms(
            table[shown], score[shown], Binning(**numbers["binning"]), by=None, blind_above=blind_above
        )
        return h.complete(h.signals, data=self.card.has_data and bool(h.seen.any()))

    def shifts(self, name: str, region: str | None = None) -> dict[str, NDArray[np.float64]]:
        """Shared relative uncertainties of the background in the bins of a score, of the signal region by default."""
        numbers = self.results["detectors"][name]
        numbers = numbers if region is None else numbers["regions"][region]
        content = numbers.get("observed") or next(iter(numbers["signals"].values()))["significance"]
        return {k: np.asarray(v, dtype=np.float64) for k, v in content["shifts"].items()}

    def response(self, name: str) -> Response | None:
        """How the background in the bins of a score answers to shared uncertainties; None in older results."""
        content = self.results["detectors"][name].get("response")
        return None if content is None else Response.from_dict(content)

    def roc(self, name: str, signal: str) -> Roc:
        """ROC curve of a detector on the test part; events are sorted once."""
        curve = self._curves.get((name, signal))
        if curve is None:
            rows = np.concatenate([np.flatnonzero(self.test.label == BACKGROUND), self.signal_groups()[signal]])
            rows.sort()
            curve = roc(self.test.label[rows] == SIGNAL, self.score(name)[rows], self.test.weight[rows])
            self._curves[name, signal] = curve
        return curve

    def sic(self, name: str, signal: str) -> SIC:
        """Significance improvement of a detector on the test part."""
        curve = sic_of(self.roc(name, signal), min_events=self.card.histogram.min_events)
        # the error of the maximum as it is quoted: the curve knows that of its cut alone
        quoted = self.results["detectors"][name]["signals"][signal]["performance"]["max_sic_error"]
        return replace(curve, max_error=quoted)

    def groups(self) -> dict[str, NDArray[np.int64]]:
        """Rows of the test part by generator of the background, then by signal process."""
        return self._rows(BACKGROUND, self.test.generator, self.test.generators) | self.signal_groups()

    def signal_groups(self) -> dict[str, NDArray[np.int64]]:
        """Rows of the test part by signal process."""
        return self._rows(SIGNAL, self.test.process, self.test.processes)

    def _rows(self, label: int, ids: NDArray[np.int16], names: tuple[str, ...]) -> dict[str, NDArray[np.int64]]:
        rows = {name: np.flatnonzero((self.test.label == label) & (ids == i)) for i, name in enumerate(names)}
        return {name: events for name, events in rows.items() if len(events)}

    def axis(self, column: str) -> tuple[str, str]:
        """Symbol and unit of a column."""
        info = feature_info(column, self.card.features.named)
        return info.label, info.unit

    def pulls(self, name: str, rows: NDArray[np.int64]) -> tuple[NDArray[np.float64], str]:
        """Pulls of events from their expected features, and the definition of the pull.

        Returns
        -------
        (float64 (len(rows), d), words)
            For a detector with a reconstruction: the residual over its root mean square in background, in the space
            that the detector is trained in. For others: the distance from the background's median, over half the width
            of its central 68 %.
        """
        model = self.model(name)
        background = np.flatnonzero(self.test.label == BACKGROUND)
        if model is not None and hasattr(model, "outputs"):
            out = model.outputs(self.test)
            if "x_hat" in out:
                residual = out["x"].astype(np.float64) - out["x_hat"].mean(axis=0, dtype=np.float64)
                rms = np.sqrt(np.mean(residual[background] ** 2, axis=0))
                rms[~(rms > 0)] = 1.0
                return residual[rows] / rms, "reconstruction residual over its background r.m.s."
        X = self.test.X.astype(np.float64)
        low, middle, high = np.quantile(X[background], [0.16, 0.5, 0.84], axis=0)
        width = (high - low) / 2
        width[~(width > 0)] = 1.0
        return (X[rows] - middle) / width, "distance from the background's median, in its widths"


def _require_numbers(results: Mapping[str, Any]) -> None:
    """Raise a KeyError, TypeError, ValueError or AttributeError unless the numbers that are shown are there."""
    for detector in results["detectors"].values():
        bins = len(Binning(**detector["binning"]))
        if not detector["signals"]:
            detector["observed"]["b"]
        if detector.get("sculpting") is not None:
            Gate.from_dict(detector["sculpting"])
        for judged in (detector, *detector.get("regions", {}).values()):
            if judged.get("observed") is not None:
                _require_observed(judged["observed"], len(Binning(**judged["binning"])))
        if detector.get("response") is not None:
            Response.from_dict(detector["response"])
        for signal in detector["signals"].values():
            p, z = signal["performance"], signal["significance"]
            numbers = [p[k] for k in ("auc", "auc_error", "auc_pr", "max_sic", "max_sic_error")]
            numbers += [p[k]["0.01"] for k in ("eps_s", "eps_s_error")]
            numbers += [z[k] for k in ("total", "total_error", "total_known", "total_known_error", "systematic")]
            for number in numbers:
                if not isinstance(number, float | int | None):
                    raise TypeError(f"{number!r} is no number")
            for values in (*(z[k] for k in ("s", "b", "stat_s", "stat_b", "z", "z_error")), *z["shifts"].values()):
                if np.asarray(values, dtype=np.float64).shape != (bins,):
                    raise ValueError(f"{len(values)} numbers for {bins} bins")


def _require_observed(observed: Mapping[str, Any], bins: int) -> None:
    """The same of data against their prediction."""
    total = observed["total"] or {}
    for number in (observed["blind_above"], observed["systematic"], *total.values()):
        if not isinstance(number, float | int | None):
            raise TypeError(f"{number!r} is no number")
    if total:
        [total[k] for k in ("events", "b", "sigma_b", "p", "z")]
    columns = [observed[k] for k in ("b", "stat_b", "sigma_b")]
    columns += [observed[k] for k in ("events", "p", "z") if observed[k] is not None]
    for values in (*columns, *observed["shifts"].values()):
        if np.asarray(values, dtype=np.float64).shape != (bins,):
            raise ValueError(f"{len(values)} numbers for {bins} bins")
