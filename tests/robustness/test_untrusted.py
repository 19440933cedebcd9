"""Checkpoints from strangers: what they would allocate or run, and thousands of damaged ones.

``STYLE_TRANSFER_FUZZ=100000 python -m pytest -m '' tests/robustness/test_untrusted.py -k mutations`` tries more.
"""

import collections
import os
import pickle
import random
import re
import struct
import zipfile
from pathlib import Path

import pytest
import torch
from torch import nn

import models.checkpoints
from models.checkpoints import Checkpoint, load_checkpoint, save_checkpoint
from models.untrusted import Refused, load_untrusted
from tests.comparing import same
from tests.robustness.mutating import mutated
from utils.errors import UserError

resource = pytest.importorskip("resource")

MUTATIONS = int(os.environ.get("STYLE_TRANSFER_FUZZ", 600))
LARGEST = 10**8


def refusal(path) -> str:
    with pytest.raises(Refused) as error:
        load_untrusted(path, LARGEST)
    assert str(error.value).isprintable()
    return str(error.value)


# -- archives made by hand -------------------------------------------------------------------------


class Pickle:
    """The operations of a pickle, by hand: what no program would write."""

    def __init__(self):
        self.data = b"\x80\x02"

    def text(self, value):
        self.data += b"X" + struct.pack("<I", len(value)) + value.encode()
        return self

    def number(self, value):
        self.data += b"\x8a\x08" + struct.pack("<q", value)
        return self

    def name(self, module, name):
        self.data += f"c{module}\n{name}\n".encode()
        return self

    def raw(self, data):
        self.data += data
        return self

    def storage(self, key, length, kind="FloatStorage"):
        """Its persistent id, in place of which the reader puts the storage."""
        self.raw(b"(").text("storage").name("torch", kind).text(key).text("cpu").number(length)
        return self.raw(b"tQ")

    def tensor(self, key, length, size, stride, offset=0):
        self.name("torch._utils", "_rebuild_tensor_v2").raw(b"(").storage(key, length).number(offset)
        for numbers in (size, stride):
            self.raw(b"(")
            for value in numbers:
                self.number(value)
            self.raw(b"t")
        return self.raw(b"\x89").name("collections", "OrderedDict").raw(b")RtR")


def archive(path, data, storages=None, compression=zipfile.ZIP_STORED, **more):
    """A file as ``torch.save`` lays it out."""
    with zipfile.ZipFile(path, "w", compression) as file:
        file.writestr("archive/data.pkl", data)
        file.writestr("archive/byteorder", "little")
        for key, content in (storages or {"0": bytes(40)}).items():
            file.writestr(f"archive/data/{key}", content)
        for name, content in more.items():
            file.writestr(f"archive/{name}", content)
        file.writestr("archive/version", "3\n")
    return path


@pytest.fixture
def path(tmp_path):
    return tmp_path / "stranger.pth"


def of_tensor(*tensor):
    """A file of one tensor, see :meth:`Pickle.tensor`."""
    return lambda path: archive(path, Pickle().tensor(*tensor).raw(b".").data)


def of_pickle(data):
    return lambda path: archive(path, data if isinstance(data, bytes) else data.data)


def sharing_numbers(path):
    """A thousand tensors of the same 40 kB: 40 MB, when a training copies them."""
    data = Pickle().raw(b"(")
    for _ in range(1000):
        data.tensor("0", 10_000, (10_000,), (1,))
    archive(path, data.raw(b"t.").data, {"0": bytes(40_000)})


