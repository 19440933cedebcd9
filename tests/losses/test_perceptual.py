"""The objective: its terms, its sum and its scales, with random VGG-19 weights."""

import copy
import math

import pytest
import torch

from losses.content_ceiling import ContentCeiling
from losses.functional import checkerboard_loss, content_loss, gram_matrix, style_loss, total_variation_loss
from losses.perceptual import CONTENT_LAYER, STYLE_LAYERS, TERMS, LossScales, PerceptualLoss, style_grams

SIZE = 32
WEIGHTS = (1.0, 60.0, 0.05)
MESH = {"checkerboard_weight": 0.3}


def pictures(n, seed):
    return torch.rand(n, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(seed)) * 255


@pytest.fixture(scope="module")
def grams(vgg):
    return style_grams(vgg, pictures(1, 7))


@pytest.fixture(scope="module")
def relative(vgg, grams):
    return LossScales.relative(vgg, grams, [pictures(2, 8), pictures(2, 9)])


def assemble(vgg, grams, stylized, photographs, content_layer=CONTENT_LAYER):
    """The raw terms from the pure functions: content, one style term a layer, total variation, checkerboard."""
    with torch.no_grad():
        of_stylized, of_photographs = (vgg(x, (*STYLE_LAYERS, content_layer)) for x in (stylized, photographs))
        content = content_loss(of_stylized[content_layer], of_photographs[content_layer]).item()
        layers = [style_loss(gram_matrix(of_stylized[n]), g).item() for n, g in zip(STYLE_LAYERS, grams, strict=True)]
        return content, layers, total_variation_loss(stylized).item(), checkerboard_loss(stylized).item()


def test_layers_are_the_papers():
    assert CONTENT_LAYER == "relu2_2"
    assert STYLE_LAYERS == ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
    assert TERMS == ("content", "style", "total_variation", "checkerboard", "temporal")


@pytest.mark.parametrize("content_layer", [CONTENT_LAYER, "relu4_2"])
@pytest.mark.parametrize("weights, is_relative", [((2.0, 3e4, 1e-6), False), (WEIGHTS, True)])
def test_total_is_the_weighted_sum(vgg, grams, content_layer, weights, is_relative):
    """The paper's, of the formulas as they are; or each term divided by its scale."""
    stylized, photographs = pictures(2, 1), pictures(2, 2)
    batches = [pictures(2, 8), pictures(2, 9)]
    scales = LossScales.relative(vgg, grams, batches, content_layer) if is_relative else LossScales()
    criterion = PerceptualLoss(vgg, grams, SIZE, *weights, scales, **MESH, content_layer=content_layer)
    losses = criterion(stylized, photographs)
    content, layers, variation, mesh = assemble(vgg, grams, stylized, photographs, content_layer)
    expected = [
        weights[0] * content / scales.content,
        weights[1] * sum(layer / scale for layer, scale in zip(layers, scales.style, strict=True)),
        weights[2] * variation / scales.total_variation,
        0.3 * mesh,
    ]
    torch.testing.assert_close(losses.raw.tolist(), [content, sum(layers), variation, mesh, 0.0], rtol=1e-5, atol=0)
    torch.testing.assert_close(losses.weighted.tolist(), [*expected, 0.0], rtol=1e-5, atol=0)
    torch.testing.assert_close(losses.total.item(), sum(expected), rtol=1e-5, atol=0)


def test_weights_of_the_layers_count_by_their_ratios(vgg, grams, relative):
    stylized, photographs = pictures(2, 1), pictures(2, 2)
    _, layers, _, _ = assemble(vgg, grams, stylized, photographs)
    means = [5 * layer / scale for layer, scale in zip(layers, relative.style, strict=True)]  # the scales hold the 5
    weights = (0.5, 1.0, 2.0, 0.0, 0.1)
    expected = 60.0 * sum(w * m for w, m in zip(weights, means)) / sum(weights)
    for factor in (1, 7):
        layer_weights = tuple(factor * weight for weight in weights)
        criterion = PerceptualLoss(vgg, grams, SIZE, *WEIGHTS, relative, style_layer_weights=layer_weights)
        assert criterion(stylized, photographs).weighted[1].item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("is_relative", [False, True])
def test_octaves_add_the_style_term_of_smaller_pictures(vgg, is_relative):
    """Each of them halved by the means of four pixels; every Gram matrix has a scale of its own."""

    def half(images):
        return (images[..., ::2, ::2] + images[..., 1::2, ::2] + images[..., ::2, 1::2] + images[..., 1::2, 1::2]) / 4

    style_image, stylized, photographs = pictures(1, 7), pictures(2, 1), pictures(2, 2)
    grams = style_grams(vgg, style_image, 2)
    scales = LossScales(style=(1.0,) * 10)
    if is_relative:
        scales = LossScales.relative(vgg, grams, [photographs])
    criterion = PerceptualLoss(vgg, grams, SIZE, *WEIGHTS, scales)
    found = criterion(stylized, photographs).weighted
    layers, powers = [], []
    for painting, picture in ((style_image, stylized), (half(style_image), half(stylized))):
        targets = style_grams(vgg, painting)
        layers += assemble(vgg, targets, picture, picture)[1]
        powers += [gram.square().sum().item() for gram in targets]
    if is_relative:
        layers = [layer / power / len(layers) for layer, power in zip(layers, powers, strict=True)]
    assert found[1].item() == pytest.approx(60.0 * sum(layers), rel=1e-4)
    once = PerceptualLoss(vgg, style_grams(vgg, style_image), SIZE, *WEIGHTS, LossScales(content=scales.content))
    assert found[0].item() == once(stylized, photographs).weighted[0].item()


