"""Every built-in method keeps every contract, with settings that take little time."""

from safetensors.torch import save_file

from benchmark_core.testing import conformance


def weights(world, folder):
    path = folder / f"{world.name}.safetensors"
    save_file(world.networks["trained"].state_dict(), path)
    return {"path": str(path)}


PARAMS = {
    "model/mlp": [{"hidden": [8], "activation": a} for a in ("relu", "swish", "tanh")],
    "model/cnn": {"channels": [4], "hidden": 8},
    "model/linear": [{"normalise": n} for n in (True, False)],
    "defense/standard": [{"epochs": 2, "batch": 16, "optimizer": o} for o in ("adam", "sgd")],
    "defense/adversarial-training": {
        "epochs": 2,
        "batch": 16,
        "attack": {"use": "pgd", "eps": 0.1, "steps": 2},
    },
    "defense/pretrained": weights,
    "attack/noise": [{"eps": 0.3, "norm": n, "draws": 3} for n in ("linf", "l2", "l1")],
    "attack/fgsm": {"eps": 0.2},
    "attack/pgd": [
        {"eps": 0.2, "steps": 4},
        {"eps": 0.5, "steps": 4, "norm": "l2", "restarts": 2},
        {"eps": 1.0, "steps": 4, "norm": "l1", "random_start": False, "loss": "cw"},
        {"eps": 0.2, "steps": 4, "iterate": "last", "loss": "ce"},
    ],
    "explainer/saliency": [
        {},
        {"output": "probability", "of": "label", "times_input": True},
        {"output": "loss", "absolute": True},
    ],
    "explainer/integrated-gradients": [
        {"steps": 4},
        {"steps": 4, "baseline": "set", "baseline_draws": 2},
        {"steps": 4, "baseline": "mean", "rule": "trapezoid", "output": "probability"},
    ],
    "explainer/scfe": [
        {"steps": 25, "rounds": 2, "lr": 0.05},
        {"steps": 25, "rounds": 2, "lr": 0.05, "distance": "l2", "loss": "hinge", "answer": "minimiser"},
    ],
    "explainer/ecco": {"steps": 5},
    "explainer/eccco": [{"steps": 5}, {"steps": 5, "start_noise": 0.1}],
    "state/sgld-samples": [{"chains": 3, "steps": 4, "form": f} for f in ("improper", "proper")],
    "metric/unfaithfulness": {"chains": 4, "keep": 2, "steps": 4},
    "metric/perturbation-norm": [{"norm": n} for n in ("l0", "l1", "l2", "linf")] + [{"among": "all"}],
    "metric/stability": [{"draws": 3}, {"draws": 3, "relative": True}],
    "metric/max-sensitivity": {"draws": 3},
    "metric/validity": [{}, {"rule": "threshold"}],
    "metric/cost": [{"norm": n} for n in ("l1", "l2", "linf")] + [{"among": "all"}],
    "metric/sparsity": [{}, {"among": "all"}],
    "metric/lof": [{"k": 3, "distance": d} for d in ("l2", "l1", "cosine")],
    "metric/implausibility": [{"k": 3, "distance": d} for d in ("l2", "l1", "cosine", "ssim")],
}

test_conformance = conformance("benchmark", params=PARAMS)
