"""Everything around the training loop: what it starts from, what it leaves behind, and how it is taken up again."""

import contextlib
import dataclasses
import hashlib
import importlib.metadata
import platform
import shlex
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import torch
from PIL import Image
from torch.optim.lr_scheduler import CosineAnnealingLR

from config import TrainingConfig
from data.dataset import PhotographDataset, list_photographs
from data.loader import PhotographStream
from imaging.reading import read_image
from imaging.sheets import filmstrip, side_by_side
from imaging.tensors import picture_batch
from imaging.writing import save_png
from inference.stylizer import Stylizer
from losses.content_ceiling import ContentCeiling, content_ceiling
from losses.perceptual import Losses, LossScales, PerceptualLoss, style_grams
from models.checkpoints import Checkpoint, load_checkpoint, save_checkpoint
from models.pretrained import load_vgg19
from models.transformer_net import TransformerNet
from training.batch_norm import estimate_statistics
from training.compilation import NotCompiled, compile_step, should_compile
from training.folder import (
    by_step,
    checkpoint_name,
    checkpoints,
    clear_folder,
    is_model_of,
    newest_checkpoint,
    refuse_to_leave,
    refuse_to_replace,
    remove_checkpoints,
    training_folder,
)
from training.folder_lock import FolderLock
from training.log import NonFiniteLoss, TrainingLog, plot_losses
from training.resume import as_resumed, check_identity, check_training, photographs_of, restore_settings
from training.soap import SOAP
from utils.device import default_num_workers, keep_freed_memory, memory_format, resolve_compute
from utils.errors import UserError
from utils.files import remove_unfinished
from utils.processes import Processes

ENOUGH_STEPS = 2000
"""Steps after which most paintings look right; a training that is planned shorter says so."""

CALIBRATION_PHOTOGRAPHS = 64
"""Photographs on which loss scales and batch-norm statistics are measured: the same ones throughout a run."""

SMALLEST_STYLE_IMAGE = 16
"""Pixels of a painting's short side; the deepest features look at as many."""

_PATHS = (
    "style_image", "dataset_dir", "training_monitor_content_image", "output_dir", "checkpoint_path", "vgg_weights",
    "start_from",
)  # fmt: skip


