"""``python -m export.program``: a program of torch.export, which needs nothing of this project."""

import json
import re
import subprocess
import sys

import pytest
import torch
from torch.export import Dim

from export import program
from export.checking import largest_difference
from export.program import FACTS, ProgramConfig, export_program, to_program
from models.checkpoints import load_checkpoint
from utils.errors import UserError

if not hasattr(Dim, "AUTO"):
    pytest.skip("torch.export is younger than this torch", allow_module_level=True)

ELSEWHERE = """
import sys, torch
stylize = torch.export.load("wave.pt2").module()
for size in ((1, 1), (13, 10), (16, 24)):
    assert stylize(torch.rand(1, 3, *size) * 255).shape == (1, 3, *size)
torch.save(stylize(torch.load("images.pt")), "stylized.pt")
ours = {"config", "export", "imaging", "inference", "losses", "models", "utils"}
assert not ours & {name.partition(".")[0] for name in sys.modules}
"""


@pytest.mark.parametrize("norm, upsample", [("batch", "resize"), ("instance", "transposed")])
def test_it_is_the_network_at_every_size(norm, upsample, trained_like):
    network = trained_like(norm, upsample, 0.25, 1)
    assert largest_difference(to_program(network).module(), network, [(1, 2), (6, 3), (4, 9), (11, 8)]) < 0.01


@pytest.mark.slow
def test_it_runs_where_the_project_is_not(tmp_path):
    images = torch.rand(2, 3, 21, 35) * 255
    torch.save(images, tmp_path / "images.pt")
    assert export_program(ProgramConfig("checkpoints/wave.pth", tmp_path / "wave.pt2")) < 0.01
    subprocess.run([sys.executable, "-I", "-c", ELSEWHERE], cwd=tmp_path, check=True)
    with torch.no_grad():
        expected = load_checkpoint("checkpoints/wave.pth").network(images)
    torch.testing.assert_close(torch.load(tmp_path / "stylized.pt"), expected, rtol=0, atol=0.01)


@pytest.mark.slow
def test_several_styles_with_what_made_them(call_cli, gallery, tmp_path):
    arguments = "export.program", gallery, tmp_path / "gallery.pt2"
    assert "Wrote " in call_cli(*arguments).stdout
    told = {FACTS: ""}
    stylize = torch.export.load(tmp_path / "gallery.pt2", extra_files=told).module()
    network = load_checkpoint(gallery).network
    assert json.loads(json.loads(told[FACTS])["styles"]) == list(network.styles)
    images, style = torch.rand(3, 3, 10, 7) * 255, torch.rand(3, len(network.styles)).softmax(1)
    for rows in (style, style[:1]):  # for each picture, and for all of them
        with torch.no_grad():
            expected = network(images, rows.expand(3, -1))
        torch.testing.assert_close(stylize(images, rows), expected, rtol=0, atol=0.01)
    assert re.search("exists already: .* --overwrite", call_cli(*arguments).error)


@pytest.mark.slow
def test_a_program_that_differs_is_not_left(style_model, tmp_path, monkeypatch):
    other = to_program(load_checkpoint("wave").network)
    monkeypatch.setattr(program, "to_program", lambda network: other)
    with pytest.raises(UserError, match="m.pt2 was not written: it would differ from the network by"):
        export_program(ProgramConfig(style_model, tmp_path / "m.pt2"))
    assert not list(tmp_path.iterdir())
