"""The form of params that counts in keys: the same for every spelling, different for every setting."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from annotated_types import MinLen
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmark_core import Count, File, MethodSpec, Operational
from benchmark_core.errors import RobexError
from benchmark_core.registry import Registry
from benchmark_core.spec import MethodRef
from benchmark_core.suite import canonical, make_ref

PROPERTY = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def of(registry: Registry, kind: Any, name: str, **params: Any) -> dict[str, Any]:
    return canonical(make_ref(registry, kind, name, params).params, registry)


def test_operational_fields_do_not_count(registry: Registry) -> None:
    found = of(registry, "attack", "pgd", eps=1, batch=7)
    assert found == {
        "eps": 1.0, "steps": 40, "step_size": None, "restarts": 1, "norm": "linf", "random_start": True,
    }  # fmt: skip
    assert found == of(registry, "attack", "pgd", eps="2/2")


@PROPERTY
@given(st.integers(0, 10**6), st.integers(1, 10**6))
def test_spellings_of_a_number_are_one(registry: Registry, top: int, bottom: int) -> None:
    text = json.dumps(of(registry, "attack", "fgsm", eps=f"{top}/{bottom}"))
    assert text == json.dumps(of(registry, "attack", "fgsm", eps=top / bottom))
    assert text == json.dumps(of(registry, "attack", "fgsm", eps=float(Fraction(top, bottom))))
    if top % bottom == 0:
        assert text == json.dumps(of(registry, "attack", "fgsm", eps=top // bottom))


@PROPERTY
@given(st.floats(0, 1e300), st.floats(0, 1e300))
def test_different_numbers_stay_different(registry: Registry, a: float, b: float) -> None:
    one, two = (json.dumps(of(registry, "attack", "fgsm", eps=v)) for v in (a, b))
    assert (one == two) == (repr(a) == repr(b))


@PROPERTY
@given(
    st.fixed_dictionaries(
        {},
        optional={
            "hidden": st.lists(st.integers(-5, 5), max_size=4),
            "window": st.tuples(st.floats(-9, 9), st.integers(-9, 9)),
            "name": st.text(max_size=5),
            "dropout": st.just("auto") | st.floats(0, 1),
        },
    )
)
def test_it_is_json_and_gives_the_params_back(registry: Registry, params: dict[str, Any]) -> None:
    ref = make_ref(registry, "model", "mlp", params)
    found = json.loads(json.dumps(canonical(ref.params, registry), allow_nan=False))
    assert make_ref(registry, "model", "mlp", found) == ref


def test_methods_inside_count_with_revision_and_source(registry: Registry) -> None:
    found = of(registry, "defense", "adversarial-training", attack={"use": "fgsm"})
    code = registry.code_hash(registry.get("attack", "fgsm"))
    assert code is not None
    assert found == {
        "attack": {"use": "fgsm", "revision": 1, "code": code, "params": {"eps": 0.1}},
        "weight": 0.5,
    }
    members = of(registry, "attack", "ensemble", members=["fgsm", {"use": "fgsm", "eps": 1}])["members"]
    assert [m["params"]["eps"] for m in members] == [0.1, 1.0]


def test_files_count_by_their_content(registry: Registry, tmp_path: Path) -> None:
    one, two = tmp_path / "a.pt", tmp_path / "b.pt"
    one.write_bytes(b"weights")
    two.write_bytes(b"weights")
    found = [of(registry, "defense", "pretrained", path=str(p)) for p in (one, two)]
    digest = hashlib.sha256(b"weights").hexdigest()
    assert found == [{"path": {"sha256": digest}, "probe": None}] * 2
    two.write_bytes(b"others!")
    os.utime(two, ns=(1, 1))  # same size, another time
    assert of(registry, "defense", "pretrained", path=str(two)) != found[0]
    ref = make_ref(registry, "defense", "pretrained", {"path": str(one)})
    one.unlink()
    with pytest.raises(RobexError, match=r"a\.pt: No such file or directory; it is a param of the suite$"):
        canonical(ref.params, registry)


@dataclass(frozen=True, kw_only=True)
class Files:
    """Files wherever a type can name them."""

    alone: File | Literal["auto"] = "auto"
    listed: tuple[File, ...] | None = None
    named: dict[str, File] | None = None
    bounded: Annotated[dict[str, File], MinLen(1)] | None = None
    second: tuple[str, File] | None = None


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("alone", lambda path: path),
        ("listed", lambda path: (path,)),
        ("named", lambda path: {"weights": path}),
        ("bounded", lambda path: {"weights": path}),
        ("second", lambda path: ("weights", path)),
    ],
)
def test_files_inside_other_values_count_by_their_content(
    registry: Registry, tmp_path: Path, field: str, value: Callable[[str], Any]
) -> None:
    def found(name: str, content: bytes) -> dict[str, Any]:
        (tmp_path / name).write_bytes(content)
        return canonical(Files(**{field: value(str(tmp_path / name))}), registry)

    before = found("a", b"one")
    assert found("a", b"another") != before
    assert found("b", b"one") == before


def test_a_word_in_place_of_a_file_is_no_file(registry: Registry) -> None:
    assert canonical(Files(), registry)["alone"] == "auto"


@dataclass(frozen=True, kw_only=True)
class Mixed:
    """Types that only defaults can have."""

    a: float = 1
    b: float = math.inf
    c: tuple[float, ...] = (1, 2.5)
    d: frozenset[str] = frozenset({"y", "x"})
    e: Any = None
    f: File | None = None
    g: Annotated[Count, Operational()] | None = None


def test_values_of_every_type(registry: Registry) -> None:
    found = canonical(Mixed(e={"k": (1, True)}), registry)
    assert json.dumps(found, allow_nan=False) == (
        '{"a": 1.0, "b": {"float": "inf"}, "c": [1.0, 2.5], "d": ["x", "y"], '
        '"e": {"map": [["k", [1, true]]]}, "f": null}'
    )
    with pytest.raises(RobexError, match="a value of type object cannot be part of a key"):
        canonical(Mixed(e=object()), registry)
    with pytest.raises(RobexError, match=r"Path cannot be part .*File for the path of a file$"):
        canonical(Mixed(e=Path("weights.pt")), registry)


@dataclass(frozen=True)
class Gaussian:
    scale: float = 1


@dataclass(frozen=True)
class Laplace:
    scale: float = 1


@dataclass(frozen=True, kw_only=True)
class Noisy:
    noise: Gaussian | Laplace = Gaussian()
    other: Gaussian | None = None


def test_which_of_several_types_counts(registry: Registry) -> None:
    one, two = (canonical(Noisy(noise=noise), registry) for noise in (Gaussian(2), Laplace(2)))
    assert one != two
    assert canonical(Noisy(other=Gaussian()), registry)["other"] == {"scale": 1.0}


def test_a_revision_changes_it(registry: Registry) -> None:
    ref = MethodRef("defense", "adversarial-training", None)
    before = of(registry, "defense", "adversarial-training", attack="fgsm")
    spec = registry.get("attack", "fgsm")
    registry._specs["attack", "fgsm"] = MethodSpec.attack(
        "fgsm", spec.target, params=spec.params, revision=2, norm="linf"
    )
    assert of(registry, ref.kind, ref.name, attack="fgsm") != before
