"""The objective: its terms, its sum and its scales, with random VGG-19 weights."""

import copy

import pytest
import torch

from config import TrainingConfig
from losses.content_ceiling import ContentCeiling
from losses.functional import checkerboard_loss, content_loss, gram_matrix, style_loss, total_variation_loss
from losses.perceptual import PerceptualLoss
from tests.noise import pictures

SIZE = 32
LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
PAPER = {
    "content_weight": 2.0, "style_weight": 3e4, "tv_weight": 1e-6, "checkerboard_weight": 0.3,
    "style_layer_weights": (1.0,) * 5, "palette_weight": 0.0, "tone_weight": 0.0,
}  # fmt: skip
RELATIVE = PAPER | {"content_weight": 1.0, "style_weight": 60.0, "tv_weight": 0.05}


PAINTING, STYLIZED, PHOTOGRAPHS = pictures(1, seed=7), pictures(2, seed=1), pictures(2, seed=2)
CALIBRATION = [pictures(2, seed=8), pictures(2, seed=9)]


def objective(vgg, settings=RELATIVE, is_relative=True, ceiling=None, batches=CALIBRATION, **more):
    found = PerceptualLoss(TrainingConfig(**settings | more), vgg, [PAINTING], SIZE, ceiling)
    if is_relative:
        found.measure(lambda: batches)
    return found


def means(values):
    return {name: value.mean().item() for name, value in values.items()}


def formulas(vgg, content_layer="relu2_2"):
    """From the pure functions: content, one style term a layer, total variation, checkerboard."""
    with torch.no_grad():
        features, of_photographs, of_painting = (
            vgg(x, (*LAYERS, content_layer)) for x in (STYLIZED, PHOTOGRAPHS, PAINTING)
        )
        content = content_loss(features[content_layer], of_photographs[content_layer]).mean().item()
        layers = [style_loss(gram_matrix(features[n]), gram_matrix(of_painting[n])).mean().item() for n in LAYERS]
        return content, layers, total_variation_loss(STYLIZED).item(), checkerboard_loss(STYLIZED).item()


@pytest.mark.parametrize("content_layer", ["relu2_2", "relu4_2"])
@pytest.mark.parametrize("settings, is_relative", [(PAPER, False), (RELATIVE, True)])
def test_total_is_the_weighted_sum(vgg, content_layer, settings, is_relative):
    """The paper's, of the formulas as they are; or each term divided by its scale."""
    found = objective(vgg, settings, is_relative, content_layer=content_layer)
    losses, scales = found(STYLIZED, PHOTOGRAPHS), found.scales()
    content, layers, variation, mesh = formulas(vgg, content_layer)
    assert is_relative or scales == {"content": 1.0, "style": [1.0] * 5, "total_variation": 1.0}
    raw = {
        "content": content / scales["content"],
        "style": sum(layer / scale for layer, scale in zip(layers, scales["style"], strict=True)),
        "total_variation": variation / scales["total_variation"],
        "checkerboard": mesh,
    }
    names = ("content_weight", "style_weight", "tv_weight", "checkerboard_weight")
    weighted = {term: settings[name] * raw[term] for term, name in zip(raw, names)}
    without_weight = {"temporal": 0.0, "palette": 0.0, "tone": 0.0}
    raw, weighted = raw | without_weight, weighted | without_weight
    assert means(losses.raw) == pytest.approx(raw, rel=1e-5)
    assert means(losses.weighted) == pytest.approx(weighted, rel=1e-5)
    assert losses.total.item() == pytest.approx(sum(weighted.values()), rel=1e-5)


