"""Build the state of a training from its settings."""

import contextlib
import dataclasses
import hashlib
import math
from collections.abc import Iterable

import torch
from PIL import Image
from torch import nn

from config import BEFORE, OBJECTIVE, DistillConfig, TrainingConfig
from data.dataset import PhotographDataset, list_photographs
from data.loader import PhotographStream
from imaging.reading import read_image
from imaging.strokes import smooth_strokes
from imaging.tensors import picture_batch, tensor_to_image, whole_batch
from losses.content_ceiling import ContentCeiling, content_ceiling
from losses.distillation import Distillation
from losses.perceptual import PerceptualLoss
from models.checkpoints import Checkpoint, load_checkpoint
from models.cpu_kernels import accelerate
from models.fusion import fuse_batch_norm, fused_pass
from models.multi_style import MultiStyleNet
from models.pretrained import load_vgg19
from models.transformer_net import MixedNorm2d, TransformerNet
from models.vgg19 import VGG19
from training.plan import SMALLEST_STYLE_IMAGE, check_style_term, check_styles, planned_steps
from training.results import monitored
from training.resume import check_identity, cosine_schedule, restore
from training.soap import SOAP
from training.state import TrainingState
from training.style_images import style_names
from utils.device import Compute, memory_format, resolve_compute
from utils.errors import ImageError, UserError
from utils.files import beside_program
from utils.processes import ALONE, Processes
from utils.settings import validate

CALIBRATION_PHOTOGRAPHS = 64
"""Photographs on which loss scales and statistics of norm layers are measured: the same ones throughout a run."""


def build_state(
    config: TrainingConfig,
    given: frozenset[str] = frozenset(),
    checkpoint: Checkpoint | None = None,
    processes: Processes = ALONE,
) -> TrainingState:
    """Build the state of a training. Reads files, and writes none. Raises UserError, naming the flag or file at fault.

    Args:
        config, checkpoint: of a training that goes on, as :func:`training.resume.take_up` gives them.
        given: names of the settings that were given explicitly, for refusals.
        processes: that train together, each on ``config.batch_size`` photographs a step.
    """
    config = validate(config)
    compute = resolve_compute(config.device, config.precision, Processes.local_rank())
    torch.backends.cudnn.benchmark = True  # all crops are of one size: the search for kernels pays at once
    monitor_photograph = _read_monitor_photograph(config)  # first: it is quick to read, and what people mistype
    config, teacher, begun = _teacher_and_start(config, given, is_new=checkpoint is None)
    styles = teacher.styles(config.teacher) if teacher else style_names(config.style_image)
    check_styles(config, styles)
    style_images = pictures = _read_style_images(config, styles)
    paintings = [picture_batch(image, config.style_size or config.image_size) for image in pictures]
    paths = list_photographs(config.dataset_dir)
    photographs = PhotographDataset(paths, config.image_size, config.seed, config.max_pixels)
    total_steps, why = planned_steps(config, len(photographs), processes.count)
    vgg = load_vgg19(config.vgg_weights, compute.device, compute.dtype) if paintings else None
    # Taken before smoothing: smoothed paintings differ by rounding from machine to machine.
    identity = _identity(config, paintings, photographs, vgg, processes, teacher)
    if checkpoint is not None:
        check_identity(checkpoint, identity, photographs, given)
    if config.style_smoothing:
        paintings = [smooth_strokes(painting, config.style_smoothing) for painting in paintings]
        style_images = [tensor_to_image(painting[0]) for painting in paintings]
    calibration = _read_calibration_photographs(photographs, config.batch_size * processes.count)
    if teacher:
        objective = _build_distillation(config, compute, teacher, vgg, paintings, pictures, total_steps)
        style_images = monitored(teacher.network, monitor_photograph, compute)
    else:
        objective = _build_objective(config, vgg, paintings, pictures, total_steps)
    torch.manual_seed(config.seed)
    network = checkpoint.network if checkpoint else _build_network(config, styles, begun)
    network = _prepare_network(config, network, compute.device, processes)
    optimizer = _build_optimizer(config, network)
    state = TrainingState(
        config=config, compute=compute, processes=processes, monitor_photograph=monitor_photograph,
        style_images=style_images, styles=styles, photographs=photographs, calibration=calibration, network=network,
        forward=processes.forward_of(network), objective=objective, criterion=objective, optimizer=optimizer,
        scheduler=cosine_schedule(optimizer, config.lr, total_steps),
        scaler=torch.amp.GradScaler(compute.device.type, enabled=compute.dtype == torch.float16),
        total_steps=total_steps, why=why, identity=identity, teacher=teacher and teacher.provenance,
        started_from=_origin_of(None if begun is teacher else begun),
    )  # fmt: skip
    if checkpoint is not None:
        restore(state, checkpoint)
        return state
    objective.measure(state.calibration_batches)
    if config.norm == "mixed" and (begun is None or begun.network.norm != "mixed"):
        estimate_statistics(network, state.calibration_batches())
    return state


def _read_monitor_photograph(config: TrainingConfig) -> Image.Image | None:
    if not config.monitor_every_steps:
        return None
    return _read_picture(config, "training_monitor_content_image", config.training_monitor_content_image)