def test_layers_and_sizes_can_be_chosen_and_weighed(vgg):
    """The layers of the paper, section 4.1; the weights of the sizes count by their ratios."""
    names, layer_weights, octave_weights = (
        ("relu1_2", "relu2_2", "relu3_3", "relu4_3"),
        (2.0, 1.0, 0.5, 0.25),
        (1.0, 3.0),
    )
    style_image, stylized, photographs = pictures(1, 7), pictures(2, 1), pictures(2, 2)
    expected = 0.0
    for size, octave_weight in zip((SIZE, SIZE // 2), octave_weights):
        of_style, of_stylized = (
            vgg(torch.nn.functional.interpolate(x, size, mode="area"), names) for x in (style_image, stylized)
        )
        for name, layer_weight in zip(names, layer_weights):
            layer = style_loss(gram_matrix(of_stylized[name]), gram_matrix(of_style[name])).item()
            expected += 60.0 * layer * layer_weight / (sum(layer_weights) / 4) * octave_weight / 2
    grams = style_grams(vgg, style_image, 2, names)
    for factor in (1, 5):
        criterion = PerceptualLoss(
            vgg, grams, SIZE, *WEIGHTS, LossScales(style=(1.0,) * 8), style_layers=names,
            style_layer_weights=layer_weights, style_octave_weights=[factor * weight for weight in octave_weights],
        )  # fmt: skip
        assert criterion(stylized, photographs).weighted[1].item() == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("contrast, is_flat", [(0, True), (8, True), (9, False)])
def test_a_flat_photograph_has_no_gradient(vgg, grams, relative, contrast, is_flat):
    """Its gradient would grow by the inverse root of eps in every normalisation layer."""
    stylized = pictures(2, 1).requires_grad_()
    flat = torch.full((1, 3, SIZE, SIZE), 7.0)
    flat[:, 1, 16:] += contrast
    losses = PerceptualLoss(vgg, grams, SIZE, *WEIGHTS, relative, **MESH)(stylized, torch.cat([pictures(1, 2), flat]))
    (gradient,) = torch.autograd.grad(losses.total, stylized)
    assert gradient[0].norm() > 0 and bool(gradient[1].any()) is not is_flat


@pytest.mark.parametrize("term", range(4))
def test_a_zero_weight_leaves_its_term_out_of_value_and_gradient(vgg, grams, term):
    weights = [1.0, 1e4, 1e-6, 0.3]
    alone = [0.0, 0.0, 0.0, 0.0]
    alone[term] = weights[term]
    stylized, photographs = pictures(1, 1).requires_grad_(), pictures(1, 2)

    def losses_of(weights):
        *three, mesh = weights
        criterion = PerceptualLoss(vgg, grams, SIZE, *three, checkerboard_weight=mesh)
        return criterion(stylized, photographs)

    losses = losses_of(alone)
    assert [value > 0 for value in losses.weighted.tolist()] == [i == term for i in range(5)]
    (gradient,) = torch.autograd.grad(losses.total, stylized)
    assert gradient.norm() > 0
    weights[term] = 0.0
    (others,) = torch.autograd.grad(losses_of(weights).total, stylized)
    weights[term] = alone[term]
    (both,) = torch.autograd.grad(losses_of(weights).total, stylized)
    torch.testing.assert_close(gradient + others, both, rtol=1e-3, atol=1e-4 * both.abs().max().item())


def test_gradient_reaches_the_stylized_pictures_alone(vgg, grams):
    stylized, photographs = pictures(1, 1).requires_grad_(), pictures(1, 2).requires_grad_()
    losses = PerceptualLoss(vgg, grams, SIZE, *WEIGHTS)(stylized, photographs)
    losses.total.backward()
    assert stylized.grad.isfinite().all() and stylized.grad.norm() > 0
    assert photographs.grad is None
    assert all(parameter.grad is None for parameter in vgg.parameters())
    assert not losses.raw.requires_grad and not losses.weighted.requires_grad


def test_duplicated_batch_has_the_same_loss(vgg, grams, relative):
    criterion = PerceptualLoss(vgg, grams, SIZE, *WEIGHTS, relative)
    stylized, photographs = pictures(2, 1), pictures(2, 2)
    once = criterion(stylized, photographs)
    twice = criterion(stylized.repeat(2, 1, 1, 1), photographs.repeat(2, 1, 1, 1))
    torch.testing.assert_close(twice.weighted, once.weighted, rtol=1e-5, atol=0)
    torch.testing.assert_close(twice.total, once.total, rtol=1e-5, atol=0)


def test_painting_against_itself_is_zero(vgg, grams, relative):
    painting = pictures(1, 7)  # the one that the Gram matrices were taken of
    losses = PerceptualLoss(vgg, grams, SIZE, *WEIGHTS, relative)(painting, painting)
    content, style, variation, *_ = losses.weighted.tolist()
    assert content == 0
    assert style < 1e-9
    assert variation > 0


def test_style_does_not_see_a_shift_within_a_constant_border(vgg):
    """By 16 pixels, the stride of relu5_1, and so far inside that VGG's padding meets the border alone."""
    size = 352  # the receptive field of relu5_1 is 156 pixels wide: nothing sees both the spot and the padding
    spot = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(5)) * 255
    grams = []
    for top, left in ((160, 176), (176, 160)):
        picture = torch.full((1, 3, size, size), 90.0)
        picture[..., top : top + 16, left : left + 16] = spot
        grams.append(style_grams(vgg, picture))
    for one, other in zip(*grams, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4 * one.abs().max().item())


def test_relative_scales_by_independent_computation(vgg, grams, relative):
    photographs = torch.cat([pictures(2, 8), pictures(2, 9)])
    deep = LossScales.relative(vgg, grams, [pictures(2, 8), pictures(2, 9)], "relu4_2")
    for scales, name in ((relative, CONTENT_LAYER), (deep, "relu4_2")):
        activation = vgg(photographs, (name,))[name].double().mean().item()
        assert scales.content == pytest.approx(activation**2, rel=1e-5)
    x = photographs.double()
    variation = ((x.diff(dim=2) ** 2).sum() + (x.diff(dim=3) ** 2).sum()).item() / len(x)
    assert relative.total_variation == pytest.approx(variation, rel=1e-5)
    norms = [torch.linalg.matrix_norm(gram[0].double()).item() for gram in grams]
    assert relative.style == pytest.approx([5 * norm**2 for norm in norms], rel=1e-4)


def test_relative_losses_do_not_depend_on_the_scale_of_the_loss_network(vgg):
    """Doubling conv1_1 doubles every later feature (biases aside): weights must go on meaning the same."""
    unbiased = copy.deepcopy(vgg)
    for name, parameter in unbiased.named_parameters():
        if name.endswith("bias"):
            parameter.zero_()
    doubled = copy.deepcopy(unbiased)
    doubled.features[0].weight.mul_(2)
    totals = []
    for network in (unbiased, doubled):
        grams = style_grams(network, pictures(1, 7))
        scales = LossScales.relative(network, grams, [pictures(2, 8)])
        totals.append(PerceptualLoss(network, grams, SIZE, *WEIGHTS, scales)(pictures(2, 1), pictures(2, 2)).weighted)
    torch.testing.assert_close(totals[0], totals[1], rtol=1e-4, atol=0)


def test_scales_of_flat_pictures_divide_by_nothing(vgg, grams):
    flat = torch.full((1, 3, SIZE, SIZE), 30.0)
    scales = LossScales.relative(vgg, grams, [flat])
    assert scales.total_variation == 1.0
    assert all(math.isfinite(s) and s > 0 for s in (scales.content, *scales.style))


def test_content_is_reported_relative_to_grey(vgg, grams, relative):
    photographs = pictures(2, 2)
    grey = torch.full_like(photographs, 127.5)
    criterion = PerceptualLoss(vgg, grams, SIZE, *WEIGHTS, relative)
    assert criterion(grey, photographs).content_to_grey.item() == pytest.approx(1.0, rel=1e-5)
    assert criterion(photographs, photographs).content_to_grey.item() == 0


def test_eased_style_is_in_the_sum_and_its_gradient(vgg, grams, relative):
    """The style term, alone, is multiplied by the level as it stood before the batch was seen."""
    stylized, photographs = pictures(1, 1).requires_grad_(), pictures(1, 2)
    ceiling = ContentCeiling(ceiling=0.01, total_steps=20)
    criterion = PerceptualLoss(vgg, grams, SIZE, *WEIGHTS, relative, ceiling)
    plain = PerceptualLoss(vgg, grams, SIZE, *WEIGHTS, relative)(stylized, photographs)
    before = ceiling.level().item()
    first = criterion(stylized, photographs)
    torch.testing.assert_close(first.weighted, plain.weighted)
    level = ceiling.level().item()
    assert level < before == 1.0  # far above the ceiling: eased from now on
    second = criterion(stylized, photographs)
    torch.testing.assert_close(second.weighted, plain.weighted * torch.tensor([1.0, level, 1.0, 1.0, 1.0]))
    torch.testing.assert_close(second.raw, plain.raw)  # what the formulas say is reported as it is
    torch.testing.assert_close(second.total, second.weighted.sum())
    assert torch.autograd.grad(second.total, stylized)[0].isfinite().all()
