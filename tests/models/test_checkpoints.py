"""Checkpoint files: what comes back out of them, and what is refused."""

import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from models.checkpoints import FORMAT, VERSION, Checkpoint, load_checkpoint, save_checkpoint
from models.pretrained import load_vgg19
from models.transformer_net import TransformerNet
from utils.errors import UserError

PROVENANCE = {"style": "stripes.png", "step": 7, "settings": {"lr": 0.001, "style_size": None}}


def network(norm="batch", upsample="transposed"):
    torch.manual_seed(5)
    net = TransformerNet(norm, upsample)
    for key, value in net.state_dict().items():
        if key.endswith("running_var"):
            value.fill_(1e6)  # more than float16 holds
    return net


@pytest.fixture
def model(tmp_path):
    """A final style model."""
    path = tmp_path / "stripes.pth"
    save_checkpoint(path, Checkpoint(network(), PROVENANCE))
    return path


# -- round trip ------------------------------------------------------------------------------------


@pytest.mark.parametrize("norm", ["batch", "instance"])
@pytest.mark.parametrize("upsample", ["transposed", "resize"])
def test_a_training_checkpoint_comes_back_bit_for_bit(tmp_path, norm, upsample):
    net = network(norm, upsample)
    training = {
        "step": 7,
        "optimizer": {"state": {0: {"exp_avg": torch.randn(3)}}},
        "unreadable": {4: "broken.jpg"},
    }
    save_checkpoint(tmp_path / "step.pth", Checkpoint(net, PROVENANCE, training))
    loaded = load_checkpoint(tmp_path / "step.pth")
    assert (loaded.network.norm, loaded.network.upsample) == (norm, upsample)
    state = net.state_dict()
    assert loaded.network.state_dict().keys() == state.keys()
    assert all(torch.equal(value, state[key]) for key, value in loaded.network.state_dict().items())
    assert loaded.provenance == PROVENANCE
    assert torch.equal(
        loaded.training["optimizer"]["state"][0]["exp_avg"], training["optimizer"]["state"][0]["exp_avg"]
    )
    assert loaded.training["unreadable"] == {4: "broken.jpg"} and loaded.training["step"] == 7
    assert not loaded.network.training


@pytest.mark.parametrize("norm", ["batch", "instance"])
def test_a_final_model_is_half_as_large_and_under_4_mb(tmp_path, norm):
    net = network(norm)
    save_checkpoint(tmp_path / "m.pth", Checkpoint(net, PROVENANCE))
    assert os.path.getsize(tmp_path / "m.pth") < 4e6
    loaded = load_checkpoint(tmp_path / "m.pth")
    assert loaded.training is None
    for key, value in loaded.network.state_dict().items():
        expected = net.state_dict()[key]
        assert value.dtype == expected.dtype
        # Kernels are rounded to half precision; scales, biases and variances are not.
        assert torch.equal(value, expected.half().float() if value.dim() == 4 else expected), key


def test_the_network_that_is_saved_is_left_as_it_is(tmp_path):
    net = network().train()
    before = {key: value.clone() for key, value in net.state_dict().items()}
    save_checkpoint(tmp_path / "m.pth", Checkpoint(net, PROVENANCE))
    assert net.training
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())


def test_a_kernel_beyond_float16_keeps_its_numbers(tmp_path):
    net = network()
    torch.nn.init.constant_(net.layers[0][0].weight, 1e5)
    save_checkpoint(tmp_path / "m.pth", Checkpoint(net, PROVENANCE))
    assert (load_checkpoint(tmp_path / "m.pth").network.layers[0][0].weight == 1e5).all()


