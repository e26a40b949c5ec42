"""Params and specs of the built-in defenses. Light: no torch here."""

from __future__ import annotations

from benchmark_core import MethodSpec

SPECS: tuple[MethodSpec, ...] = ()
