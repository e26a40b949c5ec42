"""How strong PGD's losses are, and whether the scale of the logits changes that. Prints two Markdown tables.

    python tests/benchmarks/attack_strength.py

Networks are trained on digits as in test_attack_speed.py; multiplying the logits of a network leaves every
prediction as it was, so its robustness too. Smaller numbers are stronger attacks.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from test_attack_speed import Case, digits_cnn, trained
from torch import Tensor, nn

from benchmark_core.testing import make_context
from benchmark_plugins.attacks import losses
from benchmark_plugins.attacks.catalogue import PGDParams
from benchmark_plugins.attacks.pgd import PGD

STEPS = 20
BALLS = (("linf", 0.1), ("l2", 0.8), ("l1", 2.5))


class Scaled(nn.Module):
    def __init__(self, model: nn.Module, k: float) -> None:
        super().__init__()
        self.model, self.k = model, k

    def forward(self, x: Tensor) -> Tensor:
        return self.k * self.model(x)


def digits_mlp() -> Case:
    x, y = load_digits(return_X_y=True)
    x, y = torch.tensor(x / 16, dtype=torch.float32), torch.tensor(y)
    model = nn.Sequential(
        *(nn.Linear(64, 100), nn.ReLU(), nn.Linear(100, 100), nn.ReLU(), nn.Linear(100, 10)),
    )
    return trained("mlp-digits-256", x, y, 1300, 256, model, epochs=20)


def correct(case: Case, model: nn.Module, x: Tensor) -> int:
    return int((model(x).argmax(1) == case.y).sum())


def after_pgd(case: Case, model: nn.Module, norm: str, eps: float, loss: str) -> int:
    attack = PGD(PGDParams(eps=eps, norm=norm, steps=STEPS, loss=loss, random_start=False))  # type: ignore[arg-type]
    return correct(
        case, model, attack.perturb(model, case.x, case.y, make_context(case.task, len(case.x))).x_adv
    )


def after_plain(case: Case, model: nn.Module, eps: float) -> int:
    """Sign steps along F.cross_entropy, the best iterate kept, as most libraries do it."""
    x_adv, fooled = case.x, model(case.x).argmax(1) != case.y
    for _ in range(STEPS):
        x_adv = x_adv.detach().requires_grad_()
        (g,) = torch.autograd.grad(F.cross_entropy(model(x_adv), case.y, reduction="sum"), x_adv)
        d = (x_adv.detach() + 2.5 * eps / STEPS * g.sign() - case.x).clamp(-eps, eps)
        x_adv = (case.x + d).clamp(0, 1)
        fooled |= model(x_adv).argmax(1) != case.y
    return int((~fooled).sum())


def main() -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    cases = [digits_cnn(), digits_mlp()]
    names = ("auto", "ce", "cw", "dlr")
    print("| network | norm, eps | k | auto | ce | cw | dlr | plain `F.cross_entropy` |")
    print("|---|---|---|---|---|---|---|---|")
    for case in cases:
        for norm, eps in BALLS[:2]:
            for k in (1, 5, 20, 100):
                model = Scaled(case.model, k)
                cells = [str(after_pgd(case, model, norm, eps, loss)) for loss in names]
                cells.append(str(after_plain(case, model, eps)) if norm == "linf" else "")
                print(f"| {case.name} | {norm} {eps} | {k} | " + " | ".join(cells) + " |")
    print("\n| network | norm, eps | ce | 1 | 2 | 4 | 8 | 16 |")
    print("|---|---|---|---|---|---|---|---|")
    for case in cases:
        for norm, eps in BALLS:
            cells = [str(after_pgd(case, case.model, norm, eps, "ce"))]
            for losses.HEIGHT in (1.0, 2.0, 4.0, 8.0, 16.0):
                cells.append(str(after_pgd(case, case.model, norm, eps, "auto")))
            losses.HEIGHT = 8.0
            print(f"| {case.name} | {norm} {eps} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
