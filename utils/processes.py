"""Several processes that work together, as torchrun starts them, or one alone."""

import contextlib
import datetime
import gc
import os
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import nn

from utils.errors import UserError


@dataclass(frozen=True)
class Processes:
    """The processes of a command. One that is alone communicates with nobody."""

    rank: int = 0  # this one's number
    count: int = 1

    @classmethod
    def join(cls, device: torch.device, patience: datetime.timedelta | None = None) -> "Processes":
        """Meet the others that torchrun started; call :meth:`leave` at the end.

        ``device`` is that of what is communicated; ``patience`` is how long to wait for another, torch's half an hour
        by default. Raises :class:`UserError` if the processes do not find each other.
        """
        count = cls.expected()
        if count == 1:
            return cls()
        # The optimiser's first step imports this, and what group there is then becomes its default: the group's threads
        # would outlast leave(), and now and then abort the interpreter as it ends.
        import torch.distributed.nn  # noqa: F401

        try:
            dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=patience)
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

    def sums(self, values: Sequence[int]) -> list[int]:
        """Whole numbers, each summed over the processes; this one's own if another has died. Every process calls it."""
        sums = torch.tensor(values)
        if self.count > 1:
            with contextlib.suppress(RuntimeError):  # of a connection that has broken
                dist.all_reduce(sums)
        return sums.tolist()

    def any(self, condition: bool) -> bool:
        """Whether a condition holds in any process. Every process calls it; it waits for the device."""
        if self.count == 1:
            return condition
        device = "cuda" if dist.get_backend() == "nccl" else "cpu"
        return any(gathered(torch.tensor(int(condition), device=device)))

    def wait(self) -> None:
        """Return once every process has come here."""
        if self.count > 1:
            dist.barrier()

    def prepare(self, network: nn.Module) -> nn.Module:
        """The network with batch norm's statistics taken over the batches of all processes, as one big batch would.

        Raises :class:`UserError` on a CPU, where torch has no such batch norm.
        """
        if self.count == 1:
            return network
        if next(network.parameters()).is_cuda:
            return nn.SyncBatchNorm.convert_sync_batchnorm(network)
        if any(isinstance(module, nn.BatchNorm2d) for module in network.modules()):
            raise UserError("--norm batch in several processes needs GPUs: give --norm instance, or start one process")
        return network

    def forward_of(self, network: nn.Module) -> nn.Module:
        """What a step calls in place of the network, so that its gradients are the means over the processes."""
        if self.count == 1:
            return network
        return nn.parallel.DistributedDataParallel(network)

    def leave(self) -> None:
        """Part from the others; what :meth:`forward_of` gave is of no use any more, and nobody may hold it.

        It holds the connections, whose threads would outlast the interpreter, which aborts it now and then.
        """
        if self.count > 1 and dist.is_initialized():
            gc.collect()
            dist.destroy_process_group()


ALONE = Processes()


def gathered(values: torch.Tensor) -> list[torch.Tensor]:
    """A tensor's values in all processes, by rank, without gradients. Each calls it, with a tensor of one shape."""
    if not (dist.is_available() and dist.is_initialized()):
        return [values.detach()]
    values = values.detach().contiguous()
    results = [torch.empty_like(values) for _ in range(dist.get_world_size())]
    dist.all_gather(results, values)
    return results


def mean_over_processes(values: torch.Tensor) -> torch.Tensor:
    """The mean of a tensor over all processes, without gradients. Each calls it."""
    return torch.stack(gathered(values)).mean(0)
