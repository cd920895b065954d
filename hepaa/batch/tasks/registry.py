"""Tasks by the name that plans know them by. A new task is one class and one line in `TASKS`."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from hepaa.errors import InputError, nearest

if TYPE_CHECKING:
    from hepaa.batch.shard import Task

TASKS = {
    "features": "hepaa.batch.tasks.features.FeatureTask",
    "score": "hepaa.batch.tasks.score.ScoreTask",
    "histogram": "hepaa.batch.tasks.histogram.HistogramTask",
    "search": "hepaa.batch.tasks.search.SearchTask",
    "trial": "hepaa.batch.scans.TrialTask",
    "simulate-jets": "hepaa.simulate.tasks.DetectedTask",
    "simulate-zh": "hepaa.simulate.tasks.PartonTask",
    "simulate-hepmc": "hepaa.simulate.tasks.RecordTask",
}
"""Class of each kind of task; imported when a plan has one, for some bring torch along."""


def task_from_dict(content: dict[str, Any]) -> Task:
    """The task that `to_dict` wrote.

    Raises
    ------
    InputError
        If there is no such kind of task.
    """
    name = content["kind"]
    if name not in TASKS:
        raise InputError(f"there is no task {name!r}; {nearest(str(name), TASKS)}")
    module, _, class_name = TASKS[name].rpartition(".")
    task: Task = getattr(import_module(module), class_name).from_dict({k: v for k, v in content.items() if k != "kind"})
    return task
