"""MNIST: 60,000 handwritten digits for training, 10,000 for testing."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmark_core import DataContext, Dataset, Task

from .catalogue import MnistParams
from .idx import read_idx

_SIDE, _CLASSES = 28, 10
_CHUNK = 10_000  # images at a time where float64 would take room


class Mnist(Dataset):
    """Images (1, 28, 28), x = pixel / 255, or 2 pixel / 255 - 1 on the symmetric scale. One mean and one
    standard deviation for all pixels (0.1307 and 0.3081 of the whole training set in [0, 1]).

    Random are which images train, which test, and the noise, each from a stream of its own: numpy's
    RandomState([draw, 0]), [draw, 1], [draw, 2], frozen over its versions (NEP 19). So the test images depend
    on `test`, `validation` and `draw` alone.
    """

    params: MnistParams

    def load(self, ctx: DataContext) -> Task:
        p = self.params
        images, y_train = _read(ctx, "train", 60_000)
        if p.validation:
            cut = len(images) - p.validation
            test_images, y_test = images[cut:], y_train[cut:]
            images, y_train = images[:cut], y_train[:cut]
        else:
            test_images, y_test = _read(ctx, "t10k", 10_000)
        for_train, for_test, for_noise = (np.random.RandomState([p.draw, i]) for i in range(3))
        rows = choose(y_train, p.train, p.subset, for_train, "train")
        x_train, y_train = self._scaled(images[rows]), y_train[rows]
        rows = choose(y_test, p.test, p.subset, for_test, "test")
        x_test, y_test = self._scaled(test_images[rows]), y_test[rows]
        low, high = (0.0, 1.0) if p.scale == "unit" else (-1.0, 1.0)
        if p.noise:
            for part in x_train.split(_CHUNK):
                part += p.noise * torch.from_numpy(for_noise.standard_normal(part.shape)).float()
            low, high = min(low, x_train.min().item()), max(high, x_train.max().item())
        shape = x_train.shape[1:]
        mean, std = _moments(x_train)
        return Task(
            x_train=x_train,
            y_train=torch.from_numpy(y_train).long(),
            x_test=x_test,
            y_test=torch.from_numpy(y_test).long(),
            lower=torch.full(shape, low),
            upper=torch.full(shape, high),
            mutable=torch.ones(shape, dtype=torch.bool),
            mean=mean.view(1, 1, 1),
            std=std.view(1, 1, 1),
            classes=tuple(map(str, range(_CLASSES))),
        )

    def _scaled(self, images: NDArray[np.uint8]) -> Tensor:
        x = torch.from_numpy(images).float().unsqueeze(1).div_(255)
        return x if self.params.scale == "unit" else x.mul_(2).sub_(1)


def choose(
    y: NDArray[np.uint8], n: int | None, subset: str, random: np.random.RandomState, which: str
) -> NDArray[np.intp]:
    """Rows of the n images to use, in the order of the file. y: (N,) labels."""
    if n is None:
        return np.arange(len(y))
    if n > len(y):
        raise ValueError(f"mnist: {which} is {n}, but there are {len(y)} images; lower it")
    if subset == "first":
        return np.arange(n)
    if subset == "random":
        return np.sort(random.permutation(len(y))[:n])
    each, rest = divmod(n, _CLASSES)
    found = [np.flatnonzero(y == label)[:each] for label in range(_CLASSES)]
    if rest or min(map(len, found)) < each:
        least = np.bincount(y, minlength=_CLASSES).min()
        raise ValueError(
            f"mnist: a balanced {which} of {n} needs {n / _CLASSES:g} images of each class; give a multiple "
            f"of {_CLASSES}, at most {_CLASSES * least}"
        )
    return np.sort(np.concatenate(found))


def _read(ctx: DataContext, part: str, n: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Images (n, 28, 28) and labels (n,) of the official files."""
    images = read_idx(ctx.file(f"{part}-images-idx3-ubyte.gz"))
    labels = read_idx(ctx.file(f"{part}-labels-idx1-ubyte.gz"))
    if images.shape != (n, _SIDE, _SIDE) or labels.shape != (n,) or labels.max() >= _CLASSES:
        raise ValueError(
            f"mnist: {part} has images {images.shape} and labels {labels.shape} up to {labels.max()}; these "
            f"are not the official files"
        )
    return images, labels


def _moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of all pixels, summed in float64."""
    mean = x.mean(dtype=torch.float64)
    parts = [(part.double() - mean).square().sum() for part in x.split(_CHUNK)]
    return mean.float(), (torch.stack(parts).sum() / x.numel()).sqrt().float()