def test_saving_where_nothing_can_be_written_names_the_file(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(UserError, match="m.pth cannot be written"):
        save_checkpoint(tmp_path / "file" / "m.pth", Checkpoint(network(), PROVENANCE))


# -- refused: every file that is not a whole, finite model of this project -------------------------


class Hostile:
    """A pickle of this runs a command when it is read without care."""

    def __init__(self, marker):
        self.marker = str(marker)

    def __reduce__(self):
        return subprocess.call, ([sys.executable, "-c", f"open({self.marker!r}, 'w')"],)


def truncated(path, marker):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def with_a_byte_missing(path, marker):
    path.write_bytes(path.read_bytes()[:-1])


def hostile_pickle(path, marker):
    path.write_bytes(pickle.dumps({"format": FORMAT, "version": VERSION, "model": Hostile(marker)}))


def hostile_archive(path, marker):
    torch.save({"format": FORMAT, "version": VERSION, "model": Hostile(marker)}, path)


def hostile_provenance(path, marker):
    contents = torch.load(path, weights_only=True)
    contents["provenance"]["settings"] = Hostile(marker)
    torch.save(contents, path)


def whole_module(path, marker):
    torch.save(network(), path)


def edited(change):
    def edit(path, marker):
        contents = torch.load(path, weights_only=True)
        contents["version"] = 1  # which has no checksum
        del contents["checksum"]
        change(contents)
        torch.save(contents, path)

    edit.__name__ = change.__name__
    return edit


KEY = "layers.0.0.weight"


def state_of(contents):
    return contents["model"]["state_dict"]


@edited
def wrong_version(contents):
    contents["version"] = VERSION + 1


@edited
def other_format(contents):
    contents["format"] = "something else"


@edited
def unknown_norm(contents):
    contents["model"]["architecture"]["norm"] = "layer"


@edited
def unhashable_norm(contents):
    contents["model"]["architecture"]["norm"] = ["batch"]


@edited
def no_model(contents):
    del contents["model"]


@edited
def no_provenance(contents):
    contents["provenance"] = None


@edited
def missing_weight(contents):
    del state_of(contents)[KEY]


@edited
def extra_weight(contents):
    state_of(contents)["more"] = torch.zeros(3)


@edited
def wrong_shape(contents):
    state_of(contents)[KEY] = state_of(contents)[KEY][:, :, 1:]


@edited
def weight_that_is_no_tensor(contents):
    state_of(contents)[KEY] = 3.0


@edited
def whole_numbers(contents):
    state_of(contents)[KEY] = state_of(contents)[KEY].int()


@edited
def not_a_number(contents):
    state_of(contents)[KEY][0, 0, 0, 0] = float("nan")


@edited
def infinite_variance(contents):
    state_of(contents)["layers.0.1.running_var"][2] = float("inf")


def plain_state_dict(path, marker):
    torch.save(network().state_dict(), path)


def tensor_alone(path, marker):
    torch.save(torch.zeros(3), path)


def empty(path, marker):
    path.write_bytes(b"")


def text(path, marker):
    path.write_text("no checkpoint")


def picture(path, marker):
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))


def missing(path, marker):
    path.unlink()


def folder(path, marker):
    path.unlink()
    path.mkdir()


DAMAGES = [
    truncated, with_a_byte_missing, hostile_pickle, hostile_archive, hostile_provenance, whole_module,
    wrong_version, other_format, unknown_norm, unhashable_norm, no_model, no_provenance, missing_weight,
    extra_weight, wrong_shape, weight_that_is_no_tensor, not_a_number, infinite_variance, plain_state_dict,
    tensor_alone, empty, text, picture, missing, folder,
]  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_damaged_and_foreign_files_are_refused_by_name(call_cli, model, tmp_path, damage):
    marker = tmp_path / "was_run"
    damage(model, marker)
    result = call_cli("begin_inference.py", "--model_path", model, "--output_dir", tmp_path / "results")
    assert f"--model_path {model}" in result.error
    assert not marker.exists()  # nothing in it was executed
    assert not (tmp_path / "results").exists()  # and nothing written


def test_a_hostile_pickle_on_the_real_command_line(run_cli, model, tmp_path):
    marker = tmp_path / "was_run"
    hostile_archive(model, marker)
    with open(model, "rb") as file:  # it is hostile: read without care, it runs
        torch.load(file, weights_only=False)
    assert marker.exists()
    marker.unlink()
    result = run_cli("begin_inference.py", "--model_path", model, "--output_dir", tmp_path / "results")
    assert f"--model_path {model} is refused, nothing in it was run" in result.error
    assert not marker.exists()


@pytest.mark.parametrize("damage", [hostile_pickle, truncated, plain_state_dict, missing], ids=lambda d: d.__name__)
def test_training_refuses_them_too(call_cli, model, tmp_path, damage):
    marker = tmp_path / "was_run"
    damage(model, marker)
    result = call_cli("begin_training.py", "--checkpoint_path", model, "--output_dir", tmp_path / "out")
    assert f"--checkpoint_path {model}" in result.error
    assert not marker.exists() and not (tmp_path / "out").exists()


def test_what_was_wrong_is_told(model):
    for damage, words in (
        (wrong_version, f"version {VERSION + 1}, this program reads {VERSION}"),
        (wrong_shape, f"wrong shape of {KEY}"),
        (whole_numbers, f"wrong type of {KEY}"),
        (not_a_number, f"not finite \\({KEY}\\)"),
        (plain_state_dict, "not a checkpoint of this project"),
        (missing, "is not a file"),
    ):
        save_checkpoint(model, Checkpoint(network(), PROVENANCE))
        damage(model, None)
        with pytest.raises(UserError, match=words):
            load_checkpoint(model)


@pytest.mark.parametrize(
    "names, whose",
    [
        (["conv1.conv2d.weight", "res1.conv1.conv2d.weight", "deconv1.conv2d.weight"], "fast_neural_style .pytorch/ex"),
        (["ConvBlock.0.conv_layer.weight", "DeconvBlock.0.conv_transpose.weight"], "fast-neural-style-pytorch"),
        (["model.1.weight", "model.10.conv_block.1.weight"], "a CycleGAN"),
        (["features.0.weight", "features.0.bias"], "VGG, the loss network, which --vgg_weights takes"),
    ],
)
@pytest.mark.parametrize("place", [None, "state_dict"])
@pytest.mark.parametrize("old", [False, True], ids=["new format", "before PyTorch 1.6"])
def test_another_projects_model_is_named(tmp_path, names, whose, place, old):
    state = {name: torch.zeros(2) for name in names}
    contents = {place: state, "epoch": 3} if place else state
    torch.save(contents, tmp_path / "model.pth", _use_new_zipfile_serialization=not old)
    with pytest.raises(UserError, match=f"^--model_path .*model.pth holds the weights of {whose}"):
        load_checkpoint(tmp_path / "model.pth")


