"""The table of cases: what the conformance kit checks, one function a contract, one module a topic."""

from . import data, metrics, producers, purity, specs, trained  # noqa: F401 - they fill the table
from .table import CASES, Case

__all__ = ["CASES", "Case"]
