"""Filesets: lists of files by data set, as coffea writes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from hepaa.batch.tasks.features import FeatureTask
from hepaa.errors import InputError
from hepaa.io.files import regular_file
from hepaa.io.remote import is_remote
from hepaa.io.texts import parse_json

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from hepaa.events import Role


def read_fileset(path: str | Path) -> dict[str, dict[str, Any]]:
    """A fileset as coffea writes it: {dataset: {"files": ..., "metadata": {...}}}.

    Parameters
    ----------
    path : JSON file
        `files` is a list of paths, or a mapping of path -> name of the tree, or of path -> {"object_path": tree, ...}.
        Relative paths start at the folder of the file.

    Returns
    -------
    dict of dataset -> {"files": list of str, "metadata": dict}

    Raises
    ------
    InputError
        If it is no such file.
    """
    source = regular_file(path)
    try:
        content = parse_json(source.read_text(encoding="utf-8"))
    except (OSError, ValueError) as damage:
        raise InputError(f"{source}: not a readable fileset ({damage})") from None
    if not isinstance(content, dict) or not content:
        raise InputError(f"{source}: a fileset is a mapping of dataset names to {{'files': ..., 'metadata': ...}}")
    datasets = {}
    for name, entry in content.items():
        files, metadata = (entry.get("files"), entry.get("metadata")) if isinstance(entry, dict) else (entry, None)
        if isinstance(files, dict):
            listed = [_with_tree(file, tree, f"{source}: {name}") for file, tree in files.items()]
        elif isinstance(files, list) and all(isinstance(file, str) for file in files):
            listed = list(files)
        else:
            raise InputError(f"{source}: {name}: 'files' is a list of paths, or a mapping of path to tree")
        if not isinstance(metadata, dict | None):
            raise InputError(f"{source}: {name}: 'metadata' is a mapping, not {type(metadata).__name__}")
        datasets[name] = {
            "files": [file if is_remote(file) else str(source.parent / file) for file in listed],
            "metadata": dict(metadata or {}),
        }
    return datasets


def _with_tree(file: str, tree: Any, place: str) -> str:
    name = tree.get("object_path") if isinstance(tree, dict) else tree
    if name is not None and not isinstance(name, str):
        raise InputError(f"{place}: {file}: the tree is named by text or 'object_path', not {tree!r}")
    return f"{file}:{name}" if name else file


def fileset_tasks(
    fileset: Mapping[str, Mapping[str, Any]],
    feature_set: str | tuple[str, ...],
    *,
    selection: str | None = None,
    schema: Any = None,
) -> list[tuple[FeatureTask, list[str]]]:
    """One task for each dataset; its metadata may name `process` (default: the dataset), `role` and `generator`."""
    work = []
    for name, entry in fileset.items():
        metadata = entry["metadata"]
        task = FeatureTask(
            feature_set,
            process=str(metadata.get("process", name)),
            role=cast("Role", str(metadata.get("role", "background"))),
            generator=str(metadata.get("generator", "unknown")),
            selection=selection,
            schema=schema,
        )
        work.append((task, list(entry["files"])))
    return work
