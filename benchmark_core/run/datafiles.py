"""Where official data files lie: the folder `ROBEX_DATA`. Every file is checked against its sha256."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

from ..errors import RobexError


def find_file(dataset: str, name: str, files: Mapping[str, str]) -> str:
    """The path of a declared file below ROBEX_DATA (or below its folder named like the dataset)."""
    if name not in files:
        raise RobexError(f"dataset {dataset} asks for {name}, which its spec does not declare in files")
    root = os.environ.get("ROBEX_DATA")
    if not root:
        raise RobexError(
            f"dataset {dataset} needs {name}: put it into a folder and set ROBEX_DATA to that folder"
        )
    for path in (
        Path(root) / name,
        Path(root) / dataset / name,
        Path(root) / dataset.replace("-", "_") / name,
    ):
        if path.is_file():
            found = hashlib.sha256(path.read_bytes()).hexdigest()
            if found != files[name]:
                raise RobexError(
                    f"{path}: sha256 is {found[:12]}…, expected {files[name][:12]}…; get the official file"
                )
            return str(path)
    raise RobexError(f"dataset {dataset} needs {name}, which is not below ROBEX_DATA={root}")
