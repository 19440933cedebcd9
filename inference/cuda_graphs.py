"""A network's forward pass as a CUDA graph: one launch in place of some sixty, for pictures of one size in a row."""

import collections
import warnings
from collections.abc import Callable

import torch
from torch import nn

MOST_PIXELS = 2**22
"""Of a batch that is captured: larger ones keep a GPU busy whatever it costs to launch their kernels."""

_MOST_GRAPHS = 2  # each keeps the memory of its pass

Replay = Callable[[], None]


def capture(network: nn.Module, images: torch.Tensor) -> tuple[torch.Tensor, Replay]:
    """Record a pass over ``images``, a CUDA tensor that stays in place.

    Returns:
        The tensor that holds the result after each replay, and the function that replays.
    """
    stream = torch.cuda.Stream(images.device)
    stream.wait_stream(torch.cuda.current_stream(images.device))
    with torch.cuda.stream(stream):  # kernels are chosen, and their memory is laid out, before the recording
        for _ in range(3):
            network(images)
    torch.cuda.current_stream(images.device).wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        result = network(images)
    return result, graph.replay


class CapturedPass:
    """Calls a network, from the second batch of a shape on by a recording of the pass.

    Where recording fails, a warning says so once, and the network is called as it is.

    Args:
        network: in eval mode, without side effects; called in ``torch.inference_mode``.
        record: see :func:`capture`.
    """

    def __init__(self, network: nn.Module, record=capture):
        self.network, self.record = network, record
        self._graphs: collections.OrderedDict = collections.OrderedDict()
        self._last = None

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        """The network's result, a tensor that later calls leave alone."""
        key = (images.shape, images.dtype)
        again, self._last = key == self._last, key
        if key not in self._graphs:
            small = images.shape[0] * images.shape[-2] * images.shape[-1] <= MOST_PIXELS
            if not (again and small and self._capture(key, images)):
                return self.network(images)
        self._graphs.move_to_end(key)
        batch, result, replay = self._graphs[key]
        batch.copy_(images)
        replay()
        return result.clone()

    def _capture(self, key, images: torch.Tensor) -> bool:
        if self.record is None:
            return False
        while len(self._graphs) >= _MOST_GRAPHS:
            self._graphs.popitem(last=False)
        batch = images.clone()
        try:
            self._graphs[key] = batch, *self.record(self.network, batch)
        except RuntimeError as error:
            self.record = None
            reason = str(error).strip().splitlines()[0]
            warnings.warn(f"the pass could not be made a CUDA graph ({reason}): it runs as it is", stacklevel=2)
            return False
        return True

    def release(self) -> None:
        """Give back the memory that the recordings keep."""
        self._graphs.clear()
