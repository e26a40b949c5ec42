"""Random numbers that belong to samples, not to batches.

A counter-based generator: draw number c of element e for sample i is a hash of (seed, i, c, e). The same
sample gets the same numbers in any batch, in any order, on any device. The mixing function is the finaliser
of splitmix64 (Steele, Lea, Flood 2014), in wrapping int64 arithmetic.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor


def _signed(value: int) -> int:
    return value - (1 << 64) if value >= 1 << 63 else value


_GOLDEN = _signed(0x9E3779B97F4A7C15)
_MIX_1 = _signed(0xBF58476D1CE4E5B9)
_MIX_2 = _signed(0x94D049BB133111EB)


def _shift(z: Tensor, bits: int) -> Tensor:
    """Logical right shift of int64."""
    return (z >> bits) & ((1 << (64 - bits)) - 1)


def _mix(z: Tensor) -> Tensor:
    z = (z ^ _shift(z, 30)) * _MIX_1
    z = (z ^ _shift(z, 27)) * _MIX_2
    return z ^ _shift(z, 31)


def _mix_(z: Tensor, work: Tensor) -> Tensor:
    """`_mix` in place. work: memory of z's shape."""
    for bits, factor in ((30, _MIX_1), (27, _MIX_2), (31, None)):
        torch.bitwise_right_shift(z, bits, out=work)
        z.bitwise_xor_(work.bitwise_and_((1 << (64 - bits)) - 1))
        if factor is not None:
            z.mul_(factor)
    return z


#: Numbers drawn at once: a few blocks of this many stay in the cache of a core.
_BLOCK = 1 << 14


class SampleRandom:
    """Draws for n samples. Every call is a new draw; `take` goes on with a part of the samples."""

    def __init__(self, seed: int, ids: Tensor) -> None:
        """ids: (n,) int64, the identity of each sample; they stay with it in every batch."""
        base = _mix(torch.tensor(_signed(seed & ((1 << 64) - 1)), dtype=torch.int64))
        self._state = _mix(ids.to(torch.int64) * _GOLDEN + base.item())
        self._draw = 0

    def __len__(self) -> int:
        return len(self._state)

    def take(self, rows: Tensor) -> SampleRandom:
        """The same streams, from here on, for some of the samples (an index or a mask)."""
        part = object.__new__(SampleRandom)
        part._state, part._draw = self._state[rows], self._draw
        return part

    def _draw_all(
        self, shape: tuple[int, ...], dtype: torch.dtype, make: Callable[[Tensor], Tensor]
    ) -> Tensor:
        """(n, *shape) of `make(bits)`, block by block. bits: random int64, which `make` may overwrite."""
        self._draw += 1
        stream = _mix(self._state + _signed(self._draw * 0xD1342543DE82EF95 % (1 << 64)))
        count = math.prod(shape)
        element = torch.arange(1, count + 1, device=stream.device) * _GOLDEN
        drawn = torch.empty(len(stream), count, dtype=dtype, device=stream.device)
        rows = max(1, _BLOCK // max(1, count))
        for start in range(0, len(stream), rows):
            z = stream[start : start + rows, None] + element
            drawn[start : start + rows] = make(_mix_(z, torch.empty_like(z)))
        return drawn.view(len(stream), *shape)

    def uniform(self, *shape: int, low: float = 0.0, high: float = 1.0) -> Tensor:
        """(n, *shape) float32, uniform in [low, high)."""
        unit = self._draw_all(
            shape, torch.float32, lambda bits: _top(bits, 24).to(torch.float32).mul_(2.0**-24)
        )
        return unit if (low, high) == (0.0, 1.0) else low + (high - low) * unit

    def normal(self, *shape: int) -> Tensor:
        """(n, *shape) float32, standard normal."""

        def make(bits: Tensor) -> Tensor:
            return torch.special.ndtri(_top(bits, 53).to(torch.float64).add_(0.5).mul_(2.0**-53))

        return self._draw_all(shape, torch.float32, make)

    def integers(self, high: int, *shape: int) -> Tensor:
        """(n, *shape) int64, uniform in 0..high-1 (bias below high / 2^53)."""

        def make(bits: Tensor) -> Tensor:
            return _top(bits, 53).to(torch.float64).mul_(2.0**-53).mul_(high)

        return self._draw_all(shape, torch.int64, make)


def _top(bits: Tensor, keep: int) -> Tensor:
    """The top `keep` bits of int64 as a number, in place."""
    shift = 64 - keep
    return bits.bitwise_right_shift_(shift).bitwise_and_((1 << keep) - 1)
