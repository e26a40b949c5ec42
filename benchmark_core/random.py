"""Random numbers that belong to samples, not to batches.

A counter-based generator: draw number c of element e for sample i is a hash of (seed, i, c, e). The same
sample gets the same numbers in any batch, in any order, on any device. The mixing function is the finaliser
of splitmix64 (Steele, Lea, Flood 2014), in wrapping int64 arithmetic.
"""

from __future__ import annotations

import math

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

    def _bits(self, shape: tuple[int, ...]) -> Tensor:
        """(n, *shape) int64 of uniform bits."""
        self._draw += 1
        stream = _mix(self._state + _signed(self._draw * 0xD1342543DE82EF95 % (1 << 64)))
        element = torch.arange(1, math.prod(shape) + 1, device=stream.device) * _GOLDEN
        return _mix(stream[:, None] + element).view(len(stream), *shape)

    def uniform(self, *shape: int, low: float = 0.0, high: float = 1.0) -> Tensor:
        """(n, *shape) float32, uniform in [low, high)."""
        unit = _shift(self._bits(shape), 40).to(torch.float32) * 2.0**-24
        return unit if (low, high) == (0.0, 1.0) else low + (high - low) * unit

    def normal(self, *shape: int) -> Tensor:
        """(n, *shape) float32, standard normal."""
        unit = (_shift(self._bits(shape), 11).to(torch.float64) + 0.5) * 2.0**-53
        return torch.special.ndtri(unit).to(torch.float32)

    def integers(self, high: int, *shape: int) -> Tensor:
        """(n, *shape) int64, uniform in 0..high-1 (bias below high / 2^53)."""
        unit = _shift(self._bits(shape), 11).to(torch.float64) * 2.0**-53
        return (unit * high).to(torch.int64)
