"""What several test files share: the command lines, random loss-network weights, and small pictures.

Real weights, photographs and paintings are used where the environment names them:

    STYLE_TRANSFER_VGG_WEIGHTS   a torchvision vgg19 state dict
    STYLE_TRANSFER_PHOTOS        a folder of photographs
    STYLE_TRANSFER_STYLES        a folder of paintings
"""

import contextlib
import dataclasses
import math
import os
import runpy
import signal
import struct
import subprocess
import sys
import zlib
from fractions import Fraction
from pathlib import Path

if "PYTEST_XDIST_WORKER" in os.environ:  # several at once: a thread each, here and in the commands started from here
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pytest
import torch
from PIL import Image

from tests.drawing_png import chunk, png

ROOT = Path(__file__).resolve().parents[1]


@pytest.hookimpl(tryfirst=True)  # before pytest leaves out what is marked slow
def pytest_collection_modifyitems(items):
    for item in items:
        if "robustness" in item.path.relative_to(ROOT).parts:
            item.add_marker(pytest.mark.slow)
        if item.get_closest_marker("posix") and os.name != "posix":
            item.add_marker(pytest.mark.skip(reason="uses processes, links or limits that this system lacks"))
        if item.get_closest_marker("gpu") and not torch.cuda.is_available():
            item.add_marker(pytest.mark.skip(reason="needs a CUDA GPU"))


@dataclasses.dataclass
class Result:
    """What a command left behind."""

    returncode: int
    stdout: str
    stderr: str

    @property
    def error(self) -> str:
        """The one sentence of a command that refused; fails if it did not, or said more."""
        assert self.returncode == 2, (self.returncode, self.stdout, self.stderr)
        assert "Traceback" not in self.stderr
        lines = [line for line in self.stderr.splitlines() if line.startswith("error: ")]
        assert len(lines) == 1, self.stderr
        return lines[0]

    def ok(self) -> str:
        """What a command printed that came to its end; fails if it did not."""
        assert self.returncode == 0, self.stderr
        return self.stdout


