"""Batches: a thousand files on one machine or a cluster, resumable, with nothing lost.

Work is cut into shards (file x range of events). One pure function makes a result of each and stores it under a key
that names everything the result depends on. The folder of results is the whole state: executors only map the function,
may die at any moment, and the next attempt does what is missing. Results are merged in the order of the plan, so that
they are the same to the last bit whoever computed them.
"""

from __future__ import annotations

from hepaa.batch.engine import Outcome, process
from hepaa.batch.executors import Dask, LocalJobs, Processes, executor, serial
from hepaa.batch.shards import Plan, Shard, fileset_tasks, make_plan, read_fileset
from hepaa.batch.store import Store
from hepaa.batch.tasks import FeatureTask, HistogramTask, ScoreTask

__all__ = [
    "Dask",
    "FeatureTask",
    "HistogramTask",
    "LocalJobs",
    "Outcome",
    "Plan",
    "Processes",
    "ScoreTask",
    "Shard",
    "Store",
    "executor",
    "fileset_tasks",
    "make_plan",
    "process",
    "read_fileset",
    "serial",
]
