"""PGD against foolbox, torchattacks and closed forms; what leaving early and scaled logits may not change."""

import copy
import dataclasses

import foolbox
import pytest
import torch
import torch.nn.functional as F
import torchattacks
from scipy.stats import binomtest
from torch import nn

from benchmark_core.kernels.steps import linf_step, unit_l2
from benchmark_core.run.counted import CountedModel
from benchmark_core.testing import make_context
from benchmark_plugins.attacks.balls import Ball
from benchmark_plugins.attacks.catalogue import PGDParams
from benchmark_plugins.attacks.pgd import PGD

EPS = {"linf": 0.1, "l2": 0.5, "l1": 1.5}
ORDER = {"linf": torch.inf, "l2": 2, "l1": 1}
NORMS = list(EPS)


def pgd(v, norm="linf", *, model=None, goal="perturbation", target=None, seed=0, **params):
    attack = PGD(PGDParams(**{"eps": EPS[norm], "norm": norm, "steps": 10} | params))
    return attack.perturb(model or v.model, v.x, v.y, v.context(goal=goal, target=target, seed=seed))


def test_a_ball_with_kept_bounds_steps_as_the_kernel_that_runs_on_a_gpu():
    g = torch.Generator().manual_seed(0)
    x, lower, upper = torch.rand(9, 7, generator=g), torch.zeros(7), torch.linspace(0.9, 1.1, 7)
    x[::2, 0] = 0
    ball, x_k, rows = Ball("linf", x, 0.2, lower, upper), x, torch.tensor([1, 4, 8])
    for _ in range(6):
        slope = torch.randn(9, 7, generator=g) * (torch.rand(9, 7, generator=g) > 0.2)
        expected = linf_step(x_k, slope, x, 0.07, 0.2, lower, upper)
        assert torch.equal(ball.take(rows).step(x_k[rows], slope[rows], 0.07), expected[rows])
        x_k = ball.step(x_k, slope, 0.07)
        assert torch.equal(x_k, expected)


# --- peers ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_equals_foolbox_and_torchattacks(victim, norm):
    v, eps, alpha = victim.double(), EPS[norm], EPS[norm] / 4
    ours = pgd(v, norm, step_size=alpha, random_start=False, iterate="last", loss="ce").x_adv
    cls = {"linf": foolbox.attacks.LinfPGD, "l2": foolbox.attacks.L2PGD}[norm]
    fmodel = foolbox.PyTorchModel(v.model, bounds=(0, 1))
    theirs = cls(abs_stepsize=alpha, steps=10, random_start=False).run(fmodel, v.x, v.y, epsilon=eps)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-9)
    if norm == "l2" and v.x.ndim == 2:
        return  # torchattacks has l2 for images only
    cls = {"linf": torchattacks.PGD, "l2": torchattacks.PGDL2}[norm]
    peer = cls(v.model, eps=eps, alpha=alpha, steps=10, random_start=False)
    # torchattacks adds 1e-10 to the norm of the gradient of a mean
    torch.testing.assert_close(ours, peer(v.x, v.y), rtol=0, atol=1e-9 if norm == "linf" else 1e-4)


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_with_a_random_start_it_is_as_strong_as_foolbox_and_torchattacks(cnn, norm):
    """Our robust accuracy over three starts lies in the 95 % interval, over samples, of theirs."""
    x, y = cnn.task.x_test, cnn.task.y_test
    v, eps, alpha = dataclasses.replace(cnn, x=x, y=y), EPS[norm], EPS[norm] / 4
    foolboxs = {"linf": foolbox.attacks.LinfPGD, "l2": foolbox.attacks.L2PGD}[norm]
    torchattackss = {"linf": torchattacks.PGD, "l2": torchattacks.PGDL2}[norm]
    fmodel = foolbox.PyTorchModel(v.model, bounds=(0, 1))
    ours, theirs, others = [], [], []
    with torch.random.fork_rng():
        for seed in range(3):
            torch.manual_seed(seed)
            ours.append(pgd(v, norm, seed=seed, step_size=alpha, iterate="last", loss="ce").x_adv)
            peer = foolboxs(abs_stepsize=alpha, steps=10, random_start=True)
            theirs.append(peer.run(fmodel, x, y, epsilon=eps))
            others.append(torchattackss(v.model, eps=eps, alpha=alpha, steps=10, random_start=True)(x, y))
    assert not torch.equal(ours[0], ours[1])
    mine, *peers = (sum(v.robust(x_adv).sum().item() for x_adv in found) for found in (ours, theirs, others))
    for found in peers:
        interval = binomtest(round(found / 3), len(x)).proportion_ci()
        assert 0.1 < interval.low < mine / (3 * len(x)) < interval.high < 0.9