def _teacher_and_start(
    config: TrainingConfig, given: frozenset[str], is_new: bool
) -> tuple[TrainingConfig, Checkpoint | None, Checkpoint | None]:
    """The settings with what a teacher and a model to begin from decide; the teacher; the model."""
    teacher = begun = None
    if isinstance(config, DistillConfig):
        teacher = load_checkpoint(config.teacher, "TEACHER")
        config = _with_settings_of(teacher, config, given)
        begun = teacher if _same_sizes(teacher.network, config) else None
    if is_new and config.start_from is not None:
        begun, config = _begin_from(config, given)
    return config, teacher, begun


def _origin_of(begun: Checkpoint | None) -> dict | None:
    """What the model of ``--start_from`` says of itself."""
    if begun is None:
        return None
    return {name: begun.provenance.get(name) for name in ("style", "step", "loss_network", "started_from")}


def _settings_of(teacher: Checkpoint) -> dict:
    """The settings that a teacher was trained with."""
    stored = teacher.provenance.get("settings")
    return BEFORE | (stored if isinstance(stored, dict) else {})


def _with_settings_of(teacher: Checkpoint, config: DistillConfig, given: frozenset[str]) -> DistillConfig:
    """The settings, with the teacher's layers and objective where nothing else was asked for."""
    own = {name: getattr(config, name) or getattr(teacher.network, name) for name in ("norm", "upsample", "blocks")}
    if config.style_image:
        stored = _settings_of(teacher)
        own |= {name: stored[name] for name in OBJECTIVE if name in stored and name not in given}
    elif asked := given.intersection((*OBJECTIVE, "vgg_weights", "painting_share")):
        raise UserError(f"--{min(asked)} goes together with --style_image: give the painting, or leave it out")
    return validate(dataclasses.replace(config, **own))


def _same_sizes(network: TransformerNet, config: DistillConfig) -> bool:
    """Whether a student can begin as a copy of its teacher."""
    alike = all(getattr(network, name) == getattr(config, name) for name in ("upsample", "width", "blocks"))
    return alike and (network.norm == config.norm or (network.norm, config.norm) == ("instance", "mixed"))


def _begin_from(config: TrainingConfig, given: frozenset[str]) -> tuple[Checkpoint, TrainingConfig]:
    """The model of ``--start_from``, and the settings with what is its own."""
    begun = load_checkpoint(config.start_from, "--start_from")
    own = TransformerNet.architecture(begun.network)  # of several styles, without these
    for name, has in own.items():
        asked = getattr(config, name)
        if name in given and asked != has and (asked, has) != ("mixed", "instance"):
            raise UserError(
                f"--{name} {asked} does not go together with --start_from {config.start_from}, "
                f"whose network has {has}: leave one of them out"
            )
    # A network of instance norm goes on with mixed norm, whose further statistics are estimated.
    if config.norm == "mixed" and own["norm"] == "instance" and config.train == "all":
        own["norm"] = "mixed"
    return begun, dataclasses.replace(config, **own)


def _read_picture(config: TrainingConfig, name: str, path: str) -> Image.Image:
    try:
        return read_image(beside_program(path), max_pixels=config.max_pixels)
    except ImageError as error:
        raise UserError(f"--{name}: {error}") from None


def _read_style_images(config: TrainingConfig, styles: tuple[str, ...]) -> list[Image.Image]:
    """The paintings, in the order of the styles; none where a teacher's pictures are all that is learnt from."""
    if not config.style_image:
        return []
    paths = dict(zip(style_names(config.style_image), config.style_image))
    if len(styles) == len(paths) == 1:
        paths = dict(zip(styles, config.style_image))
    if paths.keys() != set(styles):
        raise UserError(
            f"--style_image names {', '.join(paths)}, and the teacher's styles are {', '.join(styles)}: give a picture "
            "for each, of its name"
        )
    check_style_term(config, min(config.image_size, config.style_size or config.image_size))
    images = [_read_picture(config, "style_image", paths[style]) for style in styles]
    for style, image in zip(styles, images):
        called = f"--style_image {paths[style]} is {image.width} x {image.height} pixels"
        if min(image.size) < SMALLEST_STYLE_IMAGE:
            raise UserError(
                f"{called}, too small to learn a style from: give one with sides of {SMALLEST_STYLE_IMAGE} or more"
            )
        if max(image.size) > 64 * min(image.size):
            raise UserError(f"{called}, too narrow to learn a style from: crop it, to sides of 64 to 1 or less")
    return images


def _identity(
    config: TrainingConfig,
    paintings: list[torch.Tensor],
    photographs: PhotographDataset,
    vgg: VGG19 | None,
    processes: Processes,
    teacher: Checkpoint | None,
) -> dict:
    """What a training is made of, which a resumed one must find again."""
    names = "\0".join(str(path.relative_to(config.dataset_dir)) for path in photographs.paths)
    identity = {
        "style": _digest(painting.byte().numpy().tobytes() for painting in paintings),
        "processes": processes.count,
        "photographs": len(photographs),
        "photograph_names": _digest([names.encode("utf-8", "surrogateescape")]),
        "loss_network": vgg.fingerprint if vgg else "",
    }
    if teacher:
        identity["teacher"] = _digest(value.numpy().tobytes() for value in teacher.network.state_dict().values())
    return identity


