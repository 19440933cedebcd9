"""Population statistics of batch norm."""

import copy

import torch

from models.transformer_net import TransformerNet
from tests.noise import pictures
from training.build import estimate_statistics


def network():
    """A network with random scales, and running statistics that are far off, of some steps."""
    torch.manual_seed(0)
    net = TransformerNet("batch")
    for key, value in net.state_dict().items():
        if value.dim() == 1 and key.endswith("weight"):
            value.uniform_(0.5, 1.5)
        elif key.endswith(("running_mean", "num_batches_tracked")):
            value.fill_(30)
    return net


def test_statistics_are_the_means_over_the_batches():
    """Whatever stood there before. Against mean and unbiased variance of what enters each layer, taken by a hook."""
    net, batches = network(), [pictures(3, 24, seed=seed) for seed in range(4)]
    probe, seen = copy.deepcopy(net).train(), [[] for _ in range(15)]
    for layer, inputs in zip(probe.norms(), seen, strict=True):
        layer.register_forward_hook(lambda m, args, out, inputs=inputs: inputs.append(args[0].detach().double()))
    for batch in batches:
        probe(batch)
    estimate_statistics(net, batches)
    for layer, inputs in zip(net.norms(), seen):
        mean = torch.stack([x.mean(dim=(0, 2, 3)) for x in inputs]).mean(dim=0)
        variance = torch.stack([x.var(dim=(0, 2, 3), unbiased=True) for x in inputs]).mean(dim=0)
        torch.testing.assert_close(layer.running_mean.double(), mean, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(layer.running_var.double(), variance, rtol=1e-4, atol=1e-6)


def test_nothing_else_changes():
    net = network().train()
    before = copy.deepcopy(net.state_dict())
    momenta = [m.momentum for m in net.norms()]
    random_state = torch.get_rng_state()
    estimate_statistics(net, [pictures(2, 16, seed=1)])
    assert all(m.training for m in net.modules())
    assert [m.momentum for m in net.norms()] == momenta
    assert torch.equal(torch.get_rng_state(), random_state)
    assert all(p.grad is None and p.requires_grad for p in net.parameters())
    for key, value in net.state_dict().items():
        if not key.endswith(("running_mean", "running_var", "num_batches_tracked")):
            assert torch.equal(value, before[key]), key
