"""Digits: small grey images, enough to try an image method in seconds."""

from __future__ import annotations

import torch
from sklearn.datasets import load_digits

from benchmark_core import DataContext, Dataset, Task

from .catalogue import DIGITS
from .shipped import load_shipped
from .split import stratified_split


class Digits(Dataset):
    """Images (1, 8, 8), x = pixel / 16 in [0, 1]; 10 classes of 174 to 183 images. One mean and one standard
    deviation for all pixels, since some pixels at the rim are always 0."""

    def load(self, ctx: DataContext) -> Task:
        data = load_shipped(load_digits, DIGITS.files)
        train, test = stratified_split(data.target, self.params)
        x = torch.from_numpy(data.images).float().unsqueeze(1) / 16
        y = torch.from_numpy(data.target).long()
        shape = x.shape[1:]
        return Task(
            x_train=x[train],
            y_train=y[train],
            x_test=x[test],
            y_test=y[test],
            lower=torch.zeros(shape),
            upper=torch.ones(shape),
            mutable=torch.ones(shape, dtype=torch.bool),
            mean=x[train].mean().view(1, 1, 1),
            std=x[train].std(correction=0).view(1, 1, 1),
            classes=tuple(map(str, data.target_names)),
        )
