"""Reads the idx files of MNIST and the data sets that took its form."""

from __future__ import annotations

import gzip
import math
import struct

import numpy as np
from numpy.typing import NDArray

_UNSIGNED_BYTE = 0x08


def read_idx(path: str) -> NDArray[np.uint8]:
    """The array in a gzipped idx file of unsigned bytes.

    Layout: two zero bytes, the type, the rank r, r sizes as big-endian int32, then the values, last axis
    fastest. Raises ValueError where header and content do not agree.
    """
    with gzip.open(path) as file:
        content = file.read()
    if len(content) < 4 or content[:2] != b"\0\0" or content[2] != _UNSIGNED_BYTE:
        raise ValueError(
            f"{path}: no idx file of unsigned bytes: it begins with {content[:4].hex(' ') or 'nothing'}"
        )
    start = 4 + 4 * content[3]
    if len(content) < start:
        raise ValueError(f"{path}: its header of {content[3]} sizes is cut off")
    shape = struct.unpack(f">{content[3]}i", content[4:start])
    if min(shape, default=0) < 1 or len(content) - start != math.prod(shape):
        raise ValueError(f"{path}: its header says {shape}, but {len(content) - start} values follow")
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)
