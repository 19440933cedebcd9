"""The Gram matrix of ``losses.functional``, with its gradient written out and a product of bfloat16 that is exact."""

import torch

from losses.functional import full_precision, no_autocast


def gram_matrix(features: torch.Tensor) -> torch.Tensor:
    """The same as :func:`losses.functional.gram_matrix`, to rounding. Differentiable once.

    Args:
        features: N x C x H x W, fastest in channels-last memory.

    Returns:
        N x C x C, symmetric, float32 (float64 for float64 features).
    """
    return _Gram.apply(features)


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
        with no_autocast(psi):
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
        with no_autocast(psi):
            grad = psi @ grad.to(psi.dtype)
        return grad.to(features.dtype).view(n, h, w, c).permute(0, 3, 1, 2)


def _as_matrix(features: torch.Tensor, keep: torch.dtype | None = None) -> torch.Tensor:
    """psi^T: N x C x H x W to N x HW x C, a view for channels-last features; in full precision, or in type ``keep``."""
    if features.dtype != keep:
        features = full_precision(features)
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
