"""Run a training: what happens between its steps, and what it leaves behind."""

import contextlib
import dataclasses
import importlib.metadata
import itertools
import math
import platform
import time
import warnings
from pathlib import Path

import torch
from PIL import Image

from config import TrainingConfig
from data.loader import PhotographStream
from imaging.sheets import filmstrip, side_by_side
from imaging.writing import save_png
from inference.stylizer import Stylizer
from losses.perceptual import Losses
from losses.temporal import Views
from models.checkpoints import Checkpoint, load_checkpoint, save_checkpoint
from models.multi_style import MultiStyleNet
from models.styles import merged
from training.batch_norm import estimate_statistics
from training.build import ENOUGH_STEPS, build_training, read_picture, strange_weights
from training.compilation import NotCompiled, compile_step, should_compile
from training.folder import TrainingFolder, by_step, is_model_of, training_folder
from training.gallery import find_style_images, training_name
from training.learnable import check_pictures, check_weights
from training.log import NonFiniteLoss, TrainingLog, plot_losses
from training.resume import state_of, take_up
from utils.device import default_num_workers, resolve_compute
from utils.errors import UserError
from utils.processes import Processes
from utils.settings import command_line, validate

FIRST_MONITOR_STEP = 50
"""Steps after which the first monitor picture is there, where --monitor_every_steps would have one later."""

SAME = 0.01
"""Differences between stylized photographs, in those between the photographs, below which a network has collapsed.

One with random weights has 0.07, which grows from the first steps on; at learning rates of 1 to 10,000 it was 0 to
0.002, or all was black and white, see :data:`SATURATED`.
"""

SATURATED = 0.99
"""Share of the values at either end of [0, 255] from which on a network has collapsed: it has no gradient any more."""

_PATHS = (
    "style_image", "dataset_dir", "training_monitor_content_image", "output_dir", "checkpoint_path", "vgg_weights",
    "start_from",
)  # fmt: skip

