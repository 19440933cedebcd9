"""The whole method on real input: ImageNet features, photographs, a painting."""

import numpy as np
from PIL import Image

from models.checkpoints import load_checkpoint
from tests.comparing import read_metrics
from utils.files import PROGRAM


def test_sixty_steps_lower_the_weighted_sum_and_the_model_repaints(run_cli, call_cli, real_inputs, tmp_path):
    """With default weights; no flag but paths, sizes and cadences. The photograph has odd sides."""
    flags, name = real_inputs
    run_cli(
        "begin_training.py", *flags, "--output_dir", tmp_path, "--image_size", 48, "--batch_size", 2, "--width", 0.5,
        "--total_steps", 60, "--log_every_steps", 10, "--monitor_every_steps", 0,
    ).ok()  # fmt: skip
    lines = read_metrics(tmp_path, name)
    # Both sums with the style term as it is weighted: what eases it on the way must not make the difference.
    first, last = (
        line["weighted"]["content"] + line["weighted"]["style"] / line["style_level"]
        + line["weighted"]["total_variation"]
        for line in (lines[0], lines[-1])
    )  # fmt: skip
    assert last < 0.8 * first and lines[-1]["raw"]["style"] < 0.9 * lines[0]["raw"]["style"]

    with Image.open(PROGRAM / "content" / "mountains.jpg") as image:
        photograph = image.convert("RGB").resize((233, 171))
    photograph.save(tmp_path / "photo.png")
    model = tmp_path / f"{name}.pth"
    arguments = ["--model_path", model, "--content_image", tmp_path / "photo.png", "--output_dir", tmp_path]
    call_cli("begin_inference.py", *arguments).ok()
    with Image.open(tmp_path / f"photo_{name}.png") as image:
        assert image.size == (233, 171)
        stylized = np.asarray(image, float)
    assert stylized.std() > 10  # a picture, neither flat nor the photograph itself
    assert np.abs(stylized - np.asarray(photograph, float)).mean() > 10
    assert load_checkpoint(model).provenance["step"] == 60
