"""Batches: a thousand files on one machine or a cluster, resumable, with nothing lost.

Work is cut into shards (file x range of events). One pure function makes a result of each and stores it under a key
that names everything the result depends on. The folder of results is the whole state: executors only map the function,
may die at any moment, and the next attempt does what is missing. Results are merged in the order of the plan, so that
they are the same to the last bit whoever computed them.
"""

from __future__ import annotations

from hepaa.batch.engine import process
from hepaa.batch.executors.choose import executor
from hepaa.batch.executors.dask import Dask
from hepaa.batch.executors.local import LocalJobs, Processes, serial
from hepaa.batch.filesets import fileset_tasks, read_fileset
from hepaa.batch.outcome import Outcome
from hepaa.batch.plan import Plan, make_plan
from hepaa.batch.shard import Shard
from hepaa.batch.store import Store
from hepaa.batch.tasks.features import FeatureTask
from hepaa.batch.tasks.histogram import HistogramTask
from hepaa.batch.tasks.score import ScoreTask

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
