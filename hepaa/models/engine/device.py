"""Where tensors live, how many threads work on them, and where random numbers come from."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import torch

from hepaa.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

# Multiply-adds of one step (parameters x events) below which a second thread costs more than it brings.
_ONE_THREAD_BELOW = 2e7


def pick_device(name: str | None = None) -> torch.device:
    """The device to compute on: `name`, else $HEPAA_DEVICE, else cuda, else mps, else cpu.

    Raises
    ------
    InputError
        If the name is no device, or that device is not there.
    """
    wanted = name or os.environ.get("HEPAA_DEVICE")
    if not wanted:
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(wanted)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(
            f"device {wanted!r} cannot be used ({reason}); set HEPAA_DEVICE to cpu, cuda or mps"
        ) from error
    return device


@contextmanager
def threads_for(work: float) -> Iterator[None]:
    """Run the body on one torch thread when `work` (parameters x events of a step) is small; restore the setting after.

    Small nets are slower on two threads than on one, and one thread makes results independent of the machine's load.
    """
    before = torch.get_num_threads()
    if work < _ONE_THREAD_BELOW and before > 1:
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(before)
    else:
        yield


def generator(seed: int, stream: str) -> torch.Generator:
    """An independent source of random numbers for one purpose (`stream`) of one member (`seed`).

    It lives on the CPU whatever the device, so that a seed means the same numbers everywhere.
    """
    if seed < 0:
        raise InputError(f"seed is {seed}; it must be 0 or more")
    words = np.random.SeedSequence([seed, *stream.encode()]).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(words[0] >> np.uint64(1)))
