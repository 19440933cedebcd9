"""The loss network: VGG-19 (Simonyan and Zisserman, 2015), pretrained on ImageNet, frozen and cut after relu5_1."""

import torch
from torch import nn

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

LAYERS = {
    "relu1_1": 1, "relu1_2": 3,
    "relu2_1": 6, "relu2_2": 8,
    "relu3_1": 11, "relu3_2": 13, "relu3_3": 15, "relu3_4": 17,
    "relu4_1": 20, "relu4_2": 22, "relu4_3": 24, "relu4_4": 26,
    "relu5_1": 29,
}  # fmt: skip
"""Feature names in network order, ``relu1_1`` to ``relu5_1``, with the index in torchvision's ``vgg19().features``."""


class VGG19(nn.Module):
    """VGG-19 features by name, for RGB images in [0, 255].

    The layers carry torchvision's own numbering, so that ``load_state_dict`` takes its keys ``features.N.weight``.
    Weights are random until :func:`models.pretrained.load_vgg19` loads them.

    Attributes:
        fingerprint: 16 hexadecimal digits of the weights that were loaded; ``None`` for random ones.
    """

    fingerprint: str | None = None

    def __init__(self):
        super().__init__()
        layers, in_channels = [], 3
        # Each block ends with pooling; relu5_1 is the last layer that any loss looks at.
        for channels in (64, 64, None, 128, 128, None, *[256] * 4, None, *[512] * 4, None, 512):
            if channels is None:
                layers.append(nn.MaxPool2d(2))
            else:
                layers += [nn.Conv2d(in_channels, channels, 3, padding=1), nn.ReLU()]
                in_channels = channels
        self.features = nn.Sequential(*layers)
        for name, values in (("mean", IMAGENET_MEAN), ("std", IMAGENET_STD)):
            values = torch.tensor(values, device="cpu").view(1, 3, 1, 1) * 255
            self.register_buffer(name, values, persistent=False)
        self.eval().requires_grad_(False)

    def train(self, mode: bool = True):
        return super().train(False)

    def forward(self, images: torch.Tensor, names: tuple[str, ...]) -> dict[str, torch.Tensor]:
        """Features of a batch by their names, N x C x H' x W' each, non-negative, in the type of the network's weights.

        Args:
            images: N x 3 x H x W, floating point, RGB in [0, 255], H and W at least 16; not clamped.
            names: which features, out of :data:`LAYERS`. The network runs only as far as the last of them.

        Raises:
            ValueError: on an unknown name, listing the valid ones.
        """
        for name in names:
            if name not in LAYERS:
                raise ValueError(f"unknown VGG-19 feature {name!r}: choose from {', '.join(LAYERS)}")
        last = max(LAYERS[name] for name in names)
        wanted = {LAYERS[name]: name for name in names}
        x = ((images.to(self.mean.dtype) - self.mean) / self.std).to(self.features[0].weight.dtype)
        features = {}
        for index, layer in enumerate(self.features[: last + 1]):
            x = layer(x)
            if index in wanted:
                features[wanted[index]] = x
        return features
