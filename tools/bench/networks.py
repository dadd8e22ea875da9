"""Float networks for benchmarks, written as exporters write them, with random weights.

Speed does not depend on the values of weights; accuracy is tested elsewhere, on trained ones.
Every network takes one float32 input ``x`` and gives one output ``y``; the batch is fixed.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

Floats = NDArray[np.float32]
OPSET = 17


class Network:
    """Nodes and weights of one ONNX graph under construction."""

    def __init__(self, shape: Sequence[int], seed: int = 7) -> None:
        """``shape`` of the input ``x``, batch included."""
        self.shape = tuple(shape)
        self.random = np.random.default_rng(seed)
        self._nodes: list[Any] = []
        self._weights: list[Any] = []

    def add(self, operator: str, inputs: Sequence[str], output: str = "", **attributes: Any) -> str:
        """Append a node; returns the name of its output."""
        name = output or f"t{len(self._nodes)}"
        self._nodes.append(helper.make_node(operator, list(inputs), [name], **attributes))
        return name

    def weight(self, array: NDArray[Any]) -> str:
        """Store an initializer; returns its name."""
        name = f"w{len(self._weights)}"
        self._weights.append(numpy_helper.from_array(array.copy(order="C"), name))
        return name

    def normal(self, *shape: int, fan_in: int) -> str:
        """A He-initialised weight."""
        values = self.random.standard_normal(shape) * math.sqrt(2 / fan_in)
        return self.weight(values.astype(np.float32))

    def bias(self, size: int) -> str:
        """A small bias."""
        return self.weight((self.random.standard_normal(size) * 0.05).astype(np.float32))

    def dense(self, x: str, terms: int, columns: int, output: str = "") -> str:
        """``Gemm`` with a weight stored as torch stores it (columns, terms)."""
        weight = self.normal(columns, terms, fan_in=terms)
        return self.add("Gemm", [x, weight, self.bias(columns)], output, transB=1)

    def conv(
        self, x: str, channels: int, filters: int, kernel: int, stride: int = 1, group: int = 1
    ) -> str:
        """Square ``Conv`` that keeps the size at stride 1; batch normalisation already folded."""
        depth = channels // group
        weight = self.normal(filters, depth, kernel, kernel, fan_in=depth * kernel * kernel)
        return self.add(
            "Conv",
            [x, weight, self.bias(filters)],
            kernel_shape=[kernel] * 2,
            strides=[stride] * 2,
            pads=[kernel // 2] * 4,
            group=group,
        )

    def finish(self, output_shape: Sequence[int]) -> bytes:
        """The model file; its output must be called ``y``."""
        graph = helper.make_graph(
            self._nodes,
            "benchmark",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, self.shape)],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, list(output_shape))],
            self._weights,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)])
        model.ir_version = 9
        onnx.checker.check_model(model)
        data: bytes = model.SerializeToString()
        return data


def mlp(batch: int) -> bytes:
    """64-256-256-10 with ReLU."""
    net = Network((batch, 64))
    x = "x"
    for terms, columns in ((64, 256), (256, 256)):
        x = net.add("Relu", [net.dense(x, terms, columns)])
    net.dense(x, 256, 10, "y")
    return net.finish((batch, 10))


def lenet(batch: int = 1) -> bytes:
    """LeNet-5 on 28 x 28: two 5 x 5 convolutions, three dense layers."""
    net = Network((batch, 1, 28, 28))
    x = "x"
    for channels, filters, pad in ((1, 6, 2), (6, 16, 0)):
        weight = net.normal(filters, channels, 5, 5, fan_in=channels * 25)
        inputs = [x, weight, net.bias(filters)]
        x = net.add("Conv", inputs, kernel_shape=[5, 5], pads=[pad] * 4)
        x = net.add("MaxPool", [net.add("Relu", [x])], kernel_shape=[2, 2], strides=[2, 2])
    x = net.add("Flatten", [x])
    for terms, columns in ((400, 120), (120, 84)):
        x = net.add("Relu", [net.dense(x, terms, columns)])
    net.dense(x, 84, 10, "y")
    return net.finish((batch, 10))


def mobilenet_v2(size: int = 224, classes: int = 1000) -> bytes:
    """MobileNetV2, width 1.0 (Sandler et al., 2018, table 2)."""
    net = Network((1, 3, size, size))
    x, channels = _relu6(net, net.conv("x", 3, 32, 3, 2)), 32
    blocks = (
        (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2),
        (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1),
    )  # fmt: skip
    for expansion, filters, repeats, first_stride in blocks:
        for index in range(repeats):
            stride = first_stride if index == 0 else 1
            x = _inverted_residual(net, x, channels, filters, expansion, stride)
            channels = filters
    x = _relu6(net, net.conv(x, channels, 1280, 1))
    x = net.add("Flatten", [net.add("GlobalAveragePool", [x])])
    net.dense(x, 1280, classes, "y")
    return net.finish((1, classes))


def resnet18(size: int = 224, classes: int = 1000) -> bytes:
    """ResNet-18 (He et al., 2015, table 1)."""
    net = Network((1, 3, size, size))
    x = net.add("Relu", [net.conv("x", 3, 64, 7, 2)])
    x = net.add("MaxPool", [x], kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)
    channels = 64
    for filters, first_stride in ((64, 1), (128, 2), (256, 2), (512, 2)):
        for stride in (first_stride, 1):
            inner = net.add("Relu", [net.conv(x, channels, filters, 3, stride)])
            inner = net.conv(inner, filters, filters, 3)
            if stride != 1 or channels != filters:
                x = net.conv(x, channels, filters, 1, stride)
            x, channels = net.add("Relu", [net.add("Add", [inner, x])]), filters
    x = net.add("Flatten", [net.add("GlobalAveragePool", [x])])
    net.dense(x, 512, classes, "y")
    return net.finish((1, classes))


def forest(features: int = 30, trees: int = 100, depth: int = 6, seed: int = 3) -> bytes:
    """A regressor of complete trees (``ai.onnx.ml`` 3) with integer thresholds; batch is free."""
    random = np.random.default_rng(seed)
    inner, leaves = (1 << depth) - 1, 1 << depth
    size = inner + leaves
    node = np.tile(np.arange(size), trees)
    is_leaf = node >= inner
    thresholds = random.integers(-1000, 1001, node.size).astype(np.float32)
    tree = np.repeat(np.arange(trees), size)
    attributes = {
        "nodes_treeids": tree,
        "nodes_nodeids": node,
        "nodes_featureids": np.where(is_leaf, 0, random.integers(0, features, node.size)),
        "nodes_truenodeids": np.where(is_leaf, 0, 2 * node + 1),
        "nodes_falsenodeids": np.where(is_leaf, 0, 2 * node + 2),
        "nodes_values": np.where(is_leaf, 0, thresholds).astype(np.float32),
        "nodes_modes": ["LEAF" if leaf else "BRANCH_LT" for leaf in is_leaf],
        "target_treeids": tree[is_leaf],
        "target_nodeids": node[is_leaf],
        "target_ids": np.zeros(leaves * trees, np.int64),
        "target_weights": random.standard_normal(leaves * trees).astype(np.float32),
        "n_targets": 1,
    }
    plain = {
        key: value.tolist() if isinstance(value, np.ndarray) else value
        for key, value in attributes.items()
    }
    domain = "ai.onnx.ml"
    graph = helper.make_graph(
        [helper.make_node("TreeEnsembleRegressor", ["x"], ["y"], domain=domain, **plain)],
        "benchmark",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", features])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 1])],
    )
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(domain, 3)]
    model = helper.make_model(graph, opset_imports=opsets)
    model.ir_version = 9
    data: bytes = model.SerializeToString()
    return data


def _relu6(net: Network, x: str) -> str:
    low, high = net.weight(np.array(0, np.float32)), net.weight(np.array(6, np.float32))
    return net.add("Clip", [x, low, high])


def _inverted_residual(
    net: Network, x: str, channels: int, filters: int, expansion: int, stride: int
) -> str:
    wide, hidden = x, channels * expansion
    if expansion != 1:
        wide = _relu6(net, net.conv(x, channels, hidden, 1))
    wide = _relu6(net, net.conv(wide, hidden, hidden, 3, stride, group=hidden))
    narrow = net.conv(wide, hidden, filters, 1)
    return net.add("Add", [x, narrow]) if stride == 1 and channels == filters else narrow
