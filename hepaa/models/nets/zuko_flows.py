"""Autoregressive flows of zuko as functions of stacked parameters, for the posterior of a VAE."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import torch
import zuko
from torch.func import functional_call, vmap

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

AutoregressiveKind = Literal["iaf", "maf", "spline"]
_WIDTHS = (32, 32)
_BINS = 8
_SMALL = 0.01


def call_with(module: torch.nn.Module, parameters: Mapping[str, Tensor], *inputs: Tensor) -> Any:
    """What `module` gives for inputs (B, ...) with these parameters for its own, or for (K, B, ...) with K of each."""
    module.to(inputs[0].device)
    if inputs[0].dim() > 2:
        return vmap(partial(call_with, module))(dict(parameters), *inputs)
    if torch._C._get_tracing_state() is None:
        return functional_call(module, dict(parameters), inputs)
    # the recorder for ONNX refuses functional_call: parameters are put in and taken out by hand
    own = dict(module.named_parameters())
    try:
        _put(module, parameters)
        return module(*inputs)
    finally:
        _put(module, own)


def _put(module: torch.nn.Module, parameters: Mapping[str, Any]) -> None:
    for name, values in parameters.items():
        owner, _, leaf = name.rpartition(".")
        module.get_submodule(owner)._parameters[leaf] = values


def zuko_flow(d: int, bins: int | None, **options: Any) -> Any:
    """Spline flow in d dimensions, or one of affine maps without bins; its start values are to be replaced."""
    with torch.random.fork_rng(devices=[]):  # which torch draws
        return zuko.flows.MAF(d, **options) if bins is None else zuko.flows.NSF(d, bins=bins, **options)


class _Transform(torch.nn.Module):
    """End point and log-determinant of a zuko flow as a module's forward, so that its parameters can be exchanged."""

    def __init__(self, flow: Any, *, backward: bool) -> None:
        super().__init__()
        self.flow, self.backward = flow, backward

    def forward(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """z' (B, n) and log |det dz'/dz| (B,) for z (B, n)."""
        transform = self.flow(context).transform
        if not self.backward:
            end, log_det = transform.call_and_ladj(z)
            return end, log_det
        end = transform.inv(z)
        return end, -transform.call_and_ladj(end)[1]


class Autoregressive:
    """Affine maps or splines of one component after the other, in the given and the reverse order in turn.

    "iaf": component i is scaled and shifted by functions of the components before it of the start point (Kingma et al.,
    arXiv:1606.04934): one pass. "spline": the same with rational-quadratic splines on [-5, 5] (Durkan et al.,
    arXiv:1906.04032). "maf": scale and shift depend on the components before it of the end point (Papamakarios et al.,
    arXiv:1705.07057): one pass a component.
    """

    def __init__(self, kind: AutoregressiveKind, latent: int, steps: int, context: int = 0) -> None:
        self.latent, self.context = latent, context
        options: dict[str, Any] = {"context": context, "transforms": steps, "hidden_features": _WIDTHS}
        if latent == 1 and not context:
            del options["hidden_features"]  # a component without others or context has plain numbers, no network
        flow = zuko_flow(latent, bins=_BINS if kind == "spline" else None, **options)
        self.module = _Transform(flow, backward=kind == "maf").requires_grad_(False)

    def init(self, generator: torch.Generator) -> dict[str, Tensor]:
        """Parameters of one member, as of linear layers; those that act on z directly are small: near the identity."""
        parameters = {}
        networks = [m for m in self.module.modules() if isinstance(m, torch.nn.Sequential)]
        last = {id(layers[-1]) for n in networks if (layers := [m for m in n if isinstance(m, torch.nn.Linear)])}
        for prefix, module in self.module.named_modules():
            for name, tensor in module.named_parameters(prefix, recurse=False):
                bound = module.in_features**-0.5 if isinstance(module, torch.nn.Linear) else 1.0
                if id(module) in last or not isinstance(module, torch.nn.Linear):
                    bound *= _SMALL
                values = torch.empty_like(tensor).uniform_(-bound, bound, generator=generator)
                parameters[f"posterior.{name}"] = values
        return parameters

    def __call__(self, p: Mapping[str, Tensor], z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """End point (..., B, latent) and log |det dz'/dz| (..., B) of the flow from z (..., B, latent)."""
        own = {n.removeprefix("posterior."): t for n, t in p.items() if n.startswith("posterior.")}
        inputs = (z,) if context is None or not self.context else (z, context)
        end_and_log_det: tuple[Tensor, Tensor] = call_with(self.module, own, *inputs)
        return end_and_log_det
