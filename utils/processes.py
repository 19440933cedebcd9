"""Several processes that train one network together, as torchrun starts them; and the one that is alone."""

import os
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import nn

from utils.errors import UserError


@dataclass(frozen=True)
class Processes:
    """The processes of a training. One that is alone communicates with nobody.

    Attributes:
        rank: this one's number, from 0.
        count: how many there are.
    """

    rank: int = 0
    count: int = 1

    @classmethod
    def join(cls, device: torch.device) -> "Processes":
        """Meet the others that torchrun started; call :meth:`leave` at the end.

        Raises:
            UserError: if torchrun's variables are there but the processes do not find each other.
        """
        count = cls.expected()
        if count == 1:
            return cls()
        # The optimiser's first step imports this, and what group there is then becomes its default: the group's threads
        # would outlast leave(), and now and then abort the interpreter as it ends.
        import torch.distributed.nn  # noqa: F401

        try:
            dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
        except (RuntimeError, ValueError) as error:
            reason = str(error).strip().splitlines()[0]
            raise UserError(f"the {count} processes could not be joined ({reason}): start them with torchrun") from None
        return cls(dist.get_rank(), count)

    @staticmethod
    def expected() -> int:
        """How many processes torchrun started."""
        return int(os.environ.get("WORLD_SIZE", "1"))

    @staticmethod
    def local_rank() -> int:
        """This process's number on its machine, which is that of its GPU."""
        return int(os.environ.get("LOCAL_RANK", "0"))

    @property
    def first(self) -> bool:
        """Whether this is the process that writes files and talks."""
        return self.rank == 0

    def mean(self, values: torch.Tensor) -> torch.Tensor:
        """The mean of a tensor over the processes. Every process calls it, and has it back."""
        if self.count == 1:
            return values
        values = values.clone()
        dist.all_reduce(values)
        return values / self.count

    def any(self, condition: bool) -> bool:
        """Whether a condition holds in any process. Every process calls it; it waits for the device."""
        if self.count == 1:
            return condition
        device = "cuda" if dist.get_backend() == "nccl" else "cpu"
        return bool(self.mean(torch.tensor(float(condition), device=device)) > 0)

    def wait(self) -> None:
        """Return once every process has come here."""
        if self.count > 1:
            dist.barrier()

    def prepare(self, network: nn.Module) -> nn.Module:
        """The network with batch norm's statistics taken over the batches of all processes, as one big batch would."""
        if self.count == 1:
            return network
        if next(network.parameters()).is_cuda:
            return nn.SyncBatchNorm.convert_sync_batchnorm(network)
        return _synchronise_batch_norm(network)

    def average_gradients(self, network: nn.Module) -> None:
        """Replace the gradients by their means over the processes. Every process calls it after its backward pass.

        One sum of 7 MB: torch's DistributedDataParallel, which sends parts of it while the backward pass still runs, is
        for networks that take longer to send.
        """
        if self.count == 1:
            return
        gradients = [parameter.grad for parameter in network.parameters()]
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        means = self.mean(flat).split([gradient.numel() for gradient in gradients])
        for gradient, mean in zip(gradients, means):
            gradient.copy_(mean.view_as(gradient))

    def leave(self) -> None:
        """Part from the others."""
        if self.count > 1 and dist.is_initialized():
            dist.destroy_process_group()


ALONE = Processes()
"""One process by itself."""


class _SumOverProcesses(torch.autograd.Function):
    """The sum of a tensor over the processes; the gradient is summed likewise, since each of them uses the sum."""

    @staticmethod
    def forward(ctx, values):
        values = values.clone()
        dist.all_reduce(values)
        return values

    @staticmethod
    def backward(ctx, grad):
        grad = grad.clone()
        dist.all_reduce(grad)
        return grad


class SynchronisedBatchNorm2d(nn.BatchNorm2d):
    """Batch norm over the batches of all processes, on a CPU, where torch has none; equal batches are assumed."""

    def forward(self, x):
        if not self.training:
            return super().forward(x)
        dtype, x = x.dtype, x.float()
        count = x.numel() / x.shape[1] * dist.get_world_size()
        moments = torch.stack([x.sum((0, 2, 3)), x.square().sum((0, 2, 3))])
        mean, square = _SumOverProcesses.apply(moments) / count
        variance = square - mean.square()
        with torch.no_grad():
            self.num_batches_tracked += 1
            rate = 1.0 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
            self.running_mean.lerp_(mean, rate)
            self.running_var.lerp_(variance * (count / (count - 1)), rate)
        scale = self.weight * (variance + self.eps).rsqrt()
        shift = self.bias - mean * scale
        return (x * scale[:, None, None] + shift[:, None, None]).to(dtype)


def _synchronise_batch_norm(network: nn.Module) -> nn.Module:
    for module in network.modules():
        if type(module) is nn.BatchNorm2d:
            module.__class__ = SynchronisedBatchNorm2d  # the same parameters and buffers under the same names
    return network
