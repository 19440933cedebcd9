"""What Apple's MPS lacks is not asked of it. There is none here: a CPU is watched while it does the same.

MPS has no float64 and few decompositions of matrices.
"""

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from config import TrainingConfig
from inference.options import StyleOptions
from inference.stylizer import Stylizer
from losses.perceptual import PerceptualLoss
from models.transformer_net import TransformerNet
from tests.noise import pictures
from training import soap
from utils.device import Compute

CPU = Compute(torch.device("cpu"), torch.float32)


class Watched(TorchDispatchMode):
    """Notes what MPS would refuse: pictures and features in float64 (a few numbers are the CPU's), decompositions."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        name = str(func)
        tensors = [t for t in tree_leaves((args, result)) if isinstance(t, torch.Tensor)]
        if any(t.dtype == torch.float64 and t.numel() > 5000 for t in tensors):
            self.seen.append(f"{name} in float64")
        if "linalg" in name:
            self.seen.append(name)
        return result


@pytest.mark.parametrize("norm", ["instance", "batch"])
def test_pictures_are_stylized_with_what_mps_has(make_picture, norm):
    """In tiles, for which instance norm takes the statistics of the whole; with all options."""
    stylizer = Stylizer(TransformerNet(norm).eval(), compute=CPU, tile_size=64)
    mask = Image.fromarray(np.tile(np.linspace(0, 255, 90, dtype=np.uint8), (70, 1)))
    with Watched() as watch:
        stylizer.stylize(make_picture(90, 70, seed=1), StyleOptions(0.5, True, mask, 0.9))
    assert not watch.seen


def test_a_step_is_trained_with_what_mps_has(vgg, monkeypatch):
    """Decompositions are those that are moved to the CPU."""
    moved = []
    monkeypatch.setattr(soap, "_where_lapack_is", lambda matrix: moved.append(matrix) or matrix)
    network = TransformerNet("instance")
    photographs = pictures(2, 48)
    criterion = PerceptualLoss(TrainingConfig(), vgg, [photographs[:1]], 48)
    optimizer = soap.SOAP(network.parameters(), lr=1e-3, basis_every_steps=1)
    with Watched() as watch:
        for _ in range(2):
            criterion(network(photographs), photographs).total.backward()
            optimizer.step()
    assert len([what for what in watch.seen if "linalg" in what]) == len(moved) > 0
    assert not [what for what in watch.seen if "float64" in what]
