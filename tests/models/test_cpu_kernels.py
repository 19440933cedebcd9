"""Gradients that are written out for a CPU, against autograd through torch's own convolutions."""

import pytest
import torch
from torch.nn import functional as F

from models import cpu_kernels
from models.cpu_kernels import DoublingConvTranspose, FewOutputsConv, FrozenConvReLU, UnfoldedGradientConv, accelerate
from models.multi_style import ConditionalInstanceNorm2d
from models.transformer_net import MixedNorm2d, TransformerNet
from tests.noise import random

EXACT = dict(rtol=0, atol=1e-11)  # float64
LAYOUTS = [torch.contiguous_format, torch.channels_last]


def gradients(function, inputs):
    inputs = [tensor.detach().requires_grad_() for tensor in inputs]
    result = function(*inputs)
    return result.detach(), torch.autograd.grad(result, inputs, random(*result.shape, seed=9, dtype=result.dtype))


CASES = {
    "doubling": (
        DoublingConvTranspose.apply,
        lambda x, w: F.conv_transpose2d(x, w, stride=2, padding=3),
        [(2, 5, 6, 9), (5, 3, 4, 4)],
    ),
    "unfolded": (
        lambda x, w: UnfoldedGradientConv.apply(x, w, 2),
        lambda x, w: F.conv2d(x, w, stride=2),
        [(2, 5, 9, 12), (7, 5, 3, 3)],
    ),
    "few outputs": (FewOutputsConv.apply, F.conv2d, [(2, 5, 16, 13), (3, 5, 9, 9)]),
}


@pytest.mark.parametrize("unfolding", [False, True])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("case", CASES)
def test_values_and_gradients_are_those_of_torch(case, layout, unfolding, monkeypatch):
    monkeypatch.setattr(cpu_kernels, "_unfolding_pays", lambda x: unfolding)
    own, torchs, shapes = CASES[case]
    inputs = [random(*shape, seed=seed).contiguous(memory_format=layout) for seed, shape in enumerate(shapes)]
    for ours, theirs in zip(gradients(own, inputs), gradients(torchs, inputs), strict=True):
        torch.testing.assert_close(ours, theirs, **EXACT)


@pytest.mark.parametrize("case", CASES)
def test_bfloat16_gradients_are_as_near_to_float64_as_torchs(case):
    own, torchs, shapes = CASES[case]
    inputs = [random(*shape, seed=seed, dtype=torch.bfloat16) for seed, shape in enumerate(shapes)]
    _, exact = gradients(torchs, [tensor.double() for tensor in inputs])
    for ours, theirs, reference in zip(gradients(own, inputs)[1], gradients(torchs, inputs)[1], exact, strict=True):
        assert ours.dtype == torch.bfloat16
        error, usual = ((value.double() - reference).norm() for value in (ours, theirs))
        assert error < max(1.5 * usual, 4e-3 * reference.norm())


@pytest.mark.parametrize("dtype, tolerance", [(torch.float32, 1e-5), (torch.bfloat16, 1e-2)])
def test_frozen_convolution_with_relu(dtype, tolerance):
    x, weight, bias = random(2, 5, 9, 12, dtype=dtype), random(8, 5, 3, 3, seed=1, dtype=dtype), random(8, dtype=dtype)
    value, (gradient,) = gradients(lambda x: FrozenConvReLU.apply(x, weight, bias), [x])
    reference, (expected,) = gradients(
        lambda x: F.relu(F.conv2d(x, weight.double(), bias.double(), padding=1)), [x.double()]
    )
    assert value.dtype == gradient.dtype == dtype and (value == 0).any()
    assert (value.double() - reference).norm() < tolerance * reference.norm()
    # Where rounding carries a value over zero the ReLU lets one gradient through and not the other: rare, and counted.
    same = (value > 0) == (reference > 0)
    assert same.float().mean() > 0.995
    assert (gradient.double() - expected).norm() < (
        5 * tolerance if dtype == torch.bfloat16 else tolerance
    ) * expected.norm()


