"""Device and precision, resolved from the flags."""

import re
import threading

import pytest
import torch

from utils.device import Compute, resolve_compute
from utils.errors import UserError


@pytest.fixture
def no_gpu(monkeypatch):
    """A machine without accelerators, also where there is one."""
    import torch._dynamo  # noqa: F401, which looks into the function below when it is first imported

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)


@pytest.mark.parametrize("name", ["gpu", "cpu:0", "cuda:x", "mps:0", "meta", "cuda", "cuda:7", "mps"])
def test_unknown_and_absent_devices_are_refused(no_gpu, name):
    words = ": .* use auto or cpu" if name in ("cuda", "cuda:7", "mps") else ""
    with pytest.raises(UserError, match=f"--device .*{name}{words}"):
        resolve_compute(name, "auto")


def test_auto_falls_back_to_the_cpu(no_gpu):
    assert resolve_compute("auto", "float32") == Compute(torch.device("cpu"), torch.float32)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_cpu(precision):
    compute = resolve_compute("cpu", precision)
    assert compute == Compute(torch.device("cpu"), getattr(torch, precision))
    assert compute.describe().startswith("CPU (") and compute.describe().endswith(precision)
    assert resolve_compute("cpu", "auto").dtype in (torch.float32, torch.bfloat16)


@pytest.mark.parametrize("precision, expected", [("float32", torch.float32), ("bfloat16", torch.bfloat16)])
def test_autocast_runs_convolutions_in_the_precision(precision, expected):
    with resolve_compute("cpu", precision).autocast():
        assert torch.nn.Conv2d(3, 2, 3)(torch.zeros(1, 3, 4, 4)).dtype == expected


def test_networks_compute_in_one_thread_of_their_own():
    compute = resolve_compute("cpu", "float32").in_one_thread()
    threads = {compute.run(threading.get_ident) for _ in range(3)}
    assert len(threads) == 1 and threading.get_ident() not in threads
    with pytest.raises(UserError, match="as it was"):
        compute.run(lambda: (_ for _ in ()).throw(UserError("as it was")))


@pytest.mark.parametrize("script", ["begin_training.py", "begin_inference.py"])
def test_the_commands_refuse_a_bad_device_and_precision(call_cli, no_gpu, tmp_path, script):
    for arguments, flag in (["--device", "gpu"], "--device"), (["--device", "cuda"], "--device cuda"):
        assert flag in call_cli(script, *arguments, "--output_dir", tmp_path).error
    error = call_cli(script, "--device", "cpu", "--precision", "float16", "--output_dir", tmp_path).error
    assert re.search("--precision float16 does not work on cpu: use one of auto, .*float32", error)
    assert not list(tmp_path.iterdir())


@pytest.mark.gpu
def test_gpu():
    assert resolve_compute("auto", "auto").device.type == "cuda"
    assert resolve_compute("cuda:0", "float16") == Compute(torch.device("cuda", 0), torch.float16)
    with pytest.raises(UserError, match="--device cuda:99: there are"):
        resolve_compute("cuda:99", "auto")
    assert torch.cuda.get_device_name(0) in resolve_compute("cuda", "float32").describe()
