"""The plain baseline: the same network and losses as they are commonly written.

Eager float32 in NCHW memory, batch norm on its own, Gram matrices left to autograd, features of the loss network for
the photograph computed in full, unfused Adam.
"""

import torch
from torch import nn

from losses.perceptual import CONTENT_LAYER, STYLE_LAYERS
from models.transformer_net import TransformerNet
from models.vgg19 import VGG19


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
        self.vgg = VGG19()
        self.vgg.load_state_dict(vgg_state)
        self.vgg.to(device, torch.float32)
        self.network = TransformerNet().to(device).train()
        self.optimizer = torch.optim.Adam(self.network.parameters(), 1e-3)
        with torch.no_grad():
            features = self.vgg(style.to(device), STYLE_LAYERS)
            self.targets = [gram(features[name]) for name in STYLE_LAYERS]

    def step(self, photographs: torch.Tensor) -> float:
        """One step on N x 3 x H x W photographs, RGB in [0, 255]; the loss is fetched, as a progress bar would."""
        self.optimizer.zero_grad()
        stylised = self.network(photographs)
        names = (*STYLE_LAYERS, CONTENT_LAYER)
        target = self.vgg(photographs, names)[CONTENT_LAYER].detach()
        features = self.vgg(stylised, names)
        loss = nn.functional.mse_loss(features[CONTENT_LAYER], target)
        for name, goal in zip(STYLE_LAYERS, self.targets, strict=True):
            loss = loss + nn.functional.mse_loss(gram(features[name]), goal.expand(len(stylised), -1, -1))
        loss = loss + 1e-6 * (
            (stylised[..., 1:, :] - stylised[..., :-1, :]).square().sum()
            + (stylised[..., :, 1:] - stylised[..., :, :-1]).square().sum()
        )
        loss.backward()
        self.optimizer.step()
        return loss.item()
