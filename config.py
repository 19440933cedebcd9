"""What can be set, with the defaults. Edit a default here, or give the flag of the same name on the command line.

Each setting is declared once: ``utils.settings`` makes the command line, its ``--help`` and the checks out of these
fields. Other commands declare theirs in the same way, in their own files. This module imports the standard library
alone, so that ``--help`` answers at once.
"""

import dataclasses
import sys
import typing
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

if sys.version_info < (3, 10):  # noqa: UP036, and here, for both scripts import this first
    sys.exit("error: Python 3.10 or later is needed, and this is {}.{}: install a newer one".format(*sys.version_info))


REQUIRED = dataclasses.MISSING
"""In place of a default: the setting must be given, and its value stands on the command line without a flag."""


def setting(default, help, *, heading=None, metavar=None, choices=None, minimum=None, above=None, maximum=None):
    """A dataclass field with its help text and bounds: ``minimum`` and ``maximum`` are allowed, ``above`` is not.

    ``heading`` begins a group of settings in ``--help``. ``metavar`` says there what is expected, where type and
    choices do not.
    """
    metadata = {"help": help, "heading": heading, "metavar": metavar, "choices": choices}
    bounds = {"minimum": minimum, "above": above, "maximum": maximum}
    return dataclasses.field(default=default, metadata={**metadata, **bounds})


DEVICE_HELP = "where to compute: auto (a CUDA GPU if there is one, then Apple's MPS, then CPU), cpu, cuda, cuda:N, mps"
PRECISION_HELP = (
    "arithmetic of the networks: auto takes bfloat16 where the device has it in hardware, float16 on older CUDA GPUs, "
    "float32 elsewhere; losses and optimiser are float32 always"
)
PRECISIONS = ("auto", "float32", "bfloat16", "float16")
MAX_PIXELS = 200_000_000
MAX_PIXELS_HELP = (
    "refuse pictures of more pixels than this before they are decoded: a small file may hold more than fits into memory"
)
MODEL_HELP = "trained style, .pth or .safetensors, or the name of a model"
OVERWRITE_HELP = "replace results that an earlier command left in the same place"


