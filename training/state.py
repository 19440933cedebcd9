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
from models.transformer_net import TransformerNet
from training.second_view import second_views, soften
from training.style_images import style_order
from utils.device import Compute, memory_format
from utils.processes import Processes


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
    forward: Callable[..., torch.Tensor]  # the network, or what DistributedDataParallel made of it
    objective: PerceptualLoss | Distillation
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

    def learn(self, photographs: torch.Tensor, *styles: torch.Tensor, views: Views | None = None) -> Losses:
        """One step of the optimiser on what :meth:`batch_of` gives."""
        with self.compute.autocast():
            stylized = self.forward(photographs, *styles)
        losses = self.objective(stylized, photographs, *styles, views=views)
        self.optimizer.zero_grad()
        self.scaler.scale(losses.total).backward()  # scales for float16 alone
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.scheduler.step()
        return losses

    def calibration_batches(self) -> Iterator[torch.Tensor]:
        """The calibration photographs, as :meth:`to_device` gives them."""
        return map(self.to_device, self.calibration)
