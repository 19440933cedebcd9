"""Training a model to be calm and otherwise faithful to what it was, see :mod:`training.calm`."""

import copy
import random

import torch
from torch import nn
from torch.optim.lr_scheduler import CosineAnnealingLR

from data.dataset import PhotographDataset, list_photographs
from data.loader import PhotographStream
from losses.perceptual import is_flat
from losses.temporal import temporal_loss
from models.checkpoints import Checkpoint, find_model, load_checkpoint, save_checkpoint
from models.cpu_kernels import accelerate
from models.multi_style import MultiStyleNet
from training.calm import CalmConfig
from training.second_view import pairs_of_views
from training.soap import SOAP
from utils.device import default_num_workers, keep_freed_memory, memory_format, resolve_compute
from utils.errors import UserError
from utils.files import MODELS, check_target
from utils.interrupts import Interrupts
from utils.progress import progress_bar

LARGE = 2**16
"""Weights of a convolution from which on it stays as it is: what is painted is decided there, and steps take less."""


def calm(config: CalmConfig) -> int:
    """Train, and write the model.

    Of photographs x, and of second views w(x) with noise, see :mod:`training.second_view`, the objective is
    ‖N(x) − M(x)‖² + λ_t ‖N(w(x)) − w(N(x))‖², means of squared differences of values in [0, 1], M being the model as
    it was: distillation (Hinton et al., 2015) from the model's own pictures of clean photographs.

    Returns:
        Exit status: 0, or a shell's for the signal that ended it early.

    Raises:
        UserError: naming the flag or file at fault; nothing has been written then.
    """
    check_target(config.output, config.overwrite, MODELS, "--output")
    compute = resolve_compute(config.device, config.precision)
    if compute.device.type == "cpu":
        keep_freed_memory()
    checkpoint = load_checkpoint(find_model(config.model_path))
    paths = list_photographs(config.dataset_dir)
    photographs = PhotographDataset(paths, config.image_size, config.seed, config.max_pixels)
    workers = default_num_workers(compute.device) if config.num_workers is None else config.num_workers

    network = checkpoint.network.to(compute.device, memory_format=memory_format(compute.device)).eval()
    model = copy.deepcopy(network).requires_grad_(False)
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d) and module.weight.numel() >= LARGE:
            module.requires_grad_(False)
    network = accelerate(network)
    optimizer = SOAP([parameter for parameter in network.parameters() if parameter.requires_grad], config.lr)
    scheduler = CosineAnnealingLR(optimizer, config.steps)
    scaler = torch.amp.GradScaler(compute.device.type, enabled=compute.dtype == torch.float16)

    stream = PhotographStream(photographs, config.batch_size, 0, workers, compute.device.type == "cuda")
    print(f"Calming {config.model_path} on {compute.describe()}, {config.steps} steps, {len(paths)} photographs")
    step = 0
    try:
        with Interrupts() as interrupts, progress_bar(config.steps, "step") as bar:
            while step < config.steps and interrupts.received is None:
                step += 1
                images = next(stream).to(compute.device, non_blocking=True).float()
                seeds = [f"calm {config.seed} {step} {place}" for place in range(len(images))]
                pairs, views = pairs_of_views(images, seeds)
                images = pairs[: len(images)]
                styles = ()
                if isinstance(network, MultiStyleNet):
                    numbers = [random.Random(seed).randrange(len(network.styles)) for seed in seeds]
                    styles = (torch.tensor(numbers).to(compute.device, non_blocking=True),)
                with compute.autocast():
                    with torch.no_grad():
                        target = model(images, *styles).float()
                    stylized, moved = network(pairs, *(numbers.repeat(2) for numbers in styles)).float().chunk(2)
                flat = is_flat(images)
                stylized, moved = (torch.where(flat, part.detach(), part) for part in (stylized, moved))
                faithful = ((stylized - target) / 255).square().mean()
                temporal = temporal_loss(stylized, moved, views.motion)
                optimizer.zero_grad()
                scaler.scale(faithful + config.temporal_weight * temporal).backward()
                scaler.step(optimizer)
                scaler.update()
                scheduler.step()
                if compute.device.type == "cpu" or step % 50 == 0 or step == config.steps:
                    if not torch.isfinite(faithful + temporal):
                        raise UserError(f"the loss is not finite at step {step}: give a smaller --lr")
                    bar.set_postfix(faithful=f"{faithful:.2g}", temporal=f"{temporal:.2g}", refresh=False)
                bar.update(1)
    finally:
        stream.close()
    if not all(parameter.isfinite().all() for parameter in network.parameters()):
        raise UserError(f"the weights are not finite after step {step}: give a smaller --lr")
    told = {name: getattr(config, name) for name in ("temporal_weight", "image_size", "batch_size", "lr", "seed")}
    provenance = {**checkpoint.provenance, "calmed": {"steps": step, **told}}
    save_checkpoint(config.output, Checkpoint(network.cpu(), provenance))
    print(f"Wrote {config.output}" + (f" after {step} steps, for {interrupts.name}" if step < config.steps else ""))
    return interrupts.exit_status if step < config.steps else 0
