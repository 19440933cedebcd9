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
    """The parts of a training, and where it stands.

    Attributes:
        config: the settings; ``norm`` and ``upsample`` are those of the network.
        compute, processes: where it runs, in which arithmetic, and with whom.
        style_images: as they were read; smoothed, at the size that they are learnt at, where that was asked for.
        styles: their names.
        photographs: the data set of random crops.
        calibration: fixed batches of them, N x 3 x H x W, uint8, on the CPU; see :meth:`calibration_batches`.
        network: in training mode, on the device.
        forward: what a step calls; the network, or what torch.compile or DistributedDataParallel made of it.
        objective: what is minimised.
        criterion: what a step calls; the objective, or what torch.compile made of it.
        optimizer, scheduler, scaler: the scaler scales for float16 alone.
        total_steps: length of the training; ``why`` is the sum that led to it, in words.
        identity: what it is trained on, which a resumed training must find again.
        started_from: what the model of ``--start_from`` says of itself; ``None`` for random weights.
        teacher: what made the network that teaches this one; ``None`` without.
        step, position: steps done, and where in the stream of photographs the next one begins.
    """

    config: TrainingConfig
    compute: Compute
    processes: Processes
    style_images: list[Image.Image]
    styles: tuple[str, ...]
    photographs: PhotographDataset
    calibration: list[torch.Tensor]
    network: TransformerNet
    forward: Callable[..., torch.Tensor]
    objective: PerceptualLoss | Distillation
    criterion: Callable[..., Losses]
    optimizer: torch.optim.Optimizer
    scheduler: LRScheduler
    scaler: torch.amp.GradScaler
    total_steps: int
    why: str
    identity: dict
    started_from: dict | None = None
    teacher: dict | None = None
    step: int = 0
    position: int = 0

    def to_device(self, batch: torch.Tensor) -> torch.Tensor:
        """A batch of photographs, uint8, as the network takes it: float, RGB in [0, 255], on the device."""
        # They travel as bytes, a quarter of the size, and become floats there.
        batch = batch.to(self.compute.device, non_blocking=True)
        return batch.float().contiguous(memory_format=memory_format(self.compute.device))

    def batch_of(self, photographs: torch.Tensor, step: int) -> tuple[tuple[torch.Tensor, ...], Views | None]:
        """What a step is given.

        Args:
            photographs: N x 3 x H x W, as :meth:`to_device` gives them.
            step: its number, from 1 on.

        Returns:
            ``(batch, views)``. The batch is the network's inputs: photographs and, with several styles, the number of
            each one's style. Without ``temporal_weight`` there are N of each and no views. With it there are 2 N: some
            of the first half are softened, and the second half are second views of the first, see
            :mod:`training.second_view`.
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

    def calibration_batches(self) -> Iterator[torch.Tensor]:
        """The calibration photographs, as :meth:`to_device` gives them."""
        return map(self.to_device, self.calibration)
