"""A style network written down in ONNX, layer by layer, in operators of 2019; needs the package onnx.

By hand, because what ``torch.onnx.export`` of torch 2.14 writes (opset 20) takes the sums of instance norm over a whole
picture in float32, and OpenCV 4.14 does not read its mixed norm.
"""

import numpy as np
import torch
from onnx import ModelProto, TensorProto, checker, helper, numpy_helper
from torch import nn

from models.fusion import block_kernels, fuse_batch_norm
from models.multi_style import MultiStyleNet
from models.transformer_net import (
    TANH_SCALE,
    MixedNorm2d,
    ReflectionConv2d,
    ReflectionConvTranspose2d,
    ResidualBlock,
    TransformerNet,
)


def to_onnx(network: TransformerNet, precision: str = "float32", size: tuple[int, int] | None = None) -> ModelProto:
    """A network as an ONNX model of inputs ``image`` and, where it has several styles, ``style``; see ``export.onnx``.

    ``precision`` is ``"float32"``, or ``"float16"``, in which kernels are then stored; the computation is float32.
    ``size`` is (height, width) of the one picture that the graph takes; ``None`` for any number of any size. Raises
    TypeError at a layer that has no translation.
    """
    network = fuse_batch_norm(network).cpu().float()
    graph = _Graph(np.dtype(precision))
    image = (TensorProto.FLOAT, [1, 3, *size] if size else ["batch", 3, "height", "width"])
    inputs = [helper.make_tensor_value_info("image", *image)]
    if isinstance(network, MultiStyleNet):
        mixtures = [1 if size else "mixtures", len(network.styles)]
        inputs.append(helper.make_tensor_value_info("style", TensorProto.FLOAT, mixtures))
    x, end = _prepare(graph, network.STRIDE, size)
    # ``TransformerNet.finish``: the picture's own size, and values in [0, 255].
    x = graph("Slice", _layer(graph, network.layers, x), graph.whole(0, 0), end, graph.whole(2, 3))
    x = graph("Tanh", graph("Div", x, graph.real(TANH_SCALE)))
    graph("Mul", graph("Add", x, graph.real(1.0)), graph.real(127.5), output="stylized")
    outputs = [helper.make_tensor_value_info("stylized", *image)]
    model = helper.make_model(
        helper.make_graph(graph.nodes, "style_transfer", inputs, outputs, graph.initializers),
        opset_imports=[helper.make_opsetid("", 11)],  # the first in which the sizes of a padding may be computed
        ir_version=6,  # of the file format, as old
    )
    checker.check_model(model, full_check=True)
    return model


class _Graph:
    """The nodes and weights of a graph. Called with an operator and its inputs' names, it returns the output's."""

    def __init__(self, stored_as: np.dtype):
        self.nodes, self.initializers, self._stored_as = [], [], stored_as

    def __call__(self, operator: str, *inputs: str, output: str | None = None, **attributes) -> str:
        output = output or f"{operator}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [output], name=output, **attributes))
        return output

    def whole(self, *numbers: int) -> str:
        """Whole numbers, of shapes and paddings."""
        return self._constant(np.array(numbers, np.int64))

    def real(self, values: torch.Tensor | float) -> str:
        """A weight, or a number."""
        array = torch.as_tensor(values, dtype=torch.float32).detach().numpy()
        if array.ndim < 4 or self._stored_as == array.dtype:
            return self._constant(array)
        return self("Cast", self._constant(array.astype(self._stored_as)), to=TensorProto.FLOAT)

    def _constant(self, array: np.ndarray) -> str:
        self.initializers.append(numpy_helper.from_array(array, f"constant_{len(self.initializers)}"))
        return self.initializers[-1].name


