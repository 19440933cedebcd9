"""torch.compile for the training step, tried out before it is relied on."""

import torch

from losses.temporal import Views
from training.state import TrainingState
from utils.errors import UserError

BACKEND = "inductor"
"""What torch.compile generates code with; tests name a quicker one."""


def compile_step(state: TrainingState, batch: tuple[torch.Tensor, ...], views: Views | None) -> None:
    """Compile what a step calls, and run it forwards and backwards once to see that it works.

    Args:
        state: its ``forward`` and ``criterion`` are set; buffers and gradients are left as they were.
        batch, views: such as the training's, see :meth:`training.state.TrainingState.batch_of`.

    Raises:
        UserError: if torch.compile has no compiler, does not know this device, or fails.
    """
    modules = (state.network, state.objective)
    buffers = [(buffer, buffer.clone()) for module in modules for buffer in module.buffers()]
    try:
        forward, criterion = (torch.compile(module, backend=BACKEND, dynamic=False) for module in modules)
        with state.compute.autocast():
            stylized = forward(*batch)
        criterion(stylized, *batch, views=views).total.backward()
        if stylized.is_cuda:
            torch.cuda.synchronize()  # a kernel that fails does so here
    except Exception as error:  # whatever a compiler may raise
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UserError(f"--compile on does not work here ({reason}): leave it out") from error
    finally:
        state.network.zero_grad()
        with torch.no_grad():
            for buffer, value in buffers:
                buffer.copy_(value)
    state.forward, state.criterion = forward, criterion
