"""The plain baseline: the same network and losses as they are commonly written.

Eager float32 in NCHW memory, batch norm on its own, every gradient left to autograd, features of the loss network for
the photograph computed in full, unfused Adam.
"""

import torch
from torch import nn

from config import TrainingConfig
from models.transformer_net import ReflectionConvTranspose2d, TransformerNet
from models.vgg19 import LAYERS

CONTENT_LAYER, STYLE_LAYERS = "relu4_2", TrainingConfig.style_layers  # as benchmarks.training sets them


def convolution(in_channels: int, out_channels: int, kernel_size: int, stride: int = 1, norm: bool = True) -> list:
    layers = [
        nn.ReflectionPad2d(kernel_size // 2),
        nn.Conv2d(in_channels, out_channels, kernel_size, stride, bias=not norm),
    ]
    return [*layers, nn.BatchNorm2d(out_channels)] if norm else layers


class Residual(nn.Module):
    def __init__(self, channels: int):
        super().__init__()
        self.layers = nn.Sequential(*convolution(channels, channels, 3), nn.ReLU(), *convolution(channels, channels, 3))

    def forward(self, x):
        return x + self.layers(x)


def upsampling(in_channels: int, out_channels: int) -> list:
    transposed = nn.ConvTranspose2d(in_channels, out_channels, 4, stride=2, padding=3, bias=False)
    return [nn.ReflectionPad2d(1), transposed, nn.BatchNorm2d(out_channels), nn.ReLU()]


class PlainNetwork(nn.Module):
    """The transformation network of torch's own layers alone, for RGB in [0, 255] and sides that 4 divides.

    Args:
        network: has the weights; a ``TransformerNet`` with batch norm and transposed convolutions.
    """

    def __init__(self, network: TransformerNet):
        super().__init__()
        self.layers = nn.Sequential(
            *convolution(3, 32, 9), nn.ReLU(),
            *convolution(32, 64, 3, 2), nn.ReLU(),
            *convolution(64, 128, 3, 2), nn.ReLU(),
            *(Residual(128) for _ in range(5)),
            *upsampling(128, 64), *upsampling(64, 32),
            *convolution(32, 3, 9, norm=False),
        )  # fmt: skip
        # The same tensors in the same order under other names.
        values = dict(zip(self.state_dict(), network.state_dict().values(), strict=True))
        self.load_state_dict(values)
        ours = (module for module in network.modules() if isinstance(module, ReflectionConvTranspose2d))
        plain = (module for module in self.modules() if isinstance(module, nn.ConvTranspose2d))
        with torch.no_grad():
            for mine, other in zip(plain, ours, strict=True):
                mine.weight.copy_(other.balanced_weight())

    def forward(self, images):
        return (torch.tanh(self.layers(images / 127.5 - 1) / 8) + 1) * 127.5


class PlainVGG(nn.Module):
    """VGG-19's features by name, out of torchvision's model."""

    def __init__(self, state: dict):
        super().__init__()
        from torchvision.models import vgg19

        self.layers = vgg19(weights=None).features[: max(LAYERS[name] for name in STYLE_LAYERS) + 1]
        for layer in self.layers:
            if isinstance(layer, nn.ReLU):
                layer.inplace = False
        self.layers.load_state_dict({name.removeprefix("features."): value for name, value in state.items()})
        self.requires_grad_(False)
        self.register_buffer("mean", torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1))

    def forward(self, images):
        names = {index: name for name, index in LAYERS.items()}
        x, features = (images / 255 - self.mean) / self.std, {}
        for index, layer in enumerate(self.layers):
            x = layer(x)
            if index in names:
                features[names[index]] = x
        return features


def gram(features: torch.Tensor) -> torch.Tensor:
    n, c, h, w = features.shape
    psi = features.reshape(n, c, h * w)
    return torch.bmm(psi, psi.transpose(1, 2)) / (c * h * w)


class PlainTraining:
    """A training step of the baseline.

    Args:
        vgg_state: state dict of the loss network.
        style: 1 x 3 x H x W, RGB in [0, 255].
    """

    def __init__(self, vgg_state: dict, style: torch.Tensor, device: torch.device):
        self.vgg = PlainVGG(vgg_state).to(device)
        self.network = PlainNetwork(TransformerNet()).to(device).train()
        self.optimizer = torch.optim.Adam(self.network.parameters(), 1e-3)
        with torch.no_grad():
            features = self.vgg(style.to(device))
            self.targets = [gram(features[name]) for name in STYLE_LAYERS]

    def step(self, photographs: torch.Tensor) -> float:
        """One step on N x 3 x H x W photographs, RGB in [0, 255]; the loss is fetched, as a progress bar would."""
        self.optimizer.zero_grad()
        stylized = self.network(photographs)
        target = self.vgg(photographs)[CONTENT_LAYER].detach()
        features = self.vgg(stylized)
        loss = nn.functional.mse_loss(features[CONTENT_LAYER], target)
        for name, goal in zip(STYLE_LAYERS, self.targets, strict=True):
            loss = loss + nn.functional.mse_loss(gram(features[name]), goal.expand(len(stylized), -1, -1))
        loss = loss + 1e-6 * (
            (stylized[..., 1:, :] - stylized[..., :-1, :]).square().sum()
            + (stylized[..., :, 1:] - stylized[..., :, :-1]).square().sum()
        )
        loss.backward()
        self.optimizer.step()
        return loss.item()