def test_targeted_equals_torchattacks(cnn):
    v = cnn.double()
    target = (v.y + 3) % 10
    ours = pgd(v, target=target, step_size=0.025, random_start=False, iterate="last", loss="ce").x_adv
    peer = torchattacks.PGD(v.model, eps=0.1, alpha=0.025, steps=10, random_start=False)
    peer.set_mode_targeted_by_label(quiet=True)
    torch.testing.assert_close(ours, peer(v.x, target), rtol=0, atol=1e-9)


# --- closed forms --------------------------------------------------------------------------------------


@pytest.mark.parametrize("norm", NORMS)
def test_reaches_the_worst_case_of_a_linear_model(task, norm):
    # max over the ball of g(-y <w, x>) is g(eps ||w||_dual - y <w, x>) for increasing g
    x, y, eps = 0.45 + task.x_test.double() * 0.1, task.y_test % 2, 0.2
    model = nn.Linear(5, 2).double().requires_grad_(False)
    w = model.weight[1] - model.weight[0]

    def loss(u):
        return F.cross_entropy(model(u), y, reduction="none")

    attack = PGD(PGDParams(eps=eps, norm=norm, steps=100, step_size=0.05, random_start=False))
    x_adv = attack.perturb(model, x, y, make_context(task, len(x))).x_adv
    f = (2 * y - 1) * (model(x)[:, 1] - model(x)[:, 0])
    dual = torch.linalg.vector_norm(w, {"linf": 1, "l2": 2, "l1": torch.inf}[norm])
    torch.testing.assert_close(loss(x_adv), F.softplus(eps * dual - f), rtol=1e-6, atol=0)


def test_unit_l2_keeps_the_direction_of_any_size():
    g = torch.tensor([[3.0, -4.0]])
    expected = torch.tensor([[0.6, -0.8]])
    for size in (1e-37, 1e-25, 1.0, 1e25, 1e37):
        torch.testing.assert_close(unit_l2(size * g), expected)
    assert not unit_l2(0 * g).any()


# --- confident models ----------------------------------------------------------------------------------


class Scaled(nn.Module):
    def __init__(self, model, k):
        super().__init__()
        self.model, self.k = model, k

    def forward(self, x):
        return self.k * self.model(x)


def plain_pgd(model, x, y, eps, steps, alpha):
    x_adv = x
    for _ in range(steps):
        x_adv = x_adv.detach().requires_grad_()
        (g,) = torch.autograd.grad(F.cross_entropy(model(x_adv), y, reduction="sum"), x_adv)
        x_adv = torch.clamp(x + torch.clamp(x_adv.detach() + alpha * g.sign() - x, -eps, eps), 0, 1)
    return x_adv


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("goal", ["perturbation", "success"])
def test_scaled_logits_do_not_look_more_robust(cnn, norm, goal):
    counts = [
        cnn.robust(pgd(cnn, norm, model=Scaled(cnn.model, k), goal=goal).x_adv).sum().item()
        for k in (1, 5, 20, 100)
    ]
    assert counts[0] < 0.8 * len(cnn.x)
    assert max(counts) - min(counts) <= 1, counts


def test_plain_cross_entropy_does_look_more_robust(cnn):
    eps = EPS["linf"]

    def plain(k):
        x_adv = plain_pgd(Scaled(cnn.model, k), cnn.x, cnn.y, eps, 10, eps / 4)
        return cnn.robust(x_adv).sum().item()

    assert plain(100) > plain(1) + 0.2 * len(cnn.x)


@pytest.mark.parametrize("loss", ["auto", "ce", "cw", "dlr"])
def test_every_loss_survives_saturation(cnn, loss):
    natural = cnn.robust(pgd(cnn, loss=loss, steps=20).x_adv).sum().item()
    scaled = pgd(cnn, model=Scaled(cnn.model, 100), loss=loss, steps=20)
    assert cnn.robust(scaled.x_adv).sum().item() <= natural + 4
    assert not scaled.notes["vanished_gradient"].any()


