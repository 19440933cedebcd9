"""Build a training: from its settings, the parts that the loop works with."""

import contextlib
import dataclasses
import hashlib
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from PIL import Image
from torch.optim.lr_scheduler import CosineAnnealingLR

from config import TrainingConfig
from data.dataset import PhotographDataset, list_photographs
from data.loader import PhotographStream
from imaging.reading import read_image
from imaging.strokes import smooth_strokes
from imaging.tensors import picture_batch, tensor_to_image
from losses.content_ceiling import ContentCeiling, content_ceiling
from losses.perceptual import Losses, PerceptualLoss
from losses.temporal import Views
from models.checkpoints import Checkpoint, load_checkpoint
from models.cpu_kernels import accelerate
from models.multi_style import MultiStyleNet
from models.pretrained import load_vgg19
from models.transformer_net import TransformerNet
from models.vgg19 import LAYERS
from training.batch_norm import estimate_statistics
from training.gallery import style_names, style_order
from training.resume import check_identity, photographs_of, restore
from training.second_view import pairs_of_views
from training.soap import SOAP
from utils.device import Compute, keep_freed_memory, memory_format, resolve_compute
from utils.errors import ImageError, UserError
from utils.files import beside_program
from utils.processes import ALONE, Processes
from utils.settings import validate

CALIBRATION_PHOTOGRAPHS = 64
"""Photographs on which loss scales and batch-norm statistics are measured: the same ones throughout a run."""

ENOUGH_STEPS = 2000
"""Steps after which most style images look right; unless a flag says otherwise a training has no fewer."""

MOST_STEPS = 40_000
"""The paper's; unless a flag says otherwise a training has no more."""

FAR = 30
"""Times the usual proportion of two weights from which on a training says what they mean."""

SMALLEST_STYLE_IMAGE = 16
"""Pixels of a style image's short side; the deepest features look at as many."""


