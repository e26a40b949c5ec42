"""What a method is to the engine: its kind, name, params and capabilities, without its code.

A spec is light: importing this module (or a plugin's registration module) loads neither torch nor pydantic,
so `robex list`, `validate` and `plan` stay fast. The implementation behind `target` is imported by the worker
that runs it.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Annotated, Any, Literal, get_args, get_type_hints

from annotated_types import Ge, Gt, Le

Kind = Literal["dataset", "model", "defense", "attack", "explainer", "metric", "state"]
KINDS: tuple[Kind, ...] = ("dataset", "model", "defense", "attack", "explainer", "metric", "state")

Norm = Literal["linf", "l2", "l1", "l0"]
ResultType = Literal["prediction", "perturbation", "attribution", "counterfactual", "synthesis"]
InputType = Literal["tabular", "image"]

#: Keys of a suite entry that belong to the engine; no method may use one of them as a param.
ENTRY_KEYS = ("use", "as", "samples", "select", "targets", "over", "on", "reference")


# --- param types ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Fraction:
    """Marks a float param that also accepts `"8/255"` and refuses NaN and infinity."""

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        from pydantic_core import core_schema

        schema = handler(source)
        inner = schema
        while "schema" in inner:  # constraints may wrap the float schema
            inner = inner["schema"]
        inner["allow_inf_nan"] = False
        return core_schema.no_info_before_validator_function(parse_fraction, schema)

    def __get_pydantic_json_schema__(self, schema: Any, handler: Any) -> Any:
        number = handler(schema)
        return {"anyOf": [number, {"type": "string", "pattern": r"^\s*[-+0-9.eE]+\s*(/\s*[0-9.eE]+\s*)?$"}]}


def parse_fraction(value: Any) -> Any:
    """`"8/255"` -> 8/255; anything that is no fraction is returned as it is, for the type to judge."""
    if isinstance(value, str):
        top, slash, bottom = value.partition("/")
        if slash:
            try:
                return float(top) / float(bottom)
            except (ValueError, ZeroDivisionError):
                raise ValueError(f"{value!r} is not a number such as 0.03 or 8/255") from None
    return value


@dataclass(frozen=True)
class Operational:
    """Marks a param that cannot change a result (batch size, device); it stays out of the key."""


@dataclass(frozen=True)
class FileContent:
    """Marks a path param; the file must exist, and its content (not its path) counts in the key."""


@dataclass(frozen=True)
class RefKind:
    """Marks a `MethodRef` param with the kind of method it takes."""

    kind: Kind


@dataclass(frozen=True)
class MethodRef:
    """A method with validated params: an entry of a suite, or a method inside another one's params."""

    kind: Kind
    name: str
    params: Any

    def __str__(self) -> str:
        return f"{self.name}({', '.join(f'{k}={v}' for k, v in param_items(self.params))})"


Number = Annotated[float, Fraction()]
Positive = Annotated[float, Gt(0), Fraction()]
NonNegative = Annotated[float, Ge(0), Fraction()]
Eps = Annotated[float, Ge(0), Fraction()]
"""Radius of a perturbation, in the task's input units: `0.03` or `"8/255"`."""
Unit = Annotated[float, Ge(0), Le(1), Fraction()]
"""A share, probability or mixing weight in [0, 1]."""
Count = Annotated[int, Ge(1)]
File = Annotated[str, FileContent()]
AttackRef = Annotated[MethodRef, RefKind("attack")]
"""A params field that takes a whole attack: `attack: {use: pgd, eps: 0.1}` in a suite."""
ExplainerRef = Annotated[MethodRef, RefKind("explainer")]
ModelRef = Annotated[MethodRef, RefKind("model")]


@dataclass(frozen=True)
class NoParams:
    """No settings."""


@dataclass(frozen=True)
class Use:
    """A wish for a method by name and raw params, as `needs` functions return them; the plan validates it."""

    name: str
    params: Mapping[str, Any] = field(default_factory=dict)


def use(name: str, **params: Any) -> Use:
    """The prepared state `name` with these params (others keep their defaults)."""
    return Use(name, params)


@cache
def param_types(params: type) -> dict[str, Any]:
    """Field name -> annotation (with its markers) of a params dataclass."""
    hints = get_type_hints(params, include_extras=True)
    return {f.name: hints[f.name] for f in dataclasses.fields(params)}


def markers(annotation: Any) -> tuple[Any, ...]:
    """The `Annotated` metadata of a field's type."""
    return getattr(annotation, "__metadata__", ())


def param_items(params: Any) -> Iterator[tuple[str, Any]]:
    """(name, value) of every field that differs from its default."""
    for f in dataclasses.fields(params):
        value = getattr(params, f.name)
        if f.default is not dataclasses.MISSING:
            default = f.default
        elif f.default_factory is not dataclasses.MISSING:
            default = f.default_factory()
        else:
            default = dataclasses.MISSING
        if value != default:
            yield f.name, value


