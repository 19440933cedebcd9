"""The whole method on real input: ImageNet features, photographs, a painting."""

import numpy as np
import pytest
from PIL import Image

from models.checkpoints import load_checkpoint
from tests.comparing import read_metrics


@pytest.fixture(scope="module")
def trained(run_cli, real_weights, real_photos, real_styles, tmp_path_factory):
    """Sixty steps with default weights; no flag but paths, sizes and cadences."""
    painting = min(p for p in real_styles.iterdir() if p.suffix.lower() in (".jpg", ".jpeg", ".png"))
    output = tmp_path_factory.mktemp("trained")
    run_cli(
        "begin_training.py", "--style_image", painting, "--dataset_dir", real_photos,
        "--vgg_weights", real_weights, "--output_dir", output, "--image_size", 48, "--batch_size", 2, "--width", 0.5,
        "--total_steps", 60, "--log_every_steps", 10, "--monitor_every_steps", 0,
    ).ok()  # fmt: skip
    return output / f"{painting.stem}.pth"


def test_sixty_steps_lower_the_weighted_sum(trained):
    lines = read_metrics(trained.parent, trained.stem)
    # Both sums with the style term as it is weighted: what eases it on the way must not make the difference.
    first, last = (
        line["weighted"]["content"] + line["weighted"]["style"] / line["style_level"]
        + line["weighted"]["total_variation"]
        for line in (lines[0], lines[-1])
    )  # fmt: skip
    assert last < 0.8 * first and lines[-1]["raw"]["style"] < 0.9 * lines[0]["raw"]["style"]


def test_the_model_stylizes_an_odd_sized_photograph(call_cli, trained, real_photos, tmp_path):
    source = min(p for p in real_photos.iterdir() if p.suffix.lower() in (".jpg", ".jpeg", ".png"))
    with Image.open(source) as image:
        photograph = image.convert("RGB").resize((233, 171))
    photograph.save(tmp_path / "photo.png")
    arguments = ["--model_path", trained, "--content_image", tmp_path / "photo.png", "--output_dir", tmp_path]
    call_cli("begin_inference.py", *arguments).ok()
    with Image.open(tmp_path / f"photo_{trained.stem}.png") as image:
        assert image.size == (233, 171)
        stylized = np.asarray(image, float)
    assert stylized.std() > 10  # a picture, neither flat nor the photograph itself
    assert np.abs(stylized - np.asarray(photograph, float)).mean() > 10
    assert load_checkpoint(trained).provenance["step"] == 60
