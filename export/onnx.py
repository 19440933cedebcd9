"""A style model as an ONNX file: for apps, phones and browsers, in one graph that takes pictures of every size.

    python -m export.onnx checkpoints/wave.pth wave.onnx
    python -m export.onnx checkpoints/gallery.pth gallery.onnx --precision float16
    python -m export.onnx checkpoints/wave.pth wave.onnx --size 720x1280

The graph takes "image", N x 3 x height x width, float32, RGB in [0, 255], and gives "stylized", the same. A network of
several styles takes "style" too: the weights of its styles, which sum to 1, in one row for all pictures or one row for
each; the metadata "styles" names them in their order. Before the file takes its name, it is compared with the network
through ONNX Runtime. With --size it takes one picture of that size alone, as OpenCV 4 needs it.
"""

import os
import re
from dataclasses import dataclass

from config import MODEL_HELP, OVERWRITE_HELP, REQUIRED, setting
from utils.errors import UserError, optional
from utils.files import atomic_write, check_target
from utils.settings import run_command

# torch and onnx are imported where they are needed, so that --help and a mistyped flag answer without waiting for them.


@dataclass(frozen=True)
class OnnxConfig:
    """Settings of ``export.onnx``."""

    model: str = setting(REQUIRED, MODEL_HELP, metavar="MODEL")
    target: str = setting(REQUIRED, "receives it; its name ends in .onnx", metavar="FILE")
    precision: str = setting(
        "float32",
        "of the stored kernels; float16 halves the file, and the computation is float32 all the same",
        choices=("float32", "float16"),
    )
    size: str | None = setting(
        None,
        "take one picture of this size alone, for what cannot read files for every size: OpenCV 4, Core ML, TensorRT",
        metavar="HEIGHTxWIDTH",
    )
    overwrite: bool = setting(False, OVERWRITE_HELP)


def export_onnx(config: OnnxConfig) -> float:
    """Write the style model as an ONNX file; gives the largest difference from the network, in grey levels.

    Raises :class:`UserError` if the model, a package, or the target cannot be used, or would differ. Nothing is
    written then.
    """
    size = parse_size(config.size)
    check_target(config.target, config.overwrite, (".onnx",))
    for package in ("onnx", "onnxruntime"):
        optional(package, "ONNX files need the packages onnx and onnxruntime: pip install -r requirements-export.txt")
    from onnx import helper

    from export.checking import GREY_LEVELS, check_export
    from export.onnx_graph import to_onnx
    from models.checkpoints import FORMAT, VERSION, load_checkpoint

    checkpoint = load_checkpoint(config.model, flag="the model")
    model = to_onnx(checkpoint.network, config.precision, size)
    # The metadata, which viewers show and ONNX Runtime gives back.
    model.producer_name, model.producer_version = FORMAT, str(VERSION)
    model.doc_string = "Johnson, Alahi, Fei-Fei (2016): style transfer. Pictures are RGB in [0, 255], N x 3 x H x W."
    helper.set_model_props(model, checkpoint.facts(config.model))
    allowed, advice = GREY_LEVELS, "another version of onnxruntime"
    if config.precision == "float16":
        allowed, advice = 0.2, "--precision float32"
    difference = check_export(config.target, runner(model), checkpoint.network, allowed, advice, size)
    with atomic_write(config.target) as file:
        file.write(model.SerializeToString())
    return difference


def parse_size(text: str | None) -> tuple[int, int] | None:
    """(height, width) of ``720x1280``."""
    if text is None:
        return None
    if not re.fullmatch(r"[1-9]\d{0,4}x[1-9]\d{0,4}", text.lower()):
        raise UserError(f"--size {text} is no size: give height and width in pixels, such as 720x1280")
    height, width = map(int, text.lower().split("x"))
    return height, width


def runner(model):
    """An ONNX model as a function of tensors, computed by ONNX Runtime on the CPU."""
    import onnxruntime
    import torch

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    names = [one.name for one in session.get_inputs()]

    def run(*inputs: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(session.run(None, {name: value.numpy() for name, value in zip(names, inputs)})[0])

    return run


def main(config: OnnxConfig) -> None:
    difference = export_onnx(config)
    print(f"Wrote {config.target}, {os.path.getsize(config.target) / 1e6:.1f} MB; within {difference:.2g} grey levels")


if __name__ == "__main__":
    run_command(main, OnnxConfig, __doc__)
