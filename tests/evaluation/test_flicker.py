"""The warping error against values known beforehand, and the command."""

import json
import shutil

import numpy as np
import pytest
import torch

from inference.stylizer import Stylizer

pytest.importorskip("cv2", reason="needs OpenCV, requirements-video.txt")
from evaluation.flicker import still_camera  # noqa: E402
from imaging.optical_flow import Motion  # noqa: E402


@pytest.fixture(scope="module")
def texture():
    """H x W x 3, uint8, larger than what is shown of it."""
    import cv2

    noise = np.random.default_rng(0).integers(0, 256, (160, 200, 3), np.uint8)
    return cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 3), None, 0, 255, cv2.NORM_MINMAX)


def test_a_still_film(texture):
    rng = np.random.default_rng(1)
    one, other = rng.integers(0, 256, (2, *texture.shape), np.uint8)
    motion = Motion(texture, texture)
    assert motion.seen.all()
    expected = np.square((one.astype(float) - other) / 255).mean()
    assert motion.error(one, other) == pytest.approx(expected, rel=1e-5)


def test_a_moving_film(texture):
    """Six pixels to the right, two down: results that move with the film have no error, those that stay have one."""
    frame, following = texture[10:-10, 10:-10], texture[8:-12, 4:-16]
    motion = Motion(frame, following)
    assert not motion.seen[:, -5:].any() and not motion.seen[-1:].any()  # gone from the frame
    assert motion.seen[:-8, 12:-12].mean() > 0.95
    moving, staying = motion.error(frame, following), motion.error(frame, frame)
    assert moving < 1e-4 < 1e-2 < staying


def test_what_is_covered_is_left_out(texture):
    """A square moves by eight pixels over a still ground: the ground that it comes to lie on is seen no more."""
    frame, following = texture[:, :160].copy(), texture[:, :160].copy()
    square = 255 - texture[40:80, 60:100]
    frame[40:80, 40:80], following[40:80, 48:88] = square, square
    seen = Motion(frame, following).seen
    assert seen[44:76, 80:88].mean() < 0.5 and seen[100:, :].mean() > 0.95 and seen[46:74, 46:74].mean() > 0.9


def test_noise_of_a_still_camera(trained_like, texture):
    """The network's own gain of noise, by its derivative along many directions at once."""
    stylizer = Stylizer(trained_like("batch"), device="cpu", precision="float32")
    pixels = texture[:64, :64] // 2 + 64
    found = still_camera(stylizer, pixels, torch.Generator().manual_seed(0))
    frame = torch.from_numpy(pixels).permute(2, 0, 1)[None].double()
    step = torch.randn(frame.shape, generator=torch.Generator().manual_seed(7)).double()
    network = stylizer.network
    with torch.no_grad():
        gain = [(network((frame + sign * step).float())) for sign in (0.7, -0.7)]
    expected = (gain[0] - gain[1]).square().mean().sqrt() / (1.4 * step.square().mean().sqrt())
    assert found == pytest.approx(expected.item(), rel=0.25)


def test_the_command(call_cli, make_film, style_model, tmp_path):
    film, report = make_film("film.mp4", frames=30, size=(64, 48), cut_at=4), tmp_path / "flicker.json"
    other = tmp_path / "other" / style_model.name
    other.parent.mkdir()
    shutil.copy(style_model, other)
    flags = ["--model_path", style_model, other, "--frames", 6, "--json", report, "--device", "cpu"]
    said = call_cli("evaluation.flicker", film, *flags).ok()
    assert "| film, 64 x 48, 6 frames, 1 cuts | the film itself | 0.00" in said
    (found,) = json.loads(report.read_text())["films"].values()
    assert (found["frames"], found["cuts"], len(found["styles"])) == (6, 1, 2)
    assert "other/stripes" in found["styles"] and "| other/stripes |" in " ".join(said.split())
    for figures in found["styles"].values():
        assert len(figures["per_pair"]) == 4 and figures["e_warp"] == pytest.approx(np.mean(figures["per_pair"]))
        assert figures["e_warp"] > found["film"] > 0 and figures["still_camera"] > 0


@pytest.mark.parametrize("arguments, sentence", [([], "give FILM"), (["none.mp4"], "none.mp4 does not")])
def test_refusals(call_cli, arguments, sentence, style_model):
    result = call_cli("evaluation.flicker", *arguments, "--model_path", style_model, "--device", "cpu")
    assert sentence in result.error


@pytest.mark.parametrize("name", ["portrait_of_metzinger", "starry_night", "wave"])
def test_the_models_for_films_are_the_calmer_ones(name, draw_scene):
    """They make less of a soft frame's noise than those for photographs."""
    frame = draw_scene(96, 72, 3)
    for_films, for_photographs = (
        still_camera(Stylizer(f"{folder}/{name}.pth", "cpu", "float32"), frame, torch.Generator().manual_seed(0))
        for folder in ("checkpoints/films", "checkpoints")
    )
    assert for_films < 0.7 * for_photographs
