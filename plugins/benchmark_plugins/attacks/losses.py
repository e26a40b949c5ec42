"""What gradient attacks ascend: a number a sample, made from its logits, that grows as the attack succeeds.

Every loss takes logits z: (n, K), labels y: (n,) and the targets t: (n,) or None, and returns (n,). Attacks
normalise each sample's gradient, so a loss may be replaced by any increasing function of it; that is how
cross-entropy is computed here without the underflow that makes confident networks look robust.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Loss = Callable[[Tensor, Tensor, Tensor | None], Tensor]


def succeeds(z: Tensor, y: Tensor, target: Tensor | None) -> Tensor:
    """(n,) bool: the prediction is the target, or without targets is not y."""
    prediction = z.argmax(1)
    return prediction != y if target is None else prediction == target


def _others(z: Tensor, label: Tensor) -> Tensor:
    """z with -inf in place of the label's logit: (n, K)."""
    return z.scatter(1, label[:, None], -torch.inf)


def cross_entropy(z: Tensor, y: Tensor, target: Tensor | None) -> Tensor:
    """The log-odds m = logsumexp_{j != y} z_j - z_y against the label; with targets, for the target.

    Cross-entropy is softplus(m): both rise together and their gradients differ by the factor sigmoid(m),
    which normalised steps cancel. m itself does not saturate: its gradient is softmax over the other
    classes minus one at y, at full precision however confident the network is.
    """
    label = y if target is None else target
    m = torch.logsumexp(_others(z, label), 1) - z.gather(1, label[:, None]).squeeze(1)
    return m if target is None else -m


def margin(z: Tensor, y: Tensor, target: Tensor | None) -> Tensor:
    """max_{j != y} z_j - z_y; with targets, z_t - max_{j != t} z_j.

    Source: Carlini, Wagner 2017, f_6 without its hinge (arXiv:1608.04644).
    """
    label = y if target is None else target
    m = _others(z, label).amax(1) - z.gather(1, label[:, None]).squeeze(1)
    return m if target is None else -m


def difference_of_logits_ratio(z: Tensor, y: Tensor, target: Tensor | None) -> Tensor:
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
    top = z.topk(needed, dim=1).values
    own = z.gather(1, y[:, None]).squeeze(1)
    if target is None:
        above, spread = _others(z, y).amax(1), top[:, 0] - top[:, 2]
    else:
        above, spread = z.gather(1, target[:, None]).squeeze(1), top[:, 0] - (top[:, 2] + top[:, 3]) / 2
    return (above - own) / (spread + 1e-12)  # 1e-12 as in the authors' code: all logits equal gives 0


LOSSES: dict[str, Loss] = {"ce": cross_entropy, "cw": margin, "dlr": difference_of_logits_ratio}
