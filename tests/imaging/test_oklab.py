"""Oklab against its published figures and against CSS Color 4's route through XYZ."""

import numpy as np
import torch

from imaging.oklab import oklab_to_rgb, reduce_chroma, rgb_to_oklab


def pixels(*colours):
    return torch.tensor(colours, dtype=torch.float32).T[None, :, :, None]  # 1 x 3 x n x 1


def every_colour(step=15):
    levels = torch.arange(0, 256, step, dtype=torch.float32)
    return torch.cartesian_prod(levels, levels, levels).T[None, :, :, None].contiguous()


def oklab_through_xyz(rgb):
    """From Ottosson's matrices for CIE XYZ, D65, and IEC 61966-2-1: other figures than the program's."""
    v = np.asarray(rgb, float) / 255
    linear = np.where(v <= 0.04045, v / 12.92, ((v + 0.055) / 1.055) ** 2.4)
    xyz = np.array(
        [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.072175], [0.0193339, 0.119192, 0.9503041]]
    )
    to_lms = np.array(
        [
            [0.8189330101, 0.3618667424, -0.1288597137],
            [0.0329845436, 0.9293118715, 0.0361456387],
            [0.0482003018, 0.2643662691, 0.6338517070],
        ]
    )
    to_lab = np.array(
        [
            [0.2104542553, 0.793617785, -0.0040720468],
            [1.9779984951, -2.428592205, 0.4505937099],
            [0.0259040371, 0.7827717662, -0.808675766],
        ]
    )
    return to_lab @ np.cbrt(to_lms @ (xyz @ linear))


def test_oklab_equals_the_route_through_xyz():
    colours = [(255, 255, 255), (255, 0, 0), (0, 255, 0), (0, 0, 255), (12, 200, 99), (3, 4, 5), (90, 60, 200)]
    expected = np.stack([oklab_through_xyz(colour) for colour in colours], -1)
    np.testing.assert_allclose(rgb_to_oklab(pixels(*colours))[0, :, :, 0].numpy(), expected, atol=2e-3)


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
