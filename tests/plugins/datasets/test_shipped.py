"""Files inside scikit-learn are used only where they are the pinned ones."""

import dataclasses

import pytest
import sklearn

from benchmark_plugins.datasets import digits, wine
from benchmark_plugins.datasets.catalogue import SPECS
from benchmark_plugins.datasets.shipped import load_shipped


@pytest.mark.parametrize("spec", [s for s in SPECS if s.files and not s.sources], ids=lambda s: s.name)
def test_the_installed_files_are_the_pinned_ones(spec):
    assert load_shipped(lambda: "loaded", spec.files) == "loaded"


@pytest.mark.parametrize(("module", "pin", "name"), [(wine, "WINE", "wine"), (digits, "DIGITS", "digits")])
def test_another_file_is_refused(load, monkeypatch, module, pin, name):
    spec = getattr(module, pin)
    file = next(iter(spec.files))
    monkeypatch.setattr(module, pin, dataclasses.replace(spec, files={file: "0" * 64}))
    with pytest.raises(RuntimeError) as caught:
        load(name)
    message = str(caught.value)
    assert message.startswith(f"scikit-learn {sklearn.__version__} ships another {file} than robex pins")
    assert spec.files[file] in message
    assert "install scikit-learn" in message
    assert "\n" not in message


def test_a_refused_file_is_not_read():
    with pytest.raises(RuntimeError, match=r"wine_data\.csv"):
        load_shipped(lambda: pytest.fail("read before the check"), {"wine_data.csv": "0" * 64})
