"""Breast cancer Wisconsin (diagnostic): malignant and benign tumours told apart by their cell nuclei."""

from __future__ import annotations

from sklearn.datasets import load_breast_cancer

from benchmark_core import DataContext, Dataset, Task

from .catalogue import BREAST_CANCER
from .shipped import load_shipped
from .tabular import tabular_task


class BreastCancer(Dataset):
    """30 features, 212 malignant and 357 benign tumours. Recourse aims at benign."""

    def load(self, ctx: DataContext) -> Task:
        data = load_shipped(load_breast_cancer, BREAST_CANCER.files)
        classes = data.target_names.tolist()
        return tabular_task(
            data.data,
            data.target,
            self.params,
            classes=classes,
            features=data.feature_names,
            favourable=classes.index("benign"),
        )
