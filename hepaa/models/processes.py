"""Several processes that train one model: who they are."""

from __future__ import annotations

import os

from torch import distributed

from hepaa.errors import InputError

_SAID = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


def _joined() -> bool:
    return distributed.is_available() and distributed.is_initialized()


def processes() -> int:
    """How many processes train together: as torch.distributed or, before it has begun, the environment says; else 1."""
    if _joined():
        return distributed.get_world_size()
    return _number("WORLD_SIZE") if all(name in os.environ for name in _SAID) else 1


def rank() -> int:
    """Number of this process among them."""
    if _joined():
        return distributed.get_rank()
    return _number("RANK") if processes() > 1 else 0


def is_first() -> bool:
    """Whether this is the process that writes files and reports; the only one, or number 0."""
    return rank() == 0


def _number(name: str) -> int:
    try:
        return int(os.environ[name])
    except ValueError:
        raise InputError(f"the environment has {name}={os.environ[name]!r}, which is no number; unset it") from None
