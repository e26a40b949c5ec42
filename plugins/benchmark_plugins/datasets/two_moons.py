"""Two moons: a generated problem in the plane whose boundary can be drawn."""

from __future__ import annotations

import numpy as np
from sklearn.datasets import make_moons

from benchmark_core import DataContext, Dataset, Task

from .tabular import tabular_task


class TwoMoons(Dataset):
    """2 features, 2 classes. Recourse aims at the lower moon (class 1)."""

    def load(self, ctx: DataContext) -> Task:
        p = self.params
        x, y = map(np.asarray, make_moons(p.size, noise=p.noise, random_state=p.data_seed))
        return tabular_task(x, y, p, classes=("upper", "lower"), features=("x0", "x1"), favourable=1)
