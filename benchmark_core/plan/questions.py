"""What a plan asks the functions of a spec, `unfit` and `needs`. What they answer is checked, and what they
raise is the plugin's mistake: the error names it and its file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ..errors import RobexError, one_line
from ..registry import Registry
from ..spec import DatasetSpec, MethodRef, MethodSpec, Use, param_types
from ..suite import make_ref
from ..suite.model import Entry
from ..suite.nodes import show
from .keys import method_identity


def why_unfit(entry: Entry, dataset: Entry, registry: Registry) -> str | None:
    """Why a method cannot work on a dataset, or None."""
    spec = registry.get(entry.ref.kind, entry.ref.name)
    data = registry.get("dataset", dataset.ref.name)
    assert isinstance(data, DatasetSpec)
    if data.input not in spec.accepts:
        kinds = " or ".join(spec.accepts)
        return f"{entry.label} needs {kinds} inputs ({dataset.label} is {data.input})"
    if spec.unfit is None:
        return None
    why = _asked(registry, spec, "unfit", spec.unfit, entry.ref.params, data)
    if not isinstance(why, str | None):
        raise _wrong(registry, spec, f"unfit must return why not, or None, got {show(why)}")
    return f"{entry.label} on {dataset.label}: {why}" if why else None


def needs_of(ref: MethodRef, registry: Registry) -> Mapping[str, MethodRef]:
    """The prepared states that a method, or one inside it, needs: name -> state."""
    found: dict[str, MethodRef] = {}
    for inner in refs_in(ref):
        spec = registry.get(inner.kind, inner.name)
        for name, wanted in _wanted_states(registry, spec, inner).items():
            try:
                state = make_ref(registry, "state", wanted.name, wanted.params)
            except RobexError as error:
                raise _wrong(registry, spec, f"needs {name!r}: {error}") from None
            first = found.setdefault(name, state)
            if method_identity(first, registry) != method_identity(state, registry):
                raise RobexError(f"{ref}: two methods need different states called {name!r}")
    return found


def refs_in(ref: MethodRef) -> Iterator[MethodRef]:
    """The method and all methods inside its params."""
    yield ref
    for name in param_types(type(ref.params)):
        value = getattr(ref.params, name)
        for inner in value if isinstance(value, tuple | list) else (value,):
            if isinstance(inner, MethodRef):
                yield from refs_in(inner)


def _wanted_states(registry: Registry, spec: MethodSpec, ref: MethodRef) -> Mapping[str, Use]:
    if spec.needs is None:
        return {}
    found = _asked(registry, spec, "needs", spec.needs, ref.params)
    if not isinstance(found, Mapping) or not all(
        isinstance(name, str) and isinstance(wanted, Use) for name, wanted in found.items()
    ):
        raise _wrong(registry, spec, f"needs must return {{name: use(state, ...)}}, got {show(found)}")
    return found


def _asked(registry: Registry, spec: MethodSpec, what: str, question: Callable[..., Any], *given: Any) -> Any:
    try:
        return question(*given)
    except Exception as error:
        raise _wrong(registry, spec, f"{what} failed: {one_line(error)}") from error


def _wrong(registry: Registry, spec: MethodSpec, message: str) -> RobexError:
    return RobexError(f"{spec.kind} {spec.name}: {message}; mend it in {registry.origin(spec)}")