@dataclass(frozen=True)
class TrainingConfig:
    """Settings of ``begin_training.py``."""

    style_image: tuple[str, ...] = setting(
        ("styles/swirls.jpg",),
        "the painting whose style is learnt; with several, with folders, and with patterns such as 'paintings/*.jpg', "
        "one network learns a style from each",
        metavar="PICTURE",
        heading="What to learn from",
    )
    dataset_dir: str = setting(
        "photos", "folder of photographs to train on, read with its subfolders", metavar="FOLDER"
    )
    training_monitor_content_image: str = setting(
        "content/mountains.jpg", "photograph that is stylised every so often, to watch the training", metavar="PICTURE"
    )
    output_dir: str = setting(
        "checkpoints",
        "folder that receives STYLE.pth, and STYLE_training/ with checkpoints, metrics and pictures",
        metavar="FOLDER",
    )
    name: str | None = setting(
        None,
        "name of the result; left out, the style image's, or with several their folder's",
        metavar="NAME",
    )
    checkpoint_path: str | None = setting(
        None,
        "resume from this checkpoint, or from the newest one in this folder; settings not given are taken from it",
        metavar="FILE|FOLDER",
    )
    resume: bool = setting(
        False,
        "go on with this painting's training in output_dir from its newest checkpoint, or begin it if there is none: "
        "the same command works however often it is killed",
    )

    recipe: str | None = setting(
        None,
        "settings that stand together in RECIPES of config.py; flags that are given win over them; classic: the method "
        "as most people describe it; paper: the paper's own layers and settings",
        choices=("classic", "paper"),
        heading="The objective",
    )
    content_layer: str = setting(
        "relu2_2",
        "layer of the content term: relu2_2, the paper's, keeps outlines and calm areas; relu4_2 only what is where",
        choices=("relu2_2", "relu3_2", "relu4_2"),
    )
    content_weight: float = setting(1.0, "weight of the content term", minimum=0)
    style_weight: float = setting(10.0, "weight of the style term", minimum=0)
    style_layers: tuple[str, ...] = setting(
        ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1"),
        "layers of the style term, from relu1_1 to relu5_1; later ones of a block, such as the paper's relu1_2 relu2_2 "
        "relu3_3 relu4_3, see more of a brush stroke at a time, and strokes join into lines",
        metavar="LAYER",
    )
    style_layer_weights: tuple[float, ...] = setting(
        (0.2, 0.7, 1.2, 0.6, 0.05),
        "weights of the style_layers among themselves; their ratios alone count. More of the last two: larger forms of "
        "the painting, fewer of the photograph's; equal ones are the paper's",
        minimum=0,
    )
    style_octaves: int = setting(
        1,
        "sizes at which the style term compares: 1, as in the paper, is the picture's own, 2 adds half of it, 3 a "
        "quarter; more gives larger strokes, best with a style_size of 512 or more; steps take a sixth longer",
        minimum=1,
    )
    style_octave_weights: tuple[float, ...] | None = setting(
        None,
        "weights of these sizes among themselves, the picture's own first; less of that takes less of the painting's "
        "grain; left out, equal",
        minimum=0,
    )
    tv_weight: float = setting(0.6, "weight of total variation; 0.15 to 2 is useful, more is smoother", minimum=0)
    checkerboard_weight: float = setting(
        1.0, "weight of the term against the fine mesh that upsampling draws; 0, as in the paper, for none", minimum=0
    )
    temporal_weight: float = setting(
        0.0,
        "weight of the term that keeps films from flickering, and skies from a lattice of dots: two views of a "
        "photograph are painted alike; 100 to 400 is useful; steps take a third longer; 0, as in the paper, for none",
        minimum=0,
    )
    palette_weight: float = setting(
        5.0,
        "weight of the term that gives results the painting's colours; 2 to 10 is useful; 0, as in the paper, for none",
        minimum=0,
    )
    tone_weight: float = setting(
        6.0,
        "weight of the term that puts the painting's darks and lights where the photograph has its own; 2 to 10 is "
        "useful; 0, as in the paper, for none",
        minimum=0,
    )
    loss_scale: str = setting(
        "relative",
        "relative: weights mean the same for every painting, loss network and size; paper: the raw sums of the paper",
        choices=("relative", "paper"),
    )
    image_size: int = setting(256, "side of the square training crops, pixels", minimum=32, maximum=4096)
    style_size: int | None = setting(
        None, "short side that the painting is resized to, pixels; left out, as image_size", minimum=32, maximum=4096
    )
    style_smoothing: float = setting(
        0.0,
        "pixels that the painting is smoothed over along its brush strokes, once it has its style_size: the grain of "
        "canvas and scan is not learnt, and strokes come out long and flowing; 4 is for a style_size of 512 to 640; "
        "0, as in the paper, for none",
        minimum=0, maximum=64,
    )  # fmt: skip

    norm: str = setting(
        "mixed",
        "normalisation layers: instance takes brightness and contrast out of each photograph; mixed takes a part of "
        "them, so that plain white and plain black stay apart; batch is the paper's",
        choices=("batch", "instance", "mixed"),
        heading="The network",
    )
    upsample: str = setting(
        "transposed",
        "upsampling layers: transposed convolution is the paper's, resize is nearest neighbour and convolution",
        choices=("transposed", "resize"),
    )
    width: float = setting(
        1.0,
        "multiplies the channels of the paper: 0.25 is five times as fast; training.distill teaches a small network "
        "from a large one",
        minimum=0.05,
        maximum=2,
    )
    blocks: int = setting(5, "residual blocks; the paper has 5", minimum=1, maximum=9)
    vgg_weights: str | None = setting(
        None,
        "file with VGG-19 weights, a torchvision state dict; left out, torchvision downloads its own",
        metavar="FILE",
    )

    start_from: str | None = setting(
        None,
        "model or checkpoint whose weights training begins with, for another painting in fewer steps; norm, upsample, "
        "width and blocks are its own; left out, random weights, as in the paper",
        metavar="MODEL",
    )
    train: str = setting(
        "all",
        "norms: learn only scales and shifts of the normalisation layers, as a further style of the network of "
        "--start_from, which keeps its other styles",
        choices=("all", "norms"),
    )

    num_epochs: int | None = setting(
        None, "passes over the photographs at most; see total_steps", minimum=1, heading="The optimisation"
    )
    total_steps: int | None = setting(
        None,
        "steps at most; with num_epochs too, the earlier end counts; with neither, training takes two passes over the "
        "photographs, at least 2000 steps, which a good picture needs, and at most 40000",
        minimum=1,
    )
    batch_size: int = setting(4, "photographs a step", minimum=1)
    optimizer: str = setting(
        "soap",
        "soap: Adam in a basis of each layer's own (Vyas et al., 2024), which learns faster; adam: the paper's",
        choices=("soap", "adam"),
    )
    lr: float = setting(
        5e-3, "learning rate at the start; it falls to zero along a cosine; the paper's, of Adam, is 0.001", above=0
    )
    weight_decay: float = setting(0.0, "weight decay", minimum=0)
    seed: int = setting(0, "seed of every random choice", minimum=0, maximum=2**63 - 1)

    device: str = setting("auto", DEVICE_HELP, metavar="DEVICE", heading="The machine")
    precision: str = setting("auto", PRECISION_HELP, choices=PRECISIONS)
    compile: str = setting(
        "off",
        "whether torch.compile makes kernels of the step, which takes some minutes",
        choices=("on", "off"),
    )
    num_workers: int | None = setting(
        None,
        "processes that read photographs; 0: the training itself reads them; left out, what suits the machine",
        minimum=0,
    )
    max_pixels: int = setting(MAX_PIXELS, MAX_PIXELS_HELP, minimum=1)

    log_every_steps: int = setting(
        50, "steps between two lines of metrics.jsonl", minimum=1, heading="What is written, and how often"
    )
    monitor_every_steps: int = setting(
        500, "steps between two monitor pictures, beside early ones after 50, 100, 200, ...; 0 for none", minimum=0
    )
    checkpoint_every_steps: int = setting(1000, "steps between two checkpoints; 0 for one at the end", minimum=0)
    keep_checkpoints: int = setting(
        0, "checkpoints to keep, the newest; older ones are removed once a newer one is safe; 0 keeps all", minimum=0
    )
    overwrite: bool = setting(False, OVERWRITE_HELP)
    replace_shipped: bool = setting(False, "let the result take the place of a model that came with the program")

    command = ("begin_training.py",)  # what begins such a training, and resumes it


