"""The record of a finished node: what ran, on what, how long, with which versions."""

from __future__ import annotations

import datetime
from typing import Any

from ..registry import versions
from .cost import peak_memory
from .environment import environment
from .stages import Stages


def record_of(run: Stages, total_seconds: float) -> dict[str, Any]:
    """total_seconds: of the whole node; the method's own are the run's."""
    node, job, registry = run.node, run.job, run.registry
    forward, backward = run.passes
    record: dict[str, Any] = {
        "key": node.key,
        "stage": node.stage,
        "title": node.title,
        "where": dict(node.where),
        "identity": dict(node.identity),
        "inputs": dict(node.inputs),
        "suite": dict(job.suite),
        "seed": node.seed,
        "cost": {
            "seconds": run.watch.seconds,
            "total_seconds": total_seconds,
            "forward": forward,
            "backward": backward,
            "samples": run.samples,
        },
        "notes": {str(name): float(value) for name, value in run.notes.items()},
        "peak_memory": peak_memory(),
        "threads": job.threads,
        "device": str(run.device),
        "batch_size": run.batch_size,
        "versions": versions(registry),
        "environment": environment(),
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }
    if node.method is not None:
        origin = registry.origin(registry.get(node.method.kind, node.method.name))
        record["plugin"] = {
            "name": origin.plugin,
            "distribution": origin.distribution,
            "version": origin.version,
        }
    return record
