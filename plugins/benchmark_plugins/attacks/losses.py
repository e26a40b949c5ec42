"""What gradient attacks ascend: a number a sample, made from its logits, that grows as the attack succeeds.

Every loss takes logits z: (n, K), labels y: (n,) and the targets t: (n,) or None, and returns its values (n,)
and their derivative in z (n, K), in closed form: several times cheaper than recording so small a graph.
Attacks normalise each sample's gradient, so a loss may be replaced by any increasing function of it; that is
how cross-entropy is computed here without the underflow that makes confident networks look robust.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Loss = Callable[[Tensor, Tensor, Tensor | None], tuple[Tensor, Tensor]]


def succeeds(z: Tensor, y: Tensor, target: Tensor | None) -> Tensor:
    """(n,) bool: the prediction is the target, or without targets is not y."""
    prediction = z.argmax(1)
    return prediction != y if target is None else prediction == target


def cross_entropy(z: Tensor, y: Tensor, target: Tensor | None) -> tuple[Tensor, Tensor]:
    """The log-odds m = logsumexp_{j != y} z_j - z_y against the label; with targets, -m for y = t.

    Cross-entropy is softplus(m): both rise together and their gradients differ by the factor sigmoid(m),
    which normalised steps cancel. m itself does not saturate: its derivative is softmax over the other
    classes, and -1 at y, at full precision however confident the network is.
    """
    label = (y if target is None else target)[:, None]
    others = z.scatter(1, label, -torch.inf)
    m = torch.logsumexp(others, 1) - z.gather(1, label).squeeze(1)
    slope = torch.softmax(others, 1).scatter_(1, label, -1.0)
    return (m, slope) if target is None else (-m, -slope)


def cross_entropy_slope(z: Tensor, y: Tensor, target: Tensor | None) -> Tensor:
    """The derivative of `cross_entropy` alone, for callers that never ask for its value."""
    label = (y if target is None else target)[:, None]
    slope = torch.softmax(z.scatter(1, label, -torch.inf), 1).scatter_(1, label, -1.0)
    return slope if target is None else -slope


def margin(z: Tensor, y: Tensor, target: Tensor | None) -> tuple[Tensor, Tensor]:
    """max_{j != y} z_j - z_y; with targets, z_t - max_{j != t} z_j.

    Source: Carlini, Wagner 2017, f_6 without its hinge (arXiv:1608.04644).
    """
    label = (y if target is None else target)[:, None]
    highest, rival = z.scatter(1, label, -torch.inf).max(1, keepdim=True)
    m = (highest - z.gather(1, label)).squeeze(1)
    slope = torch.zeros_like(z).scatter_(1, rival, 1.0).scatter_(1, label, -1.0)
    return (m, slope) if target is None else (-m, -slope)


def difference_of_logits_ratio(z: Tensor, y: Tensor, target: Tensor | None) -> tuple[Tensor, Tensor]:
    """DLR: (max_{j != y} z_j - z_y) / (z_(1) - z_(3)), z_(k) the k-th largest logit; with targets,
    (z_t - z_y) / (z_(1) - (z_(3) + z_(4)) / 2). Does not change when logits are shifted or scaled.

    Raises ValueError below three classes (four with targets), where it is undefined.
    Source: Croce, Hein 2020, eqs. 6 and 7 (arXiv:2003.01690).
    """
    needed = 3 if target is None else 4
    if z.shape[1] < needed:
        aim = "" if target is None else " with targets"
        raise ValueError(
            f"loss dlr{aim} needs {needed} classes or more, the model has {z.shape[1]}; use ce or cw"
        )
    y = y[:, None]
    rival = z.scatter(1, y, -torch.inf).argmax(1, keepdim=True) if target is None else target[:, None]
    top, order = z.topk(needed, dim=1)
    weights = z.new_tensor([1.0, 0.0, -1.0] if target is None else [1.0, 0.0, -0.5, -0.5])
    spread = (top @ weights)[:, None] + 1e-12  # 1e-12 as in the authors' code: equal logits give 0
    ratio = (z.gather(1, rival) - z.gather(1, y)) / spread
    slope = torch.zeros_like(z).scatter_add_(1, order, -ratio * weights)
    one = torch.ones_like(ratio)
    slope.scatter_add_(1, rival, one).scatter_add_(1, y, -one)
    return ratio.squeeze(1), slope / spread


HEIGHT = 8.0
"""How far `temperature` lifts the highest logit above the mean of all. Chosen by trying 1, 2, 4 and 8 on four
small networks (docs/benchmarks-attacks.md): 8 is within a few samples of their own scale, less is weaker."""


def temperature(z: Tensor) -> Tensor:
    """tau: (n, 1), such that z / tau has its highest logit HEIGHT above its mean; 1 where all are equal.

    Cross-entropy of z / tau, with tau of the input at all iterates, is the same for z and for k z.
    """
    spread = z.amax(1, keepdim=True) - z.mean(1, keepdim=True)
    return (spread / HEIGHT).masked_fill(spread <= 0, 1)


LOSSES: dict[str, Loss] = {"ce": cross_entropy, "cw": margin, "dlr": difference_of_logits_ratio}
