"""Run a training: what happens between its steps, and what it leaves behind."""

import contextlib
import dataclasses
import importlib.metadata
import platform
import time
from pathlib import Path

import torch
from PIL import Image

from config import TrainingConfig
from data.loader import PhotographStream
from imaging.sheets import filmstrip, side_by_side
from imaging.writing import save_png
from inference.stylizer import Stylizer
from losses.perceptual import Losses
from models.checkpoints import Checkpoint, save_checkpoint
from training.batch_norm import estimate_statistics
from training.build import build_training, read_picture
from training.compilation import NotCompiled, compile_step, should_compile
from training.folder import (
    TrainingFolder,
    by_step,
    checkpoint_name,
    checkpoints,
    is_model_of,
    remove_checkpoints,
    training_folder,
)
from training.log import NonFiniteLoss, TrainingLog, plot_losses
from training.resume import state_of, take_up
from utils.device import default_num_workers, resolve_compute
from utils.errors import UserError
from utils.processes import Processes
from utils.settings import command_line, validate

ENOUGH_STEPS = 2000
"""Steps after which most style images look right; a training that is planned shorter says so."""

_PATHS = (
    "style_image", "dataset_dir", "training_monitor_content_image", "output_dir", "checkpoint_path", "vgg_weights",
    "start_from",
)  # fmt: skip


