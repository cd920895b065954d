"""One training shared by several processes, such as one for each GPU: `torchrun --nproc-per-node=2 -m hepaa train ...`.

All processes hold all events and draw the same batches. Of a batch, each puts its share of the rows through the
network, and gets the outputs of the other rows from the other processes, as constants. So every process has the whole
batch's value of every term, be it a weighted mean, one mean for each class, or a sum over pairs of events; and the
gradients of the processes, each of its own rows, add up to that of one process.

The network's work is shared, that of the terms is not, and no process holds fewer events: it pays for networks that
are large or deep, where a step takes much longer than the exchange of its outputs and gradient.
"""

from __future__ import annotations

import atexit
import hashlib
import os
from typing import TYPE_CHECKING

import torch
from torch import distributed

from hepaa._version import __version__
from hepaa.errors import InputError
from hepaa.models.engine.steps import TorchSteps
from hepaa.models.processes import _number, processes, rank

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from hepaa.models.losses.terms import TrainingBatch


def own_device(device: torch.device) -> torch.device:
    """The device of this process. Where several train together, they find each other here: gloo on CPUs, nccl on GPUs.

    Raises
    ------
    InputError
        If the device cannot be shared, is one GPU for all, or there are more processes than GPUs; or if the processes
        do not find each other.
    """
    count = processes()
    if count == 1:
        return device
    if device.type not in ("cpu", "cuda"):
        raise InputError(f"{count} processes cannot train together on {device.type!r}; set HEPAA_DEVICE to cpu or cuda")
    if device.type == "cuda":
        device = _own_gpu(device, torch.cuda.device_count())
        torch.cuda.set_device(device)
    _join(device)
    return device


def _join(device: torch.device) -> None:
    if not distributed.is_available():
        raise InputError(f"{processes()} processes cannot train together: this torch was built without distributed")
    if distributed.is_initialized():
        return
    try:
        distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    except (RuntimeError, ValueError) as error:
        where = f"{os.environ['MASTER_ADDR']}:{os.environ['MASTER_PORT']}"
        raise InputError(f"{processes()} processes do not find each other at {where} ({error})") from error
    atexit.register(distributed.destroy_process_group)


def _own_gpu(device: torch.device, gpus: int) -> torch.device:
    if str(device) != "cuda":
        raise InputError(
            f"device '{device}' is one GPU for {processes()} processes; say 'cuda', and each takes its own"
        )
    local = _number("LOCAL_RANK") if "LOCAL_RANK" in os.environ else rank()
    if local >= gpus:
        raise InputError(f"process {local} of this machine has no GPU: there are {gpus}; start {gpus} processes")
    return torch.device("cuda", local)


def agree(what: str, device: torch.device) -> None:
    """Make sure that all processes are about to train the same; `what` describes it.

    Raises
    ------
    InputError
        In every process, if one has another description.
    """
    _join(device)
    own = hashlib.sha256(f"{what} {__version__} {torch.__version__}".encode()).digest()
    mine = torch.tensor(list(own), dtype=torch.uint8, device=device)
    all_of_them = [torch.empty_like(mine) for _ in range(processes())]
    distributed.all_gather(all_of_them, mine)
    odd = [i for i, other in enumerate(all_of_them) if not torch.equal(other, all_of_them[0])]
    if odd:
        raise InputError(
            f"process {odd[0]} of {len(all_of_them)} has other data, parameters, versions or another checkpoint than "
            "process 0; give all the same, and files on a disk that all see (trainings of their own: start without "
            "torchrun)"
        )


def of_first(values: Tensor) -> Tensor:
    """The values that process 0 has, so that all decide alike."""
    if processes() > 1:
        distributed.broadcast(values, 0)
    return values


class ParallelSteps(TorchSteps):
    """Steps of torch operations, the rows of each batch shared out among the processes."""

    def _outputs(self, batch: TrainingBatch) -> Mapping[str, Tensor]:
        axis, size, count = batch.x.dim() - 2, batch.x.shape[-2], processes()
        share = -(-size // count)
        first = rank() * share
        # all shares are of one size: the last are filled up with the last event, and what is too much is cut off again
        rows = torch.arange(first, first + share, device=self.device).clamp_(max=size - 1)
        noise = None if batch.noise is None else batch.noise.index_select(axis, rows)
        own = self.model(self.parameters.tensors, batch.x.index_select(axis, rows), noise)
        whole = {}
        for name, values in own.items():
            if values.shape[axis] == share:
                whole[name] = _gathered(values, axis).narrow(axis, 0, size)
            else:  # the same for all events, and so in all processes: each brings its part of the gradient
                whole[name] = values.detach() + (values - values.detach()) / count
        return whole

    def _gradient(self, loss: Tensor) -> Tensor:
        gradient = super()._gradient(loss)
        distributed.all_reduce(gradient)
        return gradient


def _gathered(own: Tensor, axis: int) -> Tensor:
    """Rows of all processes, in order; this one's alone have a gradient."""
    mine = own.detach().contiguous()
    parts = [torch.empty_like(mine) for _ in range(processes())]
    distributed.all_gather(parts, mine)
    parts[rank()] = own
    return torch.cat(parts, dim=axis)
