"""MNIST against what is known of it, and against the bytes of its files."""

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmark_core import DataContext
from benchmark_plugins.datasets.catalogue import MnistParams
from benchmark_plugins.datasets.idx import read_idx
from benchmark_plugins.datasets.mnist import Mnist, choose

#: images of each class, as http://yann.lecun.com/exdb/mnist documents them
TRAIN = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
TEST = [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """`small(**params)` -> the task of 60,000 and 10,000 images, numbered in their first pixels."""
    tmp_path = tmp_path_factory.mktemp("idx")

    def write(name, array):
        header = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}i", *array.shape)
        with gzip.open(tmp_path / name, "wb", compresslevel=1) as file:
            file.write(header + array.tobytes())

    for part, n in (("train", 60_000), ("t10k", 10_000)):
        y = np.arange(n, dtype=np.uint8) % 10
        x = np.zeros((n, 28, 28), np.uint8)
        x[:, 0, 0] = np.arange(n) % 256
        x[:, 0, 1] = np.arange(n) // 256
        write(f"{part}-images-idx3-ubyte.gz", x)
        write(f"{part}-labels-idx1-ubyte.gz", y)
    context = DataContext(file=lambda name: str(tmp_path / name))
    return lambda **params: Mnist(MnistParams(**params)).load(context)


def number(x):
    """Which image of its file each one is."""
    return (x[:, 0, 0, 0] * 255 + 256 * (x[:, 0, 0, 1] * 255)).round().long()


# --- the official files --------------------------------------------------------------------------------