def test_saturation_is_noted(cnn):
    logits = cnn.model(cnn.x)
    for k in (1, 100):
        expected = F.softplus(
            -(k * logits.double()).gather(1, cnn.y[:, None]).squeeze(1)
            + (k * logits.double()).scatter(1, cnn.y[:, None], -torch.inf).logsumexp(1)
        )
        tiny = torch.finfo(torch.float32).tiny / torch.finfo(torch.float32).eps
        note = pgd(cnn, model=Scaled(cnn.model, k)).notes["saturated"]
        assert torch.equal(note.bool(), expected < tiny)
    assert note.mean() > 0.5


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("bad", [0.0, 1e-40, torch.nan])
def test_vanished_gradients_are_noted_and_moves_stay_finite(mlp, norm, bad):
    class Masked(nn.Module):
        """Gradients are multiplied by `bad` for the first ten samples."""

        def forward(self, x):
            if x.requires_grad:
                x = x.clone()
                x.register_hook(lambda g: torch.cat([bad * g[:10], g[10:]]))
            return mlp.model(x)

    out = pgd(mlp, norm, model=Masked(), random_start=False)
    correct = mlp.robust(mlp.x)
    assert torch.equal(out.notes["vanished_gradient"][:10].bool(), correct[:10])
    assert not out.notes["vanished_gradient"][10:].any()
    assert out.x_adv.isfinite().all()
    if bad != 1e-40:
        assert torch.equal(out.x_adv[:10], mlp.x[:10])


# --- which iterate is kept -----------------------------------------------------------------------------


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("targeted", [False, True])
@pytest.mark.parametrize("restarts", [1, 3])
def test_leaving_early_fools_the_same_samples(victim, norm, targeted, restarts):
    v = victim.double()
    target = (v.y + 1) % len(v.task.classes) if targeted else None
    fooled = []
    for goal in ("success", "perturbation"):
        x_adv = pgd(v, norm, goal=goal, target=target, restarts=restarts, steps=5).x_adv
        says = v.model(x_adv).argmax(1)
        fooled.append(says != v.y if target is None else says == target)
    assert torch.equal(*fooled)
    assert 0 < fooled[0].sum() < len(v.x)


def test_leaving_early_costs_less(cnn):
    passes = {}
    for goal in ("success", "perturbation"):
        model = CountedModel(cnn.model)
        pgd(cnn, goal=goal, model=model)
        passes[goal] = model.forward_passes, model.backward_passes
    n = len(cnn.x)
    assert passes["perturbation"] == (12 * n, 10 * n)  # x, ten iterates with a step, the last
    assert passes["success"][0] < 0.8 * 12 * n
    assert passes["success"][1] < 0.8 * 10 * n


def test_clean_errors_leave_at_once_and_come_back_unchanged(cnn):
    wrong = (cnn.y + 1) % 10
    model = CountedModel(cnn.model)
    x_adv = PGD(PGDParams(eps=0.1)).perturb(model, cnn.x, wrong, cnn.context(goal="success")).x_adv
    right = cnn.robust(cnn.x)
    assert torch.equal(x_adv[right], cnn.x[right])
    x_adv = (
        PGD(PGDParams(eps=0.1))
        .perturb(model, cnn.x[right], wrong[right], make_context(cnn.task, int(right.sum()), goal="success"))
        .x_adv
    )
    assert torch.equal(x_adv, cnn.x[right])


def test_first_success_is_kept(cnn):
    first = pgd(cnn, goal="success", random_start=False).x_adv
    path = [cnn.x] + [
        pgd(cnn, steps=k, step_size=0.025, random_start=False, iterate="last", loss="ce").x_adv
        for k in range(1, 11)
    ]
    ce = pgd(cnn, goal="success", random_start=False, loss="ce").x_adv
    wins = torch.stack([~cnn.robust(p) for p in path])
    when = torch.where(wins.any(0), wins.int().argmax(0), 10)
    expected = torch.stack(path)[when, torch.arange(len(when))]
    torch.testing.assert_close(ce, expected)
    assert (~cnn.robust(first)).any()


