"""`robex doctor`: the installation, the plugins, the store, and what stops because of their problems."""

from __future__ import annotations

import platform
import re
from collections import Counter
from dataclasses import dataclass
from importlib import metadata

import click

from .. import __version__
from ..board.formats import plural, size
from ..errors import RobexError, one_line
from ..registry import PluginProblem, Registry
from . import data, output
from .options import command_line, find_store, json_option, plugin_option, store_option
from .plugins import broken_methods, plugin_commands


@dataclass(frozen=True)
class Finding:
    """One line of the report. more: what follows from it. hint: what to do, with a command that stays whole.
    trace: shown with --trace."""

    ok: bool
    text: str
    more: str = ""
    hint: str = ""
    trace: str = ""


@click.command("doctor")
@store_option
@plugin_option
@json_option
@click.option("--trace", is_flag=True, help="Show where problems come from.")
def command(store: str, plugins: tuple[str, ...], as_json: bool, trace: bool) -> int:
    """Check the installation, the plugins and the store. Exit code 1 when there is a problem."""
    registry = Registry.load(plugins)
    verbs, verb_problems = plugin_commands(registry)
    findings = [
        _versions(),
        _store(store),
        _plugins(registry, sorted(verbs)),
        Finding(*data.finding(registry)),
    ]
    found = (*registry.problems, *verb_problems, *broken_methods(registry))
    findings += [_problem(problem) for problem in found]
    problems = sum(not finding.ok for finding in findings)
    if as_json:
        output.say_json({"problems": problems, "findings": [vars(finding) for finding in findings]})
        return 1 if problems else 0
    for finding in findings:
        if finding.ok:
            output.say_wrapped(f"✓ {finding.text}")
        else:  # as every error it is one line
            output.say(f"✕ {finding.text}")
        _say_more(finding.more, finding.hint)
        if finding.trace and trace:
            output.say(finding.trace.rstrip())
    if problems:
        again = command_line("robex", "doctor", "--trace", store=store, plugins=plugins)
        hint = "" if trace or not any(f.trace for f in findings) else f"   Trace: {again}"
        output.say(f"{plural(problems, 'problem')} (exit 1){hint}")
    return 1 if problems else 0


def _say_more(more: str, hint: str) -> None:
    """Both on one line where it fits."""
    line = f"    {'   '.join(filter(None, (more, hint)))}"
    if line.strip() and len(line) <= output.width():
        output.say(line)
        return
    if more:
        output.say_wrapped(f"    {more}")
    if hint:
        output.say(f"    {hint}")


def _versions() -> Finding:
    parts = [f"robex {__version__}", f"python {platform.python_version()}"]
    try:
        parts.append(f"torch {metadata.version('torch')}")
        parts.append(_devices())
    except Exception as error:
        return Finding(
            False,
            " · ".join([*parts, f"torch cannot be used: {one_line(error)}"]),
            hint="Try: pip install torch",
        )
    return Finding(True, " · ".join(parts))


def _devices() -> str:
    """`CUDA 12.8 · 1 × H100 80 GB · triton 3.7.1`, or `no GPU`."""
    import torch

    if not torch.cuda.is_available():
        return "no GPU"
    found: Counter[str] = Counter()
    for i in range(torch.cuda.device_count()):
        about = torch.cuda.get_device_properties(i)
        found[f"{about.name} {size(about.total_memory)}"] += 1
    devices = [f"{n} × {name}" for name, n in found.items()]
    return " · ".join([f"CUDA {torch.version.cuda}", *devices, _triton()])


def _triton() -> str:
    try:
        return f"triton {metadata.version('triton')}"
    except metadata.PackageNotFoundError:
        return "no triton, so kernels run as plain torch (pip install 'robex[kernels]')"


def _store(path: str) -> Finding:
    from ..store.index import Index

    try:
        store = find_store(path)
        if store is None:
            return Finding(True, f"store {path}: not there yet; the first run makes it")
        index = Index(store)
        records, total = index.totals()
        index.close()
    except RobexError as error:
        return Finding(False, f"store {error}")
    text = f"store {path}: {plural(records, 'record')}, index current, {size(total)}"
    if index.damaged:
        keys = ", ".join(key[:12] for key in index.damaged[:3])
        more = "They are computed again when a suite needs them."
        return Finding(False, f"{text}; {plural(len(index.damaged), 'damaged record')}: {keys}", more)
    bad = sum(1 for _ in store.nodes.glob("*/*.bad"))
    if bad:
        text += f"; {plural(bad, 'damaged record')} set aside"
        return Finding(True, text, hint=f"They go with: {command_line('robex', 'cache', 'gc', store=path)}")
    return Finding(True, text)


def _plugins(registry: Registry, verbs: list[str]) -> Finding:
    counts = Counter(registry.origin(spec).plugin for spec in registry.methods())
    named: list[str] = []
    for origin in registry.origins.values():
        name = f"{origin.distribution} {origin.version}".strip()
        named.append(f"{name} ({plural(counts[origin.plugin], 'method')})")
    text = f"{plural(len(named), 'plugin')}: {', '.join(named)}" if named else "no plugin"
    return Finding(bool(named), text, f"They add the verbs {', '.join(verbs)}." if verbs else "")


def _problem(problem: PluginProblem) -> Finding:
    more = "Suites that name its methods fail; all others work."
    missing = re.match(r"ModuleNotFoundError: No module named '(\w+)", problem.message)
    hint = f"Try: pip install {missing[1]}" if missing else ""
    return Finding(False, str(problem), more, hint, problem.trace)
