"""torch.compile for the training step, tried out before it is relied on."""

import contextlib
from collections.abc import Callable

import torch
from torch import nn

from losses.temporal import Views
from utils.errors import UserError

BACKEND = "inductor"
"""What torch.compile generates code with; tests name a quicker one."""


def compile_step(
    network: nn.Module,
    criterion: nn.Module,
    batch: tuple[torch.Tensor, ...],
    views: Views | None,
    autocast: contextlib.AbstractContextManager,
) -> tuple[Callable, Callable]:
    """Compile a network and its objective, and run them forwards and backwards once to see that they work.

    Args:
        network: in the mode that it is trained in; its buffers and gradients are left as they were.
        criterion: called with the stylized images and the batch; gives an object with ``total``.
        batch, views: such as the training's, see :meth:`training.state.TrainingState.batch_of`.
        autocast: what the network is called under.

    Returns:
        What to call instead of network and criterion.

    Raises:
        UserError: if torch.compile has no compiler, does not know this device, or fails.
    """
    buffers = [(buffer, buffer.clone()) for module in (network, criterion) for buffer in module.buffers()]
    try:
        compiled = tuple(torch.compile(module, backend=BACKEND, dynamic=False) for module in (network, criterion))
        with autocast:
            stylized = compiled[0](*batch)
        compiled[1](stylized, *batch, views=views).total.backward()
        if stylized.is_cuda:
            torch.cuda.synchronize()  # a kernel that fails does so here
    except Exception as error:  # whatever a compiler may raise
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UserError(f"--compile on does not work here ({reason}): leave it out") from error
    finally:
        network.zero_grad()
        with torch.no_grad():
            for buffer, value in buffers:
                buffer.copy_(value)
    return compiled
