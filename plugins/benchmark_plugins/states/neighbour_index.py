"""The nearest neighbours of every training point within its class, made once and shared by metrics."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from benchmark_core import Context, State, Task
from benchmark_core.kernels.knn import knn

from .catalogue import NeighbourIndexParams


class NeighbourIndex(State):
    """Class c owns the slots offsets[c] : offsets[c + 1]; slot s holds training point order[s].

    order: (N,) int64, training points by class, in their order within a class.
    offsets: (K + 1,) int64, a class without training points owns no slot.
    k: (K,) int64, neighbours that points of a class have: min(k, points of the class - 1), at least 0.
    distances: (N, k) ascending, of the slot's nearest neighbours in its class, itself left out (a duplicate
    of it is a neighbour at distance 0); inf beyond k[c].
    neighbours: (N, k) int64, their slots counted from offsets[c]; -1 beyond k[c].
    """

    params: NeighbourIndexParams

    def prepare(self, model: nn.Module | None, task: Task, ctx: Context) -> Mapping[str, Tensor]:
        x, y = task.x_train.to(ctx.device), task.y_train.to(ctx.device)
        order = torch.argsort(y, stable=True)
        sizes = torch.bincount(y, minlength=task.n_classes)
        offsets = torch.cat([sizes.new_zeros(1), sizes.cumsum(0)])
        k = (sizes - 1).clamp(0, self.params.k)
        distances = torch.full((len(x), self.params.k), torch.inf, dtype=x.dtype, device=x.device)
        neighbours = torch.full_like(distances, -1, dtype=torch.int64)
        bounds = offsets.tolist()
        for c, k_c in enumerate(k.tolist()):
            start, stop = bounds[c], bounds[c + 1]
            if k_c:
                found = _others(x[order[start:stop]], k_c, self.params.distance)
                distances[start:stop, :k_c], neighbours[start:stop, :k_c] = found
            ctx.progress(stop, len(x))
        ctx.note("classes_with_fewer_neighbours", (k < self.params.k).sum().item())
        return {"order": order, "offsets": offsets, "k": k, "distances": distances, "neighbours": neighbours}


def _others(points: Tensor, k: int, distance: str) -> tuple[Tensor, Tensor]:
    """The k nearest other points of every point: distances and indices (n, k)."""
    distances, indices = knn(points, points, k + 1, distance)  # type: ignore[arg-type]
    itself = indices == torch.arange(len(points), device=points.device)[:, None]
    # Among many duplicates a point may miss itself; then all k + 1 are at distance 0 and the last one goes.
    itself[:, -1] |= ~itself.any(1)
    return distances[~itself].view(-1, k), indices[~itself].view(-1, k)
