"""robex's engine. Plugins import the public names below; everything else may change between versions.

Importing this package loads neither torch nor pandas: names are fetched when they are first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from .hookspecs import hookimpl
    from .interfaces import (
        Attack,
        Attribution,
        Context,
        Cost,
        Counterfactual,
        DataContext,
        Dataset,
        Defense,
        Explainer,
        Metric,
        MetricContext,
        Model,
        Perturbation,
        Prediction,
        Scores,
        Selection,
        State,
        Synthesis,
        Task,
    )
    from .random import SampleRandom
    from .spec import (
        Archive,
        AttackRef,
        Count,
        DatasetSpec,
        DataSource,
        Eps,
        ExplainerRef,
        File,
        MethodRef,
        MethodSpec,
        ModelRef,
        NonNegative,
        NoParams,
        Number,
        Operational,
        Positive,
        Unit,
        Use,
        use,
    )

_HOME = {
    "hookspecs": ("hookimpl",),
    "interfaces": (
        "Attack", "Attribution", "Context", "Cost", "Counterfactual", "DataContext", "Dataset", "Defense",
        "Explainer", "Metric", "MetricContext", "Model", "Perturbation", "Prediction", "Scores", "Selection",
        "State", "Synthesis", "Task",
    ),
    "random": ("SampleRandom",),
    "spec": (
        "Archive", "AttackRef", "Count", "DataSource", "DatasetSpec", "Eps", "ExplainerRef", "File",
        "MethodRef", "MethodSpec", "ModelRef", "NoParams", "NonNegative", "Number", "Operational", "Positive",
        "Unit", "Use", "use",
    ),
}  # fmt: skip
_MODULE_OF = {name: module for module, names in _HOME.items() for name in names}

__all__ = ["__version__", *_MODULE_OF]  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    if name in _MODULE_OF:
        return getattr(import_module(f".{_MODULE_OF[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
