"""Detectors as ONNX graphs: from raw features to the anomaly score, for use without Python."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hepaa._version import __version__
from hepaa.errors import InputError, NotFittedError
from hepaa.io.files import atomic_path
from hepaa.models.onnx import traced

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from hepaa.models.engine.neural import NeuralDetector
    from hepaa.models.nets.mlp import MLP
    from hepaa.table.preprocess import SkewLogStandardize

OPSET = 17


def _onnx() -> Any:
    try:
        import onnx
    except ImportError as error:
        raise InputError("ONNX export needs the package onnx: pip install onnx") from error
    return onnx


class Graph:
    """Nodes and constants of a graph in the making; values are names, of shape (members, n, ...) or (n, ...)."""

    def __init__(self, parameters: dict[str, NDArray[np.float32]]) -> None:
        self.onnx = _onnx()
        self.parameters = parameters
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def add(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """A node; returns the name of its output."""
        name = f"{operator}_{len(self.nodes)}"
        self.nodes.append(self.onnx.helper.make_node(operator, list(inputs), [name], **attributes))
        return name

    def constant(self, values: Any, dtype: Any = np.float32) -> str:
        """A constant tensor; returns its name."""
        name = f"constant_{len(self.constants)}"
        self.constants.append(self.onnx.numpy_helper.from_array(np.asarray(values, dtype=dtype), name))
        return name

    def cast(self, x: str, *, double: bool) -> str:
        """x as float64 or float32."""
        proto = self.onnx.TensorProto
        return self.add("Cast", x, to=proto.DOUBLE if double else proto.FLOAT)

    def mlp(self, network: MLP, x: str) -> str:
        """Outputs of an MLP."""
        last = len(network.layers) - 1
        for i, (weight, bias) in enumerate(network.layers):
            product = self.add("MatMul", x, self.constant(self.parameters[weight]))
            x = self.add("Add", product, self.constant(self.parameters[bias]))
            if i < last:
                x = self.add("Relu", x)
        return x

    def first(self, x: str, count: int) -> str:
        """The first `count` entries along the last axis."""
        return self.add("Slice", x, *(self.constant([v], np.int64) for v in (0, count, -1)))

    def sum_last(self, x: str) -> str:
        """Sum along the last axis."""
        return self.add("ReduceSum", x, self.constant([-1], np.int64), keepdims=0)

    def preprocess(self, fitted: SkewLogStandardize, x: str) -> str:
        """What `SkewLogStandardize.transform` does, in float64, then float32."""
        x = self.cast(x, double=True)
        logged = self.add("Max", x, self.constant(0.0, np.float64))
        # log(1 + x) is exact enough in float64 for the float32 that comes out
        logged = self.add("Log", self.add("Add", logged, self.constant(1.0, np.float64)))
        x = self.add("Where", self.constant(fitted.log_, np.bool_), logged, x)
        x = self.add("Sub", x, self.constant(fitted.mean_, np.float64))
        return self.cast(self.add("Div", x, self.constant(fitted.scale_, np.float64)), double=False)


def export(detector: NeuralDetector, path: str | Path) -> None:
    """Write the detector as an ONNX model: input `features` float32 (n, d), output `score` float64 (n,).

    Plain VAEs are written operation by operation, all members at once; other networks as torch's exporter records them.
    Columns are in the order of training, preprocessing is in the graph, members are averaged. The model's metadata have
    the feature names, the threshold and the version.

    Raises
    ------
    NotFittedError
        Before `fit`.
    InputError
        If onnx is not installed, or the detector has no ONNX form.
    """
    if not hasattr(detector, "parameters_"):
        raise NotFittedError(f"this {type(detector).__name__} is not fitted yet: there is nothing to export")
    members = len(detector.parameters_)
    frozen = {name: t.cpu().numpy() for name, t in detector.parameters_.frozen().items()}
    if not detector._has_onnx_graph:
        model = _onnx().load_model_from_string(traced(detector, OPSET))
        model.producer_name, model.producer_version = "hepaa", __version__
        _write(detector, model, path)
        return
    graph = Graph(frozen if members > 1 else {name: values[None] for name, values in frozen.items()})
    x = "features"
    if detector.preprocessor_ is not None:
        x = graph.preprocess(detector.preprocessor_, x)
    scores = graph.cast(detector._onnx_score(graph, x), double=True)
    mean = graph.add("ReduceMean", scores, axes=[0], keepdims=0)
    graph.nodes.append(graph.onnx.helper.make_node("Identity", [mean], ["score"]))
    helper, proto = graph.onnx.helper, graph.onnx.TensorProto
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            type(detector).__name__,
            [helper.make_tensor_value_info("features", proto.FLOAT, ["n", detector.n_features_in_])],
            [helper.make_tensor_value_info("score", proto.DOUBLE, ["n"])],
            graph.constants,
        ),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=8,
        producer_name="hepaa",
        producer_version=__version__,
    )
    _write(detector, model, path)


def _write(detector: NeuralDetector, model: Any, path: str | Path) -> None:
    """Check the model and write it with the detector's metadata."""
    onnx = _onnx()
    names = detector._names() or ()
    onnx.helper.set_model_props(model, {"feature_names": ",".join(names), "threshold": repr(detector.threshold_)})
    onnx.checker.check_model(model)
    with atomic_path(path) as partial:
        partial.write_bytes(model.SerializeToString())
