"""Oklab against its published figures."""

import numpy as np
import torch

from imaging.oklab import oklab_to_rgb, reduce_chroma, rgb_to_oklab


def pixels(*colours):
    return torch.tensor(colours, dtype=torch.float32).T[None, :, :, None]  # 1 x 3 x n x 1


def every_colour(step=15):
    levels = torch.arange(0, 256, step, dtype=torch.float32)
    return torch.cartesian_prod(levels, levels, levels).T[None, :, :, None].contiguous()


EXPECTED = {  # published, white to "rebeccapurple" of CSS Color 4; a dark grey by the formula of IEC 61966-2-1
    (255, 255, 255): (1, 0, 0), (255, 0, 0): (0.62796, 0.22486, 0.12585), (0, 255, 0): (0.86644, -0.23389, 0.1795),
    (0, 0, 255): (0.45201, -0.03246, -0.31153), (102, 51, 153): (0.44027, 0.08818, -0.13386),
    (5, 5, 5): ((5 / 255 / 12.92) ** (1 / 3), 0, 0),
}  # fmt: skip


def test_oklab_is_as_published():
    found = rgb_to_oklab(pixels(*EXPECTED))[0, :, :, 0].numpy()
    np.testing.assert_allclose(found.T, [*EXPECTED.values()], atol=1e-4)


def test_there_and_back():
    colours = every_colour()
    torch.testing.assert_close(oklab_to_rgb(rgb_to_oklab(colours)), colours, rtol=0, atol=0.02)


def test_reducing_chroma_keeps_lightness_and_hue_and_goes_no_further_than_it_must():
    angle = torch.linspace(0, 6.2, 40)
    lab = torch.stack([torch.full_like(angle, 0.6), 0.4 * angle.cos(), 0.4 * angle.sin()])[None, :, :, None]
    reduced = reduce_chroma(lab)
    there_and_back = rgb_to_oklab(oklab_to_rgb(reduced))
    torch.testing.assert_close(there_and_back, reduced, rtol=0, atol=1e-3)  # it is a colour of sRGB
    assert torch.equal(reduced[:, 0], lab[:, 0])
    chroma = reduced[:, 1:].norm(dim=1)
    torch.testing.assert_close(reduced[:, 1:] / chroma[:, None], lab[:, 1:] / 0.4, rtol=0, atol=1e-5)
    rgb = oklab_to_rgb(reduced)
    assert ((rgb < 2) | (rgb > 253)).any(1).all()  # on the surface of sRGB's colours
    inside = rgb_to_oklab(every_colour())
    assert torch.equal(reduce_chroma(inside), inside)