@pytest.fixture(scope="session")
def start_cli():
    """``start_cli(script, *args)`` starts the real command line in a process group of its own."""

    def start(script, *args):
        return subprocess.Popen(
            [sys.executable, script, *map(str, args)],
            cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip

    return start


@pytest.fixture(scope="session")
def run_cli(start_cli):
    """``run_cli(script, *args)`` runs the real command line, from the repository's root, to its end."""

    def run(script, *args) -> Result:
        with start_cli(script, *args) as process:
            stdout, stderr = process.communicate(timeout=600)
        return Result(process.returncode, stdout, stderr)

    return run


@pytest.fixture
def call_cli(monkeypatch, capsys):
    """``call_cli(script or module, *args)``: the same within this process, which spares importing torch again, and
    without the plot of a training's losses."""
    monkeypatch.chdir(ROOT)  # a test may go elsewhere

    def call(script, *args) -> Result:
        if script == "begin_training.py":  # a plot takes as long as a tiny training
            monkeypatch.setattr("training.run.plot_losses", lambda *paths: True)
        monkeypatch.setattr(sys, "argv", [script, *map(str, args)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as exit_:
            runpy.run_path(str(ROOT / script.removesuffix(".py").replace(".", "/")) + ".py", run_name="__main__")
        output = capsys.readouterr()
        return Result(exit_.value.code, output.out, output.err)

    return call


@pytest.fixture
def stylize(call_cli, style_model, tmp_path):
    """``stylize(*photographs, *flags)`` runs the command with ``style_model``, float32, into ``tmp_path/results``."""

    def call(*arguments) -> Result:
        return call_cli(
            "begin_inference.py", "--model_path", style_model, "--output_dir", tmp_path / "results", "--device", "cpu",
            "--precision", "float32", "--content_image", *arguments,
        )  # fmt: skip

    return call


@pytest.fixture
def ctrl_c():
    """Python's own answer to Ctrl-C, also where the tests run in the background of a shell, which ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def full_disk():
    """``with full_disk(size)``: the system refuses to let any file grow beyond so many bytes, as a full disk does.

    A block, for pytest's own report may go to a file.
    """
    resource = pytest.importorskip("resource")

    @contextlib.contextmanager
    def limit(size):
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)

    return limit


@pytest.fixture
def hostile(tmp_path):
    """An object whose pickle runs a command when it is read without care, which makes the file ``marker``."""

    class Hostile:
        marker = tmp_path / "was_run"

        def __reduce__(self):
            return subprocess.call, ([sys.executable, "-c", f"open({str(self.marker)!r}, 'w')"],)

    return Hostile()


@pytest.fixture(scope="session")
def vgg_state():
    """Random VGG-19 weights that keep the size of the activations from layer to layer (He et al., 2015)."""
    import torchvision

    generator = torch.Generator().manual_seed(0)
    with torch.device("meta"):  # torchvision's own table of the layers, so that a wrong one in the program is found
        layers = torchvision.models.vgg19(weights=None).features[:29].state_dict(prefix="features.")
    scales = {name: 0.1 if value.dim() == 1 else (2 / value[0].numel()) ** 0.5 for name, value in layers.items()}
    return {name: (torch.randn(layers[name].shape, generator=generator) * scales[name]).half() for name in layers}


@pytest.fixture(scope="session")
def vgg_file(vgg_state, tmp_path_factory):
    """A file with ``vgg_state``."""
    path = tmp_path_factory.mktemp("weights") / "vgg19_random.pth"
    torch.save(vgg_state, path)
    return path


@pytest.fixture(scope="session")
def vgg(vgg_file):
    """The loss network with random weights, float32, on the CPU."""
    from models.pretrained import load_vgg19

    return load_vgg19(str(vgg_file), torch.device("cpu"), torch.float32)


@pytest.fixture(scope="session")
def trained_like():
    """``trained_like(norm, upsample, ...)``: a network whose every layer matters; fresh, residual blocks do not."""
    from models.transformer_net import TransformerNet

    def build(norm="batch", upsample="transposed", width=1.0, blocks=5, seed=0):
        torch.manual_seed(seed)
        network = TransformerNet(norm, upsample, width, blocks)
        for module in network.modules():
            if module in network.norms():
                module.weight.data.uniform_(0.5, 1.5)
                module.bias.data.normal_()
            if hasattr(module, "running_mean") and module.running_mean is not None:
                module.running_mean.normal_(0, 0.1)
        network.layers[-1][0].weight.data *= 20  # as initialised, pictures are nearly grey
        return network.eval()

    return build


def smooth_picture(width, height, seed) -> Image.Image:
    """A few waves of colour: smooth enough to be resampled, asymmetric enough to show a wrong turn."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width] / 48.0
    channels = []
    for _ in range(3):
        fx, fy, phase = rng.uniform(0.5, 3.0), rng.uniform(0.5, 3.0), rng.uniform(0, 6.3)
        channels.append(127.5 + 90 * np.sin(fx * x + fy * y + phase) + 30 * np.cos(fy * x - phase))
    return Image.fromarray(np.stack(channels, axis=-1).clip(0, 255).astype(np.uint8))


@pytest.fixture(scope="session")
def make_picture():
    """``make_picture(width, height, seed)`` draws a smooth picture."""
    return smooth_picture


@pytest.fixture(scope="session")
def make_film(tmp_path_factory):
    """``make_film(name, ...)`` draws a film that pans over a smooth picture, and over another one after ``cut_at``.

    Args:
        times: of the frames, in thousandths of a second; left out, 25 a second.
        codec, pix_fmt, colours: of the pictures; ``colours`` are attributes of the encoder.
        sound, rate, layout: codec of a tone of 440 Hz as long as the film, such as ``"aac"``, and its channels.
        subtitles: codec of two lines of text.
        matrix: (a, b, c, d) of an MP4's display matrix.
        chapters: (begin, end, title) in thousandths of a second.
        metadata: of the file.
        drawn: other pictures than those of the scene, H x W x 3, uint8.
    """
    av = pytest.importorskip("av", reason="needs PyAV, requirements-video.txt")

    def make(
        name="film.mp4", frames=8, size=(64, 48), cut_at=math.inf, times=None, codec="libx264", pix_fmt="yuv420p",
        colours=(), sound=None, rate=48000, layout="stereo", subtitles=None, matrix=None, metadata=(), chapters=(),
        drawn=None,
    ):  # fmt: skip
        path, (width, height) = tmp_path_factory.mktemp("films") / name, size
        times = times or [40 * number for number in range(frames if drawn is None else len(drawn))]
        if drawn is None:
            scenes = [film_scene(width + 2 * len(times), height + len(times), seed) for seed in (1, 2)]
            drawn = [scenes[n >= cut_at][n : n + height, 2 * n : 2 * n + width] for n in range(len(times))]
        flags = {"movflags": "use_metadata_tags" if metadata else "faststart"} if name.endswith(".mp4") else {}
        with av.open(str(path), "w", options=flags) as container:
            container.metadata.update(dict(metadata))
            container.set_chapters([
                {"id": number, "start": begin, "end": end, "time_base": Fraction(1, 1000), "metadata": {"title": title}}
                for number, (begin, end, title) in enumerate(chapters)
            ])  # fmt: skip
            stream = container.add_stream(codec, rate=25, options={"crf": "1"} if codec == "libx264" else {})
            stream.width, stream.height, stream.pix_fmt = width, height, pix_fmt
            stream.codec_context.time_base = Fraction(1, 1000)
            for attribute, value in dict(colours).items():
                setattr(stream.codec_context, attribute, value)
            heard = container.add_stream(sound, rate=rate, layout=layout) if sound else None
            read = container.add_stream(subtitles) if subtitles else None
            if heard:
                heard.bit_rate = 128000
            if read:
                read.codec_context.subtitle_header = SUBTITLE_HEADER
                read.codec_context.time_base = Fraction(1, 1000)
            given = dict(colours)
            for time, pixels in zip(times, drawn, strict=True):
                picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels)).reformat(
                    format=pix_fmt, src_color_range=2, dst_colorspace=given.get("colorspace", 5),
                    dst_color_range=given.get("color_range", 1), interpolation=0x46004,
                )  # fmt: skip
                picture.pts, picture.time_base = time, Fraction(1, 1000)
                container.mux(stream.encode(picture))
            container.mux(stream.encode())
            if heard:
                samples = np.arange(rate * (times[-1] - times[0] + 40) // 1000)
                wave = np.sin(samples * 440 * 2 * np.pi / rate).astype(np.float32) / 2
                tone = av.AudioFrame.from_ndarray(np.repeat(wave, heard.channels)[None], format="flt", layout=layout)
                tone.sample_rate, tone.pts, tone.time_base = rate, rate * times[0] // 1000, Fraction(1, rate)
                container.mux(heard.encode(tone))
                container.mux(heard.encode())
            for number in range(2 if read else 0):
                text = f"{number},0,Default,,0,0,0,,line {number}".encode()
                packet = read.codec_context.encode_subtitle(av.subtitles.subtitle.SubtitleSet.create(text, 0, 100))
                packet.stream, packet.time_base = read, Fraction(1, 1000)
                packet.pts = packet.dts = 100 * number
                packet.duration = 100
                container.mux(packet)
        if matrix:
            (a, b, c, d), data = matrix, path.read_bytes()
            place = data.index(b"tkhd") + 44
            packed = struct.pack(">5i", *(65536 * value for value in (a, b, 0, c, d)))
            path.write_bytes(data[:place] + packed + data[place + 20 :])
        return path

    return make


def film_scene(width, height, seed) -> np.ndarray:
    """H x W x 3, uint8: what films pan over, in colours that none of their matrices cuts."""
    return (60 + 0.55 * np.asarray(smooth_picture(width, height, seed))).astype(np.uint8)


@pytest.fixture(scope="session")
def draw_scene():
    """``draw_scene(width, height, seed)``: see :func:`film_scene`; the first frame of a film is its upper left part."""
    return film_scene


SUBTITLE_HEADER = b"""[Script Info]
ScriptType: v4.00+

[V4+ Styles]
Format: Name, Fontname, Fontsize, PrimaryColour, SecondaryColour, OutlineColour, BackColour, Bold, Italic, Underline, \
StrikeOut, ScaleX, ScaleY, Spacing, Angle, BorderStyle, Outline, Shadow, Alignment, MarginL, MarginR, MarginV, Encoding
Style: Default,Arial,16,&Hffffff,&Hffffff,&H0,&H0,0,0,0,0,100,100,0,0,1,1,0,2,10,10,10,0

[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
\0"""  # PyAV hands it on without the zero that FFmpeg reads up to


@pytest.fixture(scope="session")
def png_without_pixels():
    """``png_without_pixels(width, height)``: the bytes of a PNG that promises a size and holds no pixels."""
    return lambda width, height: png(width, height, chunk(b"IDAT", zlib.compress(b"")))


@pytest.fixture(scope="session")
def photos(tmp_path_factory):
    """A folder of twelve small photographs, landscape and portrait, JPEG and PNG, one in a subfolder."""
    folder = tmp_path_factory.mktemp("photos")
    (folder / "more").mkdir()
    for i in range(12):
        picture = smooth_picture(40 + 5 * i, 80 - 3 * i, seed=i)
        if i % 3 == 0:  # some are not smooth
            noise = np.random.default_rng(i).integers(-40, 40, (picture.height, picture.width, 3))
            picture = Image.fromarray((np.asarray(picture) + noise).clip(0, 255).astype(np.uint8))
        picture.save(folder / ("more" if i == 5 else "") / f"photo_{i:02d}.{'png' if i % 4 == 3 else 'jpg'}")
    return folder


@pytest.fixture(scope="session")
def style_image(tmp_path_factory):
    """A small painting."""
    path = tmp_path_factory.mktemp("styles") / "stripes.png"
    picture = np.asarray(smooth_picture(64, 48, seed=99)).copy()
    picture[:, ::7] = (250, 200, 20)
    picture[::9] = (10, 30, 90)
    Image.fromarray(picture).save(path)
    return path


@pytest.fixture(scope="session")
def monitor(tmp_path_factory):
    """The photograph to watch a training by."""
    path = tmp_path_factory.mktemp("monitor") / "view.png"
    smooth_picture(57, 40, seed=42).save(path)
    return path


@pytest.fixture(scope="session")
def training_inputs(style_image, photos, vgg_file, monitor):
    """The flags that name what a small training is made of."""
    return [
        "--style_image", style_image, "--dataset_dir", photos, "--vgg_weights", vgg_file,
        "--training_monitor_content_image", monitor,
    ]  # fmt: skip


@pytest.fixture
def soon_begun(monkeypatch, vgg):
    """Trainings in this process begin and end at once: little is read and measured, and nothing is plotted."""
    from training import build, run

    monkeypatch.setattr(build, "load_vgg19", lambda *args: vgg)
    monkeypatch.setattr(build, "CALIBRATION_PHOTOGRAPHS", 4)
    monkeypatch.setattr(run, "plot_losses", lambda *paths: True)


@pytest.fixture(scope="session")
def small_training(training_inputs):
    """The flags of a training of one step, of a network that is quick to train and to store."""
    return [
        *training_inputs, "--image_size", 32, "--batch_size", 2, "--num_epochs", 100, "--total_steps", 1,
        "--device", "cpu", "--precision", "float32", "--num_workers", 0, "--log_every_steps", 1,
        "--monitor_every_steps", 0, "--width", 0.25, "--blocks", 2,
    ]  # fmt: skip


@pytest.fixture
def train(call_cli, small_training, soon_begun, tmp_path):
    """``train(*flags)`` runs that training in this process, to ``tmp_path/out``; flags that are given win."""

    def run(*flags):
        return call_cli("begin_training.py", *small_training, "--output_dir", tmp_path / "out", *flags)

    return run


@pytest.fixture
def small_config(soon_begun, small_training, tmp_path):
    """``small_config(**settings)``: of that training with a photograph a step, in ``tmp_path/out``."""
    from config import TrainingConfig
    from utils.settings import parse_settings

    config, _ = parse_settings(TrainingConfig, "", [*map(str, small_training), "--batch_size", "1"])
    return lambda **settings: dataclasses.replace(config, **{"output_dir": str(tmp_path / "out"), **settings})


@pytest.fixture(scope="session")
def style_model(tmp_path_factory):
    """The file ``stripes.pth`` of an untrained network that changes a picture visibly."""
    from models.checkpoints import Checkpoint, save_checkpoint
    from models.transformer_net import TransformerNet
    from training.build import estimate_statistics

    with torch.random.fork_rng():
        torch.manual_seed(3)
        network = TransformerNet(width=0.25)
        torch.nn.init.uniform_(network.layers[-1][0].weight, -0.5, 0.5)
        estimate_statistics(network, [torch.rand(4, 3, 32, 32) * 255])
    path = tmp_path_factory.mktemp("models") / "stripes.pth"
    save_checkpoint(path, Checkpoint(network.eval(), {"style": "stripes.png"}))
    return path


@pytest.fixture(scope="session")
def gallery(trained_like, tmp_path_factory):
    """The file ``gallery.pth`` of a network of three styles, untrained: wave, scream, mosaic."""
    from models.checkpoints import Checkpoint, save_checkpoint
    from models.multi_style import MultiStyleNet

    styles = ("wave", "scream", "mosaic")
    with torch.random.fork_rng():
        torch.manual_seed(2)
        network = MultiStyleNet.begun_from(trained_like("instance", width=0.25), styles)
        for norm in network.norms():
            norm.bias.data.normal_()
    path = tmp_path_factory.mktemp("models") / "gallery.pth"
    provenance = {
        "style": [f"{name}.jpg" for name in styles],
        "style_level": [0.1, 0.2, 0.3],
        "loss_scales": {"content": 1.0, "style": [[1.0] * 5, [2.0] * 5, [3.0] * 5], "total_variation": 4.0},
    }
    save_checkpoint(path, Checkpoint(network, provenance))
    return path


def _from_environment(variable):
    value = os.environ.get(variable)
    if not value:
        pytest.skip(f"{variable} is not set")
    return Path(value).resolve(strict=True)


@pytest.fixture(scope="session")
def real_weights():
    return _from_environment("STYLE_TRANSFER_VGG_WEIGHTS")


@pytest.fixture(scope="session")
def real_inputs(real_weights):
    """The flags that name what a training of the whole method is made of, and the name of its model."""
    folder = _from_environment("STYLE_TRANSFER_STYLES")
    painting = min(path for path in folder.iterdir() if path.suffix.lower() in (".jpg", ".jpeg", ".png"))
    photographs = _from_environment("STYLE_TRANSFER_PHOTOS")
    flags = ["--style_image", painting, "--dataset_dir", photographs, "--vgg_weights", real_weights]
    return flags, painting.stem
