"""California housing: block groups of the census of 1990, dear or cheap."""

from __future__ import annotations

import dataclasses
from typing import get_args

import numpy as np
import torch
from numpy.typing import NDArray

from benchmark_core import DataContext, Dataset, Task

from .catalogue import CaliforniaFeature, CaliforniaHousingParams
from .tabular import tabular_task

FEATURES: tuple[str, ...] = get_args(CaliforniaFeature)


class CaliforniaHousing(Dataset):
    """8 features as scikit-learn derives them from the raw columns; class `above` where the median house
    value of the block group exceeds the threshold. Recourse aims at `above`."""

    params: CaliforniaHousingParams

    def load(self, ctx: DataContext) -> Task:
        p = self.params
        x, value = read_table(ctx.file("cal_housing.data"))
        threshold = np.median(value) if p.threshold is None else p.threshold
        y = (value > threshold).astype(np.int64)
        if y.min() == y.max():
            raise ValueError(
                f"california-housing: all values lie on one side of threshold={threshold:g}; choose it "
                f"between {value.min():g} and {value.max():g} dollars"
            )
        task = tabular_task(x, y, p, classes=("below", "above"), features=FEATURES, favourable=1)
        return dataclasses.replace(task, mutable=torch.tensor([f not in p.immutable for f in FEATURES]))


def read_table(path: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Features (20640, 8) in the order of FEATURES, and house values (20640,) in dollars.

    Raw columns: longitude, latitude, age, rooms, bedrooms, population, households, income, value; averages
    are per household. Raises ValueError where a row is not nine numbers.
    """
    raw = np.loadtxt(path, delimiter=",", comments=None, ndmin=2)
    if raw.shape != (20640, 9) or not np.isfinite(raw).all():
        raise ValueError(f"{path}: expected 20640 rows of 9 finite numbers, got an array {raw.shape}")
    longitude, latitude, age, rooms, bedrooms, population, households, income, value = raw.T
    columns = (
        *(income, age, rooms / households, bedrooms / households),
        *(population, population / households, latitude, longitude),
    )
    return np.stack(columns, axis=1), value
