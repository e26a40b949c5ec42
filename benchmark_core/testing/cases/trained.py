"""Models, defenses and states: networks and tensors that can be stored, loaded and used again."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping

import torch
from safetensors.torch import load, save
from torch import Tensor, nn

from ...store.codec import decode, encode
from ..harness import Breach, How, Trial, difference, expect, tensors_of
from ..worlds import World
from .table import case


def _world(trial: Trial) -> World:
    assert trial.world is not None
    return trial.world


def _network(trial: Trial, how: How | None = None) -> nn.Module:
    """A copy of the network that the method made, ready for predictions."""
    return copy.deepcopy(trial.call(how).result).eval()


@case("model", "defense", rank=1, read="networks")
def returns_a_network(trial: Trial) -> None:
    world, found = _world(trial), trial.call().result
    expect(isinstance(found, nn.Module), "an nn.Module", f"it returned {type(found).__name__}")
    shape = (trial.n, world.labels)
    logits = _logits(_network(trial), world.x, f"logits of shape {shape} for {trial.n} inputs")
    expect(
        isinstance(logits, Tensor) and logits.shape == shape,
        f"logits (n, classes) = {shape}",
        f"shape {tuple(getattr(logits, 'shape', ()))}",
    )
    expect(torch.isfinite(logits).all(), "finite logits", "some are NaN or infinite")


@case("model", read="networks")
def has_features(trial: Trial) -> None:
    world, network = _world(trial), _network(trial)
    expected = "model.features(x) gives the penultimate layer, (n, F)"
    expect(callable(getattr(network, "features", None)), expected, "the network has no features(x)")
    with torch.no_grad():
        try:
            found = network.features(world.x)  # type: ignore[operator]
        except Exception as error:
            raise Breach(expected, f"it raised {type(error).__name__}: {error}") from None
    shape = tuple(found.shape)
    expect(len(shape) == 2 and shape[0] == trial.n, expected, f"shape {shape}")


@case("model", read="networks")
def is_differentiable(trial: Trial) -> None:
    world, network = _world(trial), _network(trial)
    expected = "logits through which gradients reach the input and the weights"
    x = world.x.clone().requires_grad_()
    logits = network(x)
    expect(logits.requires_grad, expected, "the logits have no gradient")
    weights = [p for p in network.parameters() if p.requires_grad]
    expect(weights, expected, "no parameter requires a gradient")
    for c in range(world.labels):
        (g,) = torch.autograd.grad(logits[:, c].sum(), x, retain_graph=True, allow_unused=True)
        expect(
            g is not None and torch.isfinite(g).all(), expected, "the gradient at the input is missing or NaN"
        )
    none = torch.autograd.grad(logits.sum(), weights, allow_unused=True)
    expect(all(g is not None for g in none), expected, "a weight has no gradient; freeze or drop it")


@case("model", read="samples-not-batches")
def predicts_samples_not_batches(trial: Trial) -> None:
    network, x = _network(trial).double(), _world(trial).doubled().x
    with torch.no_grad():
        whole = network(x)
        alone = torch.cat([network(row) for row in x.flip(0).split(1)]).flip(0)
    found = difference({"logits": whole}, {"logits": alone}, 1e-6)
    expect(
        not found, "in eval mode the logits of a sample do not depend on its batch", f"one by one: {found}"
    )


@case("model", read="the-form-of-a-result")
def keeps_the_dtype(trial: Trial) -> None:
    network = _network(trial).double()
    logits = _logits(network, _world(trial).doubled().x, "it runs in float64 after network.double()")
    expect(logits.dtype == torch.float64, "float64 logits for float64 inputs and weights", f"{logits.dtype}")


@case("model", read="networks")
def lives_in_its_state_dict(trial: Trial) -> None:
    """The engine stores weights only and builds the network again."""
    world, first = _world(trial), _network(trial)
    second = _network(trial, How(seed=11))
    expected = "a network that is built again, with the weights loaded, is the same network"
    try:
        second.load_state_dict(copy.deepcopy(first.state_dict()))
    except Exception as error:
        raise Breach(expected, f"loading raised {type(error).__name__}: {error}") from None
    with torch.no_grad():
        found = difference({"logits": first(world.x)}, {"logits": second(world.x)})
    expect(not found, expected, f"{found}; keep what predictions depend on in parameters or buffers")


@case("defense", read="networks")
def returns_weights_that_load(trial: Trial) -> None:
    world = _world(trial)
    network, trained = copy.deepcopy(world.networks["fresh"]), trial.call().result
    expected = "the weights of the model that it was given, which load into one built again"
    try:
        network.load_state_dict(trained.state_dict())
    except Exception as error:
        raise Breach(expected, " ".join(str(error).split())) from None
    bad = [
        k for k, v in trained.state_dict().items() if v.is_floating_point() and not torch.isfinite(v).all()
    ]
    expect(not bad, "finite weights", f"{', '.join(bad[:3])} are not")
    with torch.no_grad():
        found = difference({"logits": _network(trial)(world.x)}, {"logits": network.eval()(world.x)})
    expect(not found, expected, f"built again, it predicts otherwise: {found}")


@case("defense", read="networks")
def leaves_the_network_usable(trial: Trial) -> None:
    trained = trial.call().result
    hooks = [n or "the model" for n, m in trained.named_modules() if m._forward_hooks or m._forward_pre_hooks]
    expect(not hooks, "no hooks are left in the network", f"hooks of {', '.join(hooks[:3])}")
    frozen = [n for n, p in trained.named_parameters() if not p.requires_grad]
    expect(not frozen, "weights that can be trained on", f"{', '.join(frozen[:3])} need no gradient any more")


@case("state", rank=1, read="states")
def prepares_tensors(trial: Trial) -> None:
    tensors = trial.call().result
    expected = "a mapping of names to tensors, none of them NaN"
    expect(isinstance(tensors, Mapping), expected, f"it returned {type(tensors).__name__}")
    for name, tensor in tensors.items():
        expect(isinstance(name, str), expected, f"the name {name!r} is no text")
        expect(isinstance(tensor, Tensor), expected, f"{name!r} is {type(tensor).__name__}")
        nan = tensor.is_floating_point() and torch.isnan(tensor).any()
        expect(not nan, expected, f"{name!r} has NaN values")


@case("dataset", "model", "defense", "state", read="states")
def can_be_stored(trial: Trial) -> None:
    expected = "tensors, and beside them plain text, numbers and lists of them"
    result = trial.call().result
    try:
        kept = result.state_dict() if isinstance(result, nn.Module) else result
        kind, tensors, fields = encode(kept)
        again = decode(kind, load(save(tensors)), json.loads(json.dumps(fields)))
    except Exception as error:
        raise Breach(expected, f"storing raised {type(error).__name__}: {error}") from None
    found = difference(tensors, tensors_of(again))
    expect(not found, "what is stored and read again is the same", str(found))


def _logits(network: nn.Module, x: Tensor, expected: str) -> Tensor:
    try:
        with torch.no_grad():
            return network(x)
    except Exception as error:
        raise Breach(expected, f"it raised {type(error).__name__}: {' '.join(str(error).split())}") from None
