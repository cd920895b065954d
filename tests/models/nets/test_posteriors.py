"""One contract for every posterior flow: Jacobian, gradients, start, members; and what each kind is by definition."""

from __future__ import annotations

import pytest
import torch

from hepaa.models.engine.device import generator
from hepaa.models.nets.posteriors import POSTERIORS, HouseholderSylvester, OrthogonalSylvester, Planar, posterior_flow

FLOWS = [kind for kind in POSTERIORS if kind != "gaussian"]


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def parameters(flow, seed: int = 0, scale: float = 1.0) -> dict[str, torch.Tensor]:
    """Start values, moved away from the identity by noise of size `scale`."""
    start = flow.init(generator(seed, "init"))
    return {k: t.double() + scale * normal(*t.shape, seed=i + 10 * seed) for i, (k, t) in enumerate(start.items())}


def context_of(size: int, *shape: int, seed: int = 5) -> torch.Tensor | None:
    return normal(*shape, size, seed=seed) if size else None


@pytest.mark.parametrize("context", [0, 3])
@pytest.mark.parametrize("latent", [1, 4])
@pytest.mark.parametrize("kind", FLOWS)
class TestContract:
    def test_log_determinant_is_that_of_the_jacobian(self, kind: str, latent: int, context: int) -> None:
        flow = posterior_flow(kind, latent, 3, context)
        flow = flow if not hasattr(flow, "module") else _double(flow)
        p = parameters(flow, scale=0.4)
        z, c = normal(6, latent), context_of(context, 6)
        end, log_det = flow(p, z, c)
        assert end.shape == (6, latent)
        assert log_det.shape == (6,)
        for i in range(6):
            one = None if c is None else c[i : i + 1]
            jacobian = torch.autograd.functional.jacobian(lambda x, one=one: flow(p, x[None], one)[0][0], z[i])
            sign, logabsdet = torch.linalg.slogdet(jacobian)
            assert sign == 1
            assert float(log_det[i]) == pytest.approx(float(logabsdet), rel=1e-7, abs=1e-9)
        assert (log_det.abs() > 1e-3).any()

    def test_it_starts_near_the_identity(self, kind: str, latent: int, context: int) -> None:
        flow = posterior_flow(kind, latent, 3, context)
        z, c = normal(50, latent).float(), context_of(context, 50)
        end, log_det = flow(flow.init(generator(1, "init")), z, None if c is None else c.float())
        assert (end - z).abs().max() < 0.12
        assert log_det.abs().max() < 0.2

    def test_gradient_reaches_every_parameter(self, kind: str, latent: int, context: int) -> None:
        flow = posterior_flow(kind, latent, 3, context)
        for scale in (0.0, 0.3):
            p = {k: t.float().requires_grad_() for k, t in parameters(flow, scale=scale).items()}
            c = context_of(context, 40)
            end, log_det = flow(p, normal(40, latent).float(), None if c is None else c.float())
            loss = (end**3).sum() + (log_det * normal(40, seed=3).float()).sum()
            gradients = torch.autograd.grad(loss, list(p.values()), allow_unused=True)
            for name, gradient in zip(p, gradients, strict=True):
                if latent == 1 and name.endswith((".q", ".v")):
                    continue  # in one dimension there is nothing to turn
                assert gradient is not None, name
                assert gradient.abs().max() > 0, name
                assert torch.isfinite(gradient).all(), name

    def test_members_are_each_alone(self, kind: str, latent: int, context: int) -> None:
        flow = posterior_flow(kind, latent, 2, context)
        flow = flow if not hasattr(flow, "module") else _double(flow)
        each = [parameters(flow, seed=s, scale=0.3) for s in (1, 2, 3)]
        z, c = normal(3, 7, latent), context_of(context, 3, 7)
        together = {k: torch.stack([one[k] for one in each]) for k in each[0]}
        end, log_det = flow(together, z, c)
        for k, one in enumerate(each):
            alone, alone_det = flow(one, z[k], None if c is None else c[k])
            torch.testing.assert_close(end[k], alone, rtol=1e-9, atol=1e-9)
            torch.testing.assert_close(log_det[k], alone_det, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("kind", FLOWS)
def test_context_moves_each_event_by_itself(kind: str) -> None:
    flow = posterior_flow(kind, 4, 2, 3)
    p = {k: t.float() for k, t in parameters(flow, scale=0.3).items()}
    z, c = normal(4, 4).float(), normal(4, 3, seed=1).float()
    other = c.clone()
    other[2] += 1.0
    changed = (flow(p, z, c)[0] != flow(p, z, other)[0]).any(dim=1)
    assert changed.tolist() == [False, False, True, False]


def _double(flow):
    flow.module.double()
    return flow


def test_bases_are_orthonormal() -> None:
    for cls, columns in ((OrthogonalSylvester, 3), (HouseholderSylvester, 5)):
        flow = cls(5, 2, 0)
        p = {k: t.double() for k, t in flow.init(generator(0, "init")).items()}
        step = {name: values.select(-len(flow.shapes[name]), 1) for name, values in flow._numbers(p, None).items()}
        q = flow._basis(1, step)[0]
        torch.testing.assert_close(q.T @ q, torch.eye(columns, dtype=torch.float64))


def test_planar_by_its_formula() -> None:
    """u is bent along w: w.u_bent = m(w.u), the part across w stays."""
    flow = Planar(3, 1)
    p = {k: t.double() for k, t in parameters(flow, scale=1.0).items()}
    u, w, b = (p[f"posterior.{n}"][0] for n in "uwb")
    slope = torch.log(1 + torch.exp(w @ u) * (torch.e - 1)) - 1
    across = u - (w @ u) * w / (w @ w)
    bent = across + slope * w / (w @ w)
    z = normal(4, 3, seed=9)
    expected = z + bent * torch.tanh(z @ w + b)[:, None]
    torch.testing.assert_close(flow(p, z)[0], expected)
    assert slope > -1


@pytest.mark.parametrize(("kind", "one_pass"), [("iaf", True), ("spline", True), ("maf", False)])
def test_autoregressive_flows_depend_on_what_their_definition_says(kind: str, one_pass: bool) -> None:
    """iaf: triangular, affine in z_i given z_<i; maf: its inverse is affine in z'_i given z'_<i."""
    flow = _double(posterior_flow(kind, 3, 1))
    p = parameters(flow, scale=0.5)
    z = normal(3)
    jacobian = torch.autograd.functional.jacobian(lambda x: flow(p, x[None])[0][0], z)
    assert torch.equal(jacobian.triu(1), torch.zeros(3, 3, dtype=torch.float64))
    if kind == "spline":
        return
    shifted = [flow(p, (z + d * torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64))[None])[0][0] for d in (0, 1, 3)]
    torch.testing.assert_close(3 * (shifted[1] - shifted[0]), shifted[2] - shifted[0])
    # move the end point of component 0 alone: components after it follow where they are functions of z'_0
    bias = next(k for k in p if k.endswith("hyper.4.bias"))
    moved = {k: t.clone() for k, t in p.items()}
    moved[bias][0] += 0.7
    before, after = flow(p, z[None])[0][0], flow(moved, z[None])[0][0]
    assert before[0] != after[0]
    assert torch.equal(before[1:], after[1:]) == one_pass
