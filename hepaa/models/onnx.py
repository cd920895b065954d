"""ONNX graphs of detectors whose networks are more than affine layers, by recording what torch computes for one piece.

torch's own exporter writes the graph; its scores are those of torch to the rounding of float32.
"""

from __future__ import annotations

import io
import warnings
from typing import TYPE_CHECKING, Any

import torch

from hepaa.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

    from hepaa.models.engine.neural import NeuralDetector
    from hepaa.table.preprocess import SkewLogStandardize

_ROWS = 5  # of the piece that is recorded; the graph takes any number


def traced(detector: NeuralDetector, opset: int) -> bytes:
    """A serialised model: input `features` float32 (n, d), output `score` float64 (n,).

    Raises
    ------
    InputError
        If torch cannot write an operation of this detector as ONNX.
    """
    example = torch.zeros(_ROWS, detector.n_features_in_) + torch.linspace(0, 1, _ROWS)[:, None]
    file = io.BytesIO()
    exporter: Any = torch.onnx
    exporter.register_custom_op_symbolic("aten::logaddexp", _logaddexp, opset)
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # shapes that do not depend on the events are constants, and meant to be
            exporter.export(
                _Scorer(detector),
                (example,),
                file,
                dynamo=False,
                opset_version=opset,
                input_names=["features"],
                output_names=["score"],
                dynamic_axes={"features": {0: "n"}, "score": {0: "n"}},
            )
    except (exporter.errors.OnnxExporterError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(
            f"this {type(detector).__name__} has no ONNX form ({reason}); save it and score with hepaa"
        ) from error
    finally:
        exporter.unregister_custom_op_symbolic("aten::logaddexp", opset)
    return file.getvalue()


def _logaddexp(g: Any, a: Any, b: Any) -> Any:
    """log(exp(a) + exp(b)) in ONNX operations."""
    top = g.op("Max", a, b)
    return g.op(
        "Add", top, g.op("Log", g.op("Add", g.op("Exp", g.op("Sub", a, top)), g.op("Exp", g.op("Sub", b, top))))
    )


class _Scorer(torch.nn.Module):
    """From features to the score, in operations that can be recorded: one member after the other."""

    def __init__(self, detector: NeuralDetector) -> None:
        super().__init__()
        self.detector = detector
        frozen = {name: t.cpu() for name, t in detector.parameters_.frozen().items()}
        members = len(detector.parameters_)
        self.members = [frozen] if members == 1 else [{n: t[k] for n, t in frozen.items()} for k in range(members)]

    def forward(self, features: Tensor) -> Tensor:
        """Scores (n,) of features (n, d)."""
        x = features
        if self.detector.preprocessor_ is not None:
            x = _preprocess(self.detector.preprocessor_, features)
        scores = [self.detector._traced_score(p, x).double() for p in self.members]
        return torch.stack(scores).mean(0)


def _preprocess(fitted: SkewLogStandardize, x: Tensor) -> Tensor:
    """What `SkewLogStandardize.transform` does."""
    x = x.double()
    # log(1 + x) is exact enough in float64 for the float32 that comes out
    x = torch.where(torch.from_numpy(fitted.log_), torch.log(x.clamp(min=0) + 1), x)
    return ((x - torch.from_numpy(fitted.mean_)) / torch.from_numpy(fitted.scale_)).float()
