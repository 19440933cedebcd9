"""A style model as a program of torch.export, which runs where this project is not, by torch alone.

    python -m export.program checkpoints/wave.pth wave.pt2

The program takes N x 3 x height x width, float32, RGB in [0, 255], with N, height and width from 1 up, and gives the
same. That of several styles takes the weights of its styles as well, which sum to 1: N x S, a row for each picture, or
1 x S for all of them. Before the file takes its name, it is read again and compared with the network. Elsewhere:

    stylize = torch.export.load("wave.pt2").module()
    stylized = stylize(images)
"""

import io
import json
from dataclasses import dataclass

from config import MODEL_HELP, OVERWRITE_HELP, REQUIRED, setting
from utils.errors import UserError
from utils.files import atomic_write, check_target
from utils.settings import run_command

FACTS = "facts.json"  # the program's extra file that describes the model


@dataclass(frozen=True)
class ProgramConfig:
    """Settings of ``export.program``."""

    model: str = setting(REQUIRED, MODEL_HELP, metavar="MODEL")
    target: str = setting(REQUIRED, "receives it; its name ends in .pt2", metavar="FILE")
    overwrite: bool = setting(False, OVERWRITE_HELP)


def export_program(config: ProgramConfig) -> float:
    """Write the style model as a program; gives the largest difference from the network, in grey levels.

    Raises :class:`UserError` if model or target cannot be used, or would differ. Nothing is written then.
    """
    check_target(config.target, config.overwrite, (".pt2",))
    # Imported here, so that --help and a mistyped name answer without waiting for torch.
    import torch

    from export.checking import check_export
    from models.checkpoints import load_checkpoint

    checkpoint = load_checkpoint(config.model, flag="the model")
    file, facts = io.BytesIO(), json.dumps(checkpoint.facts(config.model))
    torch.export.save(to_program(checkpoint.network), file, extra_files={FACTS: facts})
    file.seek(0)
    difference = check_export(config.target, torch.export.load(file).module(), checkpoint.network)
    with atomic_write(config.target) as written:
        written.write(file.getbuffer())
    return difference


def to_program(network):
    """A ``TransformerNet`` or ``MultiStyleNet`` as a ``torch.export.ExportedProgram`` for every size.

    Raises :class:`UserError` if this torch cannot.
    """
    import torch
    from torch.export import Dim

    from models.fusion import fuse_batch_norm
    from models.multi_style import MultiStyleNet

    class InRows(torch.nn.Module):
        """A network of several styles that takes one row of weights for all pictures, too."""

        def __init__(self):
            super().__init__()
            self.network = network

        def forward(self, images, style):
            # Unlike expand, this needs no branch on the number of rows; len(images) would fix the number of pictures.
            rows = torch.arange(images.shape[0], device=style.device) % style.shape[0]
            return self.network(images, style.index_select(0, rows))

    inputs = [torch.zeros(2, 3, 21, 34)]
    shapes = [{0: Dim("batch", min=1), 2: Dim("height", min=1), 3: Dim("width", min=1)}]
    module = fuse_batch_norm(network)
    if isinstance(network, MultiStyleNet):
        module = InRows().eval()
        inputs.append(torch.full((3, len(network.styles)), 1 / len(network.styles)))
        shapes.append({0: Dim("rows", min=1)})
    try:
        return torch.export.export(module, tuple(inputs), dynamic_shapes=tuple(shapes))
    except (RuntimeError, torch._dynamo.exc.TorchDynamoException) as error:
        reason = str(error).strip().partition("\n")[0]
        raise UserError(f"torch {torch.__version__} cannot export the network ({reason}): take a newer one") from None


def main(config: ProgramConfig) -> None:
    difference = export_program(config)
    print(f"Wrote {config.target}; within {difference:.2g} grey levels")


if __name__ == "__main__":
    run_command(main, ProgramConfig, __doc__)