@pytest.mark.parametrize("is_relative", [False, True])
def test_layers_and_sizes_can_be_chosen_and_weighed(vgg, is_relative):
    """The layers of the paper, section 4.1, at two sizes; every Gram matrix has a scale of its own."""
    names, layer_weights, octave_weights = (
        ("relu1_2", "relu2_2", "relu3_3", "relu4_3"),
        (2.0, 1.0, 0.5, 0.25),
        (1.0, 3.0),
    )
    expected = 0.0
    for size, octave_weight in zip((SIZE, SIZE // 2), octave_weights):
        of_style, of_stylized = (
            vgg(torch.nn.functional.interpolate(x, size, mode="area"), names) for x in (PAINTING, STYLIZED)
        )
        for name, layer_weight in zip(names, layer_weights):
            target = gram_matrix(of_style[name])
            layer = style_loss(gram_matrix(of_stylized[name]), target).mean().item()
            scale = 8 * target.square().sum().item() if is_relative else 1.0
            expected += layer / scale * layer_weight / (sum(layer_weights) / 4) * octave_weight / 2
    for factor in (1, 5):
        found = objective(
            vgg, is_relative=is_relative, style_layers=names, style_layer_weights=layer_weights, style_octaves=2,
            style_octave_weights=tuple(factor * weight for weight in octave_weights),
        )  # fmt: skip
        assert found(STYLIZED, PHOTOGRAPHS).raw["style"].mean().item() == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("contrast, is_flat", [(0, True), (8, True), (9, False)])
def test_a_flat_photograph_has_no_gradient(vgg, contrast, is_flat):
    """Its gradient would grow by the inverse root of eps in every normalisation layer."""
    stylized = STYLIZED.clone().requires_grad_()
    flat = torch.full((1, 3, SIZE, SIZE), 7.0)
    flat[:, 1, 16:] += contrast
    (gradient,) = torch.autograd.grad(objective(vgg)(stylized, torch.cat([pictures(1, seed=2), flat])).total, stylized)
    assert gradient[0].norm() > 0 and bool(gradient[1].any()) is not is_flat


@pytest.mark.parametrize("term", ["content", "style", "tv", "checkerboard", "palette", "tone"])
def test_a_zero_weight_leaves_its_term_out_of_value_and_gradient(vgg, term):
    weights = {
        "content_weight": 1.0, "style_weight": 1e4, "tv_weight": 1e-6, "checkerboard_weight": 0.3,
        "palette_weight": 100.0, "tone_weight": 100.0,
    }  # fmt: skip
    stylized, photographs = pictures(1, seed=1).requires_grad_(), pictures(1, seed=2)

    def losses_of(chosen):
        return objective(vgg, dict.fromkeys(weights, 0.0) | chosen, is_relative=False)(stylized, photographs)

    alone = {f"{term}_weight": weights[f"{term}_weight"]}
    losses = losses_of(alone)
    name = {"tv": "total_variation"}.get(term, term)
    assert {name for name, value in means(losses.weighted).items() if value > 0} == {name}
    others = losses_of({name: weight for name, weight in weights.items() if name not in alone})
    gradients = [torch.autograd.grad(each.total, stylized)[0] for each in (losses, others, losses_of(weights))]
    assert gradients[0].norm() > 0
    bound = 1e-4 * gradients[2].abs().max().item()
    torch.testing.assert_close(gradients[0] + gradients[1], gradients[2], rtol=1e-3, atol=bound)


def test_gradient_reaches_the_stylized_pictures_alone(vgg):
    stylized, photographs = pictures(1, seed=1).requires_grad_(), pictures(1, seed=2).requires_grad_()
    losses = objective(vgg)(stylized, photographs)
    losses.total.backward()
    assert stylized.grad.isfinite().all() and stylized.grad.norm() > 0
    assert photographs.grad is None
    assert all(parameter.grad is None for parameter in vgg.parameters())
    assert not any(value.requires_grad for value in (*losses.raw.values(), *losses.weighted.values()))


def test_relative_scales_by_independent_computation(vgg):
    photographs = torch.cat(CALIBRATION)
    for name in ("relu2_2", "relu4_2"):
        scales = objective(vgg, content_layer=name).scales()
        activation = vgg(photographs, (name,))[name].double().mean().item()
        assert scales["content"] == pytest.approx(activation**2, rel=1e-5)
    x = photographs.double()
    variation = ((x.diff(dim=2) ** 2).sum() + (x.diff(dim=3) ** 2).sum()).item() / len(x)
    assert scales["total_variation"] == pytest.approx(variation, rel=1e-5)
    grams = [gram_matrix(features) for features in vgg(PAINTING, LAYERS).values()]
    norms = [torch.linalg.matrix_norm(gram[0].double()).item() for gram in grams]
    assert scales["style"] == pytest.approx([5 * norm**2 for norm in norms], rel=1e-4)


def test_scales_are_taken_over_and_checked(vgg):
    found = objective(vgg)
    scales, other = found.scales(), objective(vgg, is_relative=False)
    other.set_scales(scales)
    assert other.scales() == scales
    for wrong in ({}, {"content": 0.0}, {"style": (1.0,)}, {"content": "x"}, {"content": float("nan")}):
        with pytest.raises((ValueError, TypeError)):
            other.set_scales(scales | wrong if wrong else wrong)


def test_what_is_measured_and_kept_can_be_saved_and_restored(vgg):
    """Bit for bit, and without the loss network."""
    found = objective(vgg, ceiling=ContentCeiling(0.01, 20))
    found(STYLIZED, PHOTOGRAPHS)
    state = copy.deepcopy(found.state_dict())
    assert sum(value.numel() for value in state.values()) < 30_000  # most of it the memory of colours
    again = objective(vgg, is_relative=False, ceiling=ContentCeiling(0.01, 20))
    again.load_state_dict(state)
    expected, restored = (each(STYLIZED, PHOTOGRAPHS) for each in (found, again))
    assert expected.total.item() == restored.total.item() and found.ceiling.level() == again.ceiling.level() < 1


def test_content_is_reported_relative_to_grey(vgg):
    grey, found = torch.full_like(PHOTOGRAPHS, 127.5), objective(vgg, content_weight=0.0)
    assert found(grey, PHOTOGRAPHS).content_to_grey.item() == pytest.approx(1.0, rel=1e-5)
    assert found(PHOTOGRAPHS, PHOTOGRAPHS).content_to_grey.item() == 0


def test_eased_style_is_in_the_sum_and_its_gradient(vgg):
    """The style term, alone, is multiplied by the level as it stood before the batch was seen."""
    stylized, photographs = pictures(1, seed=1).requires_grad_(), pictures(1, seed=2)
    ceiling = ContentCeiling(ceiling=0.01, total_steps=20)
    found, plain = objective(vgg, ceiling=ceiling), objective(vgg)(stylized, photographs)
    assert ceiling.level().item() == 1.0
    assert means(found(stylized, photographs).weighted) == means(plain.weighted)
    level = ceiling.level().item()
    assert level < 1.0  # far above the ceiling: eased from now on
    second = found(stylized, photographs)
    expected = means(plain.weighted)
    assert means(second.weighted) == pytest.approx(expected | {"style": level * expected["style"]})
    assert means(second.raw) == means(plain.raw)  # what the formulas say is reported as it is
    assert second.total.item() == pytest.approx(sum(means(second.weighted).values()))
    assert torch.autograd.grad(second.total, stylized)[0].isfinite().all()