def zip_bomb(path):
    data = Pickle().tensor("0", 10**8, (10**8,), (1,)).raw(b".").data
    archive(path, data, {"0": bytes(4 * 10**8)}, zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 500_000


def with_overlapping_parts(path):
    """Many names for the same megabyte of the file: the index says so, and each part looks sound."""
    archive(path, Pickle().tensor("0", 250_000, (250_000,), (1,)).raw(b".").data, {"0": bytes(10**6)})
    with zipfile.ZipFile(path, "a") as file:
        part = file.getinfo("archive/data/0")
        for number in range(1, 500):
            file.filelist.append(same := zipfile.ZipInfo(f"archive/data/{number}"))
            for name in ("header_offset", "file_size", "compress_size", "CRC"):
                setattr(same, name, getattr(part, name))
        file._didModify = True


def code(path):
    archive(path, Pickle().name("os", "system").raw(b"(").text(f"touch {path}.was_run").raw(b"tR.").data)


def behind_an_old_file(path):
    """One reader would inspect the one, and torch read the other."""
    archive(path, Pickle().tensor("0", 10, (10,), (1,)).raw(b".").data)
    path.write_bytes(pickle.dumps(1) + path.read_bytes())


def too_large(path):
    with open(path, "wb") as file:
        file.truncate(LARGEST + 1)


# A list of a list eight times, and so on, fifteen times: 2^45 entries for whoever walks through them. The same with
# tuples, as the name of an entry, takes for ever to hash.
LAUGHS = b"\x80\x02]q\0" + b"".join(b"](" + b"h%c" % n * 8 + b"eq%c" % (n + 1) for n in range(15)) + b"."
NAME = b"\x80\x02)q\0" + b"".join(b"h%ch%c\x86q%c" % (n, n, n + 1) for n in range(39)) + b"}h\x27Ns."
COLLIDING = b"".join(b"\x8a\x0c" + (n * (2**61 - 1)).to_bytes(12, "little") + b"N" for n in range(1, 40_000))
CHANGED = Pickle().tensor("0", 10, (10,), (1,)).raw(b"(").storage("0", 10).number(0).raw(b"(").number(2**38)
CHANGED = CHANGED.raw(b"t(").number(0).raw(b"ttb.")

HOSTILE = {
    "a terabyte": of_tensor("0", 2**38, (2**38,), (1,)),
    "a storage that is not there": of_tensor("9", 2**38, (2**38,), (1,)),
    "a terabyte by its strides": of_tensor("0", 10, (2**38,), (0,)),  # no memory, until somebody copies it
    "a beginning beyond the end": of_tensor("0", 10, (2,), (1,), 9),
    "a negative size": of_tensor("0", 10, (-2, -5), (5, 1)),
    "shared numbers": sharing_numbers,
    "a zip bomb": zip_bomb,
    "overlapping parts": with_overlapping_parts,
    "a deep nest": of_pickle(b"\x80\x02" + b"]" * 40_000 + b"a" * 39_999 + b"."),
    "megabytes of lists": of_pickle(b"\x80\x02](" + b"]" * 4_000_000 + b"e."),
    "a billion laughs": of_pickle(LAUGHS),
    "a name that is hashed for ever": of_pickle(NAME),
    "names that collide": of_pickle(b"\x80\x02}(" + COLLIDING + b"u."),
    # For which Python's unpickler would make room for four billion objects, and for a terabyte.
    "an absurd place in memory": of_pickle(b"\x80\x02]r\xf0\xff\xff\xff."),
    "a terabyte of bytes": of_pickle(b"\x80\x02\x96" + struct.pack("<q", 2**40) + b"."),
    "a tensor that is changed afterwards": of_pickle(CHANGED),
    "code": code,
    # Two of the many names that weights_only admits: of sparse tensors, and of bytes by their count.
    "code of torch's": of_pickle(Pickle().name("torch._utils", "_rebuild_sparse_tensor").raw(b")R.")),
    "bytes by their count": of_pickle(Pickle().name("builtins", "bytearray").raw(b"(").number(2**33).raw(b"tR.")),
    "an archive behind an old file": behind_an_old_file,
    "no bytes, but too many": too_large,
}


@pytest.mark.parametrize("make", HOSTILE.values(), ids=HOSTILE)
def test_hostile_files_are_refused_before_anything_is_allocated(path, make):
    """In an address space that grows by 500 MB at most; the largest file here has 4 MB, one of no bytes aside."""
    of_tensor("0", 10, (2, 5), (5, 1))(path)
    assert load_untrusted(path, LARGEST).shape == (2, 5)  # else the refusals would say nothing
    pages = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[0])
    before = resource.getrlimit(resource.RLIMIT_AS)
    make(path)
    try:
        resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + 500_000_000, before[1]))
        with pytest.raises(UserError, match=f"--model_path {path} is refused, nothing in it was run"):
            load_checkpoint(path)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]  # nothing was run


# -- the format before PyTorch 1.6, for the loss network alone -------------------------------------


class OldParameter:
    """As PyTorch 0.1 wrote parameters into the files that torchvision still publishes."""

    def __init__(self, data):
        self.data = data

    def __reduce__(self):
        return nn.Parameter, (self.data,), (True, False, collections.OrderedDict())


def test_old_files_are_read_where_they_are_expected(path):
    state = {"weight": OldParameter(torch.arange(6.0).reshape(2, 3)), "mean": torch.ones(3, dtype=torch.float16)}
    torch.save(state, path, _use_new_zipfile_serialization=False)
    loaded = load_untrusted(path, LARGEST)
    assert loaded["weight"].tolist() == [[0, 1, 2], [3, 4, 5]] and loaded["mean"].tolist() == [1, 1, 1]


