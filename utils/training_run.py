"""Everything around the training loop: what it starts from, what it leaves behind, and how it is taken up again."""

import contextlib
import dataclasses
import hashlib
import importlib.metadata
import os
import platform
import re
import shlex
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import torch
from PIL import Image
from torch.optim.lr_scheduler import CosineAnnealingLR

from config import TrainingConfig
from data.errors import UserError
from data.images import picture_batch, read_image
from data.loader import PhotographStream
from data.photographs import PhotographDataset, open_photographs
from losses.perceptual import ContentCeiling, Losses, LossScales, PerceptualLoss, content_ceiling, style_grams
from models.transformer_net import TransformerNet
from utils.batch_norm import estimate_statistics
from utils.checkpoints import Checkpoint, load_checkpoint, save_checkpoint
from utils.compilation import NotCompiled, compile_step, pays
from utils.device import default_num_workers, keep_freed_memory, resolve_compute
from utils.files import remove_unfinished
from utils.folder_lock import FolderLock
from utils.loss_network import load_vgg19
from utils.processes import Processes
from utils.progress import NonFiniteLoss, TrainingLog, filmstrip, plot_losses, save_png, side_by_side
from utils.resuming import check_training
from utils.settings import validate
from utils.stylizer import Stylizer

ENOUGH_STEPS = 2000
"""Steps after which most paintings look right; a training that is planned shorter says so."""

CALIBRATION_PHOTOGRAPHS = 64
"""Photographs on which loss scales and batch-norm statistics are measured: the same ones throughout a run."""

SMALLEST_PAINTING = 16
"""Pixels of a painting's short side; the deepest features look at as many."""

# What a run is made of: a resumed run cannot have another.
_FIXED = ("loss_scale", "norm", "upsample", "image_size", "style_size", "batch_size", "seed")
# What says how to resume, rather than what to train.
_NOT_RESTORED = ("checkpoint_path", "resume", "overwrite")
_PATHS = (
    "style_image", "dataset_dir", "training_monitor_content_image", "output_dir", "checkpoint_path", "vgg_weights",
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
            config, given = _as_resumed(config, given)
        checkpoint = checkpoint_path = None
        if config.checkpoint_path is not None:
            checkpoint_path = _newest_checkpoint(Path(config.checkpoint_path))
            checkpoint = load_checkpoint(checkpoint_path, "--checkpoint_path")
            if checkpoint.training is None:
                raise UserError(
                    f"--checkpoint_path {checkpoint_path} is a final model, without what resuming needs: give one of "
                    "the step_NNNNNN.pth files of its _training folder"
                )
            check_training(checkpoint, f"--checkpoint_path {checkpoint_path}")
            config = _restore_settings(config, given, checkpoint, checkpoint_path)
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
        self.folder, self.result_path = _folder(config), Path(config.output_dir, f"{style_name}.pth")
        _refuse_to_leave(config.output_dir, self.folder)
        goes_on = checkpoint is not None and checkpoint_path.parent.resolve() == self.folder.resolve()
        kept_step = checkpoint.training["step"] if goes_on else None  # up to which the folder's files are this run's
        if processes.first:
            self._lock = FolderLock(self.folder)
            _refuse_to_replace(self.folder, self.result_path, kept_step, config.overwrite)

        # The pictures first: they are quick to read, and what people mistype.
        self.painting = read_image(config.style_image, max_pixels=config.max_pixels)
        width, height = self.painting.size
        if min(width, height) < SMALLEST_PAINTING or max(width, height) > 64 * min(width, height):
            raise UserError(
                f"--style_image {config.style_image} is {width} x {height} pixels, too small or too narrow to learn a "
                f"style from: give a picture with sides of at least {SMALLEST_PAINTING}, or crop it"
            )
        painting = picture_batch(self.painting, config.style_size or config.image_size)
        self.monitor_photograph = None
        if config.monitor_every_steps:
            self.monitor_photograph = read_image(config.training_monitor_content_image, max_pixels=config.max_pixels)
        paths, names = open_photographs(config.dataset_dir, config.image_size)
        self.dataset = PhotographDataset(paths, config.image_size, config.seed, config.max_pixels)
        self.total_steps, why = planned_steps(config, len(paths), processes.count)
        identity = {
            "style": _digest(painting.byte().numpy().tobytes()),
            "processes": processes.count,
            "photographs": len(paths),
            "photograph_names": _digest("\0".join(names).encode("utf-8", "surrogateescape")),
        }

        vgg = load_vgg19(config.vgg_weights, device, self.compute.dtype)
        identity["loss_network"] = vgg.fingerprint
        if checkpoint is not None:
            _check_identity(checkpoint.training["identity"], identity, given)

        self.unreadable = {}  # by their number among the photographs
        if checkpoint is not None and _photographs_of(checkpoint.training["identity"]) == _photographs_of(identity):
            self.unreadable = dict(checkpoint.training["unreadable"])
        self.calibration = self._read_calibration_photographs()
        grams = style_grams(vgg, painting.to(device))
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
            vgg, grams, config.image_size, *weights, scales, ceiling, mean_over_processes=processes.mean
        ).to(device)

        torch.manual_seed(config.seed)
        network = TransformerNet(config.norm, config.upsample) if checkpoint is None else checkpoint.network
        self.network = processes.prepare(network.to(device, memory_format=torch.channels_last)).train()
        self.forward = self.network  # what a step calls: torch.compile puts its own in this place
        self.optimizer = torch.optim.Adam(
            self.network.parameters(), config.lr, weight_decay=config.weight_decay, fused=device.type in ("cpu", "cuda")
        )
        self.scheduler = CosineAnnealingLR(self.optimizer, self.total_steps)
        self.scaler = torch.amp.GradScaler(device.type, enabled=self.compute.dtype == torch.float16)
        self.step, position = 0, 0
        self._identity = identity
        self._last_checkpoint: Path | None = None
        if checkpoint is not None:
            self.step, position = self._restore(checkpoint.training), checkpoint.training["position"]
            self._last_checkpoint = checkpoint_path
        # A run that was killed between its last step and its results has only those left to write.
        finished = self.step == self.total_steps and not (config.overwrite or config.resume)
        if finished and _is_model_of(self.result_path, self.network) or self.step > self.total_steps:
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
            _refuse_to_replace(self.folder, self.result_path, kept_step, config.overwrite)
            remove_unfinished(self.folder)
            remove_unfinished(self.result_path.parent, self.result_path.name)
            _clear(self.folder, kept_step)
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
            config.compile == "auto" and pays(device, self.total_steps - self.step, processes.count)
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
            if alone and self.step and (last is None or last.name != _checkpoint_name(self.step)):
                self.save_checkpoint()
            raise UserError(f"{error}; {self._where_to_resume()}") from None

    def _to_device(self, batch: torch.Tensor) -> torch.Tensor:
        # They travel as bytes, a quarter of the size, and become floats there.
        batch = batch.to(self.compute.device, non_blocking=True)
        return batch.float().contiguous(memory_format=torch.channels_last)

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
        result = Stylizer(self.network, compute=self.compute).stylise(self.monitor_photograph)
        picture = side_by_side([self.monitor_photograph, self.painting, result])
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
        path = self.folder / _checkpoint_name(self.step)
        if self.processes.first:
            with self._writing():
                save_checkpoint(path, Checkpoint(self.network, self._provenance(), training))
            if self.config.keep_checkpoints:
                _remove(_checkpoints(self.folder)[: -self.config.keep_checkpoints])
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
        path = self.folder / _checkpoint_name(self.step)
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
        for picture in _by_step(self.folder, "monitor_", ".png") if self.monitor_photograph else ():
            with contextlib.suppress(OSError), Image.open(picture) as image:  # passing over one that was damaged
                results.append(_last_third(image, self.monitor_photograph))
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


