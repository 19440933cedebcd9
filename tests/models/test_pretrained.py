"""Files with VGG-19 weights: what is taken, what is refused and in which words."""

import subprocess
import sys
import urllib.error
from types import SimpleNamespace

import pytest
import torch
import torchvision

import models.pretrained
from models.pretrained import load_vgg19
from models.vgg19 import VGG19
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


def test_weights_are_those_of_the_file(vgg_state, vgg_file):
    state = load(vgg_file).state_dict()
    assert state.keys() == vgg_state.keys()
    assert all(torch.equal(state[key], vgg_state[key].float()) for key in state)


def test_float16_and_float32_files_are_the_same(vgg_state, vgg_file, saved):
    float32 = load(saved({key: value.float() for key, value in vgg_state.items()}))
    float16 = load(vgg_file)
    assert all(
        torch.equal(a, b) for a, b in zip(float32.state_dict().values(), float16.state_dict().values(), strict=True)
    )
    assert float32.fingerprint == float16.fingerprint


def test_a_file_in_the_format_before_pytorch_1_6_is_taken(vgg_state, vgg_file, tmp_path):
    """As torchvision's own is."""
    torch.save(vgg_state, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    assert load(tmp_path / "old.pth").fingerprint == load(vgg_file).fingerprint


def test_a_whole_file_with_more_layers_is_taken(vgg_state, vgg_file, saved):
    more = {"features.30.weight": torch.zeros(512, 512, 3, 3), "classifier.6.bias": torch.zeros(1000)}
    assert load(saved({**vgg_state, **more})).fingerprint == load(vgg_file).fingerprint


def test_fingerprints_tell_weights_apart(vgg_state, vgg_file, saved):
    other = {**vgg_state, "features.28.bias": vgg_state["features.28.bias"] + 0.1}
    assert load(saved(other)).fingerprint != load(vgg_file).fingerprint
    # Stored in the type of the training: the same weights still.
    assert load(vgg_file, torch.bfloat16).fingerprint == load(vgg_file).fingerprint
    assert len(load(vgg_file).fingerprint) == 16


def refusal(path):
    with pytest.raises(UserError) as error:
        load(path)
    message = str(error.value)
    assert f"--vgg_weights {path}" in message and "\n" not in message
    return message


def test_missing_key(vgg_state, saved):
    state = {key: value for key, value in vgg_state.items() if key != "features.21.bias"}
    message = refusal(saved(state))
    assert "expected features.21.bias of shape (512,), found no such tensor" in message
    assert "features.0.weight to features.28.bias" in message


def test_weights_of_another_network(saved):
    vgg13 = torchvision.models.vgg13
    with torch.device("meta"):
        shapes = {
            key: value.shape for key, value in vgg13(weights=None).features.state_dict(prefix="features.").items()
        }
    message = refusal(saved({key: torch.zeros(shape) for key, shape in shapes.items()}))
    assert "is no torchvision vgg19 or vgg16 state dict" in message


def test_wrong_shape(vgg_state, saved):
    message = refusal(saved({**vgg_state, "features.5.weight": torch.zeros(128, 64, 5, 5)}))
    assert "expected features.5.weight of shape (128, 64, 3, 3), found shape (128, 64, 5, 5)" in message


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_that_are_not_finite(vgg_state, saved, value):
    bias = vgg_state["features.2.bias"].clone()
    bias[3] = value
    assert "features.2.bias must hold finite" in refusal(saved({**vgg_state, "features.2.bias": bias}))


def test_numbers_beyond_float32(vgg_state, saved):
    bias = torch.full((64,), 1e300, dtype=torch.float64)
    assert "numbers too large for float32" in refusal(saved({**vgg_state, "features.2.bias": bias}))


def test_integers(vgg_state, saved):
    assert "features.2.bias" in refusal(saved({**vgg_state, "features.2.bias": torch.zeros(64, dtype=torch.int64)}))


@pytest.mark.parametrize("contents", [[1, 2], "text", torch.zeros(3)])
def test_something_that_is_no_state_dict(saved, contents):
    assert "no state dict" in refusal(saved(contents))


def test_a_missing_file_and_a_folder(tmp_path):
    assert "vgg19-dcbb9e9d.pth" in refusal(tmp_path / "missing.pth")
    refusal(tmp_path)


@pytest.mark.parametrize("content", [b"", b"no torch file", b"PK\x03\x04 broken", b"\x80\x02}q\x00."])
def test_files_that_are_no_torch_files(tmp_path, content):
    path = tmp_path / "weights.pth"
    path.write_bytes(content)
    refusal(path)


def test_a_truncated_file(vgg_file, tmp_path):
    path = tmp_path / "weights.pth"
    path.write_bytes(vgg_file.read_bytes()[:100_000])
    assert "cannot be read" in refusal(path)


class Hostile:
    """A pickle of this runs a command when it is read without care."""

    def __init__(self, marker):
        self.marker = str(marker)

    def __reduce__(self):
        return subprocess.call, ([sys.executable, "-c", f"open({self.marker!r}, 'w')"],)


def test_a_pickle_that_carries_code_is_refused_and_not_run(vgg_state, saved, tmp_path):
    marker = tmp_path / "was_run"
    refusal(saved({**vgg_state, "features.0.weight": Hostile(marker)}))
    assert not marker.exists()


# -- torchvision's download ------------------------------------------------------------------------


@pytest.fixture
def empty_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "cache"))


