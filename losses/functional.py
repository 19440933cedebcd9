"""The formulas of Johnson, Alahi and Fei-Fei (2016), section 3.2, as pure functions of tensors.

Every loss is averaged over the batch, so that it does not depend on the batch size. Differences and products of
features are those of float32, whatever precision the networks run in (float64 stays float64).
"""

import contextlib

import torch


def _full_precision(x: torch.Tensor) -> torch.Tensor:
    return x if x.dtype == torch.float64 else x.float()


def _no_autocast(x: torch.Tensor):
    # torch.autocast would take a Gram matrix's product to half precision, where the sum over HW loses its digits.
    kind = x.device.type  # PyTorch 2.4 knows of no autocast on Apple's MPS, not even whether there is one
    enabled = kind != "mps" and torch.is_autocast_enabled(kind)
    return torch.autocast(kind, enabled=False) if enabled else contextlib.nullcontext()


def content_loss(features: torch.Tensor, target: torch.Tensor, reduction: str = "mean") -> torch.Tensor:
    """Feature reconstruction loss, equation 2: ||phi(y_hat) - phi(y)||^2 / (C H W), averaged over the batch.

    Args:
        features, target: N x C x H x W.
        reduction: "mean" over the batch; or "none", which gives N values, one for each picture.

    Returns:
        Scalar, float32 (float64 for float64 features), not negative.
    """
    losses = (_full_precision(features) - _full_precision(target)).square().mean((1, 2, 3))
    return losses if reduction == "none" else losses.mean()


class _Gram(torch.autograd.Function):
    """psi psi^T / (C H W), with the gradient written out.

    Autograd would form (dG + dG^T) psi as two products and hand it back in the other memory layout, where adding it
    to the rest of the gradient costs as much again: together a third of a training step on a CPU.
    """

    @staticmethod
    def forward(ctx, features):
        ctx.save_for_backward(features)
        on_cpu = features.device.type == "cpu"
        psi = _as_matrix(features, keep=torch.bfloat16 if on_cpu else None)
        with _no_autocast(psi):
            if psi.dtype == torch.bfloat16:
                gram = _product_of_bfloat16(psi)
            else:
                gram = psi.transpose(1, 2) @ psi
        return gram / features[0].numel()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad):
        (features,) = ctx.saved_tensors
        n, c, h, w = features.shape
        grad = (grad + grad.transpose(1, 2)) / features[0].numel()
        # The gradient leaves in the features' type. bfloat16, with float32's range, may as well carry the product: on
        # a CPU that halves the cost of this function. float16 may not: entries of 1e-9 are common here.
        psi = _as_matrix(features, keep=torch.bfloat16)
        with _no_autocast(psi):
            grad = psi @ grad.to(psi.dtype)
        return grad.to(features.dtype).view(n, h, w, c).permute(0, 3, 1, 2)


def _as_matrix(features: torch.Tensor, keep: torch.dtype | None = None) -> torch.Tensor:
    """psi^T: N x C x H x W to N x HW x C, a view for channels-last features; in full precision, or in type ``keep``."""
    if features.dtype != keep:
        features = _full_precision(features)
    return features.permute(0, 2, 3, 1).flatten(1, 2)


def _product_of_bfloat16(psi: torch.Tensor) -> torch.Tensor:
    """psi^T psi of N x HW x C in bfloat16, as N x C x C in float32, within 1e-5 of the product in float32.

    The hardware multiplies bfloat16 exactly and adds in float32; only the result is rounded to bfloat16. A second
    product, less the first one's result, is the rounding error. On a CPU both together take a quarter of the time of
    one in float32.
    """
    gram = torch.bmm(psi.transpose(1, 2), psi)
    remainder = torch.baddbmm(gram, psi.transpose(1, 2), psi, beta=-1)
    return gram.float() + remainder.float()


def gram_matrix(features: torch.Tensor) -> torch.Tensor:
    """Gram matrix, equation 3: G = psi psi^T / (C H W) with psi the features reshaped to C x HW.

    Args:
        features: N x C x H x W. Differentiable once.

    Returns:
        N x C x C, symmetric, float32 (float64 for float64 features).
    """
    return _Gram.apply(features)


def style_loss(gram: torch.Tensor, target: torch.Tensor, reduction: str = "mean") -> torch.Tensor:
    """Style reconstruction loss of one layer, equation 4: ||G(y_hat) - G(s)||_F^2, averaged over the batch.

    Args:
        gram: N x C x C.
        target: C x C or N x C x C.
        reduction: "mean" over the batch; or "none", which gives N values, one for each picture.

    Returns:
        Scalar, not negative.
    """
    losses = (gram - target).square().sum(dim=(-2, -1))
    return losses if reduction == "none" else losses.mean()


def total_variation_loss(images: torch.Tensor) -> torch.Tensor:
    """Total variation: sum of (y[i, j+1] - y[i, j])^2 + (y[i+1, j] - y[i, j])^2, averaged over the batch.

    The sum runs over channels and pixels (the anisotropic form, with squares, of the paper's section 3.2).

    Args:
        images: N x C x H x W, RGB in [0, 255].

    Returns:
        Scalar, not negative; grows with C H W.
    """
    images = _full_precision(images)
    rows = (images[..., 1:, :] - images[..., :-1, :]).square().sum()
    columns = (images[..., :, 1:] - images[..., :, :-1]).square().sum()
    return (rows + columns) / images.shape[0]


def checkerboard_loss(images: torch.Tensor, period: int = 4) -> torch.Tensor:
    """Power of the mesh that upsampling draws (Odena et al., 2016), averaged over channels and batch.

    With m[p, q] the mean of a channel over the pixels whose row is p and whose column is q modulo ``period``, under a
    Hann window: sum over p, q of (m[p, q] - mean of m)^2. By Parseval that is the spectrum's power at the multiples of
    1/period in both directions, for a period of 4 those of 2 and 4 pixels: next to nothing in photographs and
    paintings, and just what a network with two doublings of size can draw where it has nothing to go by.

    Args:
        images: N x C x H x W, RGB in [0, 255], H and W at least ``period``. Rows and columns beyond the last whole
            period are left out.
        period: pixels; the product of the network's strides.

    Returns:
        Scalar, grey levels squared, not negative.
    """
    images = _full_precision(images)
    height, width = (size // period * period for size in images.shape[-2:])
    images = images[..., :height, :width]
    window = [2 * torch.hann_window(size, dtype=images.dtype, device=images.device) for size in (height, width)]
    images = (images - images.mean((-2, -1), keepdim=True)) * torch.outer(*window)
    means = images.unflatten(-1, (-1, period)).unflatten(-3, (-1, period)).mean((-4, -2))
    return (means - means.mean((-2, -1), keepdim=True)).square().sum((-2, -1)).mean()
