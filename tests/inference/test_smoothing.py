"""--smooth: each result mixed with the last one, moved along the flow."""

import numpy as np
import pytest

cv2 = pytest.importorskip("cv2", reason="needs OpenCV, requirements-video.txt")

from inference.smoothing import Smoother  # noqa: E402

HEIGHT, WIDTH = 72, 96


def texture(seed, channels=3, grain=2):
    """A picture with something to follow everywhere, uint8."""
    noise = np.random.default_rng(seed).random((HEIGHT, WIDTH, channels), np.float32)
    return cv2.normalize(cv2.GaussianBlur(noise, (0, 0), grain), None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)


def test_a_still_camera_is_an_exponential_mean():
    smoother, frame, results = Smoother(0.75), texture(1), [texture(seed) for seed in (2, 3, 4)]
    mean = results[0].astype(np.float64)
    assert np.array_equal(smoother.smooth(frame, results[0]), results[0])  # nothing before it
    for result in results[1:]:
        mean = 0.75 * mean + 0.25 * result
        assert np.abs(smoother.smooth(frame, result) - mean).max() <= 0.51  # of rounding, which does not add up


def test_nothing_is_mixed_across_a_cut():
    smoother = Smoother(0.9)
    smoother.smooth(texture(1, grain=6), texture(2))
    assert np.array_equal(smoother.smooth(texture(3, grain=6), texture(4)), texture(4))


def test_what_moves_is_followed():
    """The film moves by 4 pixels, and so does what is right in the results; the rest is noise."""
    rng, smoother, errors = np.random.default_rng(0), Smoother(0.6), []
    film, painted = np.tile(texture(1), (1, 2, 1)), np.tile(texture(2), (1, 2, 1))
    for step in range(5):
        part = np.s_[:, 4 * step : 4 * step + WIDTH]
        noisy = painted[part] + rng.normal(0, 20, (HEIGHT, WIDTH, 3))
        result = smoother.smooth(film[part], noisy.clip(0, 255).astype(np.uint8))
        errors.append(np.abs(result.astype(float) - painted[part])[8:-8, 8:-8].mean())
    assert errors[-1] < 0.7 * errors[0]


def test_transparency_stays_the_frames():
    smoother = Smoother(0.5)
    for seed in (2, 3):
        result = smoother.smooth(texture(1, 4), texture(seed, 4))
        assert result.dtype == np.uint8 and np.array_equal(result[..., 3], texture(seed, 4)[..., 3])
    assert not np.array_equal(result[..., :3], texture(3, 4)[..., :3])