OBJECTIVE = (
    "content_layer", "content_weight", "style_weight", "style_layers", "style_layer_weights", "style_octaves",
    "style_octave_weights", "tv_weight", "checkerboard_weight", "palette_weight", "tone_weight", "loss_scale",
    "style_size", "style_smoothing",
)  # fmt: skip
"""Settings that the objective of a single picture depends on; the temporal term takes two pictures."""

_NO_TERM_OF_OURS = {
    "style_octaves": 1, "style_octave_weights": None, "style_smoothing": 0.0, "checkerboard_weight": 0.0,
    "temporal_weight": 0.0, "palette_weight": 0.0, "tone_weight": 0.0, "norm": "batch", "upsample": "transposed",
    "optimizer": "adam", "lr": 1e-3, "batch_size": 4, "image_size": 256, "style_size": None, "content_weight": 1.0,
}  # fmt: skip

RECIPES = {
    "classic": {
        **_NO_TERM_OF_OURS,
        "content_layer": "relu4_2",
        "style_layers": ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1"),
        "style_layer_weights": (1.0,) * 5,
        "loss_scale": "relative", "style_weight": 60.0, "tv_weight": 0.05, "weight_decay": 1e-5,
    },
    "paper": {
        **_NO_TERM_OF_OURS,
        "content_layer": "relu2_2",
        "style_layers": ("relu1_2", "relu2_2", "relu3_3", "relu4_3"),
        "style_layer_weights": (1.0, 1.0, 1.0, 1.0),
        "loss_scale": "paper", "style_weight": 5e-6, "tv_weight": 4e-5, "weight_decay": 0.0,
    },
}  # fmt: skip
"""What ``--recipe`` sets; flags that are given win over it."""

BEFORE = {
    "style_layers": ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1"), "style_layer_weights": (1.0,) * 5,
    "style_octaves": 1, "style_octave_weights": None, "style_smoothing": 0.0, "checkerboard_weight": 0.0,
    "temporal_weight": 0.0, "palette_weight": 0.0, "tone_weight": 0.0, "content_layer": "relu4_2", "width": 1.0,
    "blocks": 5,
}  # fmt: skip
"""Values for settings that older checkpoints lack."""


def with_recipe(config: TrainingConfig, given: frozenset[str]) -> tuple[TrainingConfig, frozenset[str]]:
    """The settings with those of ``config.recipe``, except the ``given`` ones; and the names of all that hold now."""
    recipe = {name: value for name, value in RECIPES.get(config.recipe, {}).items() if name not in given}
    return dataclasses.replace(config, **recipe), given | recipe.keys()


