"""Random attributions: the null control of every attribution metric."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from benchmark_core import Attribution, Context, Explainer, SampleRandom

_ODD = 0x2545F4914F6CDD1D  # any odd multiplier: distinct features get distinct weights


class RandomAttribution(Explainer):
    """A_i ~ N(0, 1), independent of model and label.

    The draws depend on the seed, the sample and the values of x: an input that differs in any bit gets
    unrelated numbers. Otherwise a rerun on a perturbed input would repeat them, and the null control would
    come out as the most stable explainer of all.
    """

    def explain(self, model: nn.Module, x: Tensor, y: Tensor, ctx: Context) -> Attribution:
        drawn = ctx.random.integers(1 << 53)
        values = SampleRandom(0, drawn + _content(x).to(drawn.device)).normal(*x.shape[1:])
        return Attribution(values.to(x))


def _content(x: Tensor) -> Tensor:
    """A hash of each sample's float32 bits, (n,) int64, in wrapping arithmetic."""
    bits = x.flatten(1).to(torch.float32).contiguous().view(torch.int32).to(torch.int64)
    return (bits * (torch.arange(1, 2 * bits.shape[1], 2, device=x.device) * _ODD)).sum(1)
