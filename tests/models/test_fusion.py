"""Layers merged for inference give the values of the layers apart."""

import copy

import pytest
import torch

from models.cpu_kernels import OneDNNConvolution, accelerate
from models.fusion import fuse_batch_norm

VARIANTS = [(norm, upsample) for norm in ("batch", "instance") for upsample in ("transposed", "resize")]


def pictures(n=2, height=45, width=38):
    return torch.rand(n, 3, height, width, generator=torch.Generator().manual_seed(0)) * 255


@torch.inference_mode()
def stylized(network, images):
    return network(images.contiguous(memory_format=torch.channels_last))


@pytest.mark.parametrize("norm, upsample", VARIANTS)
def test_merged_is_apart(norm, upsample, trained_like):
    """Batch norm in float64, to its rounding; the rest in oneDNN's float32. The network itself is left as it is."""
    network = trained_like(norm, upsample).double().train()
    before = copy.deepcopy(network.state_dict())
    fused = fuse_batch_norm(network)
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in fused.modules())
    assert network.training and not fused.training
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    expected = stylized(network.eval(), pictures().double())
    torch.testing.assert_close(stylized(fused, pictures().double()), expected, rtol=0, atol=1e-9)
    apart = stylized(fused.float(), pictures())
    torch.testing.assert_close(stylized(accelerate(fused), pictures()), apart, rtol=0, atol=1e-3)


@pytest.mark.parametrize("norm, upsample", VARIANTS)
def test_merged_is_as_near_to_float32_as_apart_in_bfloat16(norm, upsample, trained_like):
    network = trained_like(norm, upsample)
    reference = stylized(network, pictures())
    apart = fuse_batch_norm(network).to(torch.bfloat16, memory_format=torch.channels_last)
    error = (stylized(apart, pictures()) - reference).square().mean()
    merged = (stylized(accelerate(apart), pictures()) - reference).square().mean()
    assert 0 < merged < 1.3 * error


@pytest.mark.parametrize("upsample", ["transposed", "resize"])
def test_every_convolution_takes_in_what_follows(upsample, trained_like):
    network = accelerate(fuse_batch_norm(trained_like(upsample=upsample)))
    merged = [module for module in network.modules() if isinstance(module, OneDNNConvolution)]
    assert len(merged) == 16  # all convolutions of the network
    assert [module.activation for module in merged].count("relu") == 10  # but the last, and the second of five blocks
    assert not any(isinstance(module, torch.nn.ReLU) for module in network.modules())


def test_the_halo_is_read_off_merged_layers_alike(trained_like):
    network = fuse_batch_norm(trained_like())
    before = network.reach()
    assert accelerate(network).reach() == before == 60


def test_other_types_are_left_alone(trained_like):
    network = fuse_batch_norm(trained_like()).double()
    assert accelerate(network) is network
    assert not any(isinstance(module, OneDNNConvolution) for module in network.modules())
