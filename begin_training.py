"""Train a feed-forward network on one painting (Johnson, Alahi and Fei-Fei, 2016).

For example:

    python begin_training.py --style_image painting.jpg --dataset_dir photos/
    python begin_training.py --style_image paintings/ --dataset_dir photos/    # as many styles of one network
    python begin_training.py --checkpoint_path checkpoints/painting_training    # resume
    torchrun --nproc_per_node=4 begin_training.py --style_image painting.jpg --dataset_dir photos/    # four GPUs
"""

from typing import TYPE_CHECKING

from config import TrainingConfig, with_recipe
from utils.settings import run_command

if TYPE_CHECKING:  # torch is imported later, so that --help and a mistyped flag answer without waiting for it
    from torch import Tensor

    from losses.perceptual import Losses
    from losses.temporal import Views
    from training.state import TrainingState


def train(config: TrainingConfig, given: frozenset[str] = frozenset()) -> int:
    """Train to the end, or until Ctrl-C or SIGTERM.

    Args:
        given: names of settings that were given explicitly; when resuming, the others are taken from the checkpoint.

    Returns:
        Exit status: 0, or 130 or 143 after a signal.

    Raises:
        UserError: naming the flag or file at fault.
    """
    from training.run import TrainingRun
    from utils.interrupts import Interrupts

    run = TrainingRun(*with_recipe(config, given))
    state, config = run.state, run.config  # network, objective, optimiser, photographs; restored when resuming
    interrupts = Interrupts("Saving after this step", "what was learnt since the last checkpoint is lost")
    with interrupts, run:
        for step in range(state.step + 1, state.total_steps + 1):
            batch, views = run.next_batch()  # photographs, and with several styles the number of each one's style
            losses = training_step(state, *batch, views=views)
            run.finish_step(step, losses)
            if step % config.log_every_steps == 0 or step == state.total_steps:
                run.log()
            if run.is_monitor_step(step):
                run.save_monitor_picture()
            if config.checkpoint_every_steps and step % config.checkpoint_every_steps == 0:
                run.save_checkpoint()
            if run.agree_to_stop(interrupts.received is not None) and step < state.total_steps:
                run.save_checkpoint()
                run.say_how_to_resume(interrupts.name)
                return interrupts.exit_status
        run.save_results()
    return 0


def training_step(
    state: "TrainingState", photographs: "Tensor", *styles: "Tensor", views: "Views | None" = None
) -> "Losses":
    """One step of the optimiser on a batch, see :meth:`training.state.TrainingState.batch_of`.

    Args:
        photographs: N x 3 x H x W, float, RGB in [0, 255], on the device.
        styles: for a network of several styles, N whole numbers.
        views: where the second half of the batch are second views of the first, see ``--temporal_weight``.
    """
    state.settle_statistics()
    with state.compute.autocast():
        stylized = state.forward(photographs, *styles)
    # What is minimised: losses/perceptual.py lists its terms.
    losses = state.criterion(stylized, photographs, *styles, views=views)
    state.optimizer.zero_grad()
    state.scaler.scale(losses.total).backward()  # scales for float16 alone
    state.scaler.step(state.optimizer)
    state.scaler.update()
    state.scheduler.step()
    return losses


if __name__ == "__main__":
    run_command(train, TrainingConfig, __doc__, with_given=True)