@pytest.mark.parametrize(
    "failure",
    [urllib.error.URLError("no route to host"), TimeoutError("timed out"),
     OSError(28, "No space left on device"),
     RuntimeError('invalid hash value (expected "dcbb9e9d", got "00000000")')],
)  # fmt: skip
def test_a_failed_download_says_which_file_to_get_and_which_flag_takes_it(empty_cache, monkeypatch, failure):
    def fail(url, *args, **kwargs):
        assert url.endswith("vgg19-dcbb9e9d.pth")
        raise failure

    monkeypatch.setattr(torch.hub, "download_url_to_file", fail)
    with pytest.raises(UserError, match="could not be downloaded.*vgg19-dcbb9e9d.pth.*--vgg_weights") as error:
        load_vgg19(None, CPU, torch.float32)
    assert "\n" not in str(error.value)


def test_without_the_flag_torchvisions_own_weights_are_taken(empty_cache, monkeypatch, vgg_state, vgg_file):
    """By torchvision's name, in torchvision's cache; the download itself is replaced: tests run offline."""
    asked = []

    def download(url, destination, *args, **kwargs):
        asked.append(url)
        torch.save({key: value.float() for key, value in vgg_state.items()}, destination)

    monkeypatch.setattr(torch.hub, "download_url_to_file", download)
    monkeypatch.setattr(models.pretrained, "_sha256", lambda path: "dcbb9e9d" + 56 * "0")
    assert load_vgg19(None, CPU, torch.float32).fingerprint == load(vgg_file).fingerprint
    assert load_vgg19(None, CPU, torch.float32).fingerprint == load(vgg_file).fingerprint
    assert asked == [torchvision.models.VGG19_Weights.IMAGENET1K_V1.url]  # once: the cache keeps it


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


def test_half_precision_is_stored_as_such(vgg_file):
    vgg = load(vgg_file, torch.bfloat16)
    assert {p.dtype for p in vgg.parameters()} == {torch.bfloat16}
    assert vgg.mean.dtype == vgg.std.dtype == torch.float32


def test_real_weights_load(real_weights):
    state = load(real_weights).state_dict()
    assert state.keys() == VGG19().state_dict().keys()


def test_vgg16_weights_give_vgg16_features(saved):
    """The paper's loss network: torchvision's own, and ours from its weights."""
    torch.manual_seed(0)
    reference = torchvision.models.vgg16(weights=None).features[:26]
    for layer in reference:
        if isinstance(layer, torch.nn.ReLU):
            layer.inplace = False
    state = reference.state_dict(prefix="features.")
    images = torch.rand(1, 3, 32, 32) * 255
    vgg = load(saved(state))
    x, expected = (images - vgg.mean) / vgg.std, {}
    for index, layer in enumerate(reference):
        x = layer(x)
        expected[index] = x
    indices = {"relu1_1": 1, "relu2_2": 8, "relu3_3": 15, "relu4_1": 18, "relu4_2": 20, "relu4_3": 22, "relu5_1": 25}
    for name, found in vgg(images, tuple(indices)).items():
        torch.testing.assert_close(found, expected[indices[name]], rtol=1e-4, atol=1e-5)
    del state["features.24.bias"]
    with pytest.raises(UserError, match="expected features.28.bias"):
        load(saved(state))