def _digest(parts: Iterable[bytes]) -> str:
    return hashlib.sha256(b"".join(parts)).hexdigest()[:16]


def _read_calibration_photographs(photographs: PhotographDataset, batch_size: int) -> list[torch.Tensor]:
    """Fixed batches of training crops, of the training's own batch size over all processes."""
    # Positions far beyond any training's, so that these crops are drawn apart from it.
    start = 2**40 // len(photographs) * len(photographs)
    with contextlib.closing(PhotographStream(photographs, batch_size, start)) as stream:
        return [next(stream) for _ in range(max(1, CALIBRATION_PHOTOGRAPHS // batch_size))]


def _build_objective(
    config: TrainingConfig,
    vgg: VGG19,
    paintings: list[torch.Tensor],
    pictures: list[Image.Image],
    total_steps: int,
) -> PerceptualLoss:
    limit = math.inf
    if config.loss_scale == "relative":
        limit = content_ceiling(config.content_weight, config.style_weight)
    ceiling = ContentCeiling(limit, total_steps, len(paintings))
    device = next(vgg.parameters()).device
    paintings = [painting.to(device) for painting in paintings]
    whole = [whole_batch(picture).to(device) for picture in pictures]
    return PerceptualLoss(config, vgg, paintings, config.image_size, ceiling, whole)


def _build_distillation(
    config: DistillConfig,
    compute: Compute,
    teacher: Checkpoint,
    vgg: VGG19 | None,
    paintings: list[torch.Tensor],
    pictures: list[Image.Image],
    total_steps: int,
) -> Distillation:
    painting, painting_from = None, round((1 - config.painting_share) * total_steps)
    if paintings:
        temporal_weight = _settings_of(teacher).get("temporal_weight", 0.0)
        of_painting = dataclasses.replace(config, temporal_weight=temporal_weight)
        painting = _build_objective(of_painting, vgg, paintings, pictures, total_steps - painting_from)
    network, count = teacher.network, 1
    if isinstance(network, MultiStyleNet):
        count = len(network.styles)
        network = network if count > 1 else network.for_style(0)
    network = fuse_batch_norm(network).to(compute.device, memory_format=memory_format(compute.device))
    network = fused_pass(network, compute.dtype) if compute.device.type == "cpu" else network.to(compute.dtype)
    return Distillation(network, config.temporal_weight, count, painting, painting_from)


def _build_network(config: TrainingConfig, styles: tuple[str, ...], begun: Checkpoint | None) -> TransformerNet:
    """What a training begins with: random weights, or those of ``--start_from``."""
    if begun is None and len(styles) == 1:
        return TransformerNet(config.norm, config.upsample, config.width, config.blocks)
    if begun is None:
        return MultiStyleNet(styles, config.norm, upsample=config.upsample, width=config.width, blocks=config.blocks)
    network = begun.network
    if len(styles) > 1 or isinstance(network, MultiStyleNet):
        network = MultiStyleNet.begun_from(network, styles)
        network = network if len(styles) > 1 else network.for_style(0)
    return network.with_norm(config.norm)


def _prepare_network(
    config: TrainingConfig, network: TransformerNet, device: torch.device, processes: Processes
) -> TransformerNet:
    """The network on its device, in training mode, with gradients for what ``--train`` trains alone."""
    if config.train == "norms":
        network.requires_grad_(False)
        for norm in network.norms():
            norm.requires_grad_(True)
    network = network.to(device, memory_format=memory_format(device))
    return accelerate(processes.prepare(network)).train()


def _build_optimizer(config: TrainingConfig, network: TransformerNet) -> torch.optim.Optimizer:
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    if config.optimizer == "soap":
        return SOAP(trained, config.lr, weight_decay=config.weight_decay)
    fused = trained[0].device.type in ("cpu", "cuda")
    return torch.optim.Adam(trained, config.lr, weight_decay=config.weight_decay, fused=fused)


@torch.no_grad()
def estimate_statistics(network: TransformerNet, batches: Iterable[torch.Tensor]) -> None:
    """Estimate the running mean and variance of every batch or mixed norm anew, in training mode.

    The running averages that training keeps lag behind the weights, which shows as dark patches in stylized pictures;
    training with batch norm never reads them.

    Args:
        batches: N x 3 x H x W each, RGB in [0, 255], of the size and number that the network is trained on.
    """
    layers = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d | nn.SyncBatchNorm | MixedNorm2d)]
    momenta = [layer.momentum for layer in layers]
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = None  # a plain mean over all batches
    for batch in batches:
        styles = ()
        if isinstance(network, MultiStyleNet):  # all of them, mixed
            styles = (batch.new_full((len(batch), len(network.styles)), 1 / len(network.styles)),)
        network(batch, *styles)
    for layer, momentum in zip(layers, momenta):
        layer.momentum = momentum
