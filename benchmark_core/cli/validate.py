"""`robex validate`: everything that is wrong with suites, without running anything."""

from __future__ import annotations

from typing import Any

import click

from ..board.formats import plural
from ..errors import Problem, RobexError, SuiteErrors, shown
from . import output
from .options import SuiteCall, command_line, json_option, plugin_option, trace_option


@click.command("validate")
@click.argument("suite_files", metavar="SUITE...", nargs=-1, required=True)
@plugin_option
@json_option
@trace_option
def command(suite_files: tuple[str, ...], plugins: tuple[str, ...], as_json: bool) -> int:
    """Check suites without running anything. Exit code 2 when one is wrong."""
    found = [_check(file, plugins) for file in suite_files]
    if as_json:
        output.say_json(found)
    else:
        for result in found:
            if result["ok"]:
                output.say_wrapped(f"{result['file']}: ok, {result['summary']}")
                if result["left_out"]:
                    why = command_line("robex", "plan", result["file"], plugins=plugins)
                    output.say(f"{plural(result['left_out'], 'cell')} left out: {why} says why")
                for warning in result["warnings"]:
                    output.note(warning)
            else:
                output.note("\n".join(shown(result["messages"])))
        wrong = sum(len(result["messages"]) for result in found)
        if wrong:
            output.note(f"{plural(wrong, 'error')}.")
    return 0 if all(result["ok"] for result in found) else 2


def _check(file: str, plugins: tuple[str, ...]) -> dict[str, Any]:
    from .boards import planned
    from .plan import emptiness, wide_balls

    problems: list[Problem] = []
    try:
        plan, registry = planned(SuiteCall(file, plugins=plugins))
    except SuiteErrors as error:
        problems = error.problems
    except RobexError as error:
        problems = [Problem(file, 0, 0, str(error).removeprefix(f"{file}: "))]
    else:
        summary = f"{plural(len(plan.cells), 'cell')} in {plural(len(plan.nodes), 'node')}"
        return {
            "file": file,
            "ok": True,
            "suite": plan.suite.name,
            "summary": summary,
            "left_out": sum(plan.left_out.values()),
            "warnings": [*emptiness(plan), *wide_balls(plan.suite, registry)],
            "messages": [],
            "problems": [],
        }
    return {
        "file": file,
        "ok": False,
        "warnings": [],
        "messages": [str(p) for p in problems],
        "problems": [
            {"file": p.file, "line": p.line, "column": p.column, "message": p.message} for p in problems
        ],
    }
