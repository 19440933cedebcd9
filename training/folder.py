"""The folder that a training writes."""

import contextlib
import errno
import os
import re
import warnings
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from config import TrainingConfig
from training.style_images import training_name
from utils.errors import UserError
from utils.files import check_output_dir, remove_unfinished, ships
from utils.settings import quoted

LOCK = ".running.lock"
"""The file that is locked while a training has the folder; it is removed at the end."""


def training_folder(config: TrainingConfig) -> Path:
    return Path(config.output_dir, f"{training_name(config)}_training")


def checkpoints(folder: Path) -> list[Path]:
    return by_step(folder, "step_", ".pth")


def by_step(folder: Path, prefix: str, suffix: str) -> list[Path]:
    """The files that are named by their step and nothing else, in its order: step_1000000 after step_999999."""
    name = re.compile(rf"{prefix}\d{{6,}}{re.escape(suffix)}")
    return sorted((path for path in folder.glob(f"{prefix}*") if name.fullmatch(path.name)), key=_step_of)


def _step_of(path: Path) -> int:
    return int(path.stem.rpartition("_")[2])


class FolderLock:
    """Keeps other processes from writing to a folder, which need not exist, until :meth:`release` or this one's end.

    Raises:
        UserError: if another process holds it.
    """

    def __init__(self, folder: Path):
        self._folder = folder
        self._lock = FileLock(folder / LOCK, timeout=0, thread_local=False)
        self._file: os.stat_result | None = None  # that of the lock, once it is held
        if os.path.lexists(folder / LOCK):  # look before anything is written, and long before the training begins
            with contextlib.suppress(OSError):
                self._acquire()
            self.release()

    def hold(self) -> bool:
        """Make the folder and take the lock, if it is not held, and say whether it was lost, with the folder.

        Raises:
            UserError: where another process holds it, or the folder cannot be written to.
        """
        lost = self._lock.is_locked
        if lost and self._is_in_place():
            return False
        self._lock.release()
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._acquire()
        except OSError as error:
            raise UserError(
                f"{self._folder} cannot be written to ({error.strerror}): give another --output_dir"
            ) from None
        return lost

    def _acquire(self) -> None:
        try:
            self._lock.acquire()
            self._file = os.stat(self._lock.lock_file)
        except Timeout:
            raise UserError(
                f"{self._folder} is being written to by another training: wait for its end, stop it, or give another "
                "--output_dir"
            ) from None
        except OSError as error:
            if error.errno not in (errno.ENOLCK, errno.ENOTSUP):  # those of a file system without locks
                raise

    def _is_in_place(self) -> bool:
        """Whether the file that is locked still has its name: in a folder that was removed, another may have it."""
        with contextlib.suppress(OSError):
            return os.path.samestat(os.stat(self._lock.lock_file), self._file)
        return False

    def release(self) -> None:
        """Give the folder free. May be called again."""
        if self._lock.is_locked and self._is_in_place():
            with contextlib.suppress(OSError):  # Windows removes no file that is open; there filelock does it
                os.unlink(self._lock.lock_file)  # before the lock goes: after that it may be another's
        self._lock.release()


class TrainingFolder:
    """The folder of one training, which others keep out of once it is held, and the model beside it.

    Args:
        kept_step: up to which the files there are this training's own; ``None`` for one that begins.
        writes: whether this process writes; of several that train together, the first one alone.

    Attributes:
        lock: to release at the end; ``None`` for a process that does not write.
        last_checkpoint: the newest that this training wrote or went on from.

    Raises:
        UserError: where the folder leads elsewhere, another training has it, or something would be replaced unasked.
    """

    def __init__(self, config: TrainingConfig, kept_step: int | None, writes: bool):
        self.path = training_folder(config)
        self.result_path = Path(config.output_dir, f"{training_name(config)}.pth")
        self.last_checkpoint: Path | None = None
        self._config, self._kept_step = config, kept_step
        self._place = "STUDENT" if hasattr(config, "student") else "--output_dir or --name"  # what names it
        check_output_dir(config.output_dir)
        target = os.path.realpath(self.path)  # follows links that lead in a circle, which resolve() would not
        if not Path(target).is_relative_to(os.path.realpath(config.output_dir)):
            raise UserError(
                f"{self.path} is a link to {target}, outside --output_dir {config.output_dir}: "
                "remove the link, or give the folder that it leads to as --output_dir"
            )
        self.lock = FolderLock(self.path) if writes else None
        if writes:
            self._refuse_to_replace()

    def hold(self) -> None:
        """Keep others out, and remove what an earlier run left, which would be taken for what is to come."""
        self.lock.hold()
        self._refuse_to_replace()  # again, for there may have been another training since
        remove_unfinished(self.path)
        remove_unfinished(self.result_path.parent, self.result_path.name)
        found = checkpoints(self.path)[::-1] + by_step(self.path, "monitor_", ".png")
        if self._kept_step is None:
            found += [self.path / "metrics.jsonl"]
        else:
            found = [path for path in found if _step_of(path) > self._kept_step]
        for path in [*found, self.path / "filmstrip.png", self.path / "losses.png"]:
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                raise UserError(f"{path} cannot be removed ({error.strerror}): see to it, then start again") from None

    def checkpoint(self, step: int) -> Path:
        return self.path / f"step_{step:06d}.pth"

    def keep_newest(self, count: int) -> None:
        """Remove all but so many checkpoints."""
        for path in checkpoints(self.path)[:-count]:
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                warnings.warn(f"{path} cannot be removed ({error.strerror}), --keep_checkpoints or not", stacklevel=3)

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Around what is written to the folder: it is there and this run's own, and an error says where to go on."""
        if self.lock.hold():
            warnings.warn(f"{self.path} was removed while the training ran: it is made again", stacklevel=4)
        try:
            yield
        except UserError as error:
            raise UserError(f"{error}; once that is mended, {self.where_to_resume()}") from None

    def where_to_resume(self) -> str:
        """The last half of a sentence about what went wrong."""
        there = self.last_checkpoint is not None and self.last_checkpoint.exists()
        return f"resume from {self.last_checkpoint}" if there else "there is no checkpoint yet"

    def _refuse_to_replace(self) -> None:
        """Refuse to replace unasked what a training left that is not this one: all, or all after the kept step."""
        if ships(self.result_path) and not self._config.replace_shipped:
            raise UserError(
                f"{self.result_path} came with the program: give another {self._place}, or add "
                "--replace_shipped to lose that model"
            )
        if self._config.overwrite:
            return
        found = checkpoints(self.path)
        if self._kept_step is not None:
            if found and _step_of(found[-1]) > self._kept_step:
                raise UserError(
                    f"{self.path} goes on to {found[-1].name}: resume from that, give another {self._place}, or add "
                    f"--overwrite to remove what came after step {self._kept_step}"
                )
        elif found:
            raise UserError(
                f"{self.path} holds an earlier training: resume it with {quoted('--checkpoint_path', self.path)}, give "
                f"another {self._place}, or add --overwrite to start again"
            )
        elif os.path.lexists(self.result_path) and not ships(self.result_path):
            raise UserError(
                f"{self.result_path} exists already: give another {self._place}, or add --overwrite to replace it"
            )