def planned_steps(config: TrainingConfig, photographs: int, processes: int = 1) -> tuple[int, str]:
    """Steps that a training will run, and the sum that led to it, in words.

    Args:
        photographs: size of the data set.
        processes: that each train on --batch_size photographs a step.
    """
    by_epochs = max(1, config.num_epochs * photographs // (config.batch_size * processes))
    steps = min(config.total_steps, by_epochs)
    why = (
        f"{steps} steps: the smaller of --total_steps {config.total_steps} and --num_epochs {config.num_epochs} x "
        f"{photographs} photographs / --batch_size {config.batch_size}"
        + (f" / {processes} processes" if processes > 1 else "")
        + f" = {by_epochs}"
    )
    return steps, why


class TrainingRun:
    """The state of one training, and its folder.

    ``<output_dir>/<style>.pth`` is the final model; ``<output_dir>/<style>_training/`` holds ``step_NNNNNN.pth``,
    ``metrics.jsonl``, ``monitor_NNNNNN.png``, and at the end ``filmstrip.png`` and ``losses.png``.

    Several processes started by torchrun train as one would with their batches put together; the first of them writes.

    One training at a time writes to the folder. Used as a context manager: leaving it stops the reading processes,
    closes the progress bar, and gives the folder free.

    Args:
        config, given: as in ``begin_training.train``.

    Raises:
        UserError: naming the flag or file at fault; nothing has been written or replaced then.
    """

    def __init__(self, config: TrainingConfig, given: frozenset[str] = frozenset()):
        self._lock = self.stream = self.log_file = None
        self.processes = Processes()
        try:
            self._begin(config, given)
        except BaseException:
            self._close()
            raise

    def _begin(self, config: TrainingConfig, given: frozenset[str]) -> None:
        if config.resume:
            config, given = as_resumed(config, given)
        checkpoint = checkpoint_path = None
        if config.checkpoint_path is not None:
            checkpoint_path = newest_checkpoint(Path(config.checkpoint_path))
            checkpoint = load_checkpoint(checkpoint_path, "--checkpoint_path")
            if checkpoint.training is None:
                raise UserError(
                    f"--checkpoint_path {checkpoint_path} is a final model, without what resuming needs: give one of "
                    "the step_NNNNNN.pth files of its _training folder"
                )
            check_training(checkpoint, f"--checkpoint_path {checkpoint_path}")
            config = restore_settings(config, given, checkpoint, checkpoint_path)
        begun = None
        if checkpoint is None and config.start_from is not None:
            begun = load_checkpoint(config.start_from, "--start_from")
            for name in ("norm", "upsample"):
                if name in given and getattr(config, name) != getattr(begun.network, name):
                    raise UserError(
                        f"--{name} {getattr(config, name)} does not go together with --start_from {config.start_from}, "
                        f"whose network has {getattr(begun.network, name)}: leave one of them out"
                    )
            config = dataclasses.replace(config, norm=begun.network.norm, upsample=begun.network.upsample)
        self.config = config
        self.compute = resolve_compute(config.device, config.precision, Processes.local_rank())
        device = self.compute.device
        if config.compile == "on" and Processes.expected() > 1:
            raise UserError("--compile on does not work in several processes: leave it out")
        self.processes = processes = Processes.join(device)
        # What one step trains on, over all processes.
        self.global_batch_size = config.batch_size * processes.count
        if device.type == "cpu":
            keep_freed_memory()
        torch.backends.cudnn.benchmark = True  # all crops are of one size: the search for kernels pays at once

        style_name = Path(config.style_image).stem
        self.folder, self.result_path = training_folder(config), Path(config.output_dir, f"{style_name}.pth")
        refuse_to_leave(config.output_dir, self.folder)
        goes_on = checkpoint is not None and checkpoint_path.parent.resolve() == self.folder.resolve()
        kept_step = checkpoint.training["step"] if goes_on else None  # up to which the folder's files are this run's
        if processes.first:
            self._lock = FolderLock(self.folder)
            refuse_to_replace(self.folder, self.result_path, kept_step, config.overwrite)

        # The pictures first: they are quick to read, and what people mistype.
        self.style_image = read_image(config.style_image, max_pixels=config.max_pixels)
        width, height = self.style_image.size
        if min(width, height) < SMALLEST_STYLE_IMAGE or max(width, height) > 64 * min(width, height):
            raise UserError(
                f"--style_image {config.style_image} is {width} x {height} pixels, too small or too narrow to learn a "
                f"style from: give a picture with sides of at least {SMALLEST_STYLE_IMAGE}, or crop it"
            )
        style_image = picture_batch(self.style_image, config.style_size or config.image_size)
        self.monitor_content_image = None
        if config.monitor_every_steps:
            self.monitor_content_image = read_image(config.training_monitor_content_image, max_pixels=config.max_pixels)
        paths = list_photographs(config.dataset_dir)
        names = [str(path.relative_to(config.dataset_dir)) for path in paths]
        self.dataset = PhotographDataset(paths, config.image_size, config.seed, config.max_pixels)
        self.total_steps, why = planned_steps(config, len(paths), processes.count)
        identity = {
            "style": _digest(style_image.byte().numpy().tobytes()),
            "processes": processes.count,
            "photographs": len(paths),
            "photograph_names": _digest("\0".join(names).encode("utf-8", "surrogateescape")),
        }

        vgg = load_vgg19(config.vgg_weights, device, self.compute.dtype)
        identity["loss_network"] = vgg.fingerprint
        if checkpoint is not None:
            check_identity(checkpoint.training["identity"], identity, given)

        self.unreadable = {}  # by their number among the photographs
        if checkpoint is not None and photographs_of(checkpoint.training["identity"]) == photographs_of(identity):
            self.unreadable = dict(checkpoint.training["unreadable"])
        self.calibration = self._read_calibration_photographs()
        grams = style_grams(vgg, style_image.to(device))
        if checkpoint is not None:
            scales = LossScales(**checkpoint.training["loss_scales"])
        elif config.loss_scale == "relative":
            scales = LossScales.relative(vgg, grams, self.calibration_batches())
        else:
            scales = LossScales()
        ceiling = None
        if config.loss_scale == "relative":
            ceiling = ContentCeiling(content_ceiling(config.content_weight, config.style_weight), self.total_steps)
        weights = (config.content_weight, config.style_weight, config.tv_weight)
        self.criterion = PerceptualLoss(
            vgg,
            grams,
            config.image_size,
            *weights,
            scales,
            ceiling,
            mean_over_processes=processes.mean,
            checkerboard_weight=config.checkerboard_weight,
            style_layer_weights=config.style_layer_weights,
        ).to(device)

        torch.manual_seed(config.seed)
        source = checkpoint or begun
        network = TransformerNet(config.norm, config.upsample) if source is None else source.network
        self.network = processes.prepare(network.to(device, memory_format=memory_format(self.compute.device))).train()
        self.forward = self.network  # what a step calls: torch.compile puts its own in this place
        optimizer, options = torch.optim.Adam, {"fused": device.type in ("cpu", "cuda")}
        if config.optimizer == "soap":
            optimizer, options = SOAP, {}
        self.optimizer = optimizer(self.network.parameters(), config.lr, weight_decay=config.weight_decay, **options)
        self.scheduler = CosineAnnealingLR(self.optimizer, self.total_steps)
        self.scaler = torch.amp.GradScaler(device.type, enabled=self.compute.dtype == torch.float16)
        self.step, position = 0, 0
        self._identity = identity
        self._started_from = None if begun is None else _summary(begun)
        self._last_checkpoint: Path | None = None
        if checkpoint is not None:
            self._started_from = checkpoint.provenance.get("started_from")
            self.step, position = self._restore(checkpoint.training), checkpoint.training["position"]
            self._last_checkpoint = checkpoint_path
        # A run that was killed between its last step and its results has only those left to write.
        finished = self.step == self.total_steps and not (config.overwrite or config.resume)
        if finished and is_model_of(self.result_path, self.network) or self.step > self.total_steps:
            raise UserError(
                f"--checkpoint_path {config.checkpoint_path} has finished its {self.total_steps} steps: give a larger "
                "--total_steps and --num_epochs to train on"
            )

        workers = default_num_workers(device) if config.num_workers is None else config.num_workers
        self.stream = self._stream(config.batch_size, position, workers, processes.rank, processes.count)
        metrics = None
        if processes.first:
            metrics = self.folder / "metrics.jsonl"
            self._lock.hold()
            # Again, for there may have been another training since.
            refuse_to_replace(self.folder, self.result_path, kept_step, config.overwrite)
            remove_unfinished(self.folder)
            remove_unfinished(self.result_path.parent, self.result_path.name)
            clear_folder(self.folder, kept_step)
        self.log_file = TrainingLog(metrics, self.step, self.total_steps, self.global_batch_size)
        message = self.log_file.message
        several = f", {processes.count} processes" if processes.count > 1 else ""
        message(f"Training {style_name} on {self.compute.describe()}{several}, {workers} reading processes")
        message(why + (f"; resumed after step {self.step}" if self.step else ""))
        if self.total_steps < ENOUGH_STEPS:
            epochs = -(-ENOUGH_STEPS * self.global_batch_size // len(paths))
            message(
                f"That is little: {ENOUGH_STEPS} steps give a good picture, --num_epochs {epochs} and --total_steps "
                f"{max(ENOUGH_STEPS, config.total_steps)} would run them"
            )
        numbers = ", ".join(f"{value:.4g}" for value in scales.style)
        variation = f"total variation {scales.total_variation:.4g}"
        message(f"Divisors: content {scales.content:.4g}; style {numbers}; {variation}")
        if config.compile == "on" or (
            config.compile == "auto" and should_compile(device, self.total_steps - self.step, processes.count)
        ):
            self._compile(message)

    def _compile(self, message: Callable[[str], None]) -> None:
        message("Compiling the training step with torch.compile, about a minute")
        start, batch = time.monotonic(), next(self.calibration_batches())[: self.config.batch_size]
        try:
            self.forward, self.criterion = compile_step(self.network, self.criterion, batch, self.compute.autocast())
        except NotCompiled as error:
            message(f"torch.compile does not work here ({error}): training goes on without, only slower")
        else:
            message(f"Compiled in {time.monotonic() - start:.0f} s")

    # -- photographs ------------------------------------------------------------------------------------------------

    def _stream(self, batch_size, position, workers, shard=0, shards=1) -> PhotographStream:
        pin_memory = self.compute.device.type == "cuda"
        return PhotographStream(self.dataset, batch_size, position, workers, self.unreadable, pin_memory, shard, shards)

    def _read_calibration_photographs(self) -> list[torch.Tensor]:
        """Fixed batches of training crops, uint8, on the CPU, of the training's own batch size over all processes."""
        batch_size = self.global_batch_size
        # Positions far beyond any training's, so that these crops are drawn apart from it.
        start = 2**40 // len(self.dataset) * len(self.dataset)
        stream = self._stream(batch_size, start, 0)
        return [next(stream) for _ in range(max(1, CALIBRATION_PHOTOGRAPHS // batch_size))]

    def calibration_batches(self):
        """The calibration photographs: N x 3 x H x W, float, RGB in [0, 255], on the device."""
        return (self._to_device(batch) for batch in self.calibration)

    def next_batch(self) -> torch.Tensor:
        """The next photographs: N x 3 x H x W, float, RGB in [0, 255], on the device.

        Raises:
            UserError: when there are none to be had. What was trained so far has been saved then.
        """
        known = len(self.unreadable)
        try:
            return self._to_device(next(self.stream))
        except UserError as error:
            for index in list(self.unreadable)[known:]:
                del self.unreadable[index]  # they may be there again when the training is resumed
            last = self._last_checkpoint
            alone = self.processes.count == 1  # several would have to come here together
            if alone and self.step and (last is None or last.name != checkpoint_name(self.step)):
                self.save_checkpoint()
            raise UserError(f"{error}; {self._where_to_resume()}") from None

    def _to_device(self, batch: torch.Tensor) -> torch.Tensor:
        # They travel as bytes, a quarter of the size, and become floats there.
        batch = batch.to(self.compute.device, non_blocking=True)
        return batch.float().contiguous(memory_format=memory_format(self.compute.device))

    # -- during the loop --------------------------------------------------------------------------------------------

    def finish_step(self, step: int, losses: Losses) -> None:
        """Take note of a step that was run.

        Raises:
            UserError: when a loss is not finite.
        """
        self.step = step
        mean = self.processes.mean
        self.log_file.add(step, dataclasses.replace(losses, raw=mean(losses.raw), weighted=mean(losses.weighted)))
        if self.compute.device.type == "cpu":  # nothing to wait for: look at every step
            self._check_losses()

    def _check_losses(self) -> None:
        try:
            self.log_file.flush()
        except NonFiniteLoss as error:
            raise self._diverged(str(error)) from None

    def _check_weights(self) -> None:
        # A finite loss can have a gradient that is not, and finite weights can have statistics or a second moment that
        # are not: a checkpoint of them would be refused when it is needed.
        moments = (value for state in self.optimizer.state.values() for value in state.values())
        if not all(value.isfinite().all() for value in (*self.network.state_dict().values(), *moments)):
            raise self._diverged(f"the weights are not finite after step {self.step}")

    def _diverged(self, what: str) -> UserError:
        return UserError(
            f"training stopped: {what}. Nothing was saved from it; {self._where_to_resume()}, with a lower --lr or in "
            "--precision float32"
        )

    def _where_to_resume(self) -> str:
        if self._last_checkpoint is None or not self._last_checkpoint.exists():
            return "there is no checkpoint yet"
        return f"resume from {self._last_checkpoint}"

    @contextlib.contextmanager
    def _writing(self):
        """Around what is written to the folder: it is there and this run's own, and an error says where to go on."""
        if self._lock.hold():
            warnings.warn(f"{self.folder} was removed while the training ran: it is made again", stacklevel=4)
        try:
            yield
        except UserError as error:
            raise UserError(f"{error}; once that is mended, {self._where_to_resume()}") from None

    def log(self) -> None:
        """Write a line of metrics."""
        self._check_losses()
        ceiling = self.criterion.ceiling
        level = 1.0 if ceiling is None else ceiling.level().item()
        with self._writing() if self.processes.first else contextlib.nullcontext():
            self.log_file.write_line(self.step, self.scheduler.get_last_lr()[0], level)

    def save_monitor_picture(self) -> None:
        """Stylise the monitor photograph and put it beside photograph and painting."""
        self._check_losses()
        self._estimate_statistics()
        if not self.processes.first:
            return
        result = Stylizer(self.network, compute=self.compute).stylize(self.monitor_content_image)
        picture = side_by_side([self.monitor_content_image, self.style_image, result])
        with self._writing():
            save_png(picture, self.folder / f"monitor_{self.step:06d}.png")

    def _estimate_statistics(self) -> None:
        with self.compute.autocast():
            estimate_statistics(self.network, self.calibration_batches())

    def save_checkpoint(self) -> None:
        """Write ``step_NNNNNN.pth``, which both training and inference take, and remove what is not to be kept.

        Raises:
            UserError: when a loss or a weight is not finite, or the file cannot be written.
        """
        self._check_losses()
        self._estimate_statistics()
        self._check_weights()
        criterion, ceiling = self.criterion, self.criterion.ceiling
        training = {
            "identity": self._identity,
            "step": self.step,
            "position": self.stream.position,
            "unreadable": dict(self.unreadable),
            "optimizer": self.optimizer.state_dict(),
            "scheduler": self.scheduler.state_dict(),
            "scaler": self.scaler.state_dict(),
            "loss_scales": dataclasses.asdict(criterion.scales),
            "log_level": None if ceiling is None else ceiling.log_level.item(),
            "random_state": torch.get_rng_state(),
        }
        path = self.folder / checkpoint_name(self.step)
        if self.processes.first:
            with self._writing():
                save_checkpoint(path, Checkpoint(self.network, self._provenance(), training))
            if self.config.keep_checkpoints:
                remove_checkpoints(checkpoints(self.folder)[: -self.config.keep_checkpoints])
        self._last_checkpoint = path

    def agree_to_stop(self, interrupted: bool) -> bool:
        """Whether any process was interrupted, so that all stop after the same step."""
        on_cpu = self.compute.device.type == "cpu"
        if self.processes.count > 1 and not on_cpu and self.step % self.config.log_every_steps:
            return False  # asking the others waits for the GPU
        return self.processes.any(interrupted)

    def _restore(self, training: dict) -> int:
        self.optimizer.load_state_dict(training["optimizer"])
        if training["scaler"] and self.scaler.is_enabled():  # another precision may have been asked for
            self.scaler.load_state_dict(training["scaler"])
        if self.criterion.ceiling is not None and training["log_level"] is not None:
            self.criterion.ceiling.log_level.fill_(training["log_level"])
        torch.set_rng_state(training["random_state"])
        known = self.scheduler.state_dict().keys()  # it would take any other name for an attribute
        self.scheduler.load_state_dict({k: v for k, v in training["scheduler"].items() if k in known})
        if self.scheduler.T_max != self.total_steps or self.scheduler.base_lrs != [self.config.lr]:
            # Another length or rate was asked for: go on along the new cosine from here.
            self.scheduler.T_max, self.scheduler.base_lrs = self.total_steps, [self.config.lr]
            (lr,) = self.scheduler._get_closed_form_lr()
            self.optimizer.param_groups[0]["lr"] = self.scheduler._last_lr[0] = lr
        self.optimizer.param_groups[0]["weight_decay"] = self.config.weight_decay
        return training["step"]

    def _provenance(self) -> dict:
        settings, ceiling = dataclasses.asdict(self.config), self.criterion.ceiling
        return {
            "style": Path(self.config.style_image).name,
            "started_from": self._started_from,
            "style_level": 1.0 if ceiling is None else ceiling.level().item(),
            "loss_scales": dataclasses.asdict(self.criterion.scales),
            "step": self.step,
            "total_steps": self.total_steps,
            "settings": settings,
            "precision": str(self.compute.dtype).removeprefix("torch."),
            "loss_network": f"VGG-19, weights {self._identity['loss_network']}",
            "photographs": len(self.dataset),
            "processes": self.processes.count,
            "versions": {
                "python": platform.python_version(),
                **{name: importlib.metadata.version(name) for name in ("torch", "pillow", "numpy")},
            },
        }

    def say_how_to_resume(self, reason: str) -> None:
        """Print the command that takes the training up again."""
        path = shlex.quote(str(self._last_checkpoint))
        self.log_file.message(
            f"Stopped by {reason} after step {self.step}; to resume: python begin_training.py --checkpoint_path {path}"
        )

    # -- the end ----------------------------------------------------------------------------------------------------

    def save_results(self) -> None:
        """Write the last checkpoint, the final model, the filmstrip and the plot."""
        path = self.folder / checkpoint_name(self.step)
        if self.processes.any(self._last_checkpoint != path or self.processes.first and not path.exists()):
            self.save_checkpoint()
        if not self.processes.first:
            return
        with self._writing():
            self._write_pictures()
            # Last, since it says that the training is finished: one that is killed before writes the rest again.
            self._write_model()
        message = self.log_file.message
        if self.unreadable:
            message(f"{len(self.unreadable)} of {len(self.dataset)} photographs could not be read and were skipped")
        message(f"Wrote {self.result_path}; to use it: python begin_inference.py --model_path {self.result_path}")

    def _write_model(self) -> None:
        provenance = self._provenance()
        # A model is passed on to others, who have no use for the names of folders.
        for name in _PATHS:
            if provenance["settings"][name] is not None:
                provenance["settings"][name] = Path(provenance["settings"][name]).name
        save_checkpoint(self.result_path, Checkpoint(self.network, provenance))

    def _write_pictures(self) -> None:
        results = []
        for picture in by_step(self.folder, "monitor_", ".png") if self.monitor_content_image else ():
            with contextlib.suppress(OSError), Image.open(picture) as image:  # passing over one that was damaged
                results.append(_last_third(image, self.monitor_content_image))
        if results:
            save_png(filmstrip(results), self.folder / "filmstrip.png")
        if not plot_losses(self.folder / "metrics.jsonl", self.folder / "losses.png"):
            self.log_file.message(
                "No plot of the losses: matplotlib is not installed (pip install -r requirements-extra.txt)"
            )

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        try:
            if exception[0] is None:
                self.processes.wait()  # the first one is still writing, and the others would break its connections
        finally:
            self._close()

    def _close(self) -> None:
        if self.stream is not None:
            self.stream.close()
        if self.log_file is not None:
            self.log_file.close()
        if self._lock is not None:
            self._lock.release()
        self.processes.leave()


def _summary(checkpoint: Checkpoint) -> dict:
    """What a model says of itself to those that are begun from it."""
    names = ("style", "step", "loss_network", "started_from")
    return {name: checkpoint.provenance.get(name) for name in names}


def _last_third(monitor: Image.Image, photograph: Image.Image) -> Image.Image:
    """The result out of a monitor picture: as wide as the photograph is at the picture's height."""
    width = max(1, round(photograph.width * monitor.height / photograph.height))
    return monitor.crop((monitor.width - width, 0, monitor.width, monitor.height)).convert("RGB")


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]