def _last_third(monitor: Image.Image, photograph: Image.Image) -> Image.Image:
    """The result out of a monitor picture: as wide as the photograph is at the picture's height."""
    width = max(1, round(photograph.width * monitor.height / photograph.height))
    return monitor.crop((monitor.width - width, 0, monitor.width, monitor.height)).convert("RGB")


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]


def _folder(config: TrainingConfig) -> Path:
    return Path(config.output_dir, f"{Path(config.style_image).stem}_training")


def _checkpoint_name(step: int) -> str:
    return f"step_{step:06d}.pth"


def _checkpoints(folder: Path) -> list[Path]:
    return _by_step(folder, "step_", ".pth")


def _by_step(folder: Path, prefix: str, suffix: str) -> list[Path]:
    """The files that are named by their step and nothing else, in its order: step_1000000 after step_999999."""
    name = re.compile(rf"{prefix}\d{{6,}}{re.escape(suffix)}")
    return sorted((path for path in folder.glob(f"{prefix}*") if name.fullmatch(path.name)), key=_step_of)


def _step_of(path: Path) -> int:
    return int(path.stem.rpartition("_")[2])


def _newest_checkpoint(path: Path) -> Path:
    """The file itself, or the checkpoint with the most steps in a folder."""
    if not os.path.isdir(path):
        return path
    found = _checkpoints(path)
    if not found:
        raise UserError(f"--checkpoint_path {path} holds no step_NNNNNN.pth to resume from")
    return found[-1]


def _as_resumed(config: TrainingConfig, given: frozenset[str]) -> tuple[TrainingConfig, frozenset[str]]:
    """What ``--resume`` means: the newest checkpoint of the training's own folder, where there is one."""
    for other in ("checkpoint_path", "overwrite"):
        if getattr(config, other):
            raise UserError(f"--resume does not go together with --{other}: leave one of them out")
    if _checkpoints(_folder(config)):
        config = dataclasses.replace(config, checkpoint_path=str(_folder(config)))
    return config, given | {"style_image", "output_dir"}  # they named the folder


