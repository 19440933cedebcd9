"""The transformation network: its architecture, its sizes, and what it is before training."""

import pytest
import torch

from models.transformer_net import ReflectionConvTranspose2d, ResidualBlock, TransformerNet, UpsampleLayer
from tests.noise import pictures

VARIANTS = [(norm, upsample) for norm in ("batch", "instance") for upsample in ("transposed", "resize")]
UPSAMPLES = ("transposed", "resize")


def build(norm="batch", upsample="transposed", seed=0):
    torch.manual_seed(seed)
    return TransformerNet(norm, upsample)


# -- architecture ----------------------------------------------------------------------------------


@pytest.mark.parametrize("norm, upsample", VARIANTS)
def test_parameters_are_those_of_the_paper(norm, upsample):
    """Supplementary table 1, but the kernel of the transposed convolutions is divisible by their stride."""
    parameters = [tuple(parameter.shape) for parameter in build(norm, upsample).parameters()]
    up = [(128, 64, 4, 4), (64, 32, 4, 4)] if upsample == "transposed" else [(64, 128, 3, 3), (32, 64, 3, 3)]
    kernels = [(32, 3, 9, 9), (64, 32, 3, 3), (128, 64, 3, 3), *[(128, 128, 3, 3)] * 10, *up, (3, 32, 9, 9)]
    assert [shape for shape in parameters if len(shape) == 4] == kernels
    # A scale and a shift for each channel in place of biases, but of the last convolution.
    channels = [32, 64, 128, *[128] * 10, 64, 32]
    assert [shape for shape in parameters if len(shape) == 1] == [(c,) for c in channels for _ in range(2)] + [(3,)]


def test_width_multiplies_the_channels_and_blocks_are_counted():
    network = TransformerNet("instance", width=0.3, blocks=2)
    kernels = [tuple(parameter.shape) for parameter in network.parameters() if parameter.dim() == 4]
    up = [(38, 19, 4, 4), (19, 10, 4, 4)]
    assert kernels == [(10, 3, 9, 9), (19, 10, 3, 3), (38, 19, 3, 3), *[(38, 38, 3, 3)] * 4, *up, (3, 10, 9, 9)]
    assert TransformerNet(**network.architecture()).state_dict().keys() == network.state_dict().keys()
    for wrong in ({"width": 0.01}, {"width": float("nan")}, {"width": 3}, {"blocks": 0}, {"blocks": 10}):
        with pytest.raises(ValueError, match=f"{next(iter(wrong))} must be"):
            TransformerNet(**wrong)


# -- sizes and values ------------------------------------------------------------------------------


@pytest.mark.parametrize("norm, upsample", VARIANTS)
@torch.no_grad()
def test_output_has_exactly_the_size_of_the_input(norm, upsample, trained_like):
    network = trained_like(norm, upsample)
    for height, width in [(1, 1), (2, 11), (3, 8), (4, 7), (5, 6), (8, 9), (10, 10), (1, 131), (101, 67)]:
        output = network(pictures(1, height, width))
        assert output.shape == (1, 3, height, width)
        assert output.isfinite().all()


@pytest.mark.parametrize("norm, upsample", VARIANTS)
def test_output_is_float32_within_0_and_255(norm, upsample):
    network = build(norm, upsample).train()
    output = network(pictures(2, 40, 36) * 2 - 100)  # values outside the range as well: the tanh holds them
    assert output.dtype == torch.float32
    assert output.min() >= 0 and output.max() <= 255
    assert output.std() > 1  # it says something


def test_bfloat16_arithmetic_does_not_coarsen_the_grey_levels(trained_like):
    """bfloat16 holds only every whole number between 128 and 255: scaling has to happen in float32."""
    with torch.autocast("cpu", torch.bfloat16):
        output = trained_like()(pictures(1, 32, 32))
    assert output.dtype == torch.float32
    bright = output[output > 129]
    assert len(bright) > 100 and (bright != bright.round()).float().mean() > 0.5


