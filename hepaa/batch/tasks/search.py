"""Toys of a resonant search, and mixtures with a signal in them, to their local z."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import safetensors.numpy

from hepaa.batch.shard import Part, Task
from hepaa.card import ResonantCard
from hepaa.errors import InputError
from hepaa.io.files import atomic_path
from hepaa.search.injection import InjectedData
from hepaa.search.methods.base import MassRows
from hepaa.search.resonant import cross_fit_settings, method_of, searched
from hepaa.search.toys import Background, ToySearch
from hepaa.table.mixing import Tally

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hepaa.batch.shard import Shard

_ELSEWHERE = {"toys", "check_toys", "injection"}
"""What a card says about how many toys and mixtures there are: one of them does not depend on it."""


@dataclass(frozen=True)
class SearchTask(Task):
    """Searches of toys or mixtures; a shard is a range of `items`, and its file holds the model of the background.

    Attributes
    ----------
    section : dict
        The section `search.resonant` of the card, without the numbers of toys and mixtures.
    seed : int
    background : dict
        What `Background.to_record` gives.
    signal_columns : tuple of str
        Inputs of the signal events in the file; none where toys have no signal.
    arrays_sha256 : str
        Of the file.
    items : tuple
        What the search is called with: numbers of toys, or (strength, draw, signal events) of mixtures.
    """

    kind: ClassVar[str] = "search"
    needs: ClassVar[tuple[str, ...]] = ("hepaa.search.resonant",)
    unit: ClassVar[str] = "toys"
    section: dict[str, Any]
    seed: int
    background: dict[str, Any]
    signal_columns: tuple[str, ...]
    arrays_sha256: str
    items: tuple[Any, ...]

    @classmethod
    def of(
        cls, search: ToySearch | InjectedData, section: ResonantCard, items: Sequence[Any], folder: Path
    ) -> tuple[Self, Path]:
        """The task, and the file of its arrays, which is written into `folder`.

        Raises
        ------
        InputError
            If mixtures are of events and not of a model of the background.
        """
        background = search.background
        if not isinstance(background, Background):
            raise InputError("mixtures in batches take a model of the background, not events: give a `Background`")
        arrays = {f"background.{name}": values for name, values in background.to_arrays().items()}
        signals = search.signals if isinstance(search, InjectedData) else None
        if signals is not None:
            arrays |= {"signal.x": signals.x, "signal.mass": signals.mass}
        blob = safetensors.numpy.save({name: np.asarray(values, order="C") for name, values in arrays.items()})
        sha256 = hashlib.sha256(blob).hexdigest()
        path = folder / f"{sha256[:16]}.safetensors"
        if not path.exists() or path.read_bytes() != blob:
            path.parent.mkdir(parents=True, exist_ok=True)
            with atomic_path(path) as partial_path:
                partial_path.write_bytes(blob)
        plain = section.model_dump(mode="json", exclude=_ELSEWHERE)
        columns = () if signals is None else signals.columns
        return cls(plain, search.seed, background.to_record(), columns, sha256, tuple(items)), path

    def options(self) -> dict[str, Any]:
        """All that one result depends on beside its item."""
        return {name: value for name, value in self.to_dict().items() if name != "items"}

    def count(self, path: str) -> None:
        """The file is a model, and has no events."""

    def compute(self, shard: Shard) -> Part:
        """What the search gives for the items of a shard, with None for NaN.

        Raises
        ------
        InputError
            If the file is not that of the plan.
        """
        search = _search(shard.path, json.dumps(self.options()))
        results = [_plain(search(item)) for item in self.items[shard.start : shard.stop]]
        return Part(Tally.of(np.ones(len(results))), result={"results": results})


@lru_cache(maxsize=2)
def _search(path: str, options: str) -> ToySearch | InjectedData:
    """The search of a task; a worker that does many shards reads its file once."""
    task = json.loads(options)
    blob = Path(path).read_bytes()
    if hashlib.sha256(blob).hexdigest() != task["arrays_sha256"]:
        raise InputError(f"{path}: is not what was stored (SHA-256); run the search again")
    arrays = safetensors.numpy.load(blob)
    parts = {name.removeprefix("background."): a for name, a in arrays.items() if name.startswith("background.")}
    background = Background.from_arrays(parts, task["background"])
    section = ResonantCard.model_validate(task["section"])
    method = method_of(section)
    if not task["signal_columns"]:
        return ToySearch(partial(searched, section, method), background, task["seed"])
    signals = MassRows(arrays["signal.x"], arrays["signal.mass"], tuple(task["signal_columns"]))
    return InjectedData(method, background, signals, cross_fit_settings(section), task["seed"])


def _plain(value: Any) -> Any:
    """For JSON, which has no NaN."""
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return None if isinstance(value, float) and np.isnan(value) else value
