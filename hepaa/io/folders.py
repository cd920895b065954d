"""Folders of results: whole or not there, replaced only where hepaa made all that is in them, one writer at a time.

A folder that hepaa has made holds `.hepaa.json`, which lists its files with size and time of change. What is not
listed, or has changed since, is somebody's work: a folder that holds such files is never replaced. A folder is made
beside its final name and renamed when it is complete; an old one is first renamed aside, so that a kill at any moment
leaves one of the two whole. What a killed process left behind is put right by the next one that writes the same folder.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import socket
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from hepaa.errors import IncompleteError, InputError
from hepaa.io.files import write_json
from hepaa.io.texts import parse_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MANIFEST = ".hepaa.json"

State = tuple[int, int]


@contextmanager
def new_folder(path: str | Path, *, overwrite: bool = False, inputs: Iterable[str | Path] = ()) -> Iterator[Path]:
    """A temporary folder beside `path`; it becomes `path` when the block ends, and is removed if the block fails.

    Parameters
    ----------
    path : str or Path
    overwrite : bool
        Replace a folder that hepaa has made, and in which nothing else lies.
    inputs : paths
        Files and folders that the block reads; see `refuse_output`.

    Raises
    ------
    InputError
        Before the block, if `path` cannot be written or must not be replaced, or another process is writing it.
    IncompleteError
        If `path` has appeared, or has been written to, while the block worked; the message says where the results are.
    """
    final = Path(path).absolute()
    refuse_output(final, inputs)
    final.parent.mkdir(parents=True, exist_ok=True)
    with _lock(final):
        _recover(final)
        _refuse_existing(final, overwrite=overwrite)
        partial = Path(tempfile.mkdtemp(prefix=_beside(final, ""), dir=final.parent))
        try:
            (partial / MANIFEST).touch()
            yield partial
            partial.chmod(0o755)
            list_files(partial)
        except BaseException:
            _discard(partial)
            raise
        _rename(partial, final, overwrite=overwrite)


def refuse_output(path: str | Path, inputs: Iterable[str | Path] = ()) -> None:
    """Raise InputError if writing the folder `path` could touch the working folder or an input.

    That is if it is or contains one of them, or lies inside an input that is a folder.
    """
    final = Path(path).resolve()
    for name, kept in [("the working folder", Path.cwd()), *((f"the input {p}", Path(p)) for p in inputs)]:
        there = kept.resolve()
        if there == final or final in there.parents:
            raise InputError(f"{path}: the output must not be or contain {name}; give it a folder of its own")
        if there in final.parents and name != "the working folder" and there.is_dir():
            raise InputError(f"{path}: the output lies inside {name}; give it a folder elsewhere")


def refuse_folder(path: str | Path, *, overwrite: bool = False, inputs: Iterable[str | Path] = ()) -> None:
    """Raise InputError if `new_folder` would refuse to write `path`, for who works long before it writes."""
    refuse_output(path, inputs)
    _refuse_existing(Path(path).absolute(), overwrite=overwrite)


def list_files(folder: Path) -> None:
    """Take all files in `folder` for hepaa's own, and list them."""
    files = {str(p.relative_to(folder)): _state(p) for p in _files(folder)}
    write_json({"files": files}, folder / MANIFEST)


def add_files(folder: Path, *paths: Path) -> None:
    """List files that hepaa has written into a folder later; does nothing for a folder that it did not make."""
    if not (folder / MANIFEST).is_file():
        return
    files = _manifest(folder) | {str(p.absolute().relative_to(folder.absolute())): _state(p) for p in paths}
    write_json({"files": files}, folder / MANIFEST)


def foreign_files(folder: Path) -> list[Path]:
    """Files in `folder` that hepaa did not write, or that have changed since.

    Raises
    ------
    InputError
        If the folder has no list of files, so that hepaa did not make it, or the list cannot be read.
    """
    listed = _manifest(folder)
    return [p for p in _files(folder) if listed.get(str(p.relative_to(folder))) != _state(p)]


def remove_own(folder: Path) -> list[Path]:
    """Remove what hepaa wrote in `folder`, and the folder if nothing is left; gives the files that stay."""
    kept = foreign_files(folder)
    for path in set(_files(folder)) - set(kept):
        path.unlink()
    for root, _, _ in sorted(os.walk(folder), reverse=True):
        if not any(Path(root).iterdir()):
            Path(root).rmdir()
    if not kept:
        (folder / MANIFEST).unlink()
        folder.rmdir()
    return kept


def _files(folder: Path) -> list[Path]:
    files = [Path(root) / name for root, dirs, names in os.walk(folder) for name in (*names, *_links(root, dirs))]
    return sorted(p for p in files if p != folder / MANIFEST)