class TrainingRun:
    """A training that runs: its parts, the photographs on their way to it, its log and its folder.

    Several processes started by torchrun train as one would with their batches put together; the first of them writes.

    Used as a context manager: leaving it stops the reading processes, closes the progress bar, and gives the folder
    free.

    Args:
        config, given: as in ``begin_training.train``.

    Attributes:
        training: the parts, see :class:`training.build.Training`.

    Raises:
        UserError: naming the flag or file at fault; nothing has been written or replaced then.
    """

    def __init__(self, config: TrainingConfig, given: frozenset[str] = frozenset()):
        with contextlib.ExitStack() as taken:
            config, given, checkpoint, path = take_up(validate(config), given)
            if config.compile == "on" and Processes.expected() > 1:
                raise UserError("--compile on does not work in several processes: leave it out")
            device = resolve_compute(config.device, config.precision, Processes.local_rank()).device
            self.processes = processes = Processes.join(device)
            taken.callback(processes.leave)
            goes_on = path is not None and path.parent.resolve() == training_folder(config).resolve()
            self.folder = TrainingFolder(config, checkpoint.training["step"] if goes_on else None, processes.first)
            taken.callback(self.folder.release)
            self.folder.last_checkpoint = path

            self.monitor_content_image = None
            if config.monitor_every_steps:  # first, for it is quick to read, and what people mistype
                self.monitor_content_image = read_picture(config, "training_monitor_content_image")
            self.training = training = build_training(config, given, checkpoint, processes)
            self.config = training.config
            self._refuse_if_finished()

            workers = default_num_workers(device) if config.num_workers is None else config.num_workers
            self.stream = PhotographStream(
                training.photographs, config.batch_size, training.position, workers, device.type == "cuda",
                processes.rank, processes.count,
            )  # fmt: skip
            taken.callback(self.stream.close)
            if processes.first:
                self.folder.hold()
            self.log_file = TrainingLog(
                self.folder.path / "metrics.jsonl" if processes.first else None,
                training.step,
                training.total_steps,
                config.batch_size * processes.count,
            )
            taken.callback(self.log_file.close)
            self._say_what_begins(workers, sample=checkpoint is None and "style_image" not in given)
            if config.compile == "on" or (
                config.compile == "auto"
                and should_compile(device, training.total_steps - training.step, processes.count)
            ):
                self._compile()
            self._taken = taken.pop_all()

    def _refuse_if_finished(self) -> None:
        step, total, config = self.training.step, self.training.total_steps, self.config
        # A run that was killed between its last step and its results has only those left to write.
        finished = step == total and not (config.overwrite or config.resume)
        if finished and is_model_of(self.folder.result_path, self.training.network) or step > total:
            raise UserError(
                f"--checkpoint_path {config.checkpoint_path} has finished its {total} steps: give a larger "
                "--total_steps and --num_epochs to train on"
            )

    def _say_what_begins(self, workers: int, sample: bool) -> None:
        message, training, config, count = self.log_file.message, self.training, self.config, self.processes.count
        several = f", {count} processes" if count > 1 else ""
        style = Path(config.style_image).stem
        message(f"Training {style} on {training.compute.describe()}{several}, {workers} reading processes")
        if sample and config.style_image == TrainingConfig.style_image:
            message(f"That is the sample {config.style_image}: --style_image names the painting to learn from")
        message(training.why + (f"; resumed after step {training.step}" if training.step else ""))
        if training.total_steps < ENOUGH_STEPS:
            epochs = -(-ENOUGH_STEPS * config.batch_size * count // len(training.photographs))
            message(
                f"That is little: {ENOUGH_STEPS} steps give a good picture, --num_epochs {epochs} and --total_steps "
                f"{max(ENOUGH_STEPS, config.total_steps)} would run them"
            )
        scales = training.criterion.scales
        numbers = ", ".join(f"{value:.4g}" for value in scales.style)
        variation = f"total variation {scales.total_variation:.4g}"
        message(f"Divisors: content {scales.content:.4g}; style {numbers}; {variation}")

    def _compile(self) -> None:
        message, training = self.log_file.message, self.training
        message("Compiling the training step with torch.compile, about a minute")
        start, batch = time.monotonic(), next(training.calibration_batches())[: self.config.batch_size]
        try:
            training.forward, training.criterion = compile_step(
                training.network, training.criterion, batch, training.compute.autocast()
            )
        except NotCompiled as error:
            message(f"torch.compile does not work here ({error}): training goes on without, only slower")
        else:
            message(f"Compiled in {time.monotonic() - start:.0f} s")

    # -- during the loop --------------------------------------------------------------------------------------------

    def next_batch(self) -> torch.Tensor:
        """The next photographs: N x 3 x H x W, float, RGB in [0, 255], on the device.

        Raises:
            UserError: when there are none to be had. What was trained so far has been saved then.
        """
        unreadable, step = self.training.photographs.unreadable, self.training.step
        known = len(unreadable)
        try:
            return self.training.to_device(next(self.stream))
        except UserError as error:
            for index in list(unreadable)[known:]:
                del unreadable[index]  # they may be there again when the training is resumed
            last = self.folder.last_checkpoint
            alone = self.processes.count == 1  # several would have to come here together
            if alone and step and (last is None or last.name != checkpoint_name(step)):
                self.save_checkpoint()
            raise UserError(f"{error}; {self.folder.where_to_resume()}") from None

    def finish_step(self, step: int, losses: Losses) -> None:
        """Take note of a step that was run.

        Raises:
            UserError: when a loss is not finite.
        """
        self.training.step = step
        mean = self.processes.mean
        self.log_file.add(step, dataclasses.replace(losses, raw=mean(losses.raw), weighted=mean(losses.weighted)))
        if self.training.compute.device.type == "cpu":  # nothing to wait for: look at every step
            self._check_losses()

    def _check_losses(self) -> None:
        try:
            self.log_file.flush()
        except NonFiniteLoss as error:
            raise self._diverged(str(error)) from None

    def _check_weights(self) -> None:
        # A finite loss can have a gradient that is not, and finite weights can have statistics or a second moment that
        # are not: a checkpoint of them would be refused when it is needed.
        moments = (value for state in self.training.optimizer.state.values() for value in state.values())
        if not all(value.isfinite().all() for value in (*self.training.network.state_dict().values(), *moments)):
            raise self._diverged(f"the weights are not finite after step {self.training.step}")

    def _diverged(self, what: str) -> UserError:
        return UserError(
            f"training stopped: {what}. Nothing was saved from it; {self.folder.where_to_resume()}, with a lower --lr "
            "or in --precision float32"
        )

    def log(self) -> None:
        """Write a line of metrics."""
        self._check_losses()
        ceiling = self.training.criterion.ceiling
        level = 1.0 if ceiling is None else ceiling.level().item()
        with self.folder.writing() if self.processes.first else contextlib.nullcontext():
            self.log_file.write_line(self.training.step, self.training.scheduler.get_last_lr()[0], level)

    def save_monitor_picture(self) -> None:
        """Stylise the monitor photograph and put it beside photograph and painting."""
        self._check_losses()
        self._estimate_statistics()
        if not self.processes.first:
            return
        result = Stylizer(self.training.network, compute=self.training.compute).stylize(self.monitor_content_image)
        picture = side_by_side([self.monitor_content_image, self.training.style_image, result])
        with self.folder.writing():
            save_png(picture, self.folder.path / f"monitor_{self.training.step:06d}.png")

    def _estimate_statistics(self) -> None:
        with self.training.compute.autocast():
            estimate_statistics(self.training.network, self.training.calibration_batches())

    def save_checkpoint(self) -> None:
        """Write ``step_NNNNNN.pth``, which both training and inference take, and remove what is not to be kept.

        Raises:
            UserError: when a loss or a weight is not finite, or the file cannot be written.
        """
        self._check_losses()
        self._estimate_statistics()
        self._check_weights()
        path = self.folder.path / checkpoint_name(self.training.step)
        state = state_of(self.training, self.stream.position)
        if self.processes.first:
            with self.folder.writing():
                save_checkpoint(path, Checkpoint(self.training.network, self._provenance(), state))
            if self.config.keep_checkpoints:
                remove_checkpoints(checkpoints(self.folder.path)[: -self.config.keep_checkpoints])
        self.folder.last_checkpoint = path

    def agree_to_stop(self, interrupted: bool) -> bool:
        """Whether any process was interrupted, so that all stop after the same step."""
        on_cpu = self.training.compute.device.type == "cpu"
        if self.processes.count > 1 and not on_cpu and self.training.step % self.config.log_every_steps:
            return False  # asking the others waits for the GPU
        return self.processes.any(interrupted)

    def _provenance(self) -> dict:
        settings, ceiling = dataclasses.asdict(self.config), self.training.criterion.ceiling
        return {
            "style": Path(self.config.style_image).name,
            "started_from": self.training.started_from,
            "style_level": 1.0 if ceiling is None else ceiling.level().item(),
            "loss_scales": dataclasses.asdict(self.training.criterion.scales),
            "step": self.training.step,
            "total_steps": self.training.total_steps,
            "settings": settings,
            "precision": str(self.training.compute.dtype).removeprefix("torch."),
            "loss_network": f"VGG-19, weights {self.training.identity['loss_network']}",
            "photographs": len(self.training.photographs),
            "processes": self.processes.count,
            "versions": {
                "python": platform.python_version(),
                **{name: importlib.metadata.version(name) for name in ("torch", "pillow", "numpy")},
            },
        }

    def say_how_to_resume(self, reason: str) -> None:
        """Print the command that takes the training up again."""
        command = command_line("begin_training.py", "--checkpoint_path", self.folder.last_checkpoint)
        self.log_file.message(f"Stopped by {reason} after step {self.training.step}; to resume: {command}")

    # -- the end ----------------------------------------------------------------------------------------------------

    def save_results(self) -> None:
        """Write the last checkpoint, the final model, the filmstrip and the plot."""
        path = self.folder.path / checkpoint_name(self.training.step)
        if self.processes.any(self.folder.last_checkpoint != path or self.processes.first and not path.exists()):
            self.save_checkpoint()
        if not self.processes.first:
            return
        with self.folder.writing():
            self._write_pictures()
            # Last, since it says that the training is finished: one that is killed before writes the rest again.
            self._write_model()
        unreadable, photographs = len(self.training.photographs.unreadable), len(self.training.photographs)
        if unreadable:
            self.log_file.message(f"{unreadable} of {photographs} photographs could not be read and were skipped")
        path = self.folder.result_path
        command = command_line("begin_inference.py", "--model_path", path)
        self.log_file.message(f"Wrote {path}; to use it: {command}")

    def _write_model(self) -> None:
        provenance = self._provenance()
        # A model is passed on to others, who have no use for the names of folders.
        for name in _PATHS:
            if provenance["settings"][name] is not None:
                provenance["settings"][name] = Path(provenance["settings"][name]).name
        save_checkpoint(self.folder.result_path, Checkpoint(self.training.network, provenance))

    def _write_pictures(self) -> None:
        results = []
        for picture in by_step(self.folder.path, "monitor_", ".png") if self.monitor_content_image else ():
            with contextlib.suppress(OSError), Image.open(picture) as image:  # passing over one that was damaged
                results.append(_last_third(image, self.monitor_content_image))
        if results:
            save_png(filmstrip(results), self.folder.path / "filmstrip.png")
        if not plot_losses(self.folder.path / "metrics.jsonl", self.folder.path / "losses.png"):
            self.log_file.message(
                "No plot of the losses: matplotlib is not installed (pip install -r requirements-extra.txt)"
            )

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        with self._taken:
            if exception[0] is None:
                self.processes.wait()  # the first one is still writing, and the others would break its connections


def _last_third(monitor: Image.Image, photograph: Image.Image) -> Image.Image:
    """The result out of a monitor picture: as wide as the photograph is at the picture's height."""
    width = max(1, round(photograph.width * monitor.height / photograph.height))
    return monitor.crop((monitor.width - width, 0, monitor.width, monitor.height)).convert("RGB")
