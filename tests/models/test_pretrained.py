"""Files with VGG-19 weights: what is taken, what is refused and in which words."""

import re
from types import SimpleNamespace

import pytest
import torch
import torchvision

from models.pretrained import load_vgg19
from utils.errors import UserError

CPU = torch.device("cpu")


def load(path, dtype=torch.float32):
    return load_vgg19(str(path), CPU, dtype)


@pytest.fixture
def saved(tmp_path):
    """``saved(contents)`` writes a file and returns its path."""

    def save(contents):
        path = tmp_path / "weights.pth"
        torch.save(contents, path)
        return path

    return save


def test_the_same_weights_in_a_file_of_torchvisions_kind(vgg, vgg_state, tmp_path):
    """torchvision's own is in float32, of the format before PyTorch 1.6, and has more layers."""
    state = {key: value.float() for key, value in vgg_state.items()}
    state |= {"features.30.weight": torch.zeros(512, 512, 3, 3), "classifier.6.bias": torch.zeros(1000)}
    torch.save(state, tmp_path / "vgg.pth", _use_new_zipfile_serialization=False)
    one = load(tmp_path / "vgg.pth")
    assert one.fingerprint == vgg.fingerprint
    assert all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), vgg.state_dict().values(), strict=True))


def test_fingerprints_tell_weights_apart(vgg, vgg_state, vgg_file, saved):
    other = {**vgg_state, "features.28.bias": vgg_state["features.28.bias"] + 0.1}
    assert load(saved(other)).fingerprint != vgg.fingerprint
    # Stored in the type of the training: the same weights still.
    assert load(vgg_file, torch.bfloat16).fingerprint == vgg.fingerprint
    assert len(vgg.fingerprint) == 16


def refusal(path):
    with pytest.raises(UserError) as error:
        load(path)
    message = str(error.value)
    assert f"--vgg_weights {path}" in message and "\n" not in message
    return message


def bias_with(value, dtype=torch.float32):
    return {"features.2.bias": torch.full((64,), value, dtype=dtype)}


@pytest.mark.parametrize(
    "change, words",
    [
        ({"features.5.weight": torch.zeros(128, 64, 5, 5)}, r"features.5.weight of shape \(128, 64, 3, 3\)"),
        ({"features.21.bias": None}, r"features.21.bias of shape \(512,\)"),
        (bias_with(1e300, torch.float64), "features.2.bias must hold numbers that are finite"),
        (bias_with(0, torch.int64), "features.2.bias must hold numbers"),
    ],
)  # fmt: skip
def test_a_state_dict_that_does_not_fit(vgg_state, saved, change, words):
    state = {key: value for key, value in {**vgg_state, **change}.items() if value is not None}
    assert re.search(words, refusal(saved(state)))


@pytest.mark.parametrize("content", [b"no torch file", b"\x80\x02}q\x00.", "half", None])
def test_files_that_are_no_torch_files(vgg_file, tmp_path, content):
    path = tmp_path / "weights.pth"
    if content is not None:
        path.write_bytes(vgg_file.read_bytes()[:100_000] if content == "half" else content)
    assert "vgg19-dcbb9e9d.pth" in refusal(path)  # what to get instead


def test_a_pickle_that_carries_code_is_refused_and_not_run(vgg_state, saved, hostile):
    refusal(saved({**vgg_state, "features.0.weight": hostile}))
    assert not hostile.marker.exists()


# -- torchvision's download ------------------------------------------------------------------------


@pytest.fixture
def empty_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "cache"))


def test_a_download_with_another_hash_is_thrown_away(empty_cache, monkeypatch, tmp_path, vgg_file, capsys):
    """The download itself runs, from an address that is a file here: what arrives is not what was asked for."""
    url = (tmp_path / "vgg19-dcbb9e9d.pth").as_uri()
    (tmp_path / "vgg19-dcbb9e9d.pth").write_bytes(vgg_file.read_bytes())
    weights = SimpleNamespace(IMAGENET1K_V1=SimpleNamespace(url=url))
    monkeypatch.setattr(torchvision.models, "VGG19_Weights", weights)
    with pytest.raises(UserError, match="could not be downloaded .invalid hash value.*--vgg_weights") as error:
        load_vgg19(None, CPU, torch.float32)
    assert "\n" not in str(error.value)
    assert not any(path.is_file() for path in (tmp_path / "cache").rglob("*"))
    assert f"Downloading {url} to {tmp_path / 'cache'}" in capsys.readouterr().err  # the user was told


def test_a_file_of_another_hash_in_the_cache_is_refused(empty_cache, tmp_path, vgg_file):
    cached = tmp_path / "cache" / "hub" / "checkpoints" / "vgg19-dcbb9e9d.pth"
    cached.parent.mkdir(parents=True)
    cached.write_bytes(vgg_file.read_bytes())
    with pytest.raises(UserError, match="vgg19-dcbb9e9d.pth is not torchvision's file, by its hash: remove it"):
        load_vgg19(None, CPU, torch.float32)
