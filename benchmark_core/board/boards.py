"""Which boards a suite has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import RobexError, did_you_mean

_DEFAULT_BOARDS = (
    {
        "name": "robustness",
        "rows": ("dataset", "model", "defense"),
        "consumes": {"prediction", "perturbation"},
        "without": "explainer",  # what explanations cost belongs on the other board
    },
    {
        "name": "explanations",
        "rows": ("dataset", "model", "defense", "explainer"),
        "consumes": {"attribution", "counterfactual", "synthesis"},
        "without": None,
    },
)


def boards_of(manifest: Mapping[str, Any], name: str | None = None) -> list[dict[str, Any]]:
    """The boards of a suite: its own, else `robustness` and `explanations` where it has such metrics.

    name: only this one. Raises RobexError when there is none.
    """
    boards = [dict(board) for board in manifest["boards"]]
    if not boards:
        for default in _DEFAULT_BOARDS:
            metrics = [
                label
                for label, metric in manifest["metrics"].items()
                if default["consumes"] & set(metric["consumes"])
            ]
            if metrics:
                boards.append(
                    {
                        "name": default["name"],
                        "rows": default["rows"],
                        "metrics": metrics,
                        "rank_by": None,
                        "without": default["without"],
                    }
                )
    if name is None:
        return boards
    known = [board["name"] for board in boards]
    if name not in known:
        hint = did_you_mean(name, known) or f"; it has: {', '.join(known)}"
        raise RobexError(f'suite {manifest["suite"]} has no board called "{name}"{hint}')
    return [board for board in boards if board["name"] == name]
