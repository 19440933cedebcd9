"""A style model as a model of transformers, with the engine that paints pictures of any size."""

import contextlib
import shutil
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image
from transformers import PretrainedConfig, PreTrainedModel
from transformers.utils import ModelOutput, cached_file

from inference.options import StyleOptions
from inference.stylizer import Stylizer
from models.checkpoints import Checkpoint, build_network, save_checkpoint
from models.multi_style import MultiStyleNet
from utils.device import Compute


class StyleTransferConfig(PretrainedConfig):
    """What a ``TransformerNet``, or of several ``styles`` a ``MultiStyleNet``, is built from, and what made it."""

    model_type = "fast_neural_style_transfer"

    def __init__(
        self, norm="instance", upsample="transposed", width=1.0, blocks=5, styles=None, provenance=None, **kwargs
    ):
        self.norm, self.upsample, self.width, self.blocks = norm, upsample, width, blocks
        self.styles, self.provenance = styles, provenance
        super().__init__(**kwargs)


@dataclass
class StyleTransferOutput(ModelOutput):
    """``stylized``: N x 3 x H x W, float32, RGB in [0, 255]."""

    stylized: torch.FloatTensor | None = None


class StyleTransferModel(PreTrainedModel):
    """Repaints pictures in a trained style (Johnson, Alahi and Fei-Fei, 2016).

    Of a network of several styles, ``style`` is a name, a mixture such as ``"wave:0.6,scream:0.4"``, or left out for
    the first.

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
        self._shared = [network, None, None]  # in a list, which PyTorch does not look into: network, key, engine
        self.post_init()

    def forward(self, pixel_values: torch.Tensor, style: str | torch.Tensor | None = None) -> StyleTransferOutput:
        """Stylise N x 3 x H x W, RGB in [0, 255], any height and width from 1 up.

        ``style`` is as of the class; or N x S weights, which sum to 1 for each picture.

        Gives the engine's result, in tiles where a picture is large, with strokes of the size that ``stylize`` draws.
        In training, where a gradient of the pictures is asked for, for weights of styles, or under ``torch.compile``
        and ``torch.export``, that of the network itself, in one pass.
        """
        differentiable = self.training or (torch.is_grad_enabled() and pixel_values.requires_grad)
        if differentiable or isinstance(style, torch.Tensor) or torch.compiler.is_compiling():
            network = self._shared[0]
            if not isinstance(network, MultiStyleNet):
                return StyleTransferOutput(network(pixel_values))
            if not isinstance(style, torch.Tensor):
                weights = network.weights_of(style or network.styles[0])
                style = torch.tensor([weights] * len(pixel_values), device=self.device)
            return StyleTransferOutput(network(pixel_values, style))
        # A copy, for what an inference mode made cannot be used elsewhere.
        return StyleTransferOutput(self._engine(style).stylize_tensor(pixel_values).clone())

    def stylize(self, image: Image.Image, style: str | None = None, **options) -> Image.Image:
        """A picture, of any mode, in the style, of the same size; transparency is kept.

        Options are ``strength``, ``preserve_color``, ``mask`` and ``stroke_scale``, see ``StyleOptions``.
        """
        if isinstance(image, Image.Image) and image.mode not in ("RGB", "RGBA"):
            image = image.convert("RGBA" if image.has_transparency_data else "RGB")
        return self._engine(style).stylize(image, StyleOptions(**options))

    def save_pretrained(self, save_directory, **options) -> None:
        super().save_pretrained(save_directory, **options)
        checkpoint = Checkpoint(self._shared[0], self.config.provenance or {})
        save_checkpoint(Path(save_directory, "model.safetensors"), checkpoint)
        pictures = ("photograph.jpg", "stylized.jpg", "painting.jpg")
        for name in ("README.md", "LICENSE", "preprocessor_config.json", *pictures):
            with contextlib.suppress(OSError):  # a model that was not read from such a folder
                found = cached_file(self.config._name_or_path, name)
                if found and not Path(save_directory, name).exists():
                    shutil.copyfile(found, Path(save_directory, name))

    def _engine(self, style: str | None) -> Stylizer:
        network = self._shared[0]
        key = style, self.device, self.dtype, sum(weight._version for weight in self.parameters())
        if self._shared[1] != key:
            self._shared[1:] = key, Stylizer(network, compute=Compute(self.device, self.dtype), style=style)
        return self._shared[2]