@pytest.mark.parametrize("upsample", UPSAMPLES)
@torch.no_grad()
def test_translation_equivariance(upsample, trained_like):
    """Shifting the photograph by the overall stride shifts the result, 60 pixels off the border and more."""
    network = trained_like(upsample=upsample).double()
    scene, margin = pictures(1, 148, 148).double(), 64
    one, other = network(scene[..., :144, :144]), network(scene[..., 4:, 4:])
    ours = one[..., margin + 4 : -margin, margin + 4 : -margin]
    theirs = other[..., margin : -margin - 4, margin : -margin - 4]
    assert ours.numel() > 0 and ours.std() > 1
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-9)


def test_padding_keeps_pixels_where_the_strides_find_them_in_a_larger_picture(trained_like):
    """A picture whose sides four does not divide goes on, right and below, with its own border pixels."""
    network = trained_like().double()
    image = pictures(1, 21, 18).double()
    continued = torch.nn.functional.pad(image, (0, 2, 0, 3), mode="replicate")
    torch.testing.assert_close(network(image), network(continued)[..., :21, :18], rtol=0, atol=1e-9)


# -- at the start ----------------------------------------------------------------------------------


@pytest.mark.parametrize("norm", ["batch", "instance"])
def test_residual_blocks_start_as_the_identity(norm):
    torch.manual_seed(0)
    x = torch.randn(2, 16, 9, 7)
    block = ResidualBlock(16, norm)
    assert torch.equal(block(x), x)
    torch.nn.init.ones_(block.residual[1][1].weight)
    assert not torch.allclose(block(x), x)


@pytest.mark.parametrize("trained", [False, True])
@pytest.mark.parametrize("upsample", UPSAMPLES)
def test_upsampling_is_free_of_checkerboard(upsample, trained):
    """A constant input gives a constant output: a pattern in it would be the layer's own, at first or learnt."""
    torch.manual_seed(0)
    *layers, norm, relu = UpsampleLayer(16, 8, "batch", upsample)
    if trained:
        torch.nn.init.normal_(layers[-1].weight)
    output = torch.nn.Sequential(*layers)(torch.randn(2, 16, 1, 1).expand(-1, -1, 6, 5))
    assert output.shape == (2, 8, 12, 10)
    assert output.std(dim=(0, 1)).min() > 0.1
    torch.testing.assert_close(output, output[..., :1, :1].expand_as(output), rtol=0, atol=1e-4)


def test_transposed_convolution_balances_nothing_but_the_sums():
    torch.manual_seed(0)
    layer = ReflectionConvTranspose2d(3, 2)
    torch.nn.init.normal_(layer.weight)
    balanced = layer.balanced_weight()
    for rows in (0, 1):
        for columns in (0, 1):
            change = (balanced - layer.weight)[..., rows::2, columns::2]
            torch.testing.assert_close(change, change[..., :1, :1].expand_as(change), rtol=0, atol=1e-6)
    torch.testing.assert_close(balanced.sum((2, 3)), layer.weight.sum((2, 3)))


def test_transposed_convolution_starts_as_bilinear_interpolation():
    torch.manual_seed(0)
    layer = ReflectionConvTranspose2d(3, 2)
    x = torch.randn(1, 3, 6, 5)
    # bilinear weights sum to 4 over the kernel: an input pixel serves four output pixels
    mixture = layer.weight.sum(dim=(2, 3)) / 4
    mixed = torch.einsum("ncij,cd->ndij", x, mixture)
    expected = torch.nn.functional.interpolate(mixed, scale_factor=2, mode="bilinear", align_corners=False)
    # At the border one reflects, the other repeats.
    torch.testing.assert_close(layer(x)[..., 1:-1, 1:-1], expected[..., 1:-1, 1:-1], rtol=0, atol=1e-5)


@pytest.mark.gpu
@pytest.mark.parametrize("norm, upsample", VARIANTS)
@torch.no_grad()
def test_gpu_agrees_with_cpu(norm, upsample, trained_like):
    network, images = trained_like(norm, upsample), pictures(2, 37, 50)
    on_cpu = network.double()(images.double())
    on_gpu = network.cuda()(images.double().cuda()).cpu()
    torch.testing.assert_close(on_gpu, on_cpu, rtol=0, atol=1e-6)
    with torch.autocast("cuda", torch.float16):
        half = network.float()(images.cuda()).cpu()
    assert half.dtype == torch.float32 and (half - on_cpu).abs().mean() < 1