def _prepare(graph: _Graph, stride: int, size: tuple[int, int] | None) -> tuple[str, str]:
    """``TransformerNet.prepare``: the padded picture in [-1, 1]; and its height and width as they were."""
    x = graph("Sub", graph("Div", "image", graph.real(127.5)), graph.real(1.0))
    if size is not None:
        padding = [max(2, -(-side // stride)) * stride - side for side in size]
        if any(padding):  # not every program can read this
            x = graph("Pad", x, graph.whole(0, 0, 0, 0, 0, 0, *padding), mode="edge")
        return x, graph.whole(*size)
    size = graph("Slice", graph("Shape", "image"), graph.whole(2), graph.whole(4))
    steps = graph("Div", graph("Add", size, graph.whole(stride - 1)), graph.whole(stride))
    steps = graph("Add", steps, graph("Div", graph.whole(1), steps))  # at least two: 1 // n is 1 for n = 1 alone
    padding = graph("Sub", graph("Mul", steps, graph.whole(stride)), size)
    # What is added in front of N, C, H and W, then behind.
    return graph("Pad", x, graph("Concat", graph.whole(0, 0, 0, 0, 0, 0), padding, axis=0), mode="edge"), size


def _layer(graph: _Graph, module: nn.Module, x: str) -> str:
    """The nodes of a layer, and of those in it."""
    if isinstance(module, nn.Sequential):
        for part in module:
            x = _layer(graph, part, x)
        return x
    if isinstance(module, ResidualBlock):
        return graph("Add", x, _layer(graph, module.residual, x))
    if isinstance(module, ReflectionConv2d):
        x = graph("Pad", x, graph.whole(*[0, 0, *[module.kernel_size[0] // 2] * 2] * 2), mode="reflect")
        if module.out_channels > 3:
            return _convolution(graph, "Conv", module, x)
        # Blocks of 2 x 2 pixels: with three outputs most lanes of a processor would idle.
        weights = graph.real(block_kernels(module.weight, 2, 2)), graph.real(module.bias.repeat(4))
        return graph("DepthToSpace", graph("Conv", x, *weights, strides=(2, 2)), blocksize=2)
    if isinstance(module, ReflectionConvTranspose2d):
        x = graph("Pad", x, graph.whole(*[0, 0, 1, 1] * 2), mode="reflect")
        return _convolution(graph, "ConvTranspose", module, x)
    if isinstance(module, MixedNorm2d | nn.InstanceNorm2d):
        return _norm(graph, module, x)
    if isinstance(module, nn.Upsample):
        scales = graph.real(torch.tensor([1, 1, module.scale_factor, module.scale_factor]))
        how = {"mode": "nearest", "nearest_mode": "floor", "coordinate_transformation_mode": "asymmetric"}
        return graph("Resize", x, graph.real(torch.empty(0)), scales, **how)
    if isinstance(module, nn.ReLU):
        return graph("Relu", x)
    if isinstance(module, nn.Identity):  # where a batch norm was
        return x
    raise TypeError(f"{type(module).__name__} has no translation into ONNX")


def _norm(graph: _Graph, module: nn.Module, x: str) -> str:
    """Instance norm, or ``MixedNorm2d``, which pools its statistics with running ones.

    Not as the operator of that name, whose sums over a whole picture ONNX Runtime takes in float32, the more inexact
    the larger it is. Here no sum has more terms than a side has pixels.
    """
    tables = [module.weight, module.bias]
    if isinstance(module, MixedNorm2d):
        tables += [module.running_mean, module.running_var]
    tables = [graph.real(table) for table in tables]
    if module.weight.dim() == 2:  # a row for each style; of the product, a row for each picture, or one for all
        tables = [graph("MatMul", "style", table) for table in tables]
    scale, shift, *running = (graph("Reshape", one, graph.whole(-1, module.num_features, 1, 1)) for one in tables)
    mean = _mean(graph, x)
    centred = graph("Sub", x, mean)
    variance = _mean(graph, graph("Mul", centred, centred))
    if running:
        step = graph("Sub", running[0], mean)
        own, share = graph.real(1 - module.SHARE), graph.real(module.SHARE)
        between = graph("Mul", graph("Mul", own, share), graph("Mul", step, step))
        variance = graph("Add", graph("Mul", own, variance), graph("Mul", share, running[1]))
        variance = graph("Add", variance, between)
    scale = graph("Div", scale, graph("Sqrt", graph("Add", variance, graph.real(module.eps))))
    if running:
        shift = graph("Sub", shift, graph("Mul", graph("Mul", share, step), scale))
    return graph("Add", graph("Mul", centred, scale), shift)


def _mean(graph: _Graph, x: str) -> str:
    """Over each row, then over these."""
    return graph("ReduceMean", graph("ReduceMean", x, axes=[3]), axes=[2])


def _convolution(graph: _Graph, operator: str, module: nn.Conv2d | nn.ConvTranspose2d, x: str) -> str:
    weights = [graph.real(one) for one in (module.weight, module.bias) if one is not None]
    return graph(operator, x, *weights, kernel_shape=module.kernel_size, strides=module.stride, pads=module.padding * 2)
