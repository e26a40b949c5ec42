"""California housing against scikit-learn's processing of the same file and its documented means."""

import tarfile

import numpy as np
import pytest
import torch
from sklearn.datasets import _california_housing as theirs
from sklearn.datasets import fetch_california_housing
from sklearn.preprocessing import StandardScaler

from benchmark_plugins.datasets.california_housing import FEATURES, read_table
from benchmark_plugins.datasets.catalogue import CaliforniaHousingParams
from benchmark_plugins.datasets.split import stratified_split

NAME = "california-housing"


@pytest.fixture
def path(official):
    return official(NAME, "cal_housing.data")


@pytest.fixture
def peer(path, tmp_path, monkeypatch):
    """scikit-learn's loader, given the file in an archive of our own instead of its download."""

    def archive(*args, **kwargs):
        packed = tmp_path / "cal_housing.tgz"
        with tarfile.open(packed, "w:gz") as pack:
            pack.add(path, "CaliforniaHousing/cal_housing.data")
        return packed

    monkeypatch.setattr(theirs, "_fetch_remote", archive)
    return fetch_california_housing(data_home=tmp_path)


def test_features_and_values_are_scikit_learn_s(path, peer):
    x, value = read_table(path)
    assert np.array_equal(x, peer.data)
    np.testing.assert_allclose(value / 100_000, peer.target, rtol=1e-15)
    assert list(FEATURES) == peer.feature_names


def test_documented_facts(path):
    x, value = read_table(path)
    # fetch_california_housing(as_frame=True).frame.describe(), as scikit-learn's examples print it
    means = [3.870671, 28.639486, 5.429000, 1.096675, 1425.476744, 3.070655, 35.631861, -119.569704]
    np.testing.assert_allclose(x.mean(0), means, atol=5e-7)
    assert (value / 100_000).mean() == pytest.approx(2.068558, abs=5e-7)
    assert np.median(value) == 179_700
    assert (value == 500_001).sum() == 965  # the census cuts values off there


def test_split_scale_and_classes(load, path):
    task = load(NAME)
    x, value = read_table(path)
    y = (value > 179_700).astype(int)
    train, test = stratified_split(y, CaliforniaHousingParams())
    assert (len(train), len(test)) == (16_512, 4_128)  # 80/20
    scaler = StandardScaler().fit(x[train])
    np.testing.assert_allclose(task.x_train, scaler.transform(x[train]), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(task.x_test, scaler.transform(x[test]), rtol=1e-5, atol=1e-5)
    assert np.array_equal(task.y_train, y[train])
    assert np.array_equal(task.y_test, y[test])
    assert task.classes == ("below", "above")
    assert task.favourable == 1
    assert task.mutable.all()
    both = torch.cat([task.x_train, task.x_test])
    assert torch.equal(task.lower, both.amin(0))
    assert torch.equal(task.upper, both.amax(0))


def test_threshold_and_immutable_features(load, path):
    value = read_table(path)[1]
    task = load(NAME, threshold=300_000, immutable=("Latitude", "Longitude"))
    assert int(task.y_train.sum() + task.y_test.sum()) == (value > 300_000).sum()
    assert task.mutable.tolist() == [True] * 6 + [False] * 2
    with pytest.raises(ValueError, match=r"threshold=600000; choose it between 14999 and 500001 dollars"):
        load(NAME, threshold=600_000)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("-122.23,37.88,41,880,129,322,126,8.3252", "columns"),
        ("-122.23,37.88,41,880,129,322,126,8.3252,?", "could not convert"),
        ("-122.23,37.88,41,880,129,322,126,8.3252,nan", "9 finite numbers"),
        ("-122.23,37.88,41,880,129,322,126,8.3252,452600", r"expected 20640 rows .*\(20641, 9\)"),
        ("# -122.23,37.88,41,880,129,322,126,8.3252,452600", "could not convert"),
    ],
)
def test_a_table_with_another_line_is_refused(tmp_path, line, message):
    good = "-122.23,37.88,41,880,129,322,126,8.3252,452600\n"
    rows = 20_639 if "nan" in line else 20_640
    changed = tmp_path / "cal_housing.data"
    changed.write_text(good * rows + line + "\n")
    with pytest.raises(ValueError, match=message):
        read_table(str(changed))


def test_a_header_line_is_refused(tmp_path):
    changed = tmp_path / "cal_housing.data"
    changed.write_text("longitude,latitude,a,b,c,d,e,f,g\n" + "1,2,3,4,5,6,7,8,9\n" * 20_639)
    with pytest.raises(ValueError, match="could not convert"):
        read_table(str(changed))