def test_the_official_set_is_the_documented_one(load):
    task = load("mnist")
    assert task.shape == (1, 28, 28)
    assert task.y_train.bincount().tolist() == TRAIN
    assert task.y_test.bincount().tolist() == TEST
    assert task.y_train[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert task.y_test[:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]
    assert round(task.mean.item(), 4) == 0.1307  # what every tutorial normalises with
    assert round(task.std.item(), 4) == 0.3081
    assert task.x_train.min() == 0
    assert task.x_train.max() == 1
    assert task.classes == tuple("0123456789")


def test_pixels_are_the_bytes_of_the_file_over_255(load, official):
    task = load("mnist", test=50)
    raw = gzip.decompress(Path(official("mnist", "t10k-images-idx3-ubyte.gz")).read_bytes())[16:]
    pixels = np.frombuffer(raw[: 50 * 784], np.uint8).reshape(50, 1, 28, 28)
    assert np.array_equal((task.x_test.double().numpy() * 255).round(), pixels)


# --- options -------------------------------------------------------------------------------------------


def test_symmetric_scale(small):
    unit, symmetric = small(train=500, test=20), small(train=500, test=20, scale="symmetric")
    torch.testing.assert_close(symmetric.x_train, 2 * unit.x_train - 1)
    torch.testing.assert_close(symmetric.mean, 2 * unit.mean - 1)
    torch.testing.assert_close(symmetric.std, 2 * unit.std)
    assert torch.equal(symmetric.lower, -torch.ones(1, 28, 28))
    assert torch.equal(symmetric.upper, torch.ones(1, 28, 28))


def test_subsets(small):
    first = small(train=30, test=10)
    assert number(first.x_train).tolist() == list(range(30))
    assert number(first.x_test).tolist() == list(range(10))
    drawn, again = (small(train=30, subset="random", draw=3).x_train for _ in range(2))
    assert torch.equal(drawn, again)
    assert len(number(drawn).unique()) == 30
    assert number(drawn).max() > 1000
    assert not torch.equal(drawn, small(train=30, subset="random", draw=4).x_train)


def test_random_choices_and_noise_come_from_streams_of_their_own(small):
    base = small(subset="random", draw=3, train=30, test=20)
    others = ({"train": 40}, {"train": None}, {"train": 30, "noise": 0.1})
    for params in others:
        assert torch.equal(small(subset="random", draw=3, test=20, **params).x_test, base.x_test), params
    assert torch.equal(small(subset="random", draw=3, train=30, test=50).x_train, base.x_train)
    assert not torch.equal(base.x_test, small(subset="random", draw=4, train=30, test=20).x_test)
    # the noise does not depend on how the images were chosen
    noise = [
        small(train=30, draw=3, noise=0.1, subset=s).x_train - small(train=30, draw=3, subset=s).x_train
        for s in ("first", "random")
    ]
    torch.testing.assert_close(*noise)


def test_a_balanced_subset_takes_the_first_of_each_class():
    y = np.array([3, 0, 0, 1, 2, 0, 1, 3, 4, 5, 6, 7, 8, 9, 4, 5, 6, 7, 8, 9, 2], np.uint8)
    rows = choose(y, 20, "balanced", np.random.RandomState(0), "train")
    assert rows.tolist() == [0, 1, 2, 3, 4, *range(6, 21)]  # the third 0 is left out
    with pytest.raises(
        ValueError, match=r"train of 25 needs 2\.5 images of each class; give a multiple of 10"
    ):
        choose(np.concatenate([y, y]), 25, "balanced", np.random.RandomState(0), "train")
    with pytest.raises(ValueError, match="at most 20"):
        choose(np.concatenate([y, y[:10]]), 30, "balanced", np.random.RandomState(0), "train")


def test_validation_images_are_the_last_training_images(small):
    task = small(validation=10_000, train=5)
    assert number(task.x_test).tolist() == list(range(50_000, 60_000))
    assert number(task.x_train).tolist() == list(range(5))
    with pytest.raises(ValueError, match="train is 50001, but there are 50000 images"):
        small(validation=10_000, train=50_001)


def test_noise_is_on_training_images_alone_and_widens_the_box(small):
    clean, noisy = small(train=2000, scale="symmetric"), small(train=2000, scale="symmetric", noise=0.03)
    noise = (noisy.x_train - clean.x_train).double()
    assert noise.mean().abs() < 1e-4
    assert noise.std() == pytest.approx(0.03, rel=5e-3)
    assert torch.equal(noisy.x_test, clean.x_test)
    assert noisy.lower.unique().item() == noisy.x_train.min()
    assert noisy.upper.unique().item() == max(1, noisy.x_train.max())
    other = small(train=2000, scale="symmetric", noise=0.03, draw=1).x_train
    assert not torch.equal(noisy.x_train, other)


# --- the idx format ------------------------------------------------------------------------------------


def test_idx_round_trip(tmp_path):
    array = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    path = tmp_path / "a.gz"
    path.write_bytes(gzip.compress(b"\0\0\x08\x03" + struct.pack(">3i", 2, 3, 4) + array.tobytes()))
    assert np.array_equal(read_idx(str(path)), array)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "begins with nothing"),
        (b"<html>", "no idx file"),
        (b"\0\0\x0d\x01" + struct.pack(">i", 1) + b"\0", "no idx file"),  # floats
        (b"\0\0\x08\x03" + struct.pack(">2i", 2, 3), "cut off"),
        (b"\0\0\x08\x01" + struct.pack(">i", 5) + b"1234", "but 4 values follow"),
        (b"\0\0\x08\x01" + struct.pack(">i", 5) + b"123456", "but 6 values follow"),
        (b"\0\0\x08\x01" + struct.pack(">i", -1), "but 0 values follow"),
    ],
)
def test_idx_headers_are_checked(tmp_path, content, message):
    path = tmp_path / "a.gz"
    path.write_bytes(gzip.compress(content))
    with pytest.raises(ValueError, match=message) as caught:
        read_idx(str(path))
    assert str(path) in str(caught.value)


def test_files_of_another_size_are_refused(tmp_path):
    for part, shape in (("images-idx3", (7, 28, 28)), ("labels-idx1", (7,))):
        header = bytes([0, 0, 8, len(shape)]) + struct.pack(f">{len(shape)}i", *shape)
        content = gzip.compress(header + bytes(int(np.prod(shape))))
        (tmp_path / f"train-{part}-ubyte.gz").write_bytes(content)
    with pytest.raises(ValueError, match="not the official files"):
        Mnist(MnistParams()).load(DataContext(file=lambda name: str(tmp_path / name)))