@cache
def _choices(spec: type) -> dict[str, tuple[Any, ...]]:
    """Field -> allowed values, for fields of a spec that are literals, optional ones or tuples of them."""
    found = {}
    for name, hint in get_type_hints(spec).items():
        parts = [p for part in (get_args(hint) or (hint,)) for p in (get_args(part) or (part,))]
        values = [p for p in parts if isinstance(p, str)]
        if values and all(isinstance(p, str) or p in (None, type(None), ...) for p in parts):
            found[name] = (*values, *([None] if type(None) in parts else []))
    return found


# --- specs ---------------------------------------------------------------------------------------------

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_TARGET = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")


@dataclass(frozen=True, kw_only=True)
class MethodSpec:
    """The light description of a method. Make one with `MethodSpec.attack(...)` and its siblings.

    name: kebab-case, unique within its kind.
    target: `"package.module:Class"`, imported only where the method runs.
    params: a frozen dataclass of the settings; its docstring is the method's one-line summary.
    revision: raise it whenever results change; it is part of every key.
    cite: where the method comes from (a reference, an arXiv id or a URL).
    deterministic: the result does not depend on a seed; repetitions then share one node.
    accepts: the kinds of input it works on.
    needs: params -> {name: Use(state, params)}, the prepared states that `ctx.states[name]` will hold.
    unfit: (params, dataset spec) -> why this method cannot run there, or None.
    """

    kind: Kind
    name: str
    target: str
    params: type = NoParams
    revision: int = 1
    cite: str = ""
    deterministic: bool = False
    accepts: tuple[InputType, ...] = ("tabular", "image")
    needs: Callable[[Any], Mapping[str, Use]] | None = None
    unfit: Callable[[Any, DatasetSpec], str | None] | None = None

    def __post_init__(self) -> None:
        where = f"{self.kind} {self.name!r}"
        if not _NAME.fullmatch(self.name):
            raise ValueError(
                f"{where}: a name is lower-case words joined by '-', such as integrated-gradients"
            )
        if not _TARGET.fullmatch(self.target):
            raise ValueError(f"{where}: target must read 'package.module:Class', got {self.target!r}")
        if not (isinstance(self.params, type) and dataclasses.is_dataclass(self.params)):
            raise ValueError(f"{where}: params must be a dataclass, got {self.params!r}")
        if not self.params.__dataclass_params__.frozen:  # type: ignore[attr-defined]
            raise ValueError(f"{where}: params must be frozen: @dataclass(frozen=True, kw_only=True)")
        if taken := [f.name for f in dataclasses.fields(self.params) if f.name in ENTRY_KEYS]:
            raise ValueError(f"{where}: {taken[0]!r} is a key of every suite entry; name the param otherwise")
        if self.revision < 1:
            raise ValueError(f"{where}: revision starts at 1, got {self.revision}")
        for name, allowed in _choices(type(self)).items():
            value = getattr(self, name)
            several = name in ("accepts", "consumes")
            if several and (not isinstance(value, tuple) or not value):
                raise ValueError(f"{where}: {name} must be a tuple such as ({allowed[0]!r},), got {value!r}")
            for one in value if several else (value,):
                if one not in allowed:
                    choices = ", ".join(map(str, allowed))
                    raise ValueError(f"{where}: {name} must be one of {choices}, got {one!r}")

    @property
    def summary(self) -> str:
        """The first line of the params' docstring."""
        doc = self.params.__doc__ or ""
        if doc.startswith(f"{self.params.__name__}("):  # the signature that dataclass writes
            return ""
        return doc.strip().partition("\n")[0]

    @staticmethod
    def dataset(name: str, target: str, **fields: Any) -> DatasetSpec:
        return DatasetSpec(kind="dataset", name=name, target=target, **fields)

    @staticmethod
    def model(name: str, target: str, **fields: Any) -> ModelSpec:
        return ModelSpec(kind="model", name=name, target=target, **fields)

    @staticmethod
    def defense(name: str, target: str, **fields: Any) -> DefenseSpec:
        return DefenseSpec(kind="defense", name=name, target=target, **fields)

    @staticmethod
    def attack(name: str, target: str, **fields: Any) -> AttackSpec:
        return AttackSpec(kind="attack", name=name, target=target, **fields)

    @staticmethod
    def explainer(name: str, target: str, **fields: Any) -> ExplainerSpec:
        return ExplainerSpec(kind="explainer", name=name, target=target, **fields)

    @staticmethod
    def metric(name: str, target: str, **fields: Any) -> MetricSpec:
        return MetricSpec(kind="metric", name=name, target=target, **fields)

    @staticmethod
    def state(name: str, target: str, **fields: Any) -> StateSpec:
        return StateSpec(kind="state", name=name, target=target, **fields)


@dataclass(frozen=True, kw_only=True)
class Archive:
    """A tar or zip file that holds a data file. member: its path inside; bytes: of the archive."""

    member: str
    sha256: str
    bytes: int


