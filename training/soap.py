"""SOAP (Vyas et al., 2024, arXiv:2409.11321): Adam in the eigenbasis of Shampoo's preconditioner."""

import torch


class SOAP(torch.optim.Optimizer):
    """Adam whose moments are those of the gradient in a basis that follows the gradient's own correlations.

    The style term is badly scaled: a few directions in the weights of a layer change the Gram matrices much, most
    change them little. Shampoo's factors G G^T, one a mode of the kernel (output channels, input channels, taps), know
    these directions; Adam, run in their eigenbasis, gives each its own step. Scales, shifts and biases, of many
    styles too, have Adam's own steps. In the first step the factors are measured and nothing is moved.

    Arguments are Adam's; the factors decay with the second beta, and every ``basis_every_steps`` steps one QR iteration
    refines the bases.
    """

    def __init__(self, parameters, lr, betas=(0.95, 0.95), eps=1e-8, weight_decay=0.0, basis_every_steps=10):
        defaults = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay}
        super().__init__(parameters, defaults | {"basis_every_steps": basis_every_steps})

    @torch.no_grad()
    def step(self) -> None:
        """Move the parameters along their gradients."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._move(parameter, group)

    def _move(self, parameter: torch.Tensor, group: dict) -> None:
        gradient = parameter.grad
        if group["weight_decay"]:
            gradient = gradient.add(parameter, alpha=group["weight_decay"])
        if gradient.ndim == 4:  # a kernel as output channels x input channels x taps, in memory's usual order
            gradient = gradient.flatten(2).contiguous()
        beta1, beta2 = group["betas"]
        modes = range(gradient.ndim if gradient.ndim > 2 else 0)
        state = self.state[parameter]
        begins = not state
        if begins:
            state["step"] = torch.zeros(())  # on the CPU, where it can be read without waiting for a GPU
            state["exp_avg"], state["exp_avg_sq"] = torch.zeros_like(gradient), torch.zeros_like(gradient)
            for mode in modes:
                state[f"factor_{mode}"] = gradient.new_zeros(gradient.shape[mode], gradient.shape[mode])
        for mode in modes:
            unfolded = gradient.transpose(0, mode).flatten(1)
            state[f"factor_{mode}"].lerp_(unfolded @ unfolded.T, 1 - beta2)
        if begins and modes:
            for mode in modes:
                state[f"basis_{mode}"] = _eigenvectors(state[f"factor_{mode}"]).to(gradient).contiguous()
            return
        state["step"] += 1
        step = state["step"].item()
        bases = [state[f"basis_{mode}"] for mode in modes]
        state["exp_avg"].lerp_(gradient, 1 - beta1)
        state["exp_avg_sq"].lerp_(_rotate(gradient, bases).square(), 1 - beta2)
        root = (state["exp_avg_sq"] / (1 - beta2**step)).sqrt_().add_(group["eps"])
        move = (_rotate(state["exp_avg"], bases) / (1 - beta1**step)).div_(root)
        move = _rotate(move, [basis.T for basis in bases])
        parameter.add_(move.view_as(parameter), alpha=-group["lr"])
        if step % group["basis_every_steps"] == 0:
            # One step of orthogonal iteration towards each factor's eigenvectors, the largest first.
            for mode, basis in zip(modes, bases):
                rotated = state[f"factor_{mode}"] @ basis
                order = (basis * rotated).sum(0).argsort(descending=True)
                state["exp_avg_sq"] = state["exp_avg_sq"].index_select(mode, order)
                basis.copy_(torch.linalg.qr(_where_lapack_is(state[f"factor_{mode}"] @ basis[:, order])).Q)


def _eigenvectors(factor: torch.Tensor) -> torch.Tensor:
    """Orthonormal eigenvectors of a symmetric matrix as columns, the largest eigenvalue's first."""
    # A little of the identity: a gradient that is zero has no direction, and gets the usual ones.
    # What is not finite is found where the weights are checked, and need not fail here.
    factor = factor.nan_to_num(posinf=0.0, neginf=0.0)
    ridge = factor.diagonal().mean().mul(1e-6).add(torch.finfo(factor.dtype).tiny)
    factor = factor + ridge * torch.eye(len(factor), device=factor.device)
    return torch.linalg.eigh(_where_lapack_is(factor)).eigenvectors.flip(1)


def _where_lapack_is(matrix: torch.Tensor) -> torch.Tensor:
    """On the CPU for Apple's MPS, whose decompositions are young and slow, or missing."""
    return matrix.cpu() if matrix.device.type == "mps" else matrix


def _rotate(x: torch.Tensor, bases: list[torch.Tensor]) -> torch.Tensor:
    """``x`` with each mode's axis expressed in that mode's basis; the transposed bases lead back."""
    for basis in bases:
        x = torch.tensordot(x, basis, dims=([0], [0]))  # takes the first axis away, puts the new one last
    return x
