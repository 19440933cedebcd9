"""evaluation.blind through the command line."""

import json

import pytest
from PIL import Image, ImageColor

COLORS = {
    "first": {"harbour": "#ff0000", "harbour_2": "#800000"},
    "second": {"harbour": "#0000ff", "harbour_2": "#000080"},
}


@pytest.fixture
def folders(tmp_path):
    """Results, each plain in a colour of its own, of two photographs, and a photograph without results."""
    (tmp_path / "photos").mkdir()
    for name, colors in COLORS.items():
        (tmp_path / name).mkdir()
        for photograph, color in colors.items():
            Image.new("RGB", (90, 60), "white").save(tmp_path / "photos" / f"{photograph}.png")
            Image.new("RGB", (90, 60), color).save(tmp_path / name / f"{photograph}_wave.png")
    Image.new("RGB", (90, 60)).save(tmp_path / "photos" / "lonely.png")
    return tmp_path


@pytest.fixture
def blind(call_cli, folders):
    return lambda *args: call_cli("evaluation.blind", "--output_dir", folders / "look", *args)


@pytest.fixture
def draw(blind, folders):
    results = ["--first", folders / "first", "--second", folders / "second", "--photographs", folders / "photos"]
    return lambda *args: blind(*results, "--height", 64, *args)


def test_sides_are_those_drawn_and_the_count_follows_them(blind, draw, folders):
    result = draw("--seed", 3)
    assert result.returncode == 0, result.stderr
    sides = json.loads((folders / "look" / "sides.json").read_text())["sides"]
    assert sorted(sides) == ["harbour", "harbour_2"]
    for name, drawn in sides.items():
        sheet = Image.open(folders / "look" / f"{name}.png")
        third = sheet.width // 3
        for column, side in ((1, "A"), (2, "B")):
            color = sheet.getpixel((column * third + third // 3, 30))
            assert color == ImageColor.getrgb(COLORS[drawn[side]][name])
    answers = folders / "answers.txt"
    answers.write_text(f"harbour {'A' if sides['harbour']['A'] == 'second' else 'B'}\n\nharbour_2 A\n")
    counted = blind("--answers", answers)
    votes = {"first": [], "second": ["harbour"]}
    votes[sides["harbour_2"]["A"]].append("harbour_2")
    for name, sheets in votes.items():
        assert f"{folders / name}: {len(sheets)} of 2 ({', '.join(sheets)})" in counted.stdout


@pytest.mark.parametrize("line, said", [("harbour C", "A or B"), ("tower A", "'tower A'")])
def test_an_answer_that_names_no_sheet_or_side_is_refused(blind, draw, folders, line, said):
    draw()
    (folders / "answers.txt").write_text(line)
    assert said in blind("--answers", folders / "answers.txt").error


def test_sheets_are_not_replaced_unasked_and_both_folders_are_needed(blind, draw, folders):
    draw()
    assert "exists already" in draw().error
    assert "--second is missing" in blind("--first", folders / "first").error
