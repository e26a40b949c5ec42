"""Registers the built-in methods. Light: the catalogues hold params and specs, never implementations."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module

from benchmark_core import MethodSpec, hookimpl

FAMILIES = ("datasets", "models", "defenses", "attacks", "explainers", "metrics", "states")


@hookimpl
def register_methods() -> Iterator[MethodSpec]:
    for family in FAMILIES:
        yield from import_module(f"benchmark_plugins.{family}.catalogue").SPECS
