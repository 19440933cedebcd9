"""Contact sheets: every picture, its name, a bounded size. Rows of pictures."""

import numpy as np
from PIL import Image

from imaging.sheets import contact_sheet, filmstrip, side_by_side


def test_pictures_and_captions():
    colours = ["red", "green", "blue", "yellow", "black"]
    sheet = contact_sheet([(colour, Image.new("RGB", (300, 200), colour)) for colour in colours])
    assert sheet.size == (3 * 308 - 8, 2 * (200 + 24 + 8) - 8)  # five in rows of three
    array = np.asarray(sheet)
    for i, colour in enumerate(colours):
        left, top = i % 3 * 308, i // 3 * 232
        assert (array[top : top + 200, left : left + 300] == np.asarray(Image.new("RGB", (1, 1), colour))).all()
        assert (array[top + 200 : top + 224, left : left + 300] < 128).any()  # dark letters on white


def test_large_pictures_are_reduced_and_the_sheet_is_bounded():
    pictures = [(str(i), Image.new("RGB", (1280, 960), "red")) for i in range(3)]
    assert contact_sheet(pictures).size == (3 * 648 - 8, 480 + 24)
    small = contact_sheet(pictures, longest_side=500)
    assert small.size == (3 * 168 - 8, 120 + 24)  # pictures are smaller, and letters are not
    assert max(contact_sheet(pictures, longest_side=300).size) == 300
    assert contact_sheet(pictures * 20).size == (8 * 488 - 8, 8 * (360 + 32) - 8)
    assert contact_sheet(pictures, columns=2, width=100).size[0] == 2 * 168 - 8


def test_captions_differ():
    """Of equal names, of names in letters that the font lacks, and of names that are too long."""
    for one, other in (("a", "a"), ("神奈川", "北斎だ"), (f"one/{'long' * 20}", f"two/{'long' * 20}")):
        sheet = np.asarray(contact_sheet([(name, Image.new("RGB", (200, 20))) for name in (one, other)]))
        assert not np.array_equal(sheet[20:, :200], sheet[20:, 208:])


def test_pictures_side_by_side():
    red, green = Image.new("RGBA", (20, 10), (255, 0, 0, 9)), Image.new("RGB", (10, 20), (0, 255, 0))
    row = np.asarray(side_by_side([red, green, Image.new("RGB", (20, 10), (0, 0, 255))], height=40))
    assert row.shape[0] == 40 and row.shape[1] >= 80 + 20 + 80
    assert row[20, 5].tolist() == [255, 246, 246] and row[20, -5].tolist() == [0, 0, 255]
    assert (row == (0, 255, 0)).all(axis=-1).any()


def test_filmstrip_chooses_evenly_with_the_first_and_the_last():
    frames = [Image.new("RGB", (10, 10), (i, i, i)) for i in range(30)]
    strip = np.asarray(filmstrip(frames, height=10, most=4))
    shown = [value for value in np.unique(strip[5, :, 0]) if value < 30]
    assert shown == [0, 10, 19, 29]
    whole = np.asarray(filmstrip(frames[:3], height=10))
    assert [value for value in np.unique(whole[5, :, 0]) if value < 30] == [0, 1, 2]
