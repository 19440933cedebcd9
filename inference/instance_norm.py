"""Instance normalisation of a picture that is too large for one pass.

With the statistics of the whole picture held fixed, instance norm is batch norm in eval mode (Ulyanov et al., 2016),
and the network a function of bounded neighbourhoods, which tiles compute exactly. The statistics of a layer depend on
those of the layers before it, so they are taken layer by layer, each over all tiles.
"""

import copy
import math
from collections.abc import Callable

import torch
from torch import nn
from tqdm import tqdm

from inference.canvas import Place, tiles
from inference.options import StylizeError
from models.cpu_kernels import moments, together
from models.transformer_net import PictureNorm, TransformerNet, scale_and_shift
from utils.device import Compute, memory_format


def without_instance_norm(network: nn.Module) -> nn.Module:
    """A copy in eval mode with a batch norm, which does nothing yet, for each norm of the picture's own statistics."""
    network = copy.deepcopy(network).eval()
    for module in list(network.modules()):
        for name, child in module.named_children():
            if isinstance(child, PictureNorm):
                setattr(module, name, nn.BatchNorm2d(child.num_features, eps=0).eval())
    return network.requires_grad_(False)


@torch.no_grad()
def fix_statistics(
    network: TransformerNet,
    height: int,
    width: int,
    read: Callable[[Place], torch.Tensor],
    tile_size: int,
    compute: Compute,
    bar: tqdm,
    cache_bytes: int = 2**30,
) -> TransformerNet:
    """The network with the instance norm's statistics of one picture: exact to rounding, by tiles with the full halo.

    Args:
        network: with instance norm, float32; it is not changed.
        height, width: of the picture.
        read: from (rows, columns) to 1 x 3 x H x W of the picture, RGB in [0, 255].
        tile_size: see :func:`inference.canvas.tiles`.
        compute: where, and in which type; the statistics are float32 in a tile, float64 over all of them.
        bar: a progress bar, whose total grows by one step a tile and layer.
        cache_bytes: of features that wait for the next layer.

    Returns:
        A copy on the CPU, float32, with batch norms.
    """
    result = without_instance_norm(network)
    layout = memory_format(compute.device)
    working = copy.deepcopy(result).to(compute.device, compute.dtype, memory_format=layout)
    reach = working.reach()
    if reach is None:
        raise StylizeError("has layers that cannot be computed by tiles: give a larger tile size", "model")
    places = tiles(height, width, tile_size, reach)
    features, stages = _Features(working, read, compute, cache_bytes), working.stages()
    bar.total += len(stages) * len(places)
    originals = copy.deepcopy(network).cpu().norms()
    for index, (original, norm, last) in enumerate(zip(originals, result.norms(), stages)):
        moments_of_tiles, sizes = [], []
        for number, tile in enumerate(places):
            x = compute.run(features.after, index, number, tile.source)
            # Each feature counts in the one tile whose inside it lies in; so does the padding at the end.
            inside = x[(..., *(_features_in(pixels, last.scale, working.STRIDE) for pixels in tile.inside))]
            moments_of_tiles.append(torch.cat(moments(inside.contiguous(memory_format=layout))))
            sizes.append(inside[0, 0].numel())
            bar.update()
        # On the CPU, for Apple's MPS has no float64.
        mean, variance = together(*torch.stack(moments_of_tiles, 1).cpu(), sizes)
        scale, shift = scale_and_shift(original, mean, variance)
        for module in (norm, last.norm):
            module.weight.copy_(scale)
            module.bias.copy_(shift)
    return result


class _Features:
    """Features of tiles after each stage, which wait in memory for the next one as far as they fit.

    Those that do not fit are computed again for each layer. By their multiplications, that is one pass more if all
    fit, and seven if none does: it is quadratic in the layers.
    """

    def __init__(self, network: TransformerNet, read: Callable, compute: Compute, most: int):
        self._network, self._read, self._compute, self._room = network, read, compute, most
        self._stages = network.stages()
        self._waiting: dict[int, tuple[int, torch.Tensor, torch.Tensor | None]] = {}  # next stage, features, shortcut

    def after(self, index: int, tile: int, place: Place) -> torch.Tensor:
        """1 x channels x H x W of a tile, by its number and place, once the stage ``index`` has been passed."""
        start, x, shortcut = self._waiting.pop(tile, (0, None, None))
        if x is None:
            pixels = self._read(place).to(self._compute.device).float()
            x = self._network.prepare(pixels).contiguous(memory_format=memory_format(self._compute.device))
        else:
            self._room += _bytes(x, shortcut)
        for stage in self._stages[start : index + 1]:
            x, shortcut = stage(x, shortcut)
        if _bytes(x, shortcut) <= self._room:
            self._waiting[tile] = index + 1, x, shortcut
            self._room -= _bytes(x, shortcut)
        return x


def _features_in(pixels: slice, scale: int, stride: int) -> slice:
    return slice(pixels.start // scale, math.ceil(pixels.stop / stride) * stride // scale)


def _bytes(*tensors: torch.Tensor | None) -> int:
    return sum(tensor.nbytes for tensor in tensors if tensor is not None)
