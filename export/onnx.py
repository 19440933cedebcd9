"""A style model as an ONNX file: for apps, phones and browsers, in one graph that takes pictures of every size.

    python -m export.onnx checkpoints/wave.pth wave.onnx
    python -m export.onnx checkpoints/gallery.pth gallery.onnx --precision float16

The graph takes "image", N x 3 x height x width, float32, RGB in [0, 255], and gives "stylized", the same. A network of
several styles takes "style" too: the weights of its styles, which sum to 1, in one row for all pictures or one row for
each; the metadata "styles" names them in their order. Before the file takes its name, it is compared with the network
through ONNX Runtime.
"""

import argparse
import json
import math
import os
from pathlib import Path

from models.convert import check_target
from utils.errors import UserError
from utils.files import PROGRAM, atomic_write
from utils.settings import run_command

# torch and onnx are imported where they are needed, so that --help and a mistyped flag answer without waiting for them.

PRECISIONS = {"float32": 0.01, "float16": 0.2}
"""How kernels are stored, and by how many grey levels a file may differ from the network for that."""

CHECKED_SIZES = [(1, 1), (1, 6), (7, 3), (4, 4), (5, 8), (16, 13), (18, 32), (35, 21)]
"""(height, width): all remainders of four, of either side."""


def export_onnx(source: str | Path, target: str | Path, precision: str = "float32", overwrite: bool = False) -> float:
    """Write the style model ``source`` as the ONNX file ``target``, if that gives what the network gives.

    Args:
        precision: of the stored kernels, a key of ``PRECISIONS``; the computation is float32.

    Returns:
        The largest difference from the network, in grey levels, at ``CHECKED_SIZES``.

    Raises:
        UserError: if ``source`` is no model; if ``target`` exists, cannot be written, or would differ; if a package is
            missing. Nothing is written then.
    """
    check_target(target, overwrite, (".onnx",))
    try:
        import onnxruntime  # noqa: F401

        from export.onnx_graph import to_onnx
    except ImportError:
        raise UserError(
            "ONNX files need the packages onnx and onnxruntime: pip install -r requirements-export.txt"
        ) from None
    from models.checkpoints import load_checkpoint

    checkpoint = load_checkpoint(source, flag="the model")
    model = to_onnx(checkpoint.network, precision)
    describe(model, checkpoint, source)
    data = model.SerializeToString()
    difference = largest_difference(data, checkpoint.network)
    if difference > PRECISIONS[precision]:
        raise UserError(
            f"{target} was not written: it would differ from the network by {difference:.3g} grey levels, where "
            f"{PRECISIONS[precision]} are allowed; try "
            + ("--precision float32" if precision == "float16" else "another version of onnxruntime")
        )
    with atomic_write(target) as file:
        file.write(data)
    return difference


def describe(model, checkpoint, source: str | Path) -> None:
    """Put what made a network into an ONNX model's metadata, which viewers show and ONNX Runtime gives back."""
    from onnx import helper

    from models.checkpoints import FORMAT, VERSION

    model.producer_name, model.producer_version = FORMAT, str(VERSION)
    model.doc_string = "Johnson, Alahi, Fei-Fei (2016): style transfer. Pictures are RGB in [0, 255], N x 3 x H x W."
    helper.set_model_props(
        model,
        {
            "styles": json.dumps(checkpoint.styles(source)),
            "provenance": json.dumps(checkpoint.provenance),
            "license": (PROGRAM / "LICENSE").read_text(encoding="utf-8"),
        },
    )


def largest_difference(data: bytes, network, sizes=CHECKED_SIZES) -> float:
    """By how much an ONNX model, run by ONNX Runtime on the CPU, differs from the network, in grey levels.

    Two pictures of noise of each size; to a network of several styles, each with a mixture of its own. Where the
    network in float32 is further from itself in float64 than a file may be, the shape alone is compared: instance norm
    makes much of the rounding of a picture of one colour, which a single pixel is.

    Args:
        data: the file's content.
        sizes: (height, width).

    Returns:
        Infinity where a shape is wrong, a value is no number, or nothing could be compared.
    """
    import copy

    import onnxruntime
    import torch

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    names, exact = [one.name for one in session.get_inputs()], copy.deepcopy(network).double()
    generator, differences = torch.Generator().manual_seed(0), []
    for size in sizes:
        inputs = [torch.rand(2, 3, *size, generator=generator) * 255]
        if "style" in names:
            inputs.append(torch.rand(2, len(network.styles), generator=generator).softmax(1))
        with torch.inference_mode():
            expected = network(*inputs)
        result = torch.from_numpy(session.run(None, {name: value.numpy() for name, value in zip(names, inputs)})[0])
        if result.shape != expected.shape or not result.isfinite().all():
            return math.inf
        difference = (result - expected).abs().max().item()
        if difference > PRECISIONS["float32"]:
            with torch.inference_mode():
                exactly = exact(*(value.double() for value in inputs))
            if (expected - exactly).abs().max() > PRECISIONS["float32"]:
                continue
        differences.append(difference)
    return max(differences, default=math.inf)


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m export.onnx",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("source", metavar="MODEL", help="trained style, .pth or .safetensors, or the name of a model")
    parser.add_argument("target", metavar="FILE", help="receives it; its name ends in .onnx")
    parser.add_argument(
        "--precision",
        choices=tuple(PRECISIONS),
        default="float32",
        help="of the stored kernels; float16 halves the file, and the computation is float32 all the same",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace FILE where it exists")
    args = parser.parse_args()
    difference = export_onnx(args.source, args.target, args.precision, args.overwrite)
    print(f"Wrote {args.target}, {os.path.getsize(args.target) / 1e6:.1f} MB; within {difference:.2g} grey levels")
    return 0


if __name__ == "__main__":
    run_command(main)
