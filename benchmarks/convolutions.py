"""The convolutions of a piece of code: their arithmetic, and how long they take; the machine's rate of them."""

from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

import torch
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from utils.device import Compute
from utils.measuring import time_in_turns


@dataclass
class _Call:
    function: Callable
    args: tuple
    count: int
    flop: int


def _flop(name: str, args: tuple, result) -> int:
    """Operations of a convolution; a multiplication and an addition are two."""
    if "backward" in name:
        grad, x, weight, transposed, mask = args[0], args[1], args[2], args[7], args[10]
        positions = x if transposed else grad
        times = sum(mask[:2])
    else:
        x, weight, transposed = args[0], args[1], "convolution_transpose" in name or (len(args) > 6 and args[6] is True)
        positions = x if transposed else result
        times = 1
    # Each position, of all channels, meets the kernel once for every channel on the other side.
    return 2 * times * positions.numel() // positions.shape[1] * weight.numel()


class Convolutions(TorchDispatchMode):
    """Takes note of every convolution that runs within its block, forwards and backwards.

    >>> with Convolutions() as convolutions:
    ...     training_step(run, photographs)
    >>> convolutions.flop()
    """

    def __init__(self):
        super().__init__()
        self.calls: dict[tuple, _Call] = {}

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        name = str(function)
        if "convolution" in name and "overrideable" not in name:
            key = name, *(self._describe(value) for value in args)
            if key in self.calls:
                self.calls[key].count += 1
            else:
                self.calls[key] = _Call(function, args, 1, _flop(name, args, result))
        return result

    @staticmethod
    def _describe(value):
        if isinstance(value, torch.Tensor):
            return tuple(value.shape), value.stride(), value.dtype
        return str(value)

    def flop(self) -> int:
        """Operations of all convolutions."""
        return sum(call.count * call.flop for call in self.calls.values())

    @torch.no_grad()
    def seconds_alone(self, device: torch.device, rounds: int = 5) -> float:
        """Seconds of all convolutions, each repeated by itself on tensors of the same shape, layout and type."""
        total = 0.0
        for call in self.calls.values():
            args = tuple(torch.empty_like(a).normal_() if isinstance(a, torch.Tensor) else a for a in call.args)
            seconds = time_in_turns({"alone": lambda call=call, args=args: call.function(*args)}, device, rounds)
            total += call.count * median(seconds["alone"])
        return total


def convolution_rate(compute: Compute) -> float:
    """FLOP/s of plain 3x3 convolutions on this machine, channels last: the best of VGG's own four widths.

    A multiplication and an addition are two operations.
    """
    best = 0.0
    for channels, size in ((64, 256), (128, 128), (256, 64), (512, 32)):
        layout = {"device": compute.device, "dtype": compute.dtype, "memory_format": torch.channels_last}
        x = torch.randn(4, channels, size, size).to(**layout)
        w = torch.randn(channels, channels, 3, 3).to(**layout)
        with torch.inference_mode():
            calls = {"conv": lambda x=x, w=w: F.conv2d(x, w, padding=1)}
            seconds = time_in_turns(calls, compute.device, rounds=10, warmup=3)["conv"]
        best = max(best, 2 * x.shape[0] * channels**2 * 9 * size**2 / min(seconds))
    return best
