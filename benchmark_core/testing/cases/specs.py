"""What a spec promises before anything runs: it says what it is, travels between processes, makes a key."""

from __future__ import annotations

import dataclasses
import inspect
import pickle
import re
from pathlib import Path

from ... import interfaces
from ...errors import RobexError, one_line
from ...plan.keys import method_identity
from ...suite.fields import checker_of
from ...suite.nodes import Mark, Source, from_python
from ..harness import Breach, Trial, expect
from .table import case


@case(read="what-a-spec-says", per_task=False)
def has_a_summary(trial: Trial) -> None:
    expect(
        trial.spec.summary,
        f"a docstring in {trial.spec.params.__name__} whose first line says what the method is",
        "there is none; `robex list` would show an empty line",
    )


@case(read="what-a-spec-says", per_task=False)
def has_a_citation(trial: Trial) -> None:
    expect(
        trial.spec.cite.strip(),
        "cite= says where the method comes from (a reference, an arXiv id, a URL)",
        "cite is empty",
    )
    expect(
        not _PLACEHOLDER.fullmatch(trial.spec.cite.strip(" .:()[]<>").lower()),
        "cite= says where the method comes from (a reference, an arXiv id, a URL)",
        f"it still reads {trial.spec.cite!r}; a method of your own cites its page or repository",
    )


#: What stands in templates and drafts until somebody knows better.
_PLACEHOLDER = re.compile(
    r"the paper or page that it comes from|todo\b.*|fixme\b.*|tbd|xxx+|\?*|cite|citation|reference|none|n/a"
)


@case(read="what-a-spec-says", per_task=False)
def travels_between_processes(trial: Trial) -> None:
    expected = "a spec that can be pickled, since workers are other processes"
    try:
        again = pickle.loads(pickle.dumps(trial.spec))  # noqa: S301 - what was dumped one line up
    except Exception as error:
        raise Breach(expected, f"{one_line(error)}; name functions at the top of a module") from None
    expect(again == trial.spec, expected, "what comes back is another spec")


@case(read="params", per_task=False)
def has_valid_defaults(trial: Trial) -> None:
    spec = trial.spec
    expected = "every default is a value that the type of its field allows"
    try:
        checker = checker_of(spec.params, spec.name)
    except RobexError as error:
        raise Breach("types of params that can be checked", str(error)) from None
    mark = Mark(Source("", folder=Path.cwd()))
    for f in dataclasses.fields(spec.params):
        if f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING:
            continue
        default = f.default if f.default is not dataclasses.MISSING else f.default_factory()  # type: ignore[misc]
        if isinstance(default, tuple):
            default = list(default)  # as YAML gives it
        _, wrong = checker.check(f.name, default, from_python(default, mark), Path.cwd())
        if wrong:
            raise Breach(expected, wrong[0].message)


@case(read="params", per_task=False)
def makes_a_key(trial: Trial) -> None:
    expected = "params whose values can be written into a key: numbers, text, lists, methods"
    try:
        identity = method_identity(trial.ref, trial.registry)
        rebuilt = dataclasses.replace(trial.ref, params=dataclasses.replace(trial.ref.params))
        again = method_identity(rebuilt, trial.registry)
    except Exception as error:
        raise Breach(expected, one_line(error)) from None
    expect(identity == again, "equal params make equal keys", "they make different ones")


@case(read="the-target", per_task=False)
def has_a_class_behind_its_target(trial: Trial) -> None:
    spec = trial.spec
    base = getattr(interfaces, spec.kind.capitalize())
    expected = f"target={spec.target!r} names a class that inherits from {base.__name__}"
    try:
        method = trial.registry.create(trial.ref)
    except Exception as error:
        raise Breach(expected, one_line(error)) from None
    expect(isinstance(method, base), expected, f"it names {_bases(type(method))}")
    held = getattr(method, "params", None)
    expect(held == trial.ref.params, "self.params are the params it was made with", f"they are {held!r}")


def _bases(cls: type) -> str:
    bases = [b.__name__ for b in inspect.getmro(cls)[1:-1]]
    return f"{cls.__name__}, which inherits from {', '.join(bases) or 'nothing'}"
