"""The formulas of Johnson, Alahi and Fei-Fei (2016), section 3.2, as pure functions of tensors.

Every loss is each picture's own, or averaged over the batch, so that it does not depend on the batch size. Differences
and products of features are those of float32, whatever precision the networks run in (float64 stays float64).
"""

import contextlib

import numpy
import torch


def full_precision(x: torch.Tensor) -> torch.Tensor:
    return x if x.dtype == torch.float64 else x.float()


def content_loss(features: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Feature reconstruction loss, equation 2: ||phi(y_hat) - phi(y)||^2 / (C H W).

    Both are N x C x H x W. Gives N values, float32 (float64 for float64 features), not negative.
    """
    return (full_precision(features) - full_precision(target)).square().mean((1, 2, 3))


def gram_matrix(features: torch.Tensor) -> torch.Tensor:
    """Gram matrix, equation 3: G = psi psi^T / (C H W) with psi the features reshaped to C x HW. Differentiable once.

    Of N x C x H x W, fastest in channels-last memory. Gives N x C x C, symmetric, float32 (float64 for float64
    features), within 1e-5 of the product in float32.
    """
    return _Gram.apply(features)


class _Gram(torch.autograd.Function):
    """The Gram matrix with its gradient written out.

    Autograd would form (dG + dG^T) psi as two products and hand it back in the other memory layout, where adding it
    to the rest of the gradient costs as much again: together a third of a training step on a CPU.
    """

    @staticmethod
    def forward(ctx, features):
        ctx.save_for_backward(features)
        psi = _as_matrix(features, keeps_bfloat16=features.device.type == "cpu")
        with _no_autocast(psi):
            gram = torch.bmm(psi.mT, psi)
            if psi.dtype == torch.bfloat16:
                # The hardware multiplies bfloat16 exactly and adds in float32; only the result is rounded. A second
                # product, less the first one's result, is the rounding error. On a CPU both together take a quarter of
                # the time of one in float32.
                gram = gram.float() + torch.baddbmm(gram, psi.mT, psi, beta=-1).float()
        return gram / features[0].numel()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad):
        (features,) = ctx.saved_tensors
        n, c, h, w = features.shape
        grad = (grad + grad.mT) / features[0].numel()
        # The gradient leaves in the features' type. bfloat16, with float32's range, may as well carry the product: on
        # a CPU that halves the cost of this function. float16 may not: entries of 1e-9 are common here.
        psi = _as_matrix(features, keeps_bfloat16=True)
        with _no_autocast(psi):
            grad = psi @ grad.to(psi.dtype)
        return grad.to(features.dtype).view(n, h, w, c).permute(0, 3, 1, 2)


def _as_matrix(features: torch.Tensor, keeps_bfloat16: bool) -> torch.Tensor:
    """psi^T: N x C x H x W to N x HW x C, a view for channels-last features."""
    if features.dtype != torch.bfloat16 or not keeps_bfloat16:
        features = full_precision(features)
    return features.permute(0, 2, 3, 1).flatten(1, 2)


def _no_autocast(x: torch.Tensor) -> contextlib.AbstractContextManager:
    """Autocast would take a Gram matrix's product to half precision, where the sum over HW loses its digits."""
    kind = x.device.type  # PyTorch 2.4 knows of no autocast on Apple's MPS, not even whether there is one
    enabled = kind != "mps" and torch.is_autocast_enabled(kind)
    return torch.autocast(kind, enabled=False) if enabled else contextlib.nullcontext()


def style_loss(gram: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Style reconstruction loss of one layer, equation 4: ||G(y_hat) - G(s)||_F^2.

    Of N x C x C, and a target of C x C or N x C x C. Gives N values, not negative.
    """
    return (gram - target).square().sum(dim=(-2, -1))


def total_variation_loss(images: torch.Tensor) -> torch.Tensor:
    """Total variation: sum of (y[i, j+1] - y[i, j])^2 + (y[i+1, j] - y[i, j])^2, averaged over the batch.

    The sum runs over channels and pixels (the anisotropic form, with squares, of the paper's section 3.2). Of
    N x C x H x W, RGB in [0, 255]. Gives a scalar, not negative, which grows with C H W.
    """
    images = full_precision(images)
    rows = (images[..., 1:, :] - images[..., :-1, :]).square().sum()
    columns = (images[..., :, 1:] - images[..., :, :-1]).square().sum()
    return (rows + columns) / images.shape[0]


def checkerboard_loss(images: torch.Tensor, period: int = 4) -> torch.Tensor:
    """Power of the mesh that upsampling draws (Odena et al., 2016), averaged over channels and batch.

    With m[p, q] the mean of a channel over the pixels whose row is p and whose column is q modulo ``period``, under a
    Hann window: sum over p, q of (m[p, q] - mean of m)^2. By Parseval that is the spectrum's power at the multiples of
    1/period in both directions, for a period of 4 those of 2 and 4 pixels: next to nothing in photographs and
    paintings, and just what a network with two doublings of size can draw where it has nothing to go by.

    Of N x C x H x W, RGB in [0, 255], H and W at least ``period``, the product of the network's strides in pixels; what
    is beyond the last whole period is left out. Gives a scalar, grey levels squared, not negative.
    """
    images = full_precision(images)
    height, width = (size // period * period for size in images.shape[-2:])
    images = images[..., :height, :width]
    window = [2 * torch.hann_window(size, dtype=images.dtype, device=images.device) for size in (height, width)]
    images = (images - images.mean((-2, -1), keepdim=True)) * torch.outer(*window)
    means = images.unflatten(-1, (-1, period)).unflatten(-3, (-1, period)).mean((-4, -2))
    return (means - means.mean((-2, -1), keepdim=True)).square().sum((-2, -1)).mean()


def octaves(images: torch.Tensor, count: int) -> list[torch.Tensor]:
    """Images, N x 3 x H x W, at ``count`` sizes: their own, and each time half; a pixel is the mean of four."""
    sizes = [images]
    while len(sizes) < count:
        sizes.append(torch.nn.functional.avg_pool2d(sizes[-1], 2))
    return sizes


def is_flat(images: torch.Tensor) -> torch.Tensor:
    """N x 1 x 1 x 1, true for images of next to one colour: 8 grey levels at most, in every channel.

    Of N x 3 x H x W, RGB in [0, 255].
    """
    contrast = images.amax((2, 3), keepdim=True) - images.amin((2, 3), keepdim=True)
    return (contrast <= 8).all(1, keepdim=True)


def luminance(images: torch.Tensor) -> torch.Tensor:
    """Luma by ITU-R Rec. 601, as Pillow's mode ``L``: N x 1 x H x W of N x 3 x H x W, in [0, 255]."""
    red, green, blue = images.split(1, 1)
    return 0.299 * red + 0.587 * green + 0.114 * blue


def sliced_wasserstein(
    colours: torch.Tensor, everybody: torch.Tensor, target: torch.Tensor, directions: torch.Tensor
) -> torch.Tensor:
    """Squared sliced Wasserstein distance of a picture's colours from a palette, as a part of a larger set.

    Along each direction d the colours of the set are sorted; one of rank r is compared with the palette's of the same
    rank: mean over the picture's colours and directions of (x·d - target_d(r))^2 (Bonneel et al., 2015).

    Args:
        colours: N x K x 3, of N pictures, which have the gradient.
        everybody: M x 3, the set; the colours are among them.
        target: Q x D, the palette's projections onto each direction, sorted.
        directions: D x 3, unit vectors.

    Returns:
        N values, grey levels squared, not negative.
    """
    projected = full_precision(colours) @ directions.T  # N x K x D
    with torch.no_grad():
        places = sorted_rows((everybody @ directions.T).T.contiguous())  # D x M
        own = projected.flatten(0, 1).T.contiguous()  # D x N K
        ranks = (torch.searchsorted(places, own) + torch.searchsorted(places, own, right=True) - 1) / 2
        index = ((ranks + 0.5) * (len(target) / len(everybody))).long().clamp(0, len(target) - 1)
        aims = target.gather(0, index.T).view_as(projected)
    return (projected - aims).square().mean((1, 2))


def sorted_rows(rows: torch.Tensor) -> torch.Tensor:
    """Each row of R x C sorted; on a CPU by NumPy, which takes an eighth of torch's time."""
    if rows.device.type != "cpu" or torch.compiler.is_compiling():
        return rows.sort(1).values
    return torch.from_numpy(numpy.sort(rows.numpy(), 1))
