"""What a run leaves in the store for boards: the suite's cells and the meaning of its metrics, so that a
table needs neither the plugins nor the suite file.
"""

from __future__ import annotations

import dataclasses
import enum
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import RobexError
from ..plan.model import Plan
from ..registry import Registry
from ..spec import KINDS, AttackSpec, ExplainerSpec, MethodRef, MetricSpec
from ..store.cells import packed
from ..suite.model import Board, Suite
from ..suite.nodes import read_text


def manifest_name(suite: Suite) -> str:
    """Under what name the store keeps a run's manifest: the suite's, and that of a quick look (`--samples`,
    `--seeds`, `--set`) beside it, so that it never takes the place of the whole."""
    return f"{suite.name}~{suite.digest[:8]}" if suite.overrides else suite.name


def manifest_of(plan: Plan, registry: Registry) -> dict[str, Any]:
    """JSON: suite (text, digest, overrides), labels of every kind in order, metrics, boards, cells. plugins:
    files that the command line named besides the suite's own."""
    suite = plan.suite
    metrics = {}
    for entry in suite.of("metric"):
        spec = registry.get("metric", entry.ref.name)
        assert isinstance(spec, MetricSpec)
        metrics[entry.label] = {
            "name": spec.name,
            "summary": spec.summary,
            "unit": spec.unit,
            "direction": spec.direction,
            "judges": spec.judges,
            "range": [b if math.isfinite(b) else None for b in spec.range],
            "scores": spec.scores,
            "average": spec.average,
            "failure": None if spec.failure is None else str(spec.failure),
            "consumes": list(spec.consumes),
        }
    specs = [
        (entry.label, registry.get(kind, entry.ref.name))
        for kind in ("attack", "explainer")
        for entry in suite.of(kind)
    ]
    ideals = [label for label, spec in specs if isinstance(spec, ExplainerSpec) and spec.ideal]
    controls = [
        label for label, spec in specs if isinstance(spec, AttackSpec | ExplainerSpec) and spec.control
    ]
    return {
        "suite": manifest_name(suite),
        "version": suite.version,
        "description": suite.description,
        "file": suite.file,
        "digest": suite.digest,
        "overrides": dict(suite.overrides),
        "plugins": [file for file in registry.files if file not in suite.plugins],
        "source": [list(part) for part in suite.source],
        "seeds": suite.seeds,
        "labels": {kind: [entry.label for entry in suite.of(kind)] for kind in KINDS},
        "metrics": metrics,
        "methods": {
            kind: {e.label: {"name": e.ref.name, "params": _plain(e.ref.params)} for e in suite.of(kind)}
            for kind in ("defense", "attack", "explainer")
        },
        "controls": [*controls, *ideals],
        "ideals": ideals,
        "boards": [_board(board) for board in suite.boards],
        "left_out": dict(plan.left_out),
        "nodes": list(plan.nodes),
        "cells": packed((c.coordinates, c.key, c.selection, c.result) for c in plan.cells),
    }


def _plain(value: Any) -> Any:
    """Params as JSON, methods inside them as {"use": name, ...}."""
    match value:
        case MethodRef():
            return {"use": value.name, **_plain(value.params)}
        case enum.Enum():
            return _plain(value.value)
        case list() | tuple():
            return [_plain(v) for v in value]
        case set() | frozenset():
            return sorted(map(_plain, value), key=repr)
        case Mapping():
            return {str(k): _plain(v) for k, v in value.items()}
    if dataclasses.is_dataclass(value):
        return {f.name: _plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    return value


def _board(board: Board) -> dict[str, Any]:
    """A board with the text of its expected values, so that the store needs no file beside it."""
    try:
        text = read_text(Path(board.expected)) if board.expected else None
    except (OSError, ValueError) as error:
        raise RobexError(f"{board.expected}: {error}") from error
    return {**dataclasses.asdict(board), "expected_text": text}