MOST_MONITORED = 4
"""Styles of several that the monitor picture shows, the first."""


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
            config = validate(config)
            config = dataclasses.replace(config, style_image=find_style_images(config.style_image))
            config, given, checkpoint, path = take_up(config, given)
            if checkpoint is None:
                check_weights(config)
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
                self.monitor_content_image = read_picture(
                    config, "training_monitor_content_image", config.training_monitor_content_image
                )
            self.training = training = build_training(config, given, checkpoint, processes)
            if checkpoint is None:
                check_pictures(training)
            self.config = training.config
            taken.callback(lambda: setattr(training, "forward", training.network))  # see Processes.leave
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
                training.styles,
                processes.mean,
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
        what = training_name(config) + (f", {len(training.styles)} styles," if len(training.styles) > 1 else "")
        message(f"Training {what} on {training.compute.describe()}{several}, {workers} reading processes")
        if sample and config.style_image == TrainingConfig.style_image:
            message(f"That is the sample {config.style_image[0]}: --style_image names the painting to learn from")
        message(training.why + (f"; resumed after step {training.step}" if training.step else ""))
        if training.total_steps < ENOUGH_STEPS and config.start_from is None:
            message(f"That is little: {ENOUGH_STEPS} steps give a good picture")
        strange = strange_weights(config)
        if strange and not training.step:
            warnings.warn(strange, stacklevel=2)

    def _compile(self) -> None:
        message, training = self.log_file.message, self.training
        message("Compiling the training step with torch.compile, about a minute")
        start, photographs = time.monotonic(), next(training.calibration_batches())[: self.config.batch_size]
        try:
            training.forward, training.criterion = compile_step(
                training.network,
                training.objective,
                *training.batch_of(photographs, step=1),
                training.compute.autocast(),
            )
        except NotCompiled as error:
            message(f"torch.compile does not work here ({error}): training goes on without, only slower")
        else:
            message(f"Compiled in {time.monotonic() - start:.0f} s")

    # -- during the loop --------------------------------------------------------------------------------------------

    def next_batch(self) -> tuple[tuple[torch.Tensor, ...], Views | None]:
        """The next batch, see :meth:`training.build.Training.batch_of`.

        Raises:
            UserError: when there are none to be had. What was trained so far has been saved then.
        """
        unreadable = self.training.photographs.unreadable
        known = len(unreadable)
        try:
            return self.training.batch_of(self.training.to_device(next(self.stream)), self.training.step + 1)
        except UserError as error:
            for index in list(unreadable)[known:]:
                del unreadable[index]  # they may be there again when the training is resumed
            raise UserError(f"{error}; {self._rescued()}") from None

    def _rescued(self) -> str:
        """Save what was trained so far, if that can be, and say where to resume."""
        path = self.folder.checkpoint(self.training.step)
        if self.processes.count == 1 and self.training.step and self.folder.last_checkpoint != path:
            try:  # several processes would have to come here together
                self.save_checkpoint()
            except UserError as error:
                return f"and what was trained since the last checkpoint could not be saved ({error})"
        return self.folder.where_to_resume()

    def finish_step(self, step: int, losses: Losses) -> None:
        """Take note of a step that was run.

        Raises:
            UserError: when a loss is not finite.
        """
        self.training.step = step
        self.log_file.add(step, losses)
        if self.training.compute.device.type == "cpu":  # nothing to wait for: look at every step
            self._check_losses()

    def _check_losses(self) -> None:
        try:
            self.log_file.flush()
        except NonFiniteLoss as error:
            raise self._diverged(str(error)) from None

    def _check_state(self) -> None:
        """Refuse to go on with what is broken, as soon as it can be seen without waiting for the GPU once more."""
        self._check_losses()
        # A finite loss can have a gradient that is not, and finite weights can have statistics or a second moment that
        # are not: a checkpoint of them would be refused when it is needed.
        device = self.training.compute.device
        moments = (value for state in self.training.optimizer.state.values() for value in state.values())
        values = (*self.training.network.state_dict().values(), *moments)
        finite = [value.to(device).isfinite().all() for value in values]
        if not torch.stack(finite).all():
            raise self._diverged(f"the weights are not finite after step {self.training.step}")

    @torch.no_grad()
    def _check_network(self) -> None:
        """Refuse a network that has collapsed: it gives every photograph the same picture, or black and white alone."""
        network, batches = self.training.network, self.training.calibration_batches()
        content_images = torch.cat(list(itertools.islice(batches, 2)))
        with self.training.compute.autocast():
            stylized = network.eval()(content_images, *[0] * isinstance(network, MultiStyleNet)).float()
        network.train()
        before, after = ((images.amax(0) - images.amin(0)).mean() for images in (content_images, stylized))
        saturated = ((stylized - 127.5).abs() > 127).float().mean()
        if after < SAME * before or saturated > SATURATED:
            raise self._diverged(
                f"the network has collapsed by step {self.training.step}: it paints the same for every photograph"
            )

    def _diverged(self, what: str) -> UserError:
        return UserError(
            f"training stopped: {what}. Nothing was saved from it; {self.folder.where_to_resume()}, with a lower --lr "
            "or in --precision float32"
        )

    def log(self) -> None:
        """Write a line of metrics, of a training that is sound."""
        self._check_state()
        levels = self.training.objective.ceiling.level().tolist()
        with self.folder.writing() if self.processes.first else contextlib.nullcontext():
            self.log_file.write_line(self.training.step, self.training.scheduler.get_last_lr()[0], levels)

    def is_monitor_step(self, step: int) -> bool:
        """Whether a monitor picture is due: early ones after 50, 100, 200, ... steps, later ones by the setting."""
        every, early = self.config.monitor_every_steps, step / FIRST_MONITOR_STEP
        if not every:
            return False
        is_early = step < every and early >= 1 and math.log2(early).is_integer()
        return is_early or step % every == 0 or step == self.training.total_steps

    def save_monitor_picture(self) -> None:
        """Stylize the monitor picture and put it beside content image and style image."""
        self._check_losses()
        self._estimate_statistics()
        if not self.processes.first:
            return
        training, pictures = self.training, [self.monitor_content_image]
        for number in range(min(len(training.styles), MOST_MONITORED)):
            several = isinstance(training.network, MultiStyleNet)
            network = training.network.for_style(number) if several else training.network
            result = Stylizer(network, compute=training.compute).stylize(self.monitor_content_image)
            pictures += [training.style_images[number], result]
        with self.folder.writing():
            save_png(side_by_side(pictures), self.folder.path / f"monitor_{self.training.step:06d}.png")

    def _estimate_statistics(self) -> None:
        if self.training.network.norm != "batch":  # mixed norm is trained with the statistics that it keeps
            return
        with self.training.compute.autocast():
            estimate_statistics(self.training.network, self.training.calibration_batches())

    def save_checkpoint(self) -> None:
        """Write ``step_NNNNNN.pth``, which both training and inference take, and remove what is not to be kept.

        Raises:
            UserError: when a loss or a weight is not finite, the network has collapsed, or the file cannot be written.
        """
        self._check_state()
        self._estimate_statistics()
        self._check_network()
        path = self.folder.checkpoint(self.training.step)
        state = state_of(self.training, self.stream.position)
        if self.processes.first:
            with self.folder.writing():
                save_checkpoint(path, Checkpoint(self.training.network, self._provenance(), state))
            if self.config.keep_checkpoints:
                self.folder.keep_newest(self.config.keep_checkpoints)
        self.folder.last_checkpoint = path

    def agree_to_stop(self, interrupted: bool) -> bool:
        """Whether any process was interrupted, so that all stop after the same step."""
        on_cpu = self.training.compute.device.type == "cpu"
        if self.processes.count > 1 and not on_cpu and self.training.step % self.config.log_every_steps:
            return False  # asking the others waits for the GPU
        return self.processes.any(interrupted)

    def _provenance(self) -> dict:
        names = [Path(path).name for path in self.config.style_image]
        levels = self.training.objective.ceiling.level().tolist()
        return {
            "style": names if len(names) > 1 else names[0],
            "started_from": self.training.started_from,
            "style_level": levels if len(levels) > 1 else levels[0],
            "loss_scales": self.training.objective.scales(),
            "step": self.training.step,
            "total_steps": self.training.total_steps,
            "settings": dataclasses.asdict(self.config),
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
        path = self.folder.checkpoint(self.training.step)
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
            value = provenance["settings"][name]
            if value is not None:
                shorter = tuple(Path(path).name for path in value) if isinstance(value, tuple) else Path(value).name
                provenance["settings"][name] = shorter
        model = Checkpoint(self.training.network, provenance)
        if self.config.train == "norms":
            model.network.cpu()
            begun = load_checkpoint(self.config.start_from, "--start_from")
            model = merged([(begun, begun.styles(self.config.start_from)), (model, self.training.styles)])
        save_checkpoint(self.folder.result_path, model)

    def _write_pictures(self) -> None:
        results = []
        for picture in by_step(self.folder.path, "monitor_", ".png") if self.monitor_content_image else ():
            with contextlib.suppress(OSError), Image.open(picture) as image:  # passing over one that was damaged
                results.append(_last_third(image, self.monitor_content_image))
        if results:
            save_png(filmstrip(results), self.folder.path / "filmstrip.png")
        plot_losses(self.folder.path / "metrics.jsonl", self.folder.path / "losses.png")

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        with self._taken:
            if exception[0] is None:
                self.processes.wait()  # the first one is still writing, and the others would break its connections


def _last_third(monitor: Image.Image, content_image: Image.Image) -> Image.Image:
    """The result out of a monitor picture: as wide as the content image is at the picture's height."""
    width = max(1, round(content_image.width * monitor.height / content_image.height))
    return monitor.crop((monitor.width - width, 0, monitor.width, monitor.height)).convert("RGB")