@dataclass(frozen=True, kw_only=True)
class DataSource:
    """Where an official data file can be had. No part of any key: what counts is the file's sha256.

    bytes: size of the file.
    urls: http(s) addresses of the same file, tried in order; none when it can only be got by hand.
    page: where a person finds it; needed without urls.
    archive: set when the urls are of an archive that holds the file.
    """

    bytes: int
    urls: tuple[str, ...] = ()
    page: str = ""
    archive: Archive | None = None

    def __post_init__(self) -> None:
        if not self.urls and not self.page:
            raise ValueError("a data source needs urls, or the page where a person gets the file")
        if wrong := [url for url in self.urls if not url.startswith(("https://", "http://"))]:
            raise ValueError(f"a data source is downloaded by http or https, got {wrong[0]!r}")


@dataclass(frozen=True, kw_only=True)
class DatasetSpec(MethodSpec):
    """input: what one sample is. files: {file name: sha256} of every file it reads (part of the key).

    sources: {file name: DataSource} of the files that lie in the data folder, see `robex data`.
    """

    input: InputType
    files: Mapping[str, str] = field(default_factory=dict)
    sources: Mapping[str, DataSource] = field(default_factory=dict)
    deterministic: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if stray := sorted(set(self.sources) - set(self.files)):
            raise ValueError(f"dataset {self.name!r}: sources names {stray[0]!r}, which files does not")


@dataclass(frozen=True, kw_only=True)
class ModelSpec(MethodSpec):
    """An architecture."""


@dataclass(frozen=True, kw_only=True)
class DefenseSpec(MethodSpec):
    """A way to get weights."""


@dataclass(frozen=True, kw_only=True)
class AttackSpec(MethodSpec):
    """norm: the ball that bounds it (a params field `norm` overrides it); None when it is unbounded.

    targeted: it can aim at `ctx.target`. control: a null method that any real one should beat.
    early_exit: it may stop at the first success when nobody asks for the perturbation (`ctx.goal`).
    """

    norm: Norm | None = None
    targeted: bool = False
    early_exit: bool = False
    control: bool = False


@dataclass(frozen=True, kw_only=True)
class ExplainerSpec(MethodSpec):
    """produces: the type of its result. Counterfactuals always get targets (random ones by default).

    control: a null method that any real one should beat. ideal: what a perfect one would give (real data of
    the target class); boards mark it like a control, and nothing has to beat it.
    """

    produces: Literal["attribution", "counterfactual", "synthesis"]
    control: bool = False
    ideal: bool = False


@dataclass(frozen=True, kw_only=True)
class MetricSpec(MethodSpec):
    """consumes: the result types it measures; the plan crosses it with these only.

    unit: `%`, `s`, ... or empty. direction: which way is better, or None for a description.
    judges: whom `direction` is about: the `method` that made the result whatever it met (its run time), the
    `defense` that met an attack (robust accuracy), or the `attack` that met it (how far it had to go). Where
    the rows of a board are attacks alone, it turns the direction of the second; where they are networks
    alone, that of the third.
    range: the values it can take. scores: `score` (a number a sample), `bernoulli` (0 or 1 a sample),
    `conditional` (defined on a subset: `Scores.valid`), `set` (one number for all samples).
    reads: `success` when only a fresh prediction on the result counts, `cost` when only what it cost does:
    attacks may then stop early.
    average: `median` for scores so skewed that a mean says little (a distance with a long tail).
    failure: what a sample without a valid result counts as (infinity for the distance of a failed attack);
    all samples then count, where the mean over valid ones is the mean over the easier ones.
    reference: it compares with another defense (`reference: LABEL` in the suite): its `model`, or the
    `result` of the same method on it.
    """

    consumes: tuple[ResultType, ...]
    direction: Literal["higher", "lower"] | None
    judges: Literal["method", "defense", "attack"] = "method"
    scores: Literal["score", "bernoulli", "conditional", "set"] = "score"
    unit: str = ""
    range: tuple[float, float] = (-math.inf, math.inf)
    reads: Literal["success", "result", "cost"] = "result"
    reference: Literal["model", "result"] | None = None
    average: Literal["mean", "median"] = "mean"
    failure: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        where = f"metric {self.name!r}"
        if self.judges != "method" and "perturbation" not in self.consumes:
            raise ValueError(
                f"{where}: judges={self.judges!r} is for what attacks make; it consumes no perturbation"
            )
        if self.average == "median" and self.scores in ("bernoulli", "set"):
            raise ValueError(f"{where}: a median needs a number a sample, its scores are {self.scores!r}")
        if self.failure is not None:
            if self.scores != "conditional":
                raise ValueError(
                    f"{where}: failure says what invalid samples count as; scores must be conditional"
                )
            if math.isnan(self.failure):
                raise ValueError(f"{where}: failure must be a number, got NaN")
            if math.isinf(self.failure) and self.average != "median":
                raise ValueError(
                    f"{where}: with an infinite failure value only a median exists: average='median'"
                )


@dataclass(frozen=True, kw_only=True)
class StateSpec(MethodSpec):
    """Something expensive that methods share. made_from: `task`, or `model` (then task and model)."""

    made_from: Literal["task", "model"] = "task"
