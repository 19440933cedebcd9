"""The loss network, against torchvision's own layers and torchvision's own normalisation."""

import pytest
import torch
import torchvision

from models.pretrained import load_vgg19
from models.vgg19 import IMAGENET_MEAN, IMAGENET_STD, LAYERS, VGG19

NAMES = [
    "relu1_1", "relu1_2", "relu2_1", "relu2_2", "relu3_1", "relu3_2", "relu3_3", "relu3_4",
    "relu4_1", "relu4_2", "relu4_3", "relu4_4", "relu5_1",
]  # fmt: skip


def pictures(n=1, height=48, width=40):
    return torch.rand(n, 3, height, width, generator=torch.Generator().manual_seed(0)) * 255


@torch.no_grad()
def torchvision_features(state, images):
    """Features of torchvision's vgg19: names counted off its layers, inputs normalised by its own preset."""
    with torch.device("meta"):  # its classifier, of half a gigabyte, is never filled
        features = torchvision.models.vgg19(weights=None).features
    features = features[:30].to_empty(device="cpu").eval()
    features.load_state_dict({key.removeprefix("features."): value.float() for key, value in state.items()})
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


def compare(vgg, state, images):
    expected, features = torchvision_features(state, images), vgg(images, tuple(NAMES))
    assert list(features) == list(expected) == NAMES
    for name in NAMES:
        scale = expected[name].abs().max().item()
        assert scale > 0
        torch.testing.assert_close(features[name], expected[name], rtol=0, atol=1e-5 * scale)


def test_features_equal_torchvisions_with_random_weights(vgg, vgg_state):
    compare(vgg, vgg_state, pictures())


def test_features_equal_torchvisions_with_real_weights(real_weights):
    state = torch.load(real_weights, weights_only=True)
    state = {key: state[key] for key in VGG19().state_dict()}
    vgg = load_vgg19(str(real_weights), torch.device("cpu"), torch.float32)
    compare(vgg, state, pictures())


def test_names_and_their_order():
    assert list(LAYERS) == NAMES
    assert IMAGENET_MEAN == (0.485, 0.456, 0.406) and IMAGENET_STD == (0.229, 0.224, 0.225)


def test_unknown_name_lists_the_valid_ones(vgg):
    for name in ("relu5_2", "conv4_2", ""):
        with pytest.raises(ValueError) as error:
            vgg(pictures(), ("relu1_1", name))
        assert repr(name) in str(error.value)
        assert all(valid in str(error.value) for valid in NAMES)


def test_it_stays_frozen_and_in_eval_mode(vgg):
    assert vgg.train() is vgg
    holder = torch.nn.Sequential(vgg).train()
    assert holder.training and not any(module.training for module in vgg.modules())
    assert not any(parameter.requires_grad for parameter in vgg.parameters())


def test_handed_out_features_are_not_overwritten_and_input_is_left_as_it_is(vgg):
    images = pictures()
    before = images.clone()
    alone = vgg(images, ("relu1_1",))["relu1_1"].clone()
    together = vgg(images, ("relu1_1", "relu5_1"))["relu1_1"]
    assert torch.equal(alone, together) and torch.equal(images, before)
    assert alone.min() == 0  # ReLU has been applied
    assert not any(layer.inplace for layer in vgg.features if isinstance(layer, torch.nn.ReLU))


def test_bfloat16_weights_give_bfloat16_features_near_the_float32_ones(vgg, vgg_file):
    """Pictures are normalised before they are rounded: bfloat16 would lose the grey levels above 128."""
    half = load_vgg19(str(vgg_file), torch.device("cpu"), torch.bfloat16)
    images = pictures()
    for name in ("relu1_1", "relu4_2"):
        feature, expected = half(images, (name,))[name], vgg(images, (name,))[name]
        assert feature.dtype == torch.bfloat16
        assert (feature.float() - expected).norm() < 0.02 * expected.norm()
    assert {parameter.dtype for parameter in half.parameters()} == {torch.bfloat16}
    assert half.mean.dtype == half.std.dtype == torch.float32


@pytest.mark.gpu
def test_gpu_agrees_with_cpu(vgg, vgg_file):
    on_gpu = load_vgg19(str(vgg_file), torch.device("cuda"), torch.float32)
    for name, expected in vgg(pictures(), tuple(NAMES)).items():
        feature = on_gpu(pictures().cuda(), (name,))[name].cpu()
        assert (feature - expected).norm() < 5e-3 * expected.norm()  # convolutions run in TF32 there