@dataclass(frozen=True)
class InferenceConfig:
    """Settings of ``begin_inference.py``."""

    model_path: tuple[str, ...] = setting(
        ("checkpoints/starry_night.pth",),
        "trained style: a file that begin_training.py wrote, the folder STYLE_training with its checkpoints, or the "
        "name of a model that ships; several, or a pattern, make a contact sheet, with names",
        metavar="MODEL",
        heading="What to stylise, and where it goes",
    )
    style: tuple[str, ...] | None = setting(
        None,
        "style of a model that has several: a name, or a mixture such as wave:0.6,scream:0.4; several, or all, make a "
        "contact sheet; left out, the first is used",
        metavar="STYLE",
    )
    list_styles: bool = setting(
        False, "list the styles of --model_path, or without it those of all models that ship, and do nothing else"
    )
    content_image: tuple[str, ...] = setting(
        ("content/mountains.jpg",),
        "photographs and films to stylise: files, folders with their subfolders, patterns such as 'trip/*.jpg', in any "
        "mixture; or -, which reads one from standard input and writes the result to standard output",
        metavar="PICTURE|FOLDER|PATTERN",
    )
    output_dir: str = setting(
        "results",
        "folder that receives PHOTOGRAPH_STYLE.png or .jpg; a folder of photographs is mirrored in it, several under "
        "their own names; it is never read as photographs itself",
        metavar="FOLDER",
    )

    device: str = setting("auto", DEVICE_HELP, metavar="DEVICE", heading="The machine")
    precision: str = setting("auto", PRECISION_HELP, choices=PRECISIONS)
    max_pixels: int = setting(MAX_PIXELS, MAX_PIXELS_HELP, minimum=1)

    strength: float = setting(
        1.0, "0 leaves the photograph as it is, 1 gives the style in full", minimum=0, maximum=1, heading="Taste"
    )
    preserve_color: bool = setting(False, "take the lightness alone from the style, the colours from the photograph")
    mask: str | None = setting(
        None,
        "picture of the photograph's proportions: white is stylised, black is kept, grey is between; softened",
        metavar="PICTURE",
    )
    blend: str | None = setting(
        None,
        "mixture of styles in place of --model_path, each with a weight above 0, such as a.pth:0.6,b.pth:0.4, or with "
        "a style of a model that has several, gallery/wave:0.6,a.pth:0.4",
        metavar="MODEL:WEIGHT,MODEL:WEIGHT",
    )
    stroke_scale: float | None = setting(
        None,
        "size of the strokes: 2 makes them twice as large as the network draws them, and gives the photograph's fine "
        "detail back; left out, 1 for photographs with a short side up to 720 pixels, and for larger ones as if they "
        "were reduced to that",
        minimum=0.25,
        maximum=64,
    )
    max_size: int | None = setting(None, "longest side of results, pixels: larger photographs are reduced", minimum=16)

    start: str | None = setting(None, "begin films here, seconds or 1:23.4", metavar="TIME", heading="Films")
    end: str | None = setting(None, "end films here, seconds or 1:23.4", metavar="TIME")

    format: str = setting(
        "auto",
        "file format of the results: auto takes JPEG for a JPEG, MP4 for a film, its own for what is animated "
        "(GIF, WebP, APNG, AVIF), and PNG for all else; EXIF, with the place where a photograph was taken, and the ICC "
        "profile are kept in each, but no XMP and no thumbnail",
        choices=(
            "auto", "jpeg", "jpg", "png", "webp", "avif", "tiff", "tif", "mp4", "mov", "mkv", "webm", "gif", "apng",
        ),
        heading="What is done with the results",
    )  # fmt: skip
    quality: int | None = setting(
        None,
        "quality of JPEG, WebP and AVIF, where more makes larger files; left out, 95, 90 and 80. For films, the "
        "constant-rate factor, where more makes smaller files; left out, 18, for WebM 24",
        minimum=1,
        maximum=100,
    )
    overwrite: bool = setting(False, OVERWRITE_HELP)
    skip_existing: bool = setting(False, "leave out photographs whose result is there already")
    json: bool = setting(
        False,
        "print a line of JSON for each photograph on standard output, and nothing else there: input, output, status "
        "(done, skipped or failed), width, height, seconds (in the network), error, for a film frames; null where "
        "there is nothing to say",
    )


def shared_setting(name: str, default=..., help: str | None = None, heading: str | None = None):
    """A field like inference's setting of this name, or else training's, with its bounds; all else if given."""
    original = {**TrainingConfig.__dataclass_fields__, **InferenceConfig.__dataclass_fields__}[name]
    metadata = {**original.metadata, "help": help or original.metadata["help"], "heading": heading}
    return dataclasses.field(default=original.default if default is ... else default, metadata=metadata)


