"""Paint a photograph in the style of any painting by optimisation of the picture itself (Gatys et al., 2016).

    python -m evaluation.gatys --content_image a.jpg --style_image b.jpg --output out.png --iterations 300
    python -m evaluation.gatys --start noise --image_size 512 --style_weight 200

No network is trained: a picture takes minutes on a CPU. The objective is that of begin_training.py, with its scales
measured on the photograph itself. Ctrl-C writes the picture as far as it is.
"""

from dataclasses import dataclass
from pathlib import Path

from config import OBJECTIVE, OVERWRITE_HELP, PRECISIONS, TrainingConfig, setting
from evaluation.weights import inference_setting, training_setting
from utils.settings import parse_settings, run_command


@dataclass(frozen=True)
class GatysConfig:
    """Settings of ``evaluation.gatys``."""

    content_image: str = setting(
        "content/mountains.jpg",
        "the photograph",
        metavar="PICTURE",
        heading="What to paint, in which style, and where it goes",
    )
    style_image: str = training_setting(
        "style_image", "styles/swirls.jpg", help="the painting whose style the photograph is given"
    )
    output: str = setting("results/optimised.png", "the result: .png, .jpg, .webp or .tif", metavar="FILE")
    image_size: int = training_setting(
        "image_size", help="short side that the photograph is resized to, pixels; time and memory grow with its square"
    )
    style_size: int | None = training_setting("style_size")
    style_smoothing: float = training_setting("style_smoothing")

    content_layer: str = training_setting("content_layer", heading="The objective")
    content_weight: float = training_setting("content_weight")
    style_weight: float = training_setting("style_weight")
    tv_weight: float = training_setting("tv_weight")
    checkerboard_weight: float = training_setting("checkerboard_weight")
    palette_weight: float = training_setting("palette_weight")
    tone_weight: float = training_setting("tone_weight")
    style_layers: tuple[str, ...] = training_setting("style_layers")
    style_layer_weights: tuple[float, ...] = training_setting("style_layer_weights")
    style_octaves: int = training_setting("style_octaves")
    style_octave_weights: tuple[float, ...] | None = training_setting("style_octave_weights")
    loss_scale: str = training_setting("loss_scale")
    vgg_weights: str | None = training_setting("vgg_weights")

    iterations: int = setting(
        300,
        "iterations of L-BFGS; 100 show what it will be, after 300 little changes",
        minimum=1,
        heading="The optimisation",
    )
    start: str = setting("photograph", "what is painted over", choices=("photograph", "noise"))
    seed: int = setting(0, "seed of the noise", minimum=0, maximum=2**63 - 1)

    device: str = inference_setting("device", heading="The machine")
    precision: str = setting(
        "float32",
        "arithmetic of the loss network; L-BFGS compares gradients, which loses its way in less than float32",
        choices=PRECISIONS,
    )
    max_pixels: int = inference_setting("max_pixels")

    save_every: int = setting(
        0,
        "iterations between two pictures on the way, OUTPUT_NNNNNN beside the result; 0 for none",
        minimum=0,
        heading="What is written",
    )
    overwrite: bool = setting(False, OVERWRITE_HELP)


def paint(config: GatysConfig) -> int:
    """Optimise a picture and write it.

    Returns:
        Exit status: 0, or 130 or 143 after a signal; the picture as far as it was is written then, too.

    Raises:
        UserError: naming the flag or file at fault.
    """
    # Imported here, so that --help and a mistyped flag answer without waiting for torch.
    from evaluation.objective import criterion_of, style_batch, unweighted
    from evaluation.optimisation import optimize, prepare_machine, starting_picture
    from evaluation.pictures import read_whole
    from evaluation.saving import PICTURES, write_picture
    from imaging.icc import to_srgb
    from imaging.tensors import picture_batch, tensor_to_image
    from models.pretrained import load_vgg19
    from utils.files import check_target
    from utils.interrupts import Interrupts
    from utils.progress import progress_bar

    check_target(config.output, config.overwrite, PICTURES, "--output")
    on_the_way = range(config.save_every, config.iterations, config.save_every) if config.save_every else ()
    for number in on_the_way:
        check_target(_on_the_way(config.output, number), config.overwrite, PICTURES, "--save_every")
    compute = prepare_machine(config.device, config.precision)
    image = to_srgb(read_whole(config.content_image, "--content_image", config.max_pixels))
    style_image = to_srgb(read_whole(config.style_image, "--style_image", config.max_pixels))
    photograph = picture_batch(image, config.image_size).to(compute.device)
    style_image = style_batch(style_image, config).to(compute.device)
    settings = TrainingConfig(**{name: getattr(config, name) for name in OBJECTIVE if hasattr(config, name)})
    vgg = load_vgg19(config.vgg_weights, compute.device, compute.dtype)
    criterion = criterion_of(settings, vgg, style_image, [photograph])

    def write(path: Path | str, picture) -> None:
        write_picture(path, tensor_to_image(picture[0]), image.info.get("exif"), image.info.get("icc_profile"))

    height, width = photograph.shape[-2:]
    print(f"{width} x {height} pixels from the {config.start}, on {compute.describe()}")
    start = starting_picture(config.start, photograph, config.seed)
    interrupts = Interrupts("Writing the picture as it is", "the picture is lost")
    with interrupts, progress_bar(config.iterations, "iteration") as bar:
        for current in optimize(criterion, photograph, start, config.iterations):
            bar.update(current.number - bar.n)
            bar.set_postfix(objective=f"{current.objective:.4g}", refresh=False)
            if interrupts.received:
                break
            if current.number in on_the_way:
                write(_on_the_way(config.output, current.number), current.picture)
    write(config.output, current.picture)
    terms = unweighted(criterion, current.losses).items()
    terms = ", ".join(f"{term.replace('_', ' ')} {value:.4g}" for term, value in terms)
    print(f"After {current.number} iterations: {terms}; weighted and summed {current.objective:.4g}")
    if current.number < config.iterations and not interrupts.received:
        print("No further step lowers it")
    print(f"Wrote {config.output}")
    return interrupts.exit_status if interrupts.received else 0


def _on_the_way(output: str, number: int) -> Path:
    return Path(output).with_stem(f"{Path(output).stem}_{number:06d}")


def main() -> int:
    config, _ = parse_settings(GatysConfig, __doc__)
    return paint(config)


if __name__ == "__main__":
    run_command(main)
