"""Small pictures as PNG data URIs: grey or RGB, and attributions on a diverging scale."""

from __future__ import annotations

import base64
import struct
import zlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

#: Larger pictures are averaged down to at most so many pixels a side, so that 24 of them stay small.
MOST_PIXELS = 64
_FOR, _AGAINST = (0xD5, 0x5E, 0x00), (0x00, 0x72, 0xB2)


def data_uri(pixels: np.ndarray) -> str:
    """pixels: (H, W) grey or (H, W, 3) RGB, uint8."""
    height, width = pixels.shape[:2]
    lines = b"".join(b"\0" + row.tobytes() for row in pixels)
    header = struct.pack(">IIBBBBB", width, height, 8, 2 if pixels.ndim == 3 else 0, 0, 0, 0)
    chunks = (b"IHDR", header), (b"IDAT", zlib.compress(lines, 9)), (b"IEND", b"")
    data = b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in chunks
    )
    return "data:image/png;base64," + base64.b64encode(b"\x89PNG\r\n\x1a\n" + data).decode()


def picture(x: np.ndarray, lower: np.ndarray, upper: np.ndarray) -> str:
    """x: (C, H, W) in the box [lower, upper]; black is its lower end. RGB if C = 3, else grey (the mean)."""
    import numpy as np

    unit = (x - lower) / np.where(upper > lower, upper - lower, 1.0)
    image = _small(np.clip(unit, 0.0, 1.0))
    grey = image.mean(0) if len(image) != 3 else np.moveaxis(image, 0, -1)
    return data_uri(np.ascontiguousarray(np.rint(grey * 255).astype(np.uint8)))


def heat(values: np.ndarray, scale: float) -> str:
    """values: (C, H, W) attributions, summed over channels; vermilion for, blue against, white zero.

    scale: the absolute value that has full colour.
    """
    import numpy as np

    share = np.clip(heights(values) / (scale or 1.0), -1.0, 1.0)[..., None]
    colour = np.where(share >= 0, np.array(_FOR), np.array(_AGAINST))
    pixels = 255.0 + np.abs(share) * (colour - 255.0)
    return data_uri(np.ascontiguousarray(np.rint(pixels).astype(np.uint8)))


def heights(values: np.ndarray) -> np.ndarray:
    """What `heat` colours: (H, W)."""
    import numpy as np

    return _small(np.nan_to_num(values.sum(0, keepdims=True)))[0]


def _small(image: np.ndarray) -> np.ndarray:
    """(C, H, W) averaged over squares, so that no side is longer than MOST_PIXELS."""
    channels, height, width = image.shape
    step = -(-max(height, width) // MOST_PIXELS)
    if step == 1:
        return image
    kept = image[:, : height // step * step, : width // step * step]
    return kept.reshape(channels, height // step, step, width // step, step).mean((2, 4))
