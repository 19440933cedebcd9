"""The state of a training: its parts, and where it stands."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from PIL import Image
from torch.optim.lr_scheduler import LRScheduler

from config import TrainingConfig
from data.dataset import PhotographDataset
from losses.distillation import Distillation
from losses.perceptual import Losses, PerceptualLoss
from losses.temporal import Views
from models.transformer_net import MixedNorm2d, TransformerNet
from training.second_view import second_views, soften
from training.style_images import style_order
from utils.device import Compute, memory_format
from utils.errors import UserError
from utils.processes import Processes

BACKEND = "inductor"
"""What torch.compile generates code with; tests name a quicker one."""


@dataclass
class TrainingState:
    """The parts of a training, and where it stands; :func:`training.build.build_state` makes it."""

    config: TrainingConfig  # norm, upsample, width and blocks are those of the network
    compute: Compute
    processes: Processes
    monitor_photograph: Image.Image | None
    style_images: list[Image.Image]  # for the monitor picture: smoothed where that was asked for, or by the teacher
    styles: tuple[str, ...]  # their names
    photographs: PhotographDataset
    calibration: list[torch.Tensor]  # fixed batches of them, N x 3 x H x W, uint8, on the CPU
    network: TransformerNet  # in training mode, on the device
    forward: Callable[..., torch.Tensor]  # the network, or what torch.compile or DistributedDataParallel made of it
    objective: PerceptualLoss | Distillation
    criterion: Callable[..., Losses]  # the objective, or what torch.compile made of it
    optimizer: torch.optim.Optimizer
    scheduler: LRScheduler
    scaler: torch.amp.GradScaler
    total_steps: int
    why: str  # what led to that number, in words
    identity: dict  # what it is trained on, which a resumed training must find again
    started_from: dict | None  # what the model of --start_from says of itself
    teacher: dict | None  # what made the network that teaches this one
    step: int = 0  # steps done
    position: int = 0  # in the stream of photographs, where the next step begins

    def to_device(self, batch: torch.Tensor) -> torch.Tensor:
        """A batch of photographs, uint8, as the network takes it: float, RGB in [0, 255], on the device."""
        # They travel as bytes, a quarter of the size, and become floats there.
        batch = batch.to(self.compute.device, non_blocking=True)
        return batch.float().contiguous(memory_format=memory_format(self.compute.device))

    def batch_of(self, photographs: torch.Tensor, step: int) -> tuple[tuple[torch.Tensor, ...], Views | None]:
        """What a step, counted from 1 on, is given: the network's inputs, and views.

        The inputs are N photographs, N x 3 x H x W, and with several styles the number of each one's style. With
        ``temporal_weight`` there are 2 N: some of the first half are softened, and the second half are second views of
        the first, see :mod:`training.second_view`.
        """
        # The number of this process's first photograph, counted from the beginning of the training.
        first = ((step - 1) * self.processes.count + self.processes.rank) * self.config.batch_size
        styles = ()
        if len(self.styles) > 1:
            numbers = style_order(self.config.seed, first, self.config.batch_size, len(self.styles))
            styles = (torch.tensor(numbers).to(self.compute.device, non_blocking=True),)
        if not self.config.temporal_weight:
            return (photographs, *styles), None
        seeds = [f"motion {self.config.seed} {first + place}" for place in range(len(photographs))]
        photographs, soft = soften(photographs, seeds)
        moved, motion = second_views(photographs, seeds)
        pairs = torch.cat([photographs, moved]).contiguous(memory_format=memory_format(self.compute.device))
        return (pairs, *(numbers.repeat(2) for numbers in styles)), Views(motion, soft)

    def settle_statistics(self) -> None:
        """Have the running statistics of mixed norm come to rest as the learning rate does.

        Else they drift with the last batches, and weights that hardly move any more cannot follow.
        """
        left = self.scheduler.get_last_lr()[0] / self.optimizer.param_groups[0]["initial_lr"]
        for norm in self.network.norms():
            if isinstance(norm, MixedNorm2d):
                norm.momentum.fill_(left * norm.MOMENTUM)

    def calibration_batches(self) -> Iterator[torch.Tensor]:
        """The calibration photographs, as :meth:`to_device` gives them."""
        return map(self.to_device, self.calibration)

    def compile(self, batch: tuple[torch.Tensor, ...], views: Views | None) -> None:
        """Have torch.compile make ``forward`` and ``criterion``, and run both once, as :meth:`batch_of` gives a batch.

        Raises:
            UserError: if torch.compile has no compiler, does not know this device, or fails.
        """
        modules = (self.network, self.objective)
        buffers = [(buffer, buffer.clone()) for module in modules for buffer in module.buffers()]
        try:
            forward, criterion = (torch.compile(module, backend=BACKEND, dynamic=False) for module in modules)
            with self.compute.autocast():
                stylized = forward(*batch)
            criterion(stylized, *batch, views=views).total.backward()
            if stylized.is_cuda:
                torch.cuda.synchronize()  # a kernel that fails does so here
        except Exception as error:  # whatever a compiler may raise
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise UserError(f"--compile on does not work here ({reason}): leave it out") from error
        finally:
            self.network.zero_grad()
            with torch.no_grad():
                for buffer, value in buffers:
                    buffer.copy_(value)
        self.forward, self.criterion = forward, criterion
