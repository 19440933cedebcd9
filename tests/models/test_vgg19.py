"""The loss network, against torchvision's own layers and torchvision's own normalisation."""

import pytest
import torch
import torchvision

from models.pretrained import load_vgg19
from tests.noise import pictures
from utils.errors import UserError

NAMES = [
    "relu1_1", "relu1_2", "relu2_1", "relu2_2", "relu3_1", "relu3_2", "relu3_3", "relu3_4",
    "relu4_1", "relu4_2", "relu4_3", "relu4_4", "relu5_1",
]  # fmt: skip


@torch.no_grad()
def torchvision_features(state, images, model=torchvision.models.vgg19, layers=30):
    """Features of torchvision's network: names counted off its layers, inputs normalised by its own preset."""
    with torch.device("meta"):  # its classifier, of half a gigabyte, is never filled
        features = model(weights=None).features
    features = features[:layers].to_empty(device="cpu").eval()
    features.load_state_dict({key: state[f"features.{key}"].float() for key in features.state_dict()})
    preset = torchvision.models.VGG19_Weights.IMAGENET1K_V1.transforms()
    x = torchvision.transforms.functional.normalize(images / 255, preset.mean, preset.std)
    found, block, convolution = {}, 1, 1
    for layer in features:
        x = layer(x)
        if isinstance(layer, torch.nn.ReLU):
            found[f"relu{block}_{convolution}"] = x.clone()  # the next layer but one is computed in place
            convolution += 1
        elif isinstance(layer, torch.nn.MaxPool2d):
            block, convolution = block + 1, 1
    return found


def assert_features(path, *of_torchvision):
    """The weights of a file give what they give in torchvision's network; the names of the features."""
    vgg, state = load_vgg19(str(path), torch.device("cpu"), torch.float32), torch.load(path, weights_only=True)
    expected = torchvision_features(state, pictures(1, 48, 40), *of_torchvision)
    features = vgg(pictures(1, 48, 40), tuple(expected))
    assert list(features) == list(expected)
    for name, found in features.items():
        scale = expected[name].abs().max().item()
        assert scale > 0
        torch.testing.assert_close(found, expected[name], rtol=0, atol=1e-5 * scale)
    return list(expected)


@pytest.mark.parametrize("weights", ["vgg_file", "real_weights"])
def test_features_equal_torchvisions(request, weights):
    assert assert_features(request.getfixturevalue(weights)) == NAMES


def test_vgg16_weights_give_vgg16_features(tmp_path):
    """The paper's loss network: torchvision's own, and ours from its weights."""
    generator = torch.Generator().manual_seed(0)
    with torch.device("meta"):
        shapes = torchvision.models.vgg16(weights=None).features[:26].state_dict(prefix="features.")
    state = {
        name: torch.randn(value.shape, generator=generator) * (2 / value[0].numel()) ** 0.5
        for name, value in shapes.items()
    }
    torch.save(state, tmp_path / "vgg16.pth")
    assert_features(tmp_path / "vgg16.pth", torchvision.models.vgg16, 26)
    del state["features.24.bias"]
    torch.save(state, tmp_path / "vgg16.pth")
    with pytest.raises(UserError, match="expected features.28.bias"):
        load_vgg19(str(tmp_path / "vgg16.pth"), torch.device("cpu"), torch.float32)


def test_unknown_name_lists_the_valid_ones(vgg):
    for name in ("relu5_2", "conv4_2", ""):
        with pytest.raises(ValueError) as error:
            vgg(pictures(1, 48, 40), ("relu1_1", name))
        assert repr(name) in str(error.value)
        assert all(valid in str(error.value) for valid in NAMES)


def test_bfloat16_weights_give_bfloat16_features_near_the_float32_ones(vgg, vgg_file):
    """Pictures are normalised before they are rounded: bfloat16 would lose the grey levels above 128."""
    half = load_vgg19(str(vgg_file), torch.device("cpu"), torch.bfloat16)
    images = pictures(1, 48, 40)
    for name in ("relu1_1", "relu4_2"):
        feature, expected = half(images, (name,))[name], vgg(images, (name,))[name]
        assert feature.dtype == torch.bfloat16
        assert (feature.float() - expected).norm() < 0.02 * expected.norm()
    assert {parameter.dtype for parameter in half.parameters()} == {torch.bfloat16}
    assert half.mean.dtype == half.std.dtype == torch.float32


@pytest.mark.gpu
def test_gpu_agrees_with_cpu(vgg, vgg_file):
    on_gpu = load_vgg19(str(vgg_file), torch.device("cuda"), torch.float32)
    for name, expected in vgg(pictures(1, 48, 40), tuple(NAMES)).items():
        feature = on_gpu(pictures(1, 48, 40).cuda(), (name,))[name].cpu()
        assert (feature - expected).norm() < 5e-3 * expected.norm()  # convolutions run in TF32 there
