"""What the methods of broken_bench.py do: each breaks one contract, where its `method` says so, or none."""

from __future__ import annotations

from dataclasses import replace

import benchmark_core as robex

_calls = 0


def _count() -> int:
    global _calls
    _calls += 1
    return _calls


class Step(robex.Attack):
    """x + eps sign(gradient), in the box; `method` of the params says which contract it breaks."""

    def perturb(self, model, x, y, ctx):
        import random

        import numpy as np
        import torch

        name, eps = self.params.method, self.params.eps
        if name == "raises":
            raise ValueError("told to raise")
        if name == "needs-a-sample":
            x.max()
        if name == "edits-task":
            ctx.task.y_test[0] += 1
        if name == "adds-hook":
            model.model.register_forward_hook(lambda module, args, out: None)
        if name == "patches-forward":
            head = model.model.head
            forward = head.forward
            head.forward = lambda x: forward(x)
        if name == "global-hook":
            torch.nn.modules.module.register_module_forward_hook(lambda module, args, out: None)
        if name == "matmul":
            torch.set_float32_matmul_precision("medium")
        if name == "trains-mode":
            model.train()
        if name == "edits-weights":
            next(model.parameters()).mul_(1.001)
        if name == "torch-rng":
            torch.rand(1)
        if name == "numpy-rng":
            np.random.rand()  # noqa: NPY002
        if name == "python-rng":
            random.random()
        if name == "uncounted":
            model.model(x)
        if name == "progress":
            ctx.progress(3, 2)
        ctx.progress(1, 1)

        aim = None if name == "no-aim" else ctx.target
        if name == "forgets-aim" and ctx.goal == "success":
            aim = None
        if name == "wants-gradients":
            x.requires_grad_()
        if name == "edits-params":
            object.__setattr__(self.params, "seen", len(x))
        with torch.enable_grad():
            z = x.detach().clone().requires_grad_()
            logits = model(z)
            loss = torch.nn.functional.cross_entropy(logits, y if aim is None else aim, reduction="sum")
            (g,) = torch.autograd.grad(loss, z)
        if name == "fills-grad" and len(x):
            next(model.parameters()).grad = torch.zeros_like(next(model.parameters()))
        up = 1 if (aim is None) != (name == "away-from-target") else -1
        if name == "away-from-target" and aim is None:
            up = 1
        step = up * eps * g.sign()
        if name == "divides-by-gradient":
            step = step * (g.abs().amax() / g.abs().amax()) if len(x) else step
        if name == "batch-mean" and len(x):
            step = step * (0.5 + 0.5 * torch.sigmoid(g.mean()))
        if name == "batch-size":
            step = step * min(1, ctx.batch_size / 64)
        if name == "batch-draw":
            step = step * torch.rand(x.shape, generator=ctx.generator).to(x)
        if name == "draws-deterministic":
            step = step * ctx.random.uniform(*x.shape[1:]).to(x)
        if name == "own-seed":
            own = torch.Generator().manual_seed(0)
            step = step * torch.rand(1, *x.shape[1:], generator=own).to(x)
        if name == "good-noise":
            step = step * ctx.random.uniform(*x.shape[1:]).to(x)
        if name == "counts-calls":
            self.calls = getattr(self, "calls", 0) + 1
            step = step / self.calls
        if name == "small-batch" and len(x) > 32:
            step = step * 0
        if name == "own-clock":
            step = step / (1 + 0.01 * _count())
        if name == "secret-goal" and ctx.goal == "success":
            step = step / 2
        if name == "secret-aim" and ctx.goal == "success" and ctx.target is not None:
            step = step / 2
        if name == "secret-training" and ctx.goal == "training":
            step = step / 2
        if name == "forgets-aim":  # too weak to succeed
            step = step / 100
        if name == "lazy-aim" and ctx.goal == "success" and ctx.target is not None:
            step = step / 100
        if name == "lazy-exit" and ctx.goal == "success":
            step = step * 0
        if name == "leaves-ball" or (name == "early-ball" and ctx.goal == "success"):
            step = 2 * step
        x_adv = x.detach() + step
        if name == "keeps-answer":
            same = hasattr(self, "answer") and self.answer.shape == x.shape
            x_adv = self.answer = self.answer if same else x_adv
        if name != "leaves-box":
            x_adv = x_adv.clamp(ctx.task.lower.to(x), ctx.task.upper.to(x))
        if name == "nan":
            x_adv = x_adv * float("nan")
        if name == "keeps-graph":
            x_adv.requires_grad_()
        if name == "flattens":
            x_adv = x_adv.flatten(1)[:, :1]
        if name == "float32":
            x_adv = x_adv.float()
        if name == "in-place":
            x += 0.001
        if name == "grad-mode":
            torch.set_grad_enabled(False)
        notes = {}
        if name == "scalar-note":
            notes = {"loss": loss.detach()}
        if name == "boasts":
            notes = {"success": torch.ones(len(x))}
        return robex.Perturbation(x_adv, notes)


