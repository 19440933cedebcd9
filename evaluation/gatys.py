"""Paint a photograph in the style of any painting by optimisation of the picture itself (Gatys et al., 2016).

    python -m evaluation.gatys --content_image a.jpg --style_image b.jpg --output out.png --iterations 300
    python -m evaluation.gatys --start noise --image_size 512 --style_weight 200

No network is trained: a picture takes minutes on a CPU. The objective is that of begin_training.py, with its scales
measured on the photograph itself. Ctrl-C writes the picture as far as it is.
"""

from dataclasses import dataclass

from config import OBJECTIVE, OVERWRITE_HELP, PRECISIONS, TrainingConfig, setting, shared_setting, with_objective
from utils.settings import run_command


@with_objective
@dataclass(frozen=True)
class GatysConfig:
    """Settings of ``evaluation.gatys``."""

    content_image: str = shared_setting(
        "training_monitor_content_image",
        help="the photograph",
        heading="What to paint, in which style, and where it goes",
    )
    style_image: str = shared_setting(
        "style_image", "styles/swirls.jpg", help="the painting whose style the photograph is given"
    )
    output: str = setting("results/optimised.png", "the result: .png, .jpg, .webp or .tif", metavar="FILE")
    image_size: int = shared_setting(
        "image_size", help="short side that the photograph is resized to, pixels; time and memory grow with its square"
    )

    iterations: int = setting(
        300,
        "iterations of L-BFGS; 100 show what it will be, after 300 little changes",
        minimum=1,
        heading="The optimisation",
    )
    start: str = setting("photograph", "what is painted over", choices=("photograph", "noise"))
    seed: int = setting(0, "seed of the noise", minimum=0, maximum=2**63 - 1)

    vgg_weights: str | None = shared_setting("vgg_weights", heading="The machine")
    device: str = shared_setting("device")
    precision: str = setting(
        "float32",
        "arithmetic of the loss network; L-BFGS compares gradients, which loses its way in less than float32",
        choices=PRECISIONS,
    )
    max_pixels: int = shared_setting("max_pixels")
    overwrite: bool = setting(False, OVERWRITE_HELP)


def paint(config: GatysConfig) -> int:
    """Optimise a picture and write it, also after a signal; gives the exit status. Raises UserError."""
    # Imported here, so that --help and a mistyped flag answer without waiting for torch.
    from evaluation.optimisation import criterion_of, optimize, starting_picture, unweighted
    from evaluation.pictures import ENDINGS, read_whole, write_picture
    from imaging.icc import to_srgb
    from imaging.tensors import picture_batch, tensor_to_image
    from models.pretrained import load_vgg19
    from utils.device import resolve_compute
    from utils.files import check_target
    from utils.interrupts import Interrupts
    from utils.progress import progress_bar

    check_target(config.output, config.overwrite, ENDINGS, "--output")
    compute = resolve_compute(config.device, config.precision)
    image = to_srgb(read_whole(config.content_image, "--content_image", config.max_pixels))
    painting = to_srgb(read_whole(config.style_image, "--style_image", config.max_pixels))
    photograph = picture_batch(image, config.image_size).to(compute.device)
    settings = TrainingConfig(**{name: getattr(config, name) for name in (*OBJECTIVE, "image_size")})
    vgg = load_vgg19(config.vgg_weights, compute.device, compute.dtype)
    criterion = criterion_of(settings, vgg, painting, [photograph])
    height, width = photograph.shape[-2:]
    print(f"{width} x {height} pixels from the {config.start}, on {compute.describe()}")
    start = starting_picture(config.start, photograph, config.seed)
    interrupts = Interrupts("Writing the picture as it is", "the picture is lost")
    with interrupts, progress_bar(config.iterations, "iteration") as bar:
        for number, current in enumerate(optimize(criterion, photograph, start, config.iterations)):
            bar.update(number - bar.n)
            bar.set_postfix(objective=f"{current.objective:.4g}", refresh=False)
            if interrupts.received:
                break
    write_picture(config.output, tensor_to_image(current.picture[0]), image.info)
    terms = unweighted(criterion, current.losses).items()
    terms = ", ".join(f"{term.replace('_', ' ')} {value:.4g}" for term, value in terms)
    print(f"After {number} iterations: {terms}; weighted and summed {current.objective:.4g}")
    if number < config.iterations and not interrupts.received:
        print("No further step lowers it")
    print(f"Wrote {config.output}")
    return interrupts.exit_status if interrupts.received else 0


if __name__ == "__main__":
    run_command(paint, GatysConfig, __doc__)