@pytest.mark.parametrize("of_gradient", LAYOUTS)
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("pictures", [1, 3])
@pytest.mark.parametrize("styles", [1, 2])
@pytest.mark.parametrize("kind", ["instance", "mixed"])
def test_norms_are_their_formula_in_any_layout(kind, styles, pictures, layout, of_gradient):
    """torch's own gives another gradient, of one picture, where channels come last in the gradient that it is given."""
    if kind == "mixed":
        norm = MixedNorm2d(8, None if styles == 1 else styles)
    else:
        norm = torch.nn.InstanceNorm2d(8, affine=True) if styles == 1 else ConditionalInstanceNorm2d(8, styles)
    layers = torch.nn.Sequential(norm.double().eval())
    for seed, table in enumerate(norm.state_dict().values()):
        table.copy_(random(*table.shape, seed=seed).abs() + 0.1)
    assert accelerate(layers)[0] is not norm and layers.state_dict().keys() == {f"0.{key}" for key in norm.state_dict()}
    plain, norm = norm, layers[0]
    mixture = random(pictures, styles, seed=2).abs() if styles > 1 else torch.ones(pictures, 1).double()

    def formula(x):
        tables = norm.weight, norm.bias, *((norm.running_mean, norm.running_var) if kind == "mixed" else ())
        scale, shift, *running = (mixture @ table.view(styles, 8) for table in tables)
        variance, mean = torch.var_mean(x, (2, 3), correction=0)
        if running:
            variance = 0.25 * variance + 0.75 * running[1] + 0.25 * 0.75 * (running[0] - mean).square()
            mean = 0.25 * mean + 0.75 * running[0]
        scale, shift = (value[..., None, None] for value in (scale / (variance + norm.eps).sqrt(), shift))
        return (x - mean[..., None, None]) * scale + shift

    x = random(pictures, 8, 6, 5).contiguous(memory_format=layout).requires_grad_()
    gradient = random(*x.shape, seed=9).contiguous(memory_format=of_gradient)
    results = [norm(x, mixture) if styles > 1 else norm(x), formula(x)]
    torch.testing.assert_close(plain(x, mixture) if styles > 1 else plain(x), results[1], **EXACT)
    assert results[0].is_contiguous(memory_format=layout)
    ours, exact = (torch.autograd.grad(result, [x, *norm.parameters()], gradient) for result in results)
    torch.testing.assert_close((results[0], *ours), (results[1], *exact), **EXACT)


@pytest.mark.parametrize("unfolding", [False, True])
@pytest.mark.parametrize("norm", ["batch", "instance", "mixed"])
@pytest.mark.parametrize("upsample", ["transposed", "resize"])
def test_the_network_uses_them_and_its_gradients_are_those_of_plain_layers(upsample, norm, unfolding, monkeypatch):
    monkeypatch.setattr(cpu_kernels, "_unfolding_pays", lambda x: unfolding)
    torch.manual_seed(0)
    network = TransformerNet(norm, upsample, width=1 if norm == "batch" else 0.125).double()  # of four channels
    network.train(norm == "batch")  # for mixed norm keeps count of the pictures that it was trained on
    for block in network.layers[3:8]:
        torch.nn.init.normal_(block.residual[1][1].weight)  # zero at the start, which would hide mistakes
    pictures = random(2, 3, 20, 24).abs() * 50

    def run():
        network.zero_grad()
        network(pictures).square().mean().backward()
        return [parameter.grad.clone() for parameter in network.parameters()]

    used = []
    for function in (UnfoldedGradientConv, DoublingConvTranspose, FewOutputsConv):
        apply = function.apply
        monkeypatch.setattr(function, "apply", lambda *a, f=function, apply=apply: used.append(f.__name__) or apply(*a))
    plain = run()
    assert not used
    accelerate(network)
    ours = run()
    doubling = upsample == "transposed"
    expected = ["UnfoldedGradientConv"] * (13 if doubling else 15) * unfolding  # all others of the network
    assert used == expected + ["DoublingConvTranspose"] * 2 * doubling + ["FewOutputsConv"]
    for mine, theirs in zip(ours, plain, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("channels, height, width", [(3, 5, 7), (8, 300, 320), (16, 9, 12), (64, 40, 20)])
def test_moments_of_few_and_many_channels(channels, height, width):
    x = 2 * random(2, channels, height, width) + 40
    variance, mean = torch.var_mean(x.double(), (2, 3), correction=0)
    for features in x.float(), x.float().contiguous(memory_format=torch.channels_last):
        torch.testing.assert_close(cpu_kernels.moments(features), (mean.float(), variance.float()), rtol=1e-5, atol=0)
