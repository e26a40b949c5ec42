"""Params and specs of the built-in attacks. Light: no torch here."""

from __future__ import annotations

from benchmark_core import MethodSpec

SPECS: tuple[MethodSpec, ...] = ()