@dataclass
class Training:
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
    objective: PerceptualLoss
    criterion: Callable[..., Losses]
    optimizer: torch.optim.Optimizer
    scheduler: CosineAnnealingLR
    scaler: torch.amp.GradScaler
    total_steps: int
    why: str
    identity: dict
    started_from: dict | None = None
    step: int = 0
    position: int = 0

    def to_device(self, batch: torch.Tensor) -> torch.Tensor:
        """A batch of photographs, uint8, as a step takes it: float, RGB in [0, 255], on the device."""
        return _to_device(batch, self.compute)

    def batch_of(self, photographs: torch.Tensor, step: int) -> tuple[tuple[torch.Tensor, ...], Views | None]:
        """What a step is given.

        Args:
            photographs: N x 3 x H x W, as :meth:`to_device` gives them.
            step: its number, from 1 on.

        Returns:
            ``(batch, views)``. The network's inputs, photographs and, of several styles, the number of each one's: N
            of each and no views where ``temporal_weight`` is 0; otherwise 2 N, some of the first half softened, the
            second half being second views of the first, see :mod:`training.second_view`.
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
        pairs, views = pairs_of_views(photographs, seeds)
        return (pairs, *(numbers.repeat(2) for numbers in styles)), views

    def calibration_batches(self) -> Iterator[torch.Tensor]:
        """The calibration photographs, as :meth:`to_device` gives them."""
        return map(self.to_device, self.calibration)


def build_training(
    config: TrainingConfig,
    given: frozenset[str] = frozenset(),
    checkpoint: Checkpoint | None = None,
    processes: Processes = ALONE,
) -> Training:
    """Build the parts of a training. Reads files, and writes none.

    Args:
        config: the settings; of a training that goes on, as :func:`training.resume.take_up` gives them.
        given: names of those that were given explicitly, for refusals.
        checkpoint: to go on from, checked; the parts are then as they were after its step.
        processes: that train together, each on ``config.batch_size`` photographs a step.

    Raises:
        UserError: naming the flag or file at fault.
    """
    config = validate(config)
    compute = resolve_compute(config.device, config.precision, Processes.local_rank())
    device = compute.device
    if device.type == "cpu":
        keep_freed_memory()
    torch.backends.cudnn.benchmark = True  # all crops are of one size: the search for kernels pays at once
    begun = started_from = None
    if checkpoint is None and config.start_from is not None:
        begun = load_checkpoint(config.start_from, "--start_from")
        started_from = {name: begun.provenance.get(name) for name in ("style", "step", "loss_network", "started_from")}
        config = _with_network_of(begun, config, given)

    styles = style_names(config.style_image)
    _refuse_styles(config, styles)
    style_images = [_read_style_image(config, path) for path in config.style_image]
    style_batches = [picture_batch(image, config.style_size or config.image_size) for image in style_images]
    check_style_term(config, min(config.image_size, config.style_size or config.image_size))
    paths = list_photographs(config.dataset_dir)
    photographs = PhotographDataset(paths, config.image_size, config.seed, config.max_pixels)
    total_steps, why = planned_steps(config, len(paths), processes.count)
    vgg = load_vgg19(config.vgg_weights, device, compute.dtype)
    names = "\0".join(str(path.relative_to(config.dataset_dir)) for path in paths)
    identity = {
        "style": _digest(b"".join(batch.byte().numpy().tobytes() for batch in style_batches)),
        "processes": processes.count,
        "photographs": len(paths),
        "photograph_names": _digest(names.encode("utf-8", "surrogateescape")),
        "loss_network": vgg.fingerprint,
    }
    if checkpoint is not None:
        before = checkpoint.training["identity"]
        check_identity(before, identity, given)
        if photographs_of(before) == photographs_of(identity):
            photographs.unreadable.update(checkpoint.training["unreadable"])
    calibration = _read_calibration_photographs(photographs, config.batch_size * processes.count)

    # The identity above is of the paintings as they are: smoothed, they differ by rounding from machine to machine.
    if config.style_smoothing:
        style_batches = [smooth_strokes(batch, config.style_smoothing) for batch in style_batches]
        style_images = [tensor_to_image(batch[0]) for batch in style_batches]
    is_relative = config.loss_scale == "relative"
    limit = content_ceiling(config.content_weight, config.style_weight) if is_relative else math.inf
    ceiling = ContentCeiling(limit, total_steps, len(styles), processes.mean)
    objective = PerceptualLoss(config, vgg, [batch.to(device) for batch in style_batches], config.image_size, ceiling)
    if checkpoint is None:
        objective.measure(lambda: (_to_device(batch, compute) for batch in calibration))

    torch.manual_seed(config.seed)
    network = _new_network(config, styles, begun) if checkpoint is None else checkpoint.network
    network = network.to(device)
    if checkpoint is None and config.norm == "mixed" and (begun is None or begun.network.norm != "mixed"):
        estimate_statistics(network, (_to_device(batch, compute) for batch in calibration))
    if config.train == "norms":
        network.requires_grad_(False)
        for norm in network.norms():
            norm.requires_grad_(True)
    network = accelerate(processes.prepare(network.to(device, memory_format=memory_format(device)))).train()
    optimizer, options = torch.optim.Adam, {"fused": device.type in ("cpu", "cuda")}
    if config.optimizer == "soap":
        optimizer, options = SOAP, {}
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    optimizer = optimizer(trained, config.lr, weight_decay=config.weight_decay, **options)
    training = Training(
        config=config,
        compute=compute,
        processes=processes,
        style_images=style_images,
        styles=styles,
        photographs=photographs,
        calibration=calibration,
        network=network,
        forward=processes.forward_of(network),
        objective=objective,
        criterion=objective,
        optimizer=optimizer,
        scheduler=CosineAnnealingLR(optimizer, total_steps),
        scaler=torch.amp.GradScaler(device.type, enabled=compute.dtype == torch.float16),
        total_steps=total_steps,
        why=why,
        identity=identity,
        started_from=started_from,
    )
    if checkpoint is not None:
        restore(training, checkpoint)
    return training


def check_style_term(config: TrainingConfig, side: int) -> None:
    """Refuse layers that the loss network has not, sizes that it cannot see, and weights of another number.

    Args:
        side: the shortest of the images that are compared, pixels.

    Raises:
        UserError: naming the flag.
    """
    octaves, layers = config.style_octaves, config.style_layers
    for layer in layers:
        if layer not in LAYERS or layers.count(layer) > 1:
            raise UserError(f"--style_layers {layer}: choose, each once, from {', '.join(LAYERS)}")
    for name, count, of in (("style_layer_weights", len(layers), "layers"), ("style_octave_weights", octaves, "sizes")):
        weights = getattr(config, name)
        if weights is not None and (len(weights) != count or not any(weights)):
            raise UserError(f"--{name} takes {count} weights, one for each of the {of}, and not all of them 0")
    if side >> (octaves - 1) < SMALLEST_STYLE_IMAGE:
        raise UserError(
            f"--style_octaves {octaves} halves {side} pixels to fewer than {SMALLEST_STYLE_IMAGE}: "
            "give fewer, or larger pictures"
        )


def planned_steps(config: TrainingConfig, photographs: int, processes: int = 1) -> tuple[int, str]:
    """Steps that a training will run, and what led to it, in words.

    Args:
        photographs: size of the data set.
        processes: that each train on --batch_size photographs a step.
    """
    batch = config.batch_size * processes
    steps, reason = min(max(2 * photographs // batch, ENOUGH_STEPS), MOST_STEPS), ""
    if config.num_epochs is not None:
        steps, reason = max(1, config.num_epochs * photographs // batch), ", as --num_epochs says"
    if config.total_steps is not None and (config.num_epochs is None or config.total_steps <= steps):
        steps, reason = config.total_steps, ", as --total_steps says"
    return steps, f"{steps} steps, {steps * batch / photographs:.3g} passes over {photographs} photographs{reason}"


def strange_weights(config: TrainingConfig) -> str | None:
    """A sentence about weights that are far from all that gives a picture, such as those of another project."""
    content, style, variation = config.content_weight, config.style_weight, config.tv_weight
    usual = TrainingConfig()
    if config.loss_scale == "paper":
        if (content, style) == (usual.content_weight, usual.style_weight):
            return (
                "--loss_scale paper gives --content_weight and --style_weight another meaning, and these are the "
                "relative scale's: docs/training.md has weights to start from"
            )
        return None
    if not content:
        return None
    style_factor = style / content / (usual.style_weight / usual.content_weight)
    variation_factor = variation / content / (usual.tv_weight / usual.content_weight)
    for name, value, factor, effect in (
        ("style_weight", style, style_factor, "the photograph will drown"),
        ("tv_weight", variation, variation_factor, "all will be smoothed away"),
        ("content_weight", content, 1 / style_factor if style else 0.0, "next to nothing of the style will be learnt"),
    ):
        if factor > FAR:
            return (
                f"--{name} {value:g} is {factor:,.0f} times the usual beside the other weights, and {effect}; weights "
                "of the size that other projects have go with --loss_scale paper, see docs/training.md"
            )
    return None


def _with_network_of(begun: Checkpoint, config: TrainingConfig, given: frozenset[str]) -> TrainingConfig:
    for name in ("norm", "upsample", "width", "blocks"):
        asked, has = getattr(config, name), getattr(begun.network, name)
        if name in given and asked != has and (asked, has) != ("mixed", "instance"):
            raise UserError(
                f"--{name} {asked} does not go together with --start_from {config.start_from}, "
                f"whose network has {has}: leave one of them out"
            )
    # A network of instance norm goes on with mixed norm, whose further statistics are estimated.
    to_mixed = config.norm == "mixed" and begun.network.norm == "instance" and config.train == "all"
    norm = "mixed" if to_mixed else begun.network.norm
    return dataclasses.replace(
        config, norm=norm, upsample=begun.network.upsample, width=begun.network.width, blocks=begun.network.blocks
    )


def read_picture(config: TrainingConfig, name: str, path: str) -> Image.Image:
    """A picture that a setting names. Errors name the flag."""
    try:
        return read_image(beside_program(path), max_pixels=config.max_pixels)
    except ImageError as error:
        raise UserError(f"--{name}: {error}") from None


def _new_network(config: TrainingConfig, styles: tuple[str, ...], begun: Checkpoint | None) -> TransformerNet:
    """What a training begins with: random weights, or those of ``--start_from``."""
    if begun is None and len(styles) == 1:
        return TransformerNet(config.norm, config.upsample, config.width, config.blocks)
    if begun is None:
        return MultiStyleNet(styles, config.upsample, config.norm, config.width, config.blocks)
    network = begun.network
    if len(styles) > 1 or isinstance(network, MultiStyleNet):
        network = MultiStyleNet.begun_from(network, styles)
        network = network if len(styles) > 1 else network.for_style(0)
    return network.with_norm(config.norm)


def _refuse_styles(config: TrainingConfig, styles: tuple[str, ...]) -> None:
    """Refuse what does not go together with several styles, or with learning one more of a network."""
    if "all" in styles and (len(styles) > 1 or config.train == "norms"):
        raise UserError("--style_image names a style all, which --style takes for every one: rename the file")
    if len(styles) > 1 and config.norm == "batch":
        network = "--norm batch" if config.start_from is None else f"--start_from {config.start_from}, of batch norm,"
        raise UserError(f"{network} does not go together with {len(styles)} style images: give one, or instance norm")
    if config.train == "norms":
        if config.start_from is None or config.norm == "batch":
            raise UserError("--train norms learns a style of another network: name one of instance norm, --start_from")
        if config.weight_decay:
            raise UserError("--train norms does not go together with --weight_decay: leave one of them out")
        known = load_checkpoint(config.start_from, "--start_from").styles(config.start_from)
        if twice := set(known) & set(styles):
            raise UserError(
                f"--start_from {config.start_from} has a style {min(twice)} already: rename the style image"
            )


def _read_style_image(config: TrainingConfig, path: str) -> Image.Image:
    image = read_picture(config, "style_image", path)
    width, height = image.size
    if min(width, height) < SMALLEST_STYLE_IMAGE or max(width, height) > 64 * min(width, height):
        raise UserError(
            f"--style_image {path} is {width} x {height} pixels, too small or too narrow to learn a "
            f"style from: give a picture with sides of at least {SMALLEST_STYLE_IMAGE}, or crop it"
        )
    return image


def _read_calibration_photographs(photographs: PhotographDataset, batch_size: int) -> list[torch.Tensor]:
    """Fixed batches of training crops, of the training's own batch size over all processes."""
    # Positions far beyond any training's, so that these crops are drawn apart from it.
    start = 2**40 // len(photographs) * len(photographs)
    with contextlib.closing(PhotographStream(photographs, batch_size, start)) as stream:
        return [next(stream) for _ in range(max(1, CALIBRATION_PHOTOGRAPHS // batch_size))]


def _to_device(batch: torch.Tensor, compute: Compute) -> torch.Tensor:
    # They travel as bytes, a quarter of the size, and become floats there.
    batch = batch.to(compute.device, non_blocking=True)
    return batch.float().contiguous(memory_format=memory_format(compute.device))


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]