class NoParamsKept(Step):
    """Forgets its params once it is made, but acts by them."""

    def __init__(self, params):
        self.params = replace(params, eps=params.eps / 2)


class Explainer(robex.Explainer):
    def explain(self, model, x, y, ctx):
        import torch

        name, task = self.params.method, ctx.task
        if name in ("good-synthesis", "bad-labels", "outside-images"):
            labels = torch.arange(task.n_classes)
            images = task.x_train[:1].to(x).repeat(len(labels), *[1] * (x.ndim - 1))
            images = images + 100 if name == "outside-images" else images
            return robex.Synthesis(images, labels + 1 if name == "bad-labels" else labels)
        if ctx.states:
            aim = (ctx.target + 1) % task.n_classes if name == "aims-elsewhere" else ctx.target
            way = ctx.states["centres"]["centres"].to(x)[aim] - x
            free = torch.ones(len(x), dtype=torch.bool).fill_(name == "moves-immutable")
            if name.startswith("moves-immutable-when") and len(x):
                logits = model(x + way * task.mutable)
                flat = (logits == logits[:, :1]).all(1)
                lost = (logits.softmax(1).gather(1, ctx.target[:, None])[:, 0] < 1e-9) & ~flat
                free = flat if name == "moves-immutable-when-flat" else lost
            way = torch.where(free.view(-1, *[1] * (x.ndim - 1)) | task.mutable, way, 0)
            x_cf = x + way.clamp(task.lower.to(x) - x, task.upper.to(x) - x)
            if name == "mixes-calls":
                last = getattr(self, "last", x_cf)
                self.last = x_cf
                x_cf = (x_cf + last) / 2 if last.shape == x_cf.shape else x_cf
            return robex.Counterfactual(x_cf)
        values = x * 2
        if name == "batch-scale" and len(x):
            values = values / values.abs().max().clamp_min(1)
        return robex.Attribution(values, delta=values.flatten() if name == "bad-delta" else None)


class Metric(robex.Metric):
    def measure(self, result, model, ctx):
        import torch

        name = self.params.method
        fooled = (ctx.logits(model, result.x_adv).argmax(1) != ctx.y).to(result.x_adv)
        if name == "one-number":
            return robex.Scores(fooled.mean()[None])
        if name == "out-of-range":
            return robex.Scores(100 * fooled + 1)
        if name == "all-nan":
            return robex.Scores(fooled * float("nan"))
        if name == "infinite":
            return robex.Scores(1 / (1 - fooled))
        if name == "graph-score":
            return robex.Scores(fooled.requires_grad_())
        if name == "undeclared-valid":
            return robex.Scores(fooled, fooled == 0)
        if name == "half-success":
            return robex.Scores(fooled / 2 + 0.5 * (1 - fooled))
        if name == "believes-notes" and "success" in result.notes:
            return robex.Scores(result.notes["success"])
        if name == "believes-valid":
            return robex.Scores(torch.maximum(fooled, result.notes.get("valid", fooled).to(fooled)))
        if name == "believes-failure":
            return robex.Scores(torch.minimum(fooled, result.notes.get("success", fooled).to(fooled)))
        if name == "numbers-calls":
            self.calls = getattr(self, "calls", 0) + 1
            return robex.Scores(fooled / self.calls)
        if name == "float32-only":
            torch.ones(3) @ torch.ones(3, dtype=result.x_adv.dtype)
        if name == "centres-scores":
            moved = (result.x_adv - ctx.x).flatten(1).abs().sum(1)
            return robex.Scores(moved / moved.sum().clamp_min(1e-9))
        return robex.Scores(fooled)