def with_objective(config_class: type, as_trained: bool = False) -> type:
    """A class of settings with the objective's in addition.

    Args:
        as_trained: a setting that is left out is ``None``, for the one that a model was trained with.
    """
    hints, fields = typing.get_type_hints(TrainingConfig), []
    for name in OBJECTIVE:
        changes = {} if fields else {"heading": "The objective"}
        if as_trained:
            help = TrainingConfig.__dataclass_fields__[name].metadata["help"]
            changes |= {"default": None, "help": f"{help}; left out, as the model was trained"}
        hint = hints[name] | None if as_trained else hints[name]
        fields.append((name, hint, shared_setting(name, **changes)))
    return dataclasses.make_dataclass(config_class.__name__, fields, bases=(config_class,), frozen=True)


@dataclass(frozen=True, kw_only=True)
class DistillConfig(TrainingConfig):
    """Settings of ``training.distill``: those of a training, with other defaults, and the two networks."""

    teacher: str = setting(REQUIRED, "trained style: a file, or the name of a model", metavar="TEACHER")
    student: str = setting(
        REQUIRED,
        "receives the new model; its name ends in .pth, and STUDENT_training/ lies beside it",
        metavar="STUDENT",
    )
    style_image: tuple[str, ...] = shared_setting(
        "style_image", (),
        "the painting: with it the last steps lower the objective of a training; with a teacher of several styles, a "
        "picture for each, of its name",
    )  # fmt: skip
    painting_share: float = setting(
        0.2, "share of the steps, the last ones, that lower the painting's objective", above=0, maximum=1
    )
    temporal_weight: float = shared_setting(
        "temporal_weight", 0.0,
        "weight of the term that keeps films from flickering, beside the distance to the teacher; 2 to 4 is useful",
    )  # fmt: skip
    image_size: int = shared_setting("image_size", 160)
    norm: str | None = shared_setting("norm", None, "normalisation layers; left out, the teacher's")
    upsample: str | None = shared_setting("upsample", None, "upsampling layers; left out, the teacher's")
    width: float = shared_setting(
        "width", 0.25,
        "multiplies the channels of the paper; with the teacher's width and blocks the student begins as a copy",
    )  # fmt: skip
    blocks: int | None = shared_setting("blocks", None, "residual blocks; left out, as many as the teacher has")
    start_from: str | None = shared_setting(
        "start_from",
        help="model that the student begins from: a file or a name; a small one of another style saves steps",
    )  # fmt: skip
    total_steps: int | None = shared_setting("total_steps", 2000, "steps at most, see num_epochs")
    batch_size: int = shared_setting("batch_size", 2)
    lr: float = shared_setting("lr", 0.01, "learning rate at the start; it falls to zero along a cosine")

    # What begin_training.py alone takes.
    recipe: ClassVar = None
    train: ClassVar = "all"
    compile: ClassVar = "off"
    output_dir: ClassVar = property(lambda self: str(Path(self.student).parent))
    name: ClassVar = property(lambda self: Path(self.student).stem)
    command = property(lambda self: ("-m", "training.distill", self.teacher, self.student))


@dataclass(frozen=True)
class DemoConfig:
    """Settings of ``python -m demo``."""

    host: str = setting(
        "127.0.0.1",
        "address to listen at; any but this machine's own lets in everybody who can reach it",
        metavar="ADDRESS",
        heading="The page",
    )
    port: int | None = setting(None, "port; left out, 8000, or a free one if that is taken", minimum=1, maximum=65535)
    no_browser: bool = setting(False, "do not open the page in a browser")

    models: tuple[str, ...] | None = setting(
        None,
        "folders with further models, besides checkpoints/",
        metavar="FOLDER",
        heading="What it works with",
    )
    dataset_dir: tuple[str, ...] | None = setting(
        None, "folders of photographs that the page may train on; left out, it does not train", metavar="FOLDER"
    )
    output_dir: str = setting("checkpoints", "folder that receives the styles that the page trains", metavar="FOLDER")
    vgg_weights: str | None = setting(None, "for training: VGG-19 weights, as for begin_training.py", metavar="FILE")
    max_pixels: int = setting(MAX_PIXELS, MAX_PIXELS_HELP, minimum=1)
    max_upload: int = setting(2000, "megabytes that a visitor may have on the server at a time", minimum=1)

    device: str = setting("auto", DEVICE_HELP, metavar="DEVICE", heading="The machine")
    precision: str = setting("auto", PRECISION_HELP, choices=PRECISIONS)
