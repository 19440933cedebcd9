"""PyTorch's exporters as an engineer types them: a right result or an error, never a wrong one."""

import pytest
import torch
from torch.export import Dim

from models.checkpoints import load_checkpoint
from tests.noise import pictures

if not hasattr(Dim, "AUTO"):
    pytest.skip("torch.export is younger than this torch", allow_module_level=True)

SIZES = [(3, 6), (8, 8), (13, 18), (24, 40), (33, 47)]  # what four divides and what it does not
AXES = {"image": {0: "n", 2: "h", 3: "w"}, "stylized": {0: "n", 2: "h", 3: "w"}}


def right_sizes(run, network) -> list[tuple[int, int]]:
    """The sizes at which an exported network answers; there it has to be right."""
    right = []
    for size in SIZES:
        try:
            result = torch.as_tensor(run(pictures(1, *size)))
        except Exception:  # whatever the runtime raises
            continue
        with torch.no_grad():
            torch.testing.assert_close(result, network(pictures(1, *size)), rtol=0, atol=0.05)
        right.append(size)
    return right


@pytest.fixture(scope="module")
def network():
    return load_checkpoint("checkpoints/wave.pth").network


@pytest.mark.slow
@pytest.mark.parametrize(
    "shapes, right",
    [
        (None, SIZES[-1:]),
        (({2: Dim("height"), 3: Dim("width")},), SIZES),
        (({0: Dim.AUTO, 2: Dim.AUTO, 3: Dim.AUTO},), SIZES),
    ],
)
def test_torch_export(shapes, right, network):
    exported = torch.export.export(network, (pictures(1, *SIZES[-1]),), dynamic_shapes=shapes)
    assert right_sizes(exported.module(), network) == right


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "how, least",
    [
        ({}, 1),
        ({"dynamo": True, "dynamic_shapes": ({2: Dim("height"), 3: Dim("width")},)}, len(SIZES)),
        ({"dynamo": True, "dynamic_axes": AXES}, len(SIZES)),
        ({"dynamo": False, "dynamic_axes": AXES}, len(SIZES) - 1),  # it leaves out the padding of tiny pictures
    ],
)
def test_torch_onnx_export(how, least, network, tmp_path):
    example = SIZES[-1]
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    names = {"input_names": ["image"], "output_names": ["stylized"]}
    torch.onnx.export(network, (pictures(1, *example),), tmp_path / "m.onnx", **names, **how)
    session = onnxruntime.InferenceSession(tmp_path / "m.onnx", providers=["CPUExecutionProvider"])
    right = right_sizes(lambda x: session.run(None, {"image": x.numpy()})[0], network)
    assert example in right and len(right) >= least
