"""Teach a network from another: a small one that paints as a large one does, or a calm one for films.

    python -m training.distill starry_night small.pth --dataset_dir photos/
    python -m training.distill starry_night small.pth --dataset_dir photos/ --style_image starry_night.jpg
    python -m training.distill udnie small.pth --dataset_dir photos/ --start_from fast/wave --total_steps 1500
    python -m training.distill wave calm.pth --width 1 --temporal_weight 4 --lr 0.002 --total_steps 600

The teacher's pictures are the lesson: neither painting nor loss network is needed. With the painting, the last steps
lower the objective of a training, with the settings that the teacher was trained with. Ctrl-C saves, and says how to
resume; with --resume one and the same command begins, goes on and ends.
"""

from begin_training import train
from config import DistillConfig
from utils.files import check_target
from utils.settings import run_command


def distill(config: DistillConfig, given: frozenset[str] = frozenset()) -> int:
    """Teach ``config.student`` to the end, or until Ctrl-C or SIGTERM, as ``begin_training.train`` does.

    Raises:
        UserError: naming the flag or file at fault.
    """
    check_target(config.student, True, (".pth",), "STUDENT")  # what may be replaced, the folder of the training knows
    return train(config, given)


if __name__ == "__main__":
    run_command(distill, DistillConfig, __doc__, with_given=True)
