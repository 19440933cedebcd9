"""Gradients that are written out for a CPU, against autograd through torch's own convolutions."""

import pytest
import torch
from torch.nn import functional as F

from models import cpu_kernels
from models.cpu_kernels import (
    DoublingConvTranspose,
    FewOutputsConv,
    FrozenConvReLU,
    UnfoldedGradientConv,
    accelerate,
    onednn_computes,
)
from models.multi_style import ConditionalInstanceNorm2d
from models.transformer_net import ReflectionConv2d, ReflectionConvTranspose2d, TransformerNet
from models.vgg19 import VGG19

EXACT = dict(rtol=0, atol=1e-11)  # float64
LAYOUTS = [torch.contiguous_format, torch.channels_last]


def random(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


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


@pytest.mark.parametrize("case", CASES)
def test_a_gradient_that_nobody_wants_is_not_computed(case, monkeypatch):
    own, _, shapes = CASES[case]
    x, weight = (random(*shape, seed=seed) for seed, shape in enumerate(shapes))
    calls = []
    backward = torch.ops.aten.convolution_backward
    monkeypatch.setattr(torch.ops.aten, "convolution_backward", lambda *args: calls.append(args) or backward(*args))
    x.requires_grad_()
    own(x, weight).sum().backward()
    assert [mask for *_, mask in calls] == ([[True, False, False]] if case == "unfolded" else [])
    assert x.grad is not None


@pytest.mark.parametrize("dtype, tolerance", [(torch.float32, 1e-5), (torch.bfloat16, 1e-2)])
def test_frozen_convolution_with_relu(dtype, tolerance):
    x, weight, bias = random(2, 5, 9, 12, dtype=dtype), random(8, 5, 3, 3, seed=1, dtype=dtype), random(8, dtype=dtype)
    if dtype == torch.bfloat16 and not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        pytest.skip("needs a processor on which oneDNN computes bfloat16")
    assert onednn_computes(x)
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


def test_fused_convolutions_are_not_for_other_types():
    assert onednn_computes(torch.zeros(1))
    assert not onednn_computes(torch.zeros(1, dtype=torch.float64))
    assert not onednn_computes(torch.zeros(1, device="meta"))


def test_bfloat16_works_where_onednn_does_not_compute_it(monkeypatch):
    """Without AVX-512 oneDNN refuses bfloat16, and torch's own convolutions take its place."""
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: False)
    monkeypatch.setattr(torch.ops.mkldnn, "_convolution_pointwise", None)
    torch.manual_seed(0)
    pictures = random(1, 3, 32, 32, dtype=torch.float32).abs() * 80
    loss_network, network = VGG19(), TransformerNet().eval().requires_grad_(False)
    torch.nn.init.normal_(network.layers[-1][0].weight, std=0.1)
    with torch.no_grad():
        expected = loss_network(pictures, ("relu3_1",))["relu3_1"], network(pictures)
        features = accelerate(loss_network.bfloat16())(pictures, ("relu3_1",))["relu3_1"]
        result = accelerate(network.bfloat16())(pictures.bfloat16())
    for ours, exact in zip((features, result - 127.5), (expected[0], expected[1] - 127.5), strict=True):
        assert (ours.float() - exact).norm() < 5e-2 * exact.norm()


@pytest.mark.parametrize("of_gradient", LAYOUTS)
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("pictures", [1, 3])
@pytest.mark.parametrize("styles", [1, 2])
def test_instance_norm_is_its_formula_in_any_layout(styles, pictures, layout, of_gradient):
    """torch's own gives another gradient, of one picture, where channels come last in the gradient that it is given."""
    norm = torch.nn.InstanceNorm2d(8, affine=True) if styles == 1 else ConditionalInstanceNorm2d(8, styles)
    accelerate(torch.nn.Sequential(norm.double()))
    for seed, parameter in enumerate(norm.parameters()):
        parameter.data = random(*parameter.shape, seed=seed)
    mixture = random(pictures, styles, seed=2).abs() if styles > 1 else torch.ones(pictures, 1).double()

    def formula(x):
        scale, shift = (mixture @ table.view(styles, 8) for table in (norm.weight, norm.bias))
        variance, mean = torch.var_mean(x, (2, 3), correction=0, keepdim=True)
        return (x - mean) / (variance + norm.eps).sqrt() * scale[..., None, None] + shift[..., None, None]

    x = random(pictures, 8, 6, 5).contiguous(memory_format=layout).requires_grad_()
    gradient = random(*x.shape, seed=9).contiguous(memory_format=of_gradient)
    results = [norm(x, mixture) if styles > 1 else norm(x), formula(x)]
    assert results[0].is_contiguous(memory_format=layout)
    ours, exact = (torch.autograd.grad(result, [x, *norm.parameters()], gradient) for result in results)
    torch.testing.assert_close((results[0], *ours), (results[1], *exact), **EXACT)


@pytest.mark.parametrize("unfolding", [False, True])
@pytest.mark.parametrize("norm", ["batch", "instance"])
@pytest.mark.parametrize("upsample", ["transposed", "resize"])
def test_the_network_uses_them_and_its_gradients_are_those_of_plain_layers(upsample, norm, unfolding, monkeypatch):
    monkeypatch.setattr(cpu_kernels, "_unfolding_pays", lambda x: unfolding)
    torch.manual_seed(0)
    network = TransformerNet(norm, upsample, width=1 if norm == "batch" else 0.125).double()  # of four channels
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


@pytest.mark.parametrize("kind", [ReflectionConv2d, ReflectionConvTranspose2d])
def test_padding_under_autocast_keeps_the_type(kind):
    """torch.autocast would have it done in float32 on a CPU: two conversions of every feature for nothing."""
    network, seen = accelerate(TransformerNet()), []
    layer = next(module for module in network.modules() if isinstance(module, kind))
    x = random(1, layer.in_channels, 8, 8, dtype=torch.bfloat16)
    with torch.autocast("cpu", torch.bfloat16), torch.profiler.profile() as profile:
        assert layer(x).dtype == torch.bfloat16
    for event in profile.events():
        if event.name == "aten::reflection_pad2d":
            seen += [child.name for child in event.cpu_children]
    assert "aten::to" not in seen and "aten::_to_copy" not in seen
