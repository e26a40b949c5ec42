"""What may be wrong with a plugin, found where it registers and said with the line of its own code."""

from __future__ import annotations

import re
import traceback
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from . import hookspecs
from .errors import RobexError, cut, did_you_mean, printable
from .spec import MethodSpec

#: The most methods one plugin may register.
MAX_METHODS = 10_000


def placed_specs(function: Callable[[], Any], file: str) -> Iterator[tuple[Any, str]]:
    """What a `register_methods` yields, each with the line it stands on."""
    found = function()
    if not isinstance(found, Iterable):
        raise RobexError(f"register_methods must yield or return MethodSpecs, got {found!r}")
    code = getattr(function, "__code__", None)
    iterator = iter(found)
    for count, spec in enumerate(iterator, 1):
        frame = getattr(iterator, "gi_frame", None)
        line = frame.f_lineno if frame else code.co_firstlineno if code else 1
        yield spec, f"{near(code.co_filename if code else file)}:{line}"
        if count == MAX_METHODS:
            raise RobexError(f"register_methods yields more than {MAX_METHODS:,} methods; does it ever end?")


def spec_mistake(spec: Any) -> str | None:
    if not isinstance(spec, MethodSpec):
        return f"register_methods must yield MethodSpecs, got {printable(cut(repr(spec), 80))}"
    if f"{spec.kind.capitalize()}Spec" not in {cls.__name__ for cls in type(spec).__mro__}:
        return f"{spec.kind} {spec.name}: make its spec with MethodSpec.{spec.kind}(...)"
    if spec.kind == "state" and spec.needs is not None:
        return f"state {spec.name}: a state cannot need other states"
    return None


def hook_mistake(module: Any, error: Exception) -> Exception:
    """pluggy's complaint about a hook that does not exist, in our words."""
    unknown = re.search(r"unknown hook '(\w+)'", str(error))
    if unknown is None:
        return error
    name = unknown[1]
    hooks = [n for n in vars(hookspecs) if n.startswith(("register_", "on_"))]
    code = getattr(getattr(module, name, None), "__code__", None)
    place = f" ({near(code.co_filename)}:{code.co_firstlineno})" if code else ""
    hint = did_you_mean(name, hooks) or f"; there are {', '.join(hooks)}"
    return RobexError(f'there is no hook "{name}"{hint}{place}')


def place_of(error: BaseException) -> str:
    """`file:line` of the plugin's own code in which an error arose, or nothing."""
    ours = tuple(str(Path(__file__).with_name(name)) for name in ("registry.py", "guard.py", "mistakes.py"))
    frames = [
        f
        for f in traceback.extract_tb(error.__traceback__)
        if f.filename.endswith(".py")
        and f.filename not in ours
        and "importlib" not in f.filename
        and not f.filename.endswith("contextlib.py")
    ]
    if not frames:
        return ""
    folder = Path(frames[0].filename).parent
    own = [f for f in frames if Path(f.filename).is_relative_to(folder)]
    return f"{near(own[-1].filename)}:{own[-1].lineno}"


def near(file: str) -> str:
    """A path, short where it lies in the working folder."""
    try:
        return str(Path(file).relative_to(Path.cwd()))
    except (ValueError, OSError):
        return file
