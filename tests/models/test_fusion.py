"""Layers merged for inference give the values of the layers apart."""

import copy

import pytest
import torch

from models.fusion import fuse_batch_norm, fused_pass
from tests.noise import pictures

VARIANTS = [("batch", "resize", 1), ("instance", "transposed", 0.125), ("mixed", "transposed", 0.25)]


@torch.inference_mode()
def stylized(network, images):
    return network(images.contiguous(memory_format=torch.channels_last))


@pytest.mark.parametrize("norm, upsample, width", VARIANTS)
def test_merged_is_apart(norm, upsample, width, trained_like):
    """Batch norm in float64, to its rounding; the fused pass in float32. The network itself is left as it is."""
    network = trained_like(norm, upsample, width).double()
    expected = stylized(network, pictures(2, 45, 38).double())
    network.train()
    before = copy.deepcopy(network.state_dict())
    fused = fuse_batch_norm(network)
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in fused.modules())
    assert network.training and not fused.training
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    torch.testing.assert_close(stylized(fused, pictures(2, 45, 38).double()), expected, rtol=0, atol=1e-9)
    by_pass = stylized(fused_pass(fused.float(), torch.float32), pictures(2, 45, 38))
    torch.testing.assert_close(by_pass, expected.float(), rtol=0, atol=5e-3)


def test_a_layer_that_is_not_known_is_computed_apart(trained_like):
    network = trained_like("instance")
    network.layers[1].append(torch.nn.Tanh())
    assert fused_pass(network, torch.float32) is network


def test_the_reach_is_not_known_with_a_layer_that_is_not_known(trained_like):
    network = trained_like("batch")
    assert network.reach() == fuse_batch_norm(network).reach() == 60
    network.layers[1][1] = torch.nn.GroupNorm(4, 64)
    assert network.reach() is None