def test_best_has_the_highest_loss_among_successes(cnn):
    path = torch.stack(
        [cnn.x]
        + [
            pgd(cnn, steps=k, step_size=0.025, random_start=False, iterate="last", loss="ce").x_adv
            for k in range(1, 11)
        ]
    )
    z = cnn.model(path.flatten(0, 1))
    y = cnn.y.repeat(11)
    loss = F.cross_entropy(z.double(), y, reduction="none") + 1e6 * (z.argmax(1) != y)
    best = pgd(cnn, random_start=False, loss="ce").x_adv
    z = cnn.model(best)
    ours = F.cross_entropy(z.double(), cnn.y, reduction="none") + 1e6 * (z.argmax(1) != cnn.y)
    torch.testing.assert_close(ours, loss.view(11, -1).amax(0), rtol=1e-9, atol=1e-5)


def test_training_is_the_bare_loop(cnn):
    model = CountedModel(cnn.model)
    out = pgd(cnn, goal="training", model=model, random_start=False)
    assert (model.forward_passes, model.backward_passes) == (10 * len(cnn.x), 10 * len(cnn.x))
    assert not out.notes
    torch.testing.assert_close(out.x_adv, plain_pgd(cnn.model, cnn.x, cnn.y, 0.1, 10, 0.025))


def test_last_never_leaves(cnn):
    last = [pgd(cnn, iterate="last", goal=goal).x_adv for goal in ("success", "perturbation")]
    assert torch.equal(*last)


def test_restarts_help(cnn):
    kept = [~cnn.robust(pgd(cnn, restarts=r, steps=1, step_size=0.05).x_adv) for r in (1, 6)]
    assert (kept[1] | ~kept[0]).all()
    assert kept[1].sum() > kept[0].sum()


def test_equal_restarts_are_refused():
    with pytest.raises(ValueError, match="restarts: 2 runs from one start are equal"):
        PGDParams(eps=0.1, restarts=2, random_start=False)


# --- contracts -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("goal", ["success", "perturbation", "training"])
@pytest.mark.parametrize("norm", NORMS)
def test_contracts(victim, norm, goal):
    v = victim
    x, weights = v.x.clone(), copy.deepcopy(v.model.state_dict())
    state = torch.get_rng_state()
    x_adv = pgd(v, norm, goal=goal, restarts=2).x_adv
    assert torch.equal(x_adv, pgd(v, norm, goal=goal, restarts=2).x_adv)
    assert not torch.equal(x_adv, pgd(v, norm, goal=goal, restarts=2, seed=1).x_adv)

    assert x_adv.dtype == x.dtype
    assert not x_adv.requires_grad
    assert (torch.linalg.vector_norm((x_adv - x).flatten(1), ORDER[norm], dim=1) <= EPS[norm] + 1e-5).all()
    assert x_adv.min() >= 0
    assert x_adv.max() <= 1
    assert torch.equal(v.x, x)
    assert not v.x.requires_grad
    assert torch.equal(torch.get_rng_state(), state)
    assert all(
        torch.equal(a, b) for a, b in zip(weights.values(), v.model.state_dict().values(), strict=True)
    )


@pytest.mark.parametrize("goal", ["success", "perturbation"])
@pytest.mark.parametrize("norm", NORMS)
def test_does_not_depend_on_the_batch(victim, norm, goal):
    v = victim.double()
    target = (v.y + 1) % len(v.task.classes)
    attack = PGD(PGDParams(eps=EPS[norm], norm=norm, steps=6, restarts=2))
    whole = attack.perturb(v.model, v.x, v.y, v.context(goal=goal, target=target))
    rows = torch.arange(len(v.x)).flip(0)  # other batches, in another order
    for part in rows.split(17):
        ctx = make_context(v.task, len(part), ids=part, goal=goal, target=target[part])
        ours = attack.perturb(v.model, v.x[part], v.y[part], ctx)
        torch.testing.assert_close(ours.x_adv, whole.x_adv[part], rtol=0, atol=1e-9)


def test_a_zero_ball_changes_nothing(cnn):
    for norm in NORMS:
        assert torch.equal(pgd(cnn, norm, eps=0.0).x_adv, cnn.x)


def test_progress_ends_at_its_total(cnn):
    seen = []
    ctx = cnn.context(progress=lambda done, total: seen.append((done, total)))
    PGD(PGDParams(eps=0.1, steps=3, restarts=2)).perturb(cnn.model, cnn.x, cnn.y, ctx)
    assert seen == [(k, 6) for k in range(1, 7)]