def test_old_files_that_declare_a_terabyte_have_views_or_run_code_are_refused(path):
    head = b"".join(pickle.dumps(part, 2) for part in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}))
    declares = head + Pickle().tensor("0", 2**38, (2**38,), (1,)).raw(b".").data + pickle.dumps(["0"], 2)
    path.write_bytes(declares + bytes(100))
    assert "declares 1099511627776 bytes of numbers where it holds" in refusal(path)
    view = Pickle().raw(b"(").text("storage").name("torch", "FloatStorage").text("0").text("cpu").number(10)
    view.raw(b"(").text("1").number(0).number(5).raw(b"ttQ.")  # of a storage: nothing here writes such, nor checks it
    code = Pickle().name("os", "system").raw(b"(").text(f"touch {path}.was_run").raw(b"tR.")
    for hostile in (view, code):
        path.write_bytes(head + hostile.data + pickle.dumps(["0"], 2) + struct.pack("<q", 10) + bytes(40))
        assert "holds more than weights" in refusal(path)
    assert not Path(f"{path}.was_run").exists()


# -- mutations -------------------------------------------------------------------------------------


class TinyNet(nn.Module):
    """In place of the network, for speed: a file of 3 kB, which damage meets everywhere."""

    def __init__(self, norm="batch", upsample="transposed"):
        super().__init__()
        self.norm, self.upsample = norm, upsample
        self.layers = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))

    def architecture(self):
        return {"norm": self.norm, "upsample": self.upsample}


@pytest.mark.parametrize("ending", ["pth", "safetensors"])
def test_mutations_are_refused_in_one_sentence_or_harmless(monkeypatch, tmp_path, ending):
    """Harmless: the same weights, settings and state of the training. (A flipped bit can hit what nobody reads.)"""
    monkeypatch.setattr(models.checkpoints, "TransformerNet", TinyNet)
    torch.manual_seed(0)
    tiny = Checkpoint(TinyNet(), {"style": "stripes.png", "settings": {"lr": 0.001}}, {"step": 7, "m": torch.rand(5)})
    if ending == "safetensors":
        pytest.importorskip("safetensors")
        tiny.resume_state = None
    path, refused = tmp_path / f"model.{ending}", 0
    save_checkpoint(path, tiny)
    content, whole = path.read_bytes(), load_checkpoint(path)
    mutations = MUTATIONS if ending == "pth" else MUTATIONS // 2
    for number in range(mutations):
        rng = random.Random(f"checkpoint {number}")
        path.write_bytes(mutated(content, rng))
        try:
            loaded = load_checkpoint(path)
        except UserError as error:
            refused += 1
            assert str(path) in str(error) and str(error).isprintable(), (number, error)
        else:
            assert same(loaded.network.state_dict(), whole.network.state_dict()), number
            assert same(loaded.provenance, whole.provenance) and same(loaded.resume_state, whole.resume_state), number
    print(f"{mutations} mutations of a .{ending} file: {refused} refused")
    assert refused > 0.7 * mutations


@pytest.mark.parametrize("metadata", [{}, {"provenance": "[" * 2_000_000}, {"provenance": "139"}, {"version": "x"}])
def test_the_refusal_of_a_file_gives_the_reason(tmp_path, metadata):
    """Neither by a number, nor in a library's English."""
    safetensors = pytest.importorskip("safetensors.torch")
    own = {"format": models.checkpoints.FORMAT, "version": "3", **metadata} if metadata else None
    safetensors.save_file({"weight": torch.ones(3)}, tmp_path / "m.safetensors", own)
    with pytest.raises(UserError) as error:
        load_checkpoint(tmp_path / "m.safetensors")
    assert re.search("is damaged|is not a checkpoint", str(error.value))
    assert not re.search(r"\(\d|recursion|header", str(error.value))


def test_old_files_mutated_are_refused_or_read(path):
    """They have no checksum: a flipped bit may change a weight."""
    torch.save(
        {"features.0.weight": torch.rand(4, 3), "bias": torch.rand(4)}, path, _use_new_zipfile_serialization=False
    )
    content, refused = path.read_bytes(), 0
    for number in range(MUTATIONS // 3):
        path.write_bytes(mutated(content, random.Random(f"old {number}")))
        try:
            load_untrusted(path, LARGEST)
        except Refused as error:
            refused += 1
            assert str(error).isprintable()
    assert refused > MUTATIONS / 10