def _restore_settings(
    config: TrainingConfig, given: frozenset[str], checkpoint: Checkpoint, path: Path
) -> TrainingConfig:
    """The settings of a resumed run: those on the command line, then the checkpoint's."""
    stored = checkpoint.provenance.get("settings")
    if not isinstance(stored, dict) or not all(isinstance(v, str | int | float | None) for v in stored.values()):
        raise UserError(f"--checkpoint_path {config.checkpoint_path} is damaged (no settings): give another file")
    for name in _FIXED:
        if name in given and name in stored and getattr(config, name) != stored[name]:
            raise UserError(
                f"--{name} {getattr(config, name)} differs from the {stored[name]} that {config.checkpoint_path} was "
                "trained with, and cannot change on the way: leave it out, or start a new training"
            )
    known = {field.name for field in dataclasses.fields(config)}
    taken = {k: v for k, v in stored.items() if k in known and k not in given and k not in _NOT_RESTORED}
    config = dataclasses.replace(config, **taken)
    validate(config)
    # Where a file wants its results is its maker's word: it is taken where that is the place of the file itself.
    place = _folder(config)
    if "output_dir" not in given and os.path.realpath(place) != os.path.realpath(path.parent):
        raise UserError(
            f"--checkpoint_path {path} does not lie in {place}, where its training would go on: say with --output_dir "
            "where it is to go on"
        )
    return config


def _refuse_to_leave(output_dir: str, folder: Path) -> None:
    """Refuse a training folder that is a link to somewhere else."""
    if not Path(os.path.realpath(folder)).is_relative_to(os.path.realpath(output_dir)):
        raise UserError(
            f"{folder} is a link to {os.path.realpath(folder)}, outside --output_dir {output_dir}: remove the link, or "
            "give the folder that it leads to as --output_dir"
        )


def _check_identity(before: dict, now: dict, given: frozenset[str]) -> None:
    """Refuse to resume with another painting, loss network or set of photographs under the old names."""
    if before["style"] != now["style"]:
        raise UserError("--style_image is not the picture that this training began with: give that one")
    processes = before.get("processes", 1)  # checkpoints did not always say
    if processes != now["processes"]:
        raise UserError(
            f"--checkpoint_path is of a training in {processes} processes, these are {now['processes']}: "
            "start as many with torchrun"
        )
    if before["loss_network"] != now["loss_network"]:
        raise UserError("--vgg_weights are not the weights that this training began with: give those")
    if _photographs_of(before) != _photographs_of(now):
        change = f"{before['photographs']} photographs then, {now['photographs']} now, or other names"
        if "dataset_dir" not in given:
            raise UserError(
                f"--dataset_dir is not the set of photographs that this training began with ({change}): restore it, or "
                "name the folder with --dataset_dir to go on with it as it is"
            )
        warnings.warn(f"the photographs are not those that this training began with ({change})", stacklevel=2)


def _photographs_of(identity: dict) -> tuple:
    return identity["photographs"], identity["photograph_names"]


def _is_model_of(path: Path, network: TransformerNet) -> bool:
    """Whether a file is the final model that a network leaves."""
    if not path.exists():
        return False
    found, expected = load_checkpoint(path).network.state_dict(), network.state_dict()
    return all(torch.equal(found[key].half(), value.detach().cpu().half()) for key, value in expected.items())


def _refuse_to_replace(folder: Path, result: Path, kept_step: int | None, overwrite: bool) -> None:
    """Refuse to replace unasked what a training left that is not this one: all, or all after ``kept_step``."""
    if overwrite:
        return
    found = _checkpoints(folder)
    if kept_step is not None:
        if found and _step_of(found[-1]) > kept_step:
            raise UserError(
                f"{folder} goes on to {found[-1].name}: resume from that, give another --output_dir, or add "
                f"--overwrite to remove what came after step {kept_step}"
            )
    elif found:
        raise UserError(
            f"{folder} holds an earlier training: resume it with --checkpoint_path {folder}, give another "
            "--output_dir, or add --overwrite to start again"
        )
    elif os.path.lexists(result):
        raise UserError(f"{result} exists already: give another --output_dir, or add --overwrite to replace it")


def _clear(folder: Path, kept_step: int | None) -> None:
    """Remove what another run left, or this one after ``kept_step``, so that it is not taken for what is to come."""
    found = _checkpoints(folder)[::-1] + _by_step(folder, "monitor_", ".png")
    if kept_step is None:
        found += [folder / "metrics.jsonl"]
    else:
        found = [path for path in found if _step_of(path) > kept_step]
    for path in [*found, folder / "filmstrip.png", folder / "losses.png"]:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise UserError(f"{path} cannot be removed ({error.strerror}): see to it, then start again") from None


def _remove(checkpoints: list[Path]) -> None:
    for path in checkpoints:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            warnings.warn(f"{path} cannot be removed ({error.strerror}), --keep_checkpoints or not", stacklevel=3)
