"""`robex new`: the files to start a plugin or a suite from, written from `benchmark_core/templates/`."""

from __future__ import annotations

import keyword
import os
import re
import shlex
import sys
from collections.abc import Iterator, Mapping
from importlib import resources, util
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .. import __version__
from ..board.formats import plural
from ..errors import RobexError
from ..spec import KINDS, Kind
from . import output
from .options import load_registry, trace_option

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

    from ..registry import Registry

TEMPLATES = resources.files("benchmark_core") / "templates"
OFFERED: tuple[Kind, ...] = tuple(kind for kind in KINDS if kind != "state")

#: Public names of benchmark_core that the params of each kind's template are made of.
_TYPES: Mapping[Kind, tuple[str, ...]] = {
    "attack": ("Eps",),
    "dataset": ("Count", "NonNegative"),
    "defense": ("Count", "NonNegative", "Positive"),
    "explainer": (),
    "metric": ("Count",),
    "model": ("Count",),
}

#: Where the example of each kind comes from.
_CITES: Mapping[Kind, str] = {
    "attack": "Goodfellow, Shlens, Szegedy: Explaining and harnessing adversarial examples, ICLR 2015",
    "dataset": "drawn by this package",
    "defense": "Bishop: Training with noise is equivalent to Tikhonov regularization, 1995",
    "explainer": "Shrikumar, Greenside, Shcherbina, Kundaje: Not just a black box, 2016, arXiv:1605.01713",
    "metric": "defined by this package",
    "model": "Rumelhart, Hinton, Williams: Learning representations by back-propagating errors, 1986",
}
_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")

path_option = click.option(
    "--path", "folder", metavar="DIR", default=".", help="Where to write it; this folder by default."
)


@click.group("new")
def command() -> None:
    """Start a plugin or a suite of your own from files that work as written."""


# --- plugins -------------------------------------------------------------------------------------------


@command.command("plugin")
@click.argument("name")
@click.option(
    "--kind", "kinds", type=click.Choice(OFFERED), multiple=True, required=True, help="May be repeated."
)
@path_option
@trace_option
def plugin(name: str, kinds: tuple[Kind, ...], folder: str) -> int:
    """A distribution with a method of each KIND, tests and a suite: DIR/NAME.

    It passes its tests as written; put your method in the place of the one that is there.
    """
    root = Path(folder, name)
    chosen: list[Kind] = [kind for kind in OFFERED if kind in kinds]
    methods: dict[Kind, str] = dict.fromkeys(chosen, name)
    if len(chosen) > 1:
        methods = {kind: f"{name}-{kind}" for kind in chosen}
    _check_name(name, methods, load_registry(()))
    if root.exists():
        raise RobexError(f"{root}: is there already; choose another name, or another folder with --path")
    package = name.replace("-", "_")
    camel = "".join(word.capitalize() for word in name.split("-"))
    fields = {
        "name": name,
        "package": package,
        "robex_version": ".".join(__version__.split(".")[:2]),
        "kinds": chosen,
        "method": {kind: methods.get(kind, "") for kind in OFFERED},
        "cls": {kind: f"{camel}{kind.capitalize()}" for kind in chosen},
        "cite": _CITES,
        "imports": sorted({"MethodSpec", "hookimpl", *(t for kind in chosen for t in _TYPES[kind])}),
    }
    names = {"package": package, "gitignore": ".gitignore", "suite.yaml": f"{name}.yaml"}
    files = {
        Path(*(names.get(part, part) for part in path.split("/"))): _render(template, fields)
        for path, template in _templates(TEMPLATES / "plugin")
        if not (set(re.split(r"[/_.]", path)) & set(OFFERED) - set(chosen))  # attack.py, tests/test_attack.py
    }
    for path, text in files.items():
        _write(root / path, text)
    output.say(f"{root}: {plural(len(files), 'file')}")
    for path in sorted(files, key=lambda path: (len(path.parts), path)):
        output.say(f"  {path.as_posix()}")
    here = root.as_posix() if root.is_absolute() else f"./{root.as_posix()}"
    output.say("Go on with")
    output.say(f"  pip install -e {shlex.quote(f'{here}[test]')}")
    output.say(f"  pytest {shlex.quote(root.as_posix())}")
    output.say(f"  robex run {shlex.quote((root / 'suites' / f'{name}.yaml').as_posix())}")
    return 0


def _check_name(name: str, methods: dict[Kind, str], registry: Registry) -> None:
    """RobexError where a plugin of this name could not be installed, imported or registered."""
    package = name.replace("-", "_")
    if not _NAME.fullmatch(name):
        raise RobexError(f'"{name}": a name is lower-case words joined by "-", such as my-bench')
    if keyword.iskeyword(package):
        raise RobexError(f'"{name}": {package} is a keyword of Python; choose another name')
    if package in sys.stdlib_module_names:
        raise RobexError(f'"{name}": would hide Python\'s own module {package}; choose another name')
    if name in registry.origins:
        raise RobexError(f'"{name}": a plugin of this name is installed already: {registry.origins[name]}')
    if package == "robex" or util.find_spec(package) is not None:
        raise RobexError(f'"{name}": a package {package} is installed already; choose another name')
    for kind, method in methods.items():
        if method in registry.names(kind):
            owner = registry.origin(registry.get(kind, method))
            raise RobexError(f'"{name}": {kind} {method} is there already, from {owner}; choose another name')


# --- suites --------------------------------------------------------------------------------------------


@command.command("suite")
@click.argument("name")
@path_option
@trace_option
def suite(name: str, folder: str) -> int:
    """A suite with comments, which runs as written: DIR/NAME.yaml."""
    from ..suite.keys import NAME_PATTERN

    name = name.removesuffix(".yaml")
    if not re.fullmatch(NAME_PATTERN, name):
        raise RobexError(f'"{name}": a suite\'s name is made of letters, digits, "-", "_" and "."')
    path = Path(folder, f"{name}.yaml")
    if path.exists():
        raise RobexError(f"{path}: is there already; choose another name, or another folder with --path")
    _write(path, _render(TEMPLATES / "suite.yaml.jinja", {"name": name, "schema": _schema_near(path.parent)}))
    output.say(f"{path}: written. Go on with")
    for verb in ("validate", "plan", "run"):
        output.say(f"  robex {verb} {shlex.quote(path.as_posix())}")
    return 0


def _schema_near(folder: Path) -> str | None:
    """The path, from the folder, of a schema of suites that lies there or in the folder above."""
    for name in ("schema.json", "../schema.json"):
        try:
            if '"title": "robex suite"' in (folder / name).read_text(encoding="utf-8"):
                return name
        except (OSError, UnicodeDecodeError):
            continue
    return None


# --- templates -----------------------------------------------------------------------------------------


def _templates(folder: Traversable, above: str = "") -> Iterator[tuple[str, Traversable]]:
    """(path without its ending `.jinja`, template) of all files of a folder, by name."""
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if entry.is_dir():
            yield from _templates(entry, f"{above}{entry.name}/")
        elif entry.name.endswith(".jinja"):
            yield f"{above}{entry.name.removesuffix('.jinja')}", entry


def _render(template: Traversable, fields: Mapping[str, Any]) -> str:
    import jinja2

    environment = jinja2.Environment(
        trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True, undefined=jinja2.StrictUndefined
    )
    return environment.from_string(template.read_text(encoding="utf-8")).render(fields)


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "x", encoding="utf-8", newline="\n") as file:
            file.write(text)
    except OSError as error:
        raise RobexError(f"{os.fspath(path)}: {error.strerror}") from error
