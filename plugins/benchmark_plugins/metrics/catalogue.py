"""Specs of the built-in metrics, one catalogue a theme. Light: no torch here."""

from __future__ import annotations

from benchmark_core import MethodSpec

from . import catalogue_attribution, catalogue_counterfactual, catalogue_robustness

SPECS: tuple[MethodSpec, ...] = (
    *catalogue_robustness.SPECS,
    *catalogue_attribution.SPECS,
    *catalogue_counterfactual.SPECS,
)
