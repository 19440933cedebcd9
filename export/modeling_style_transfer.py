"""A style model as a model of transformers, with the engine that paints pictures of any size."""

import torch
from PIL import Image
from transformers import PretrainedConfig, PreTrainedModel

from inference.options import StyleOptions
from inference.stylizer import Stylizer
from models.checkpoints import build_network
from models.multi_style import MultiStyleNet
from utils.device import Compute


class StyleTransferConfig(PretrainedConfig):
    """What a ``TransformerNet``, or of several styles a ``MultiStyleNet``, is built from, and what made it.

    Args:
        norm, upsample, width, blocks: see ``TransformerNet``.
        styles: names of the styles of a network of several, in the order of its tables; ``None`` for one style.
        provenance: settings and data of the training.
    """

    model_type = "fast_neural_style_transfer"

    def __init__(
        self, norm="instance", upsample="transposed", width=1.0, blocks=5, styles=None, provenance=None, **kwargs
    ):
        self.norm, self.upsample, self.width, self.blocks = norm, upsample, width, blocks
        self.styles, self.provenance = styles, provenance
        super().__init__(**kwargs)


class StyleTransferModel(PreTrainedModel):
    """Repaints pictures in a trained style (Johnson, Alahi and Fei-Fei, 2016).

    With several styles in the network, ``style`` is a name, a mixture such as ``"wave:0.6,scream:0.4"``, or left out
    for the first.

    >>> model = AutoModel.from_pretrained(folder, trust_remote_code=True)
    >>> model.stylize(Image.open("photo.jpg").convert("RGB")).save("stylized.png")
    """

    config_class = StyleTransferConfig
    main_input_name = "pixel_values"

    def __init__(self, config: StyleTransferConfig):
        super().__init__(config)
        names = ("norm", "upsample", "width", "blocks") + ("styles",) * bool(config.styles)
        network = build_network({name: getattr(config, name) for name in names})
        self.layers = network.layers  # so that weights have the names that they have without transformers
        self._network = [network]  # in a list, which PyTorch does not look into
        self.post_init()

    def forward(self, pixel_values: torch.Tensor, style: str | torch.Tensor | None = None) -> torch.Tensor:
        """The network itself, in one pass, with its gradient.

        Args:
            pixel_values: N x 3 x H x W, RGB in [0, 255], any height and width from 1 up.
            style: as of the class; or N x S weights, which sum to 1 for each picture.

        Returns:
            N x 3 x H x W, RGB in [0, 255].
        """
        (network,) = self._network
        if not isinstance(network, MultiStyleNet):
            return network(pixel_values)
        if not isinstance(style, torch.Tensor):
            weights = network.weights_of(style or network.styles[0])
            style = torch.tensor([weights] * len(pixel_values), device=self.device)
        return network(pixel_values, style)

    def stylize(self, image: Image.Image, style: str | None = None, **options) -> Image.Image:
        """A picture in the style, of the same size.

        Args:
            image: of any mode; transparency is kept.
            style: as of the class.
            options: ``strength``, ``preserve_color``, ``mask``, ``stroke_scale``, see ``StyleOptions``.
        """
        if image.mode not in ("RGB", "RGBA"):
            image = image.convert("RGBA" if image.has_transparency_data else "RGB")
        engine = Stylizer(self._network[0], compute=Compute(self.device, self.dtype), style=style)
        return engine.stylize(image, StyleOptions(**options))
