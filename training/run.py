"""Run a training: what happens between its steps, and what it leaves behind."""

import contextlib
import dataclasses
import math
import time
import warnings

import torch

from config import TrainingConfig
from data.loader import PhotographStream
from imaging.writing import save_png
from losses.perceptual import Losses
from losses.temporal import Views
from models.checkpoints import Checkpoint, load_checkpoint, save_checkpoint
from training.build import build_state, estimate_statistics
from training.folder import TrainingFolder, training_folder
from training.health import Unsound, check_network, check_numbers, check_pictures
from training.log import TrainingLog, plot_losses
from training.plan import ENOUGH_STEPS, check_weights, strange_weights
from training.results import monitor_picture, provenance, write_filmstrip, write_model
from training.resume import resume_state_of, take_up
from training.style_images import find_style_images, training_name
from utils.device import default_num_workers, resolve_compute
from utils.errors import UserError
from utils.processes import Processes
from utils.settings import command_line, validate


class TrainingRun:
    """A training that runs: its state, the photographs on their way to it, its log and its folder.

    Several processes started by torchrun train as one would with their batches put together; the first of them writes.
    Leaving it, as a context manager, gives back the reading processes, the progress bar and the folder.

    Args:
        config, given: as in ``begin_training.train``.

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
            self.folder = TrainingFolder(config, checkpoint.resume_state["step"] if goes_on else None, processes.first)
            if processes.first:
                taken.callback(self.folder.lock.release)
            self.folder.last_checkpoint = path

            self.state = state = build_state(config, given, checkpoint, processes)
            if checkpoint is None:
                check_pictures(state)
            self.config = state.config
            taken.callback(lambda: setattr(state, "forward", state.network))  # see Processes.leave
            self._refuse_if_finished()

            workers = default_num_workers(device) if config.num_workers is None else config.num_workers
            self.stream = PhotographStream(
                state.photographs, config.batch_size, state.position, workers, device.type == "cuda",
                processes.rank, processes.count,
            )  # fmt: skip
            taken.callback(self.stream.close)
            if processes.first:
                self.folder.hold()
            self.log_file = TrainingLog(
                self.folder.path / "metrics.jsonl" if processes.first else None, state.step, state.total_steps,
                config.batch_size * processes.count, state.styles,
            )  # fmt: skip
            taken.callback(self.log_file.close)
            self._say_what_begins(workers, sample=checkpoint is None and "style_image" not in given)
            if config.compile == "on":
                self.log_file.message("Compiling the training step with torch.compile, some minutes")
                start, crops = time.monotonic(), next(state.calibration_batches())[: config.batch_size]
                state.compile(*state.batch_of(crops, step=1))
                self.log_file.message(f"Compiled in {time.monotonic() - start:.0f} s")
            self._taken = taken.pop_all()

    def _refuse_if_finished(self) -> None:
        step, total, config, result = self.state.step, self.state.total_steps, self.config, self.folder.result_path
        finished = step > total
        if step == total and result.exists() and not (config.overwrite or config.resume):
            # A run that was killed between its last step and its results has only those left to write.
            found = load_checkpoint(result).network.state_dict()
            ours = self.state.network.state_dict().items()
            finished = all(torch.equal(found[key].half(), value.detach().cpu().half()) for key, value in ours)
        if finished:
            raise UserError(
                f"--checkpoint_path {config.checkpoint_path} has finished its {total} steps: give a larger "
                "--total_steps and --num_epochs to train on"
            )

    def _say_what_begins(self, workers: int, sample: bool) -> None:
        message, state, config, count = self.log_file.message, self.state, self.config, self.processes.count
        several = f", {count} processes" if count > 1 else ""
        what = training_name(config) + (f", {len(state.styles)} styles," if len(state.styles) > 1 else "")
        readers = "1 reading process" if workers == 1 else f"{workers} reading processes"
        message(f"Training {what} on {state.compute.describe()}{several}, {readers}")
        if sample and config.style_image == TrainingConfig.style_image:
            message(f"That is the sample {config.style_image[0]}: --style_image names the painting to learn from")
        message(state.why + (f"; resumed after step {state.step}" if state.step else ""))
        if state.total_steps < ENOUGH_STEPS and config.start_from is None and state.teacher is None:
            message(f"That is little: {ENOUGH_STEPS} steps give a good picture")
        strange = strange_weights(config)
        if strange and not state.step:
            warnings.warn(strange, stacklevel=2)

    def next_batch(self) -> tuple[tuple[torch.Tensor, ...], Views | None]:
        """The next batch, see :meth:`training.state.TrainingState.batch_of`.

        Raises:
            UserError: when there is none to be had; what was trained so far has been saved.
        """
        unreadable = self.state.photographs.unreadable
        known = len(unreadable)
        try:
            return self.state.batch_of(self.state.to_device(next(self.stream)), self.state.step + 1)
        except UserError as error:
            for index in list(unreadable)[known:]:
                del unreadable[index]  # they may be there again when the training is resumed
            raise UserError(f"{error}; {self._rescued()}") from None

    def _rescued(self) -> str:
        """Save what was trained so far, if that can be, and say where to resume."""
        path = self.folder.checkpoint(self.state.step)
        if self.processes.count == 1 and self.state.step and self.folder.last_checkpoint != path:
            try:  # several processes would have to come here together
                self.save_checkpoint()
            except UserError as error:
                return f"and what was trained since the last checkpoint could not be saved ({error})"
        return self.folder.where_to_resume()

    def finish_step(self, step: int, losses: Losses) -> None:
        """Take note of a step that was run. Raises Unsound when a loss is not finite."""
        self.state.step = step
        self.log_file.add(step, losses)
        if self.state.compute.device.type == "cpu":  # nothing to wait for: look at every step
            self.log_file.flush()

    def log(self) -> None:
        """Write a line of metrics, of a training that is sound."""
        self.log_file.flush()
        check_numbers(self.state)
        levels = self.state.objective.ceiling.level().tolist()
        if self.processes.first:
            with self.folder.writing():
                self.log_file.write_line(self.state.step, self.state.scheduler.get_last_lr()[0], levels)

    def is_monitor_step(self, step: int) -> bool:
        """Whether a monitor picture is due: early ones after 50, 100, 200, ... steps, later ones by the setting."""
        every, early = self.config.monitor_every_steps, step / 50
        if not every:
            return False
        is_early = step < every and early >= 1 and math.log2(early).is_integer()
        return is_early or step % every == 0 or step == self.state.total_steps

    def save_monitor_picture(self) -> None:
        self.log_file.flush()
        self._estimate_statistics()
        if self.processes.first:
            picture = monitor_picture(self.state)
            with self.folder.writing():
                save_png(picture, self.folder.path / f"monitor_{self.state.step:06d}.png")

    def _estimate_statistics(self) -> None:
        if self.state.network.norm == "batch":  # mixed norm keeps the statistics that it is trained with
            with self.state.compute.autocast():
                estimate_statistics(self.state.network, self.state.calibration_batches())

    def save_checkpoint(self) -> None:
        """Write ``step_NNNNNN.pth``, and remove what is not to be kept.

        Raises:
            Unsound: when a loss or a weight is not finite, or the network has collapsed.
            UserError: when the file cannot be written.
        """
        self.log_file.flush()
        check_numbers(self.state)
        self._estimate_statistics()
        check_network(self.state)
        path = self.folder.checkpoint(self.state.step)
        resume_state = resume_state_of(self.state, self.stream.position)
        if self.processes.first:
            with self.folder.writing():
                save_checkpoint(path, Checkpoint(self.state.network, provenance(self.state), resume_state))
            if self.config.keep_checkpoints:
                self.folder.keep_newest(self.config.keep_checkpoints)
        self.folder.last_checkpoint = path

    def agree_to_stop(self, interrupted: bool) -> bool:
        """Whether any process was interrupted, so that all stop after the same step."""
        on_cpu = self.state.compute.device.type == "cpu"
        if self.processes.count > 1 and not on_cpu and self.state.step % self.config.log_every_steps:
            return False  # asking the others waits for the GPU
        return self.processes.any(interrupted)

    def say_how_to_resume(self, reason: str) -> None:
        """Print the command that takes the training up again."""
        command = command_line(*self.config.command, "--checkpoint_path", self.folder.last_checkpoint)
        self.log_file.message(f"Stopped by {reason} after step {self.state.step}; to resume: {command}")

    def save_results(self) -> None:
        """Write the last checkpoint, the final model, the filmstrip and the plot."""
        path = self.folder.checkpoint(self.state.step)
        if self.processes.any(self.folder.last_checkpoint != path or self.processes.first and not path.exists()):
            self.save_checkpoint()
        if not self.processes.first:
            return
        with self.folder.writing():
            if self.state.monitor_photograph:
                write_filmstrip(self.folder.path, self.state.monitor_photograph)
            plot_losses(self.folder.path / "metrics.jsonl", self.folder.path / "losses.png")
            # Last, since it says that the training is finished: one that is killed before writes the rest again.
            write_model(self.state, self.folder.result_path)
        photographs, result = self.state.photographs, self.folder.result_path
        if unreadable := len(photographs.unreadable):
            self.log_file.message(f"{unreadable} of {len(photographs)} photographs could not be read and were skipped")
        command = command_line("begin_inference.py", "--model_path", result)
        self.log_file.message(f"Wrote {result}; to use it: {command}")

    def __enter__(self):
        return self

    def __exit__(self, kind, error, traceback):
        with self._taken:
            if error is None:
                self.processes.wait()  # the first one is still writing, and the others would break its connections
        if isinstance(error, Unsound):
            where = self.folder.where_to_resume()
            if not where.startswith("resume"):
                where = f"begin again ({where})"
            raise UserError(
                f"training stopped: {error}; {where} with a lower --lr, or with --precision float32"
            ) from None
