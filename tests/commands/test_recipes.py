"""``--recipe``: settings that stand together."""

import pytest

from models.checkpoints import load_checkpoint

FIVE = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
FOUR = ("relu1_2", "relu2_2", "relu3_3", "relu4_3")

# Written down from the method's description and from the paper, apart from the program's own table.
BOTH = {
    "content_weight": 1.0, "norm": "batch", "upsample": "transposed", "optimizer": "adam", "lr": 0.001,
    "batch_size": 4, "image_size": 256, "style_size": None, "style_octaves": 1, "style_octave_weights": None,
    "style_smoothing": 0.0, "checkerboard_weight": 0.0, "temporal_weight": 0.0, "palette_weight": 0.0,
    "tone_weight": 0.0,
}  # fmt: skip
EXPECTED = {
    "classic": BOTH | {
        "content_layer": "relu4_2", "style_layers": FIVE, "style_layer_weights": (1.0,) * 5, "style_weight": 60.0,
        "loss_scale": "relative", "tv_weight": 0.05, "weight_decay": 1e-5,
    },
    "paper": BOTH | {
        "content_layer": "relu2_2", "style_layers": FOUR, "style_layer_weights": (1.0,) * 4, "loss_scale": "paper",
        "weight_decay": 0.0,
    },
}  # fmt: skip


@pytest.mark.parametrize("recipe", EXPECTED)
def test_a_recipe_trains_with_its_settings(train, tmp_path, recipe):
    """But for the size and the number of photographs: flags that are given win."""
    train("--recipe", recipe).ok()
    settings = load_checkpoint(tmp_path / "out" / "stripes.pth").provenance["settings"]
    expected = EXPECTED[recipe] | {"recipe": recipe, "image_size": 32, "batch_size": 2}
    assert {name: settings[name] for name in expected} == expected
