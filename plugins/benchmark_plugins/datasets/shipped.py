"""Data that comes inside scikit-learn; its files are checked against their pinned sha256 first."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from importlib import resources
from typing import Any

import sklearn


def load_shipped(load: Callable[[], Any], files: Mapping[str, str]) -> Any:
    """What scikit-learn's `load` returns (a Bunch), after a check of the files {name: sha256} that it reads.

    Raises RuntimeError where scikit-learn ships another file than the pinned one.
    """
    folder = resources.files("sklearn.datasets.data")
    for name, pinned in files.items():
        found = hashlib.sha256((folder / name).read_bytes()).hexdigest()
        if found != pinned:
            raise RuntimeError(
                f"scikit-learn {sklearn.__version__} ships another {name} than robex pins (sha256 {found}, "
                f"pinned {pinned}); install scikit-learn 1.5 to 1.9, which ship that one"
            )
    return load()
