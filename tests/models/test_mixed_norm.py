"""Mixed norm: the picture's statistics pooled with those of photographs."""

import pytest
import torch

from models.multi_style import MultiStyleNet
from models.transformer_net import MixedNorm2d, TransformerNet
from tests.noise import pictures, random
from training.build import estimate_statistics


@torch.no_grad()
@pytest.mark.parametrize("momentum, share, half", [(None, 1.0, False), (0.02, 0.02, False), (None, 1.0, True)])
def test_a_batch_enters_the_running_statistics(momentum, share, half):
    norm = MixedNorm2d(4).train()
    norm.momentum = momentum and torch.tensor(momentum)
    x = torch.randn(3, 4, 7, 5) * 2 + 3
    with torch.autocast("cpu", torch.bfloat16, enabled=half):
        norm(x)
    by_torch = torch.nn.BatchNorm2d(4, momentum=1.0)
    by_torch(x)
    biased = by_torch.running_var * (1 - 1 / (3 * 7 * 5))
    mean = share * by_torch.running_mean
    torch.testing.assert_close(norm.running_mean, mean)
    second_moment = (1 - share) * 1.0 + share * (biased + by_torch.running_mean.square())
    torch.testing.assert_close(norm.running_var, second_moment - mean.square())


@torch.no_grad()
def test_statistics_are_estimated_over_all_batches():
    network = TransformerNet("mixed")
    batches = [pictures(2, 24, seed=seed) for seed in range(3)]
    estimate_statistics(network, batches)
    convolution, norm, _ = network.layers[0]
    features = torch.cat([convolution(network.prepare(batch)) for batch in batches])
    torch.testing.assert_close(norm.running_mean, features.mean((0, 2, 3)), rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(norm.running_var, features.var((0, 2, 3), correction=0), rtol=1e-3, atol=1e-4)


@torch.no_grad()
def test_plain_white_and_plain_black_stay_apart():
    white, black = (torch.full((1, 3, 32, 32), value) for value in (255.0, 0.0))
    instance, mixed = TransformerNet("instance").eval(), TransformerNet("mixed")
    estimate_statistics(mixed, [pictures(4, 32)])
    by_instance, by_mixed = ((network(white) - network(black)).abs().mean() for network in (instance, mixed.eval()))
    assert by_mixed > 0.2 > 100 * by_instance


@torch.no_grad()
def test_a_network_of_instance_norm_goes_on_with_mixed_norm(trained_like):
    instance = trained_like("instance")
    mixed = instance.with_norm("mixed")
    for name, value in instance.state_dict().items():
        assert torch.equal(mixed.state_dict()[name], value)
    with pytest.raises(ValueError, match="batch norm"):
        trained_like("batch").with_norm("mixed")


@torch.no_grad()
def test_each_style_has_statistics_of_its_own():
    network = MultiStyleNet(("wave", "scream", "kiss"), norm="mixed").eval()
    for norm in network.norms():
        for seed, table in enumerate((norm.weight, norm.bias, norm.running_mean, norm.running_var)):
            table.copy_(random(*table.shape, seed=seed).abs() + 0.5)
    images = pictures(2, 24)
    mixture = network(images, torch.tensor([[0.0, 0.25, 0.75], [1.0, 0.0, 0.0]]))
    torch.testing.assert_close(mixture[:1], network.for_style([0, 0.25, 0.75])(images[:1]), rtol=0, atol=2e-3)
    torch.testing.assert_close(mixture[1:], network.for_style(0)(images[1:]), rtol=0, atol=2e-3)
    before = [norm.running_mean.clone() for norm in network.norms()]
    network.train()(images, torch.tensor([1, 1]))
    for norm, old in zip(network.norms(), before):
        assert torch.equal(norm.running_mean[[0, 2]], old[[0, 2]]) and not torch.equal(norm.running_mean[1], old[1])
