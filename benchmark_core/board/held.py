"""How the index holds what boards need of a node: a list that says what it is, and its small arrays as bytes.

Scores: [scores, environment, n, dtype, place in file or None, bytes held, whether bits, masked]. Samples:
[samples, how many test samples, a digest of which, how targets were chosen, key of the task].
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from hashlib import sha256
from itertools import repeat
from typing import TYPE_CHECKING, Any
from zlib import crc32

if TYPE_CHECKING:
    import numpy as np

    from ..store.index import Held

#: Larger arrays stay in the files of their nodes; smaller ones are held by the index.
SMALL = 4096

_AT_ONCE = 2**26  # scores of a column that are unpacked in one go

#: Reads an array from a node's file, given its key, its place there and its CRC; False when it is not there.
Fill = Callable[["np.ndarray", str, int, int], bool]


def samples_held(record: Mapping[str, Any], tensors: Mapping[str, Any]) -> tuple[list[Any], bytes]:
    import numpy as np

    index = np.unique(tensors["index"])  # with several targets a sample stands there repeatedly
    aims = str(record.get("identity", {}).get("wish", {}).get("targets", ""))
    task = record.get("inputs", {}).get("task", "")
    return ["samples", len(index), sha256(index.astype("<i8").tobytes()).hexdigest(), aims, task], b""


def scores_held(tensors: Mapping[str, Any], environment: str, path: str) -> tuple[list[Any], bytes]:
    """Scores that are all 0 or 1 are held as bits, and so are masks; other values if they are small, else
    their CRC. path: of the file they are in."""
    import numpy as np

    values = tensors["values"]
    binary = bool(((values == 0) | (values == 1)).all())
    data = np.packbits(values == 1).tobytes() if binary else values.tobytes()
    place = None
    if not binary and len(data) > SMALL:
        place, data = _place(path, "values"), crc32(data).to_bytes(4, "little")
    mask = tensors.get("valid")
    rest = b"" if mask is None else np.packbits(mask).tobytes()
    about = ["scores", environment, len(values), values.dtype.str, place, len(data), binary, mask is not None]
    return about, data + rest


def arrays_of(
    key: str, about: Sequence[Any], data: bytes, fill: Fill
) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Values and mask of a node; None where they are gone, and no mask where every score is defined."""
    import numpy as np

    values, masks, there = _arrays([key], about, np.frombuffer(data, np.uint8)[None], fill)
    return (values[0] if there[0] else None), (None if masks is None else masks[0])


class Piece:
    """A column that the index holds in one piece. abouts: what the texts of `held` say."""

    def __init__(self, keys: Sequence[str], held: Held, abouts: Sequence[list[Any]]) -> None:
        self.keys, self.abouts, self._held = keys, abouts, held

    @cached_property
    def places(self) -> Mapping[str, int]:
        return {key: i for i, key in enumerate(self.keys)}

    def fact(self, key: str) -> tuple[list[Any], bytes]:
        """About one node, and its arrays."""
        held, at = self._held, self.places[key]
        end = held.starts[at + 1] if at + 1 < len(self.keys) else len(held.data)
        return self.abouts[int(held.which[at])], held.data[held.starts[at] : end]

    def stack(self, fill: Fill) -> tuple[np.ndarray, np.ndarray | None, Sequence[bool]] | None:
        """Values and masks (keys, n) of all nodes, and which are there; None unless they are alike."""
        import numpy as np

        about, data = self.abouts[0], self._held.data
        if len(self.abouts) > 1 or about[0] != "scores" or not data or about[2] * len(self.keys) > _AT_ONCE:
            return None
        return _arrays(self.keys, about, np.frombuffer(data, np.uint8).reshape(len(self.keys), -1), fill)


def _arrays(
    keys: Sequence[str], about: Sequence[Any], raw: np.ndarray, fill: Fill
) -> tuple[np.ndarray, np.ndarray | None, Sequence[bool]]:
    """raw: (keys, bytes held)."""
    import numpy as np

    _, _, n, dtype, place, held, binary, masked = about

    def bits(packed: np.ndarray) -> np.ndarray:
        return np.unpackbits(packed, axis=1, count=n).view(bool)

    there: Sequence[bool] = [True] * len(keys)
    if place is not None:
        values = np.empty((len(keys), n), dtype)
        crcs = np.ascontiguousarray(raw[:, :held]).view("<u4")[:, 0].tolist()
        there = list(map(fill, values, keys, repeat(place), crcs))
    else:
        values = bits(raw[:, :held]) if binary else np.ascontiguousarray(raw[:, :held]).view(dtype)
    return values, bits(raw[:, held:]) if masked else None, there


def _place(path: str, name: str) -> int:
    """Where a tensor begins in a safetensors file: a length (8 bytes), a JSON header so long, the data."""
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        return 8 + length + int(json.loads(file.read(length))[name]["data_offsets"][0])