class Model(robex.Model):
    def build(self, task, ctx):
        import numpy as np
        import torch
        from torch import nn

        name = self.params.method

        class Network(nn.Module):
            def __init__(self):
                super().__init__()
                size = task.x_train[0].numel()
                self.flat, self.head = nn.Flatten(), nn.Linear(size, task.n_classes)
                self.bias = torch.rand(())
                if name == "wrong-classes":
                    self.head = nn.Linear(size, 1)
                if name == "numpy-weights":
                    nn.init.constant_(self.head.bias, np.random.rand())  # noqa: NPY002
                if name != "no-features":
                    self.features = self.flat
                if name == "knows-test-set":
                    self.register_buffer("shift", task.x_test.mean(0))
                if name == "tied":
                    self.tied = nn.Linear(size, task.n_classes)
                    self.tied.weight = self.head.weight

            if name == "extra-state":

                def get_extra_state(self):
                    return {"epochs": 3}

                def set_extra_state(self, state):
                    assert state == {"epochs": 3}

            def forward(self, x):
                x = self.flat(x)
                if name == "detached":
                    x = x.detach()
                if name == "batch-centred":
                    x = x - x.mean(0)
                if name == "hidden-weight":
                    x = x * self.bias
                if name == "knows-test-set":
                    x = x - self.shift.flatten()
                z = self.head(x)
                if name == "tied":
                    z = z + self.tied(x)
                return z.float() if name == "half" else z

        return Network()


class Defense(robex.Defense):
    def train(self, model, task, ctx):
        import torch
        from torch import nn

        name = self.params.method
        optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
        x, y = task.x_train, task.y_train
        if name == "trains-on-test-set":
            x, y = torch.cat([x, task.x_test]), torch.cat([y, task.y_test])
        torch.nn.functional.cross_entropy(model(x), y).backward()
        optimiser.step()
        if name == "renames":
            return nn.Sequential(model)
        if name == "freezes":
            return model.requires_grad_(False)
        if name == "shifts-data":
            task.x_train.sub_(0.1)
        if name == "unseeded":
            with torch.no_grad():
                next(model.parameters()).add_(0.01 * _count())
        return model


class State(robex.State):
    def prepare(self, model, task, ctx):
        import torch

        name, classes = self.params.method, range(task.n_classes)
        centres = torch.stack([task.x_train[task.y_train == c].mean(0) for c in classes])
        if name == "made-of-test-labels":
            centres = torch.stack([task.x_test[task.y_test == c].mean(0) for c in classes])
        if name == "has-list":
            return {"centres": centres.tolist()}
        if name == "nan-state":
            centres = centres * float("nan")
        if name == "draws-state":
            centres = centres + torch.rand(centres.shape, generator=ctx.generator)
        return {"centres": centres}


class Dataset(robex.Dataset):
    def load(self, ctx):
        import numpy as np
        import torch

        from benchmark_core.testing import blobs

        name = self.params.method
        task = blobs(seed=_count() if name == "new-data" else 0)
        if name == "outside-data":
            return replace(task, upper=task.upper / 2)
        if name == "gap":
            return replace(task, classes=(*task.classes, "nobody"))
        if name == "leak":
            half = len(task.x_test) // 2
            x_test = torch.cat([task.x_train[:half], task.x_test[half:]])
            return replace(task, x_test=x_test, y_test=torch.cat([task.y_train[:half], task.y_test[half:]]))
        if name == "numpy-favourable":
            return replace(task, favourable=np.int64(1))
        if name == "constant-feature":
            x, test = task.x_train.clone(), task.x_test.clone()
            x[:, 0], test[:, 0] = 0.5, 0.5
            return replace(task, x_train=x, x_test=test, mean=x.mean(0), std=x.std(0).where(x.std(0) > 0, 1))
        if name == "test-std":
            return replace(task, std=2 * task.x_test.std(0))
        if name == "test-mean":
            return replace(task, mean=task.x_test.mean(0) + 0.1)
        return task
