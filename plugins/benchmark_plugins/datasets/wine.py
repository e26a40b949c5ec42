"""Wine: three growers told apart by a chemical analysis."""

from __future__ import annotations

from sklearn.datasets import load_wine

from benchmark_core import DataContext, Dataset, Task

from .catalogue import WINE
from .shipped import load_shipped
from .tabular import tabular_task


class Wine(Dataset):
    """13 features, 3 classes of 59, 71 and 48 wines."""

    def load(self, ctx: DataContext) -> Task:
        data = load_shipped(load_wine, WINE.files)
        return tabular_task(
            data.data, data.target, self.params, classes=data.target_names, features=data.feature_names
        )
