"""The settings of a style model, as transformers keeps them."""

from transformers import PretrainedConfig


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
