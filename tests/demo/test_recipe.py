"""What a page may ask for, and the command that says the same."""

import pytest

from demo.catalogue import Style
from demo.recipe import MOST_STYLES, read_recipe
from utils.errors import UserError

STYLES = [Style("gallery", "wave"), Style("gallery", "the scream"), Style("wave", None), Style("own/x.pth", None)]
STYLES = {style.id: style for style in STYLES}


@pytest.mark.parametrize(
    "styles, command, name",
    [
        ([["wave", 3]], "--model_path wave", "wave"),
        ([["gallery/wave", 3]], "--model_path gallery --style wave", "wave"),
        (
            [["gallery/wave", 1], ["gallery/the scream", 3]],
            "--model_path gallery --style 'wave:1,the scream:3'",
            "wave+the scream",
        ),
        ([["wave", 1], ["own/x.pth", 2.5]], "--blend wave:1,own/x.pth:2.5", "wave+x"),
        ([["wave", 1], ["gallery/the scream", 1]], "--blend 'wave:1,gallery/the scream:1'", "wave+the scream"),
    ],
)
def test_styles_are_named_as_the_command_names_them(styles, command, name):
    recipe = read_recipe({"styles": styles}, STYLES)
    assert recipe.command("a photo.jpg") == f"python begin_inference.py --content_image 'a photo.jpg' {command}"
    assert recipe.name == name


def test_options_are_flags():
    data = {"styles": [["wave", 1]], "strength": 0.25, "stroke_scale": 2.5, "preserve_color": True}
    recipe = read_recipe(data, STYLES, mask="/tmp/1234")
    assert recipe.arguments == (
        "--strength", "0.25", "--stroke_scale", "2.5", "--preserve_color", "--model_path", "wave", "--mask", "mask.png",
    )  # fmt: skip
    assert recipe.config.mask == "/tmp/1234" and recipe.config.stroke_scale == 2.5


@pytest.mark.parametrize(
    "data",
    [
        None, {}, {"styles": []}, {"styles": "wave"}, {"styles": [["wave", 0]]}, {"styles": [["wave", "1"]]},
        {"styles": [["wave", float("nan")]]}, {"styles": [["../wave.pth", 1]]}, {"styles": [[["wave"], 1]]},
        {"styles": [["wave", 1], ["wave", 1]]}, {"styles": [["wave", 1]] * (MOST_STYLES + 1)},
    ],
)  # fmt: skip
def test_what_names_no_style_is_refused(data):
    with pytest.raises(UserError):
        read_recipe(data, STYLES)


@pytest.mark.parametrize(
    "name, value",
    [
        ("strength", 1.5), ("strength", "1"), ("strength", float("nan")), ("stroke_scale", 1e9), ("stroke_scale", [1]),
        ("preserve_color", 1),
    ],
)  # fmt: skip
def test_bounds_are_those_of_the_flags(name, value):
    with pytest.raises(UserError, match=f"--{name}"):
        read_recipe({"styles": [["wave", 1]], name: value}, STYLES)


def test_no_other_setting_can_be_reached():
    recipe = read_recipe({"styles": [["wave", 1]], "output_dir": "/", "max_pixels": 1, "blend": "x"}, STYLES)
    assert recipe == read_recipe({"styles": [["wave", 1]]}, STYLES)