def _links(root: str, names: list[str]) -> list[str]:
    return [name for name in names if (Path(root) / name).is_symlink()]


def _state(path: Path) -> State:
    stat = path.lstat()
    return stat.st_size, stat.st_mtime_ns


def _manifest(folder: Path) -> dict[str, State]:
    try:
        content = parse_json((folder / MANIFEST).read_text(encoding="utf-8"))
        return {name: (int(size), int(time)) for name, (size, time) in content["files"].items()}
    except FileNotFoundError:
        raise InputError(f"{folder}: hepaa did not make this folder, so it does not replace it; move it away") from None
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as damage:
        raise InputError(f"{folder / MANIFEST}: cannot be read ({damage}); move the folder away") from None


def _beside(final: Path, word: str) -> str:
    return f".{final.name}.hepaa-{word}"


def _refuse_existing(final: Path, *, overwrite: bool) -> None:
    if not os.path.lexists(final):
        return
    if not overwrite:
        raise InputError(f"{final}: exists already; choose another output, or --overwrite to replace it")
    if final.is_symlink() or not final.is_dir():
        raise InputError(f"{final}: is no folder; only a folder that hepaa made is replaced")
    if not any(final.iterdir()):
        return
    foreign = foreign_files(final)
    if foreign:
        more = f" and {len(foreign) - 1} more" if len(foreign) > 1 else ""
        raise InputError(
            f"{final}: hepaa did not write {foreign[0].relative_to(final)}{more}, or it has changed since; move such "
            "files away, or choose another output"
        )


def _rename(partial: Path, final: Path, *, overwrite: bool) -> None:
    """Give a complete folder its name; the one that has it goes aside first and is removed last."""
    aside = final.with_name(_beside(final, "old"))
    try:
        if overwrite and final.is_dir() and any(final.iterdir()):
            final.rename(aside)
        partial.rename(final)
    except OSError as error:
        kept = next(p for i in range(1, 10_000) if not os.path.lexists(p := final.with_name(f"{final.name}-{i}")))
        partial.rename(kept)
        raise IncompleteError(f"{final}: appeared meanwhile ({error.strerror}); the results are in {kept}") from None
    if aside.is_dir():
        kept_files = remove_own(aside)
        if kept_files:
            raise IncompleteError(
                f"{final}: is complete; the folder it replaces got other files meanwhile: they are kept in {aside}"
            )


def _recover(final: Path) -> None:
    """Put right what a process left that was killed while it wrote this folder; the lock says that it is gone."""
    aside = final.with_name(_beside(final, "old"))
    if aside.is_dir():
        if not any(aside.iterdir()):
            aside.rmdir()
        elif not os.path.lexists(final):
            aside.rename(final)
        elif foreign_files(aside):
            raise InputError(f"{aside}: holds files that hepaa did not write, of an earlier {final.name}; move it away")
        else:
            remove_own(aside)
    for left in final.parent.glob(_beside(final, "") + "*"):
        if left.is_dir() and ((left / MANIFEST).is_file() or not any(left.iterdir())):
            _discard(left)


def _discard(partial: Path) -> None:
    """Remove an unfinished folder; what marks it as one goes last, so that a kill here leaves it recognisable."""
    for path in partial.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif path.name != MANIFEST:
            path.unlink()
    (partial / MANIFEST).unlink(missing_ok=True)
    partial.rmdir()


@contextmanager
def _lock(final: Path) -> Iterator[None]:
    """Be the only process that writes `final`. The system frees the lock of a process that dies."""
    lock = final.with_name(_beside(final, "lock"))
    handle = _opened(lock)
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            writer = os.pread(handle, 1000, 0).decode(errors="replace").strip() or "another process"
            os.close(handle)
            raise InputError(f"{final}: {writer} is writing it now; wait for it, or choose another output") from None
        except OSError as without:
            os.close(handle)
            lock.unlink(missing_ok=True)
            why = f"this filesystem has no file locks ({without.strerror}), by which two writers are kept apart"
            raise InputError(f"{final}: {why}; write on another one, and copy the results") from without
        if lock.exists() and os.fstat(handle).st_ino == lock.stat().st_ino:
            break
        os.close(handle)  # its owner removed the file between our opening and our locking it
        handle = _opened(lock)
    try:
        os.truncate(handle, 0)
        os.pwrite(handle, f"process {os.getpid()} on {socket.gethostname()}".encode(), 0)
        yield
    finally:
        lock.unlink()
        os.close(handle)


def _opened(lock: Path) -> int:
    return os.open(lock, os.O_RDWR | os.O_CREAT, 0o644)
