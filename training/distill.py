"""Teach a network from another: a small one that paints as a large one does, or a calm one for films.

    python -m training.distill starry_night small.pth --dataset_dir photos/
    python -m training.distill starry_night small.pth --dataset_dir photos/ --style_image starry_night.jpg
    python -m training.distill udnie small.pth --dataset_dir photos/ --start_from fast/wave --total_steps 1500
    python -m training.distill wave calm.pth --width 1 --temporal_weight 4 --lr 0.002 --total_steps 600

The teacher's pictures are the lesson: neither painting nor loss network is needed. With the painting, the last steps
lower the objective of a training, with the settings that the teacher was trained with. Ctrl-C saves, and says how to
resume; with --resume one and the same command begins, goes on and ends.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from config import REQUIRED, TrainingConfig, setting
from utils.files import check_target
from utils.settings import parse_settings, run_command


@dataclass(frozen=True)
class _Networks:
    teacher: str = setting(REQUIRED, "trained style: a file, or the name of a model", metavar="TEACHER")
    student: str = setting(
        REQUIRED,
        "receives the new model; its name ends in .pth, and STUDENT_training/ lies beside it",
        metavar="STUDENT",
    )


@dataclass(frozen=True)
class DistillConfig(TrainingConfig, _Networks):
    """Settings of ``training.distill``: those of a training, with other defaults, and the two networks."""

    style_image: tuple[str, ...] = setting(
        (),
        "the painting: with it the last steps lower the objective of a training; with a teacher of several styles, a "
        "picture for each, of its name",
        metavar="PICTURE",
    )
    painting_share: float = setting(
        0.2, "share of the steps, the last ones, that lower the painting's objective", above=0, maximum=1
    )
    temporal_weight: float = setting(
        0.0,
        "weight of the term that keeps films from flickering, beside the distance to the teacher; 2 to 4 is useful",
        minimum=0,
    )
    image_size: int = setting(160, "side of the square training crops, pixels", minimum=32, maximum=4096)
    norm: str | None = setting(
        None, "normalisation layers; left out, the teacher's", choices=("batch", "instance", "mixed")
    )
    upsample: str | None = setting(None, "upsampling layers; left out, the teacher's", choices=("transposed", "resize"))
    width: float = setting(
        0.25,
        "channels of the student, in those of the paper; with the teacher's width and blocks it begins as a copy",
        minimum=0.05,
        maximum=2,
    )
    blocks: int | None = setting(None, "residual blocks; left out, as many as the teacher has", minimum=1, maximum=9)
    start_from: str | None = setting(
        None,
        "network that the student begins from: a file, or the name of a model; a small one of another style halves the "
        "time",
        metavar="MODEL",
    )
    total_steps: int | None = setting(2000, "steps at most, see num_epochs", minimum=1)
    batch_size: int = setting(2, "photographs a step", minimum=1)
    lr: float = setting(0.01, "learning rate at the start; it falls to zero along a cosine", above=0)

    # What begin_training.py alone takes.
    recipe: ClassVar = None
    train: ClassVar = "all"
    compile: ClassVar = "off"
    output_dir: ClassVar = property(lambda self: str(Path(self.student).parent))
    name: ClassVar = property(lambda self: Path(self.student).stem)


def distill(config: DistillConfig, given: frozenset[str] = frozenset()) -> int:
    """Teach ``config.student`` to the end, or until Ctrl-C or SIGTERM; see ``begin_training.train``.

    Raises:
        UserError: naming the flag or file at fault.
    """
    check_target(config.student, True, (".pth",), "STUDENT")  # what may be replaced, the folder of the training knows
    # Imported here, so that --help and a mistyped flag answer without waiting for torch.
    from begin_training import run_training
    from training.build import build_distillation
    from training.run import TrainingRun

    command = ("-m", "training.distill", config.teacher, config.student)
    return run_training(TrainingRun(config, given, build_distillation, command))


def main() -> int:
    return distill(*parse_settings(DistillConfig, __doc__))


if __name__ == "__main__":
    run_command(main)
