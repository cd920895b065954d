"""Detectors as ONNX graphs, from raw features to the anomaly score, for use without Python.

torch's own exporter writes the graph by recording what is computed for one piece of events; its scores are those of
torch to the rounding of float32.
"""

from __future__ import annotations

import io
import warnings
from typing import TYPE_CHECKING, Any

import torch

from hepaa._version import __version__
from hepaa.errors import InputError, NotFittedError
from hepaa.io.files import atomic_path

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from torch import Tensor

    from hepaa.models.engine.neural import NeuralDetector
    from hepaa.table.preprocess import SkewLogStandardize

OPSET = 17
_ROWS = 5  # of the piece that is recorded; the graph takes any number


def export(detector: NeuralDetector, path: str | Path) -> None:
    """Write the detector as an ONNX model: input `features` float32 (n, d), output `score` float64 (n,).

    Columns are in the order of training, preprocessing is in the graph, members are averaged. The model's metadata have
    the feature names, the threshold and the version.

    Raises
    ------
    NotFittedError
        Before `fit`.
    InputError
        If the package onnx is missing, or torch cannot write an operation of this detector as ONNX.
    """
    if not hasattr(detector, "parameters_"):
        raise NotFittedError(f"this {type(detector).__name__} is not fitted yet: there is nothing to export")
    try:
        import onnx
    except ImportError as error:
        raise InputError("ONNX export needs the package onnx: pip install onnx") from error
    model = onnx.load_model_from_string(_traced(detector))
    model.producer_name, model.producer_version = "hepaa", __version__
    properties = {"feature_names": ",".join(detector._names() or ()), "threshold": repr(detector.threshold_)}
    onnx.helper.set_model_props(model, properties)
    onnx.checker.check_model(model)
    with atomic_path(path) as partial:
        partial.write_bytes(model.SerializeToString())


def _traced(detector: NeuralDetector) -> bytes:
    """The serialised graph."""
    example = torch.zeros(_ROWS, detector.n_features_in_) + torch.linspace(0, 1, _ROWS)[:, None]
    file = io.BytesIO()
    exporter: Any = torch.onnx
    for name, operation in _OPERATIONS.items():
        exporter.register_custom_op_symbolic(f"aten::{name}", operation, OPSET)
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # shapes that do not depend on the events are constants, and meant to be
            exporter.export(
                _Scorer(detector),
                (example,),
                file,
                dynamo=False,
                opset_version=OPSET,
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
        for name in _OPERATIONS:
            exporter.unregister_custom_op_symbolic(f"aten::{name}", OPSET)
    return file.getvalue()


def _logaddexp(g: Any, a: Any, b: Any) -> Any:
    """log(exp(a) + exp(b)), which ONNX lacks."""
    top = g.op("Max", a, b)
    return g.op(
        "Add", top, g.op("Log", g.op("Add", g.op("Exp", g.op("Sub", a, top)), g.op("Exp", g.op("Sub", b, top))))
    )


def _cross_entropy(g: Any, logit: Any, x: Any, *_: Any) -> Any:
    """Cross-entropy of x in [0, 1], softplus(logit) - x logit; torch writes a logarithm of 0 for a certain pixel."""
    return g.op("Sub", g.op("Softplus", logit), g.op("Mul", x, logit))


def _huber(g: Any, x_hat: Any, x: Any, *_: Any) -> Any:
    """Huber's loss with a bend at 1, which ONNX lacks."""
    half, one = (g.op("Constant", value_t=torch.tensor(value)) for value in (0.5, 1.0))
    size = g.op("Abs", g.op("Sub", x_hat, x))
    parabola = g.op("Mul", half, g.op("Mul", size, size))
    return g.op("Where", g.op("Less", size, one), parabola, g.op("Sub", size, half))


_OPERATIONS: dict[str, Callable[..., Any]] = {
    "logaddexp": _logaddexp,
    "binary_cross_entropy_with_logits": _cross_entropy,
    "huber_loss": _huber,
}


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
