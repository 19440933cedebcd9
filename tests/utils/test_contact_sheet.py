"""Contact sheets: every picture, its name, a bounded size."""

import numpy as np
from PIL import Image

from utils.contact_sheet import contact_sheet


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


def test_small_pictures_and_long_names_and_transparency():
    sheet = contact_sheet([("a name that is far too long for so small a picture", Image.new("RGBA", (5, 5)))] * 2)
    assert sheet.mode == "RGB" and sheet.size[0] == 2 * 168 - 8
    array = np.asarray(sheet)
    assert (array[:5, :5] == 255).all()  # nothing is white
    assert (array[:, 160:168] == 255).all()  # the name ends before the next one


def test_names_in_other_letters():
    def drawn(name):
        return np.asarray(contact_sheet([(name, Image.new("RGB", (200, 20)))]))

    assert np.array_equal(drawn("Über Café"), drawn("Uber Cafe"))
    assert np.array_equal(drawn("神奈川"), drawn("???"))
    assert np.array_equal(drawn("two\nlines"), drawn("two lines"))
