"""``python -m export.hub``: what transformers makes of a folder, where neither project nor network is."""

import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from export.hub import HubConfig, code, export_hub
from inference.options import StyleOptions
from inference.stylizer import Stylizer
from utils.errors import UserError
from utils.files import PROGRAM

ELSEWHERE = """
import os, socket, sys
from pathlib import Path

def refuse(*arguments, **keywords):
    raise OSError("there is no network")

socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse

import numpy
from PIL import Image
from transformers import AutoImageProcessor, AutoModel, AutoModelForImageToImage

folder, out = sys.argv[1:]
os.chdir(out)
model = AutoModel.from_pretrained(folder, trust_remote_code=True)
processor = AutoImageProcessor.from_pretrained(folder, trust_remote_code=True)
small, large = Image.open("small.png"), Image.open("large.png")
processor.post_process(model(**processor(small)))[0].save("by_processor.png")
model.stylize(large, stroke_scale=2.0).save("by_stylize.png")
assert model.stylize(small.convert("L")).mode == model.stylize(small.convert("CMYK")).mode == "RGB"
assert (processor(numpy.asarray(small))["pixel_values"] == processor(small)["pixel_values"]).all()
model.save_pretrained("again")
again = AutoModelForImageToImage.from_pretrained("again", trust_remote_code=True)
again.stylize(small).save("again.png")
pixels = processor([small, small])["pixel_values"].requires_grad_()
again(pixels).stylized[1].sum().backward()
assert not pixels.grad[0].any() and pixels.grad[1].any()
sys.stdin = open(os.devnull)
try:
    AutoModel.from_pretrained(folder)
except ValueError as error:
    assert "trust_remote_code" in str(error)
    Path("refused").touch()
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    pytest.importorskip("safetensors")
    path = tmp_path_factory.mktemp("hub") / "wave"
    export_hub(HubConfig("checkpoints/wave.pth", path, "styles/swirls.jpg"))
    return path


@pytest.mark.slow
def test_transformers_gives_the_pixels_of_the_engine(folder, make_picture, tmp_path):
    pytest.importorskip("transformers", "5.0")
    make_picture(97, 61, seed=1).save(tmp_path / "small.png")
    make_picture(231, 187, seed=2).save(tmp_path / "large.png")
    (tmp_path / "elsewhere.py").write_text(ELSEWHERE)
    caches = {name: str(tmp_path / name) for name in ("HF_HOME", "HF_MODULES_CACHE")}
    subprocess.run(
        [sys.executable, "-I", tmp_path / "elsewhere.py", folder, tmp_path],
        env={**os.environ, **caches, "HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": ""}, check=True,
    )  # fmt: skip
    stylizer = Stylizer("checkpoints/wave.pth", "cpu", "float32")
    small = np.asarray(stylizer.stylize(Image.open(tmp_path / "small.png")))
    large = np.asarray(stylizer.stylize(Image.open(tmp_path / "large.png"), StyleOptions(stroke_scale=2.0)))
    for name, expected in (("by_processor", small), ("again", small), ("by_stylize", large)):
        assert np.array_equal(np.asarray(Image.open(tmp_path / f"{name}.png")), expected), name
    assert (tmp_path / "refused").exists()
    for name in ("README.md", "LICENSE", "painting.jpg", "preprocessor_config.json"):
        assert (tmp_path / "again" / name).read_bytes() == (folder / name).read_bytes()
    again = Stylizer(tmp_path / "again" / "model.safetensors", "cpu", "float32")
    assert np.array_equal(again.stylize(Image.open(tmp_path / "small.png")), small)


def test_the_code_stands_alone():
    modules = code()
    assert {"modeling_style_transfer", "stylizer", "transformer_net", "errors"} <= modules.keys()
    for name, text in modules.items():
        compile(text, name, "exec")
        assert set(re.findall(r"^ *from \.(\w*)", text, re.M)) <= modules.keys()
        roots = set(re.findall(r"^ *(?:from|import) (\w+)", text, re.M))
        assert not roots & {path.stem for path in PROGRAM.iterdir()}


def test_the_card_tells_and_shows(folder):
    from models.checkpoints import load_checkpoint

    weight = load_checkpoint("checkpoints/wave.pth").provenance["settings"]["style_weight"]
    card = (folder / "README.md").read_text()
    assert 'from_pretrained("wave", trust_remote_code=True)' in card and "license_link: LICENSE" in card
    assert f"| style_weight | {weight} |" in card and "research" in (folder / "LICENSE").read_text()
    for name in ("photograph.jpg", "stylized.jpg", "painting.jpg"):
        assert f"]({name})" in card
        assert Image.open(folder / name).size[0] >= 320
    assert json.loads((folder / "config.json").read_text())["provenance"]["style"] == "wave.jpg"


def test_the_command(folder, call_cli, style_model, tmp_path):
    arguments = "export.hub", style_model, tmp_path / "mine"
    assert f"upload YOUR_NAME/mine {tmp_path / 'mine'}" in call_cli(*arguments).stdout
    assert re.search("is not empty: .* --overwrite", call_cli(*arguments).error)
    with pytest.raises(UserError, match="is a file"):
        export_hub(HubConfig(style_model, style_model))