@pytest.mark.parametrize("ending", ["pth", "safetensors"])
@pytest.mark.parametrize(
    "content, what",
    [(b"<!DOCTYPE html><html>", "a web page"), (b"version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer")],
)
def test_what_came_in_place_of_weights_is_named(tmp_path, ending, content, what):
    if ending == "safetensors":
        pytest.importorskip("safetensors")
    (tmp_path / f"model.{ending}").write_bytes(content)
    with pytest.raises(UserError, match=f"is refused, nothing in it was run: it is {what}"):
        load_checkpoint(tmp_path / f"model.{ending}")
    with pytest.raises(UserError, match=f"cannot be read as a PyTorch state dict: it is {what}"):
        load_vgg19(str(tmp_path / f"model.{ending}"), torch.device("cpu"), torch.float32)


def test_a_file_cut_anywhere_is_refused(model):
    content = model.read_bytes()
    for length in [*range(0, 200, 7), *range(200, len(content), len(content) // 40)]:
        model.write_bytes(content[:length])
        with pytest.raises(UserError, match="--model_path"):
            load_checkpoint(model)


def test_damaged_bytes_are_refused_or_harmless(model):
    """Wherever the file is overwritten, it is a refusal in one sentence or weights of the right shape."""
    content, refused = model.read_bytes(), 0
    for start in [*range(0, 3000, 150), *range(3000, len(content), len(content) // 30)]:
        damaged = bytearray(content)
        damaged[start : start + 16] = bytes(range(200, 216))[: len(content) - start]
        model.write_bytes(damaged)
        try:
            load_checkpoint(model)
        except UserError as error:
            refused += 1
            assert str(model) in str(error) and "\n" not in str(error)
    assert refused > 10


# -- versions and the checksum ---------------------------------------------------------------------


def test_models_of_the_first_version_are_still_read(tmp_path):
    """They had no checksum."""
    path = Path(__file__).resolve().parents[2] / "checkpoints" / "wave.pth"
    contents = torch.load(path, weights_only=True)
    assert contents.pop("version") > 1 and contents.pop("checksum")
    model = {"norm": "instance", "upsample": "transposed", "state_dict": contents["model"]["state_dict"]}
    torch.save({**contents, "version": 1, "model": model}, tmp_path / "wave.pth")
    assert load_checkpoint(tmp_path / "wave.pth").provenance["style"] == "wave.jpg"


def test_a_bit_flipped_in_one_of_them_is_seen(tmp_path):
    """They have no checksum of their own, but their archive has some."""
    content = bytearray((Path(__file__).resolve().parents[2] / "checkpoints" / "wave.pth").read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "wave.pth").write_bytes(content)
    with pytest.raises(UserError, match="wave.pth is refused.*it is damaged .the checksum of .*data/"):
        load_checkpoint(tmp_path / "wave.pth")


def flip(contents):
    weight = state_of(contents)["layers.3.residual.0.0.weight"]
    weight.view(torch.int16)[0, 0, 0, 0] ^= 1  # the last bit of one of 1.7 million weights


def other_setting(contents):
    contents["provenance"]["settings"]["lr"] = 0.002


def other_architecture(contents):
    contents["model"]["state_dict"] = dict(reversed(state_of(contents).items()))
    contents["model"]["architecture"]["upsample"] = "resize"


def other_name(contents):
    contents["provenance"]["settings"] = {"mr": 0.001, "style_size": None}  # "lr" before, at the same place


def other_shape(contents):
    state_of(contents)["layers.0.1.weight"] = state_of(contents)["layers.0.1.weight"][None]


def other_type(contents):
    state_of(contents)[KEY] = state_of(contents)[KEY].view(torch.bfloat16)  # of the same bytes


def no_checksum(contents):
    del contents["checksum"]


@pytest.mark.parametrize(
    "change", [flip, other_setting, other_architecture, other_name, other_shape, other_type, no_checksum]
)
def test_every_change_is_seen_by_the_checksum(model, change):
    """In a file whose archive is sound: it was written anew."""
    contents = torch.load(model, weights_only=True)
    change(contents)
    torch.save(contents, model)
    with pytest.raises(UserError, match="stripes.pth is damaged .its contents do not have its checksum"):
        load_checkpoint(model)


def test_a_variance_below_zero_and_weights_beyond_float32_are_refused(model):
    for key, value, words in (
        ("layers.0.1.running_var", -1.0, "a variance below zero"),
        (KEY, 1e300, "not finite"),
    ):
        save_checkpoint(model, Checkpoint(network(), PROVENANCE))
        contents = torch.load(model, weights_only=True)
        contents["version"] = 1
        tensor = state_of(contents)[key].double()
        tensor.view(-1)[0] = value
        state_of(contents)[key] = tensor
        torch.save(contents, model)
        with pytest.raises(UserError, match=words):
            load_checkpoint(model)
