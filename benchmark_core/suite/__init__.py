"""Suites: YAML with positions -> a validated `Suite`. pydantic is imported when a value is checked."""

from .canonical import canonical
from .load import read
from .methods import make_ref
from .model import Board, Entry, Limits, Suite, Wish
from .nodes import Source
from .schema import json_schema

__all__ = [
    "Board",
    "Entry",
    "Limits",
    "Source",
    "Suite",
    "Wish",
    "canonical",
    "json_schema",
    "make_ref",
    "read",
]
