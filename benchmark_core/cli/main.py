"""Entry point of `robex`: the table of verbs, plugins' verbs, and what becomes of errors.

Exit codes: 0 all done, 1 something failed or differs, 2 wrong use or suite, 130 interrupted,
141 nobody reads the output any more (as a shell tells SIGPIPE), 143 told to stop by SIGTERM.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterable, Sequence
from importlib import import_module
from typing import Any

import click

from .. import __version__
from ..errors import RobexError, did_you_mean, harmless, one_line, reason

#: verb -> (module of this package, what it does). A module's command is called `command`.
VERBS = {
    "list": ("list_methods", "The methods that plugins offer."),
    "validate": ("validate", "Check suites without running anything."),
    "plan": ("plan", "What a suite would run, what is cached, how long it takes."),
    "run": ("run", "Run what the store lacks of a suite, then show its boards."),
    "status": ("status", "How far the suites of a store are."),
    "table": ("table", "The boards of a store."),
    "report": ("report", "The boards of a store as one HTML page."),
    "compare": ("compare", "What differs between two stores, suites or rows."),
    "show": ("show", "What a method does, or how a result was made."),
    "bundle": ("bundle", "The records of a suite in one file, to publish."),
    "verify": ("verify", "Check all records of a store, or of a bundle."),
    "new": ("new", "Start a plugin or a suite of your own."),
    "schema": ("schema", "The JSON Schema of suites, for editors."),
    "data": ("data", "The official files of datasets: list, fetch, path."),
    "kernels": ("kernels", "The shared operations: their proofs and their speed."),
    "doctor": ("doctor", "Check the installation, the plugins and the store."),
    "cache": ("cache", "List, clean or remove the records of a store."),
}


class _NobodyReads(Exception):
    """The other end of a pipe is closed (`robex list | head`). No OSError: click takes those for its own."""


class _Help(click.HelpFormatter):
    """On a narrow terminal an option stands above what it does."""

    def write_dl(self, rows: Iterable[tuple[str, str]], col_max: int = 30, col_spacing: int = 2) -> None:
        super().write_dl(rows, col_max if self.width > 60 else 6, col_spacing)


click.Context.formatter_class = _Help


class Verbs(click.Group):
    """Loads a verb when it is asked for; unknown ones are looked for in plugins."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            raise _NobodyReads from error

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in VERBS:
            return import_module(f".{VERBS[cmd_name][0]}", __package__).command
        from .plugins import plugin_commands

        return plugin_commands()[0].get(cmd_name)

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        name = args[0]
        if not name.startswith("-") and self.get_command(ctx, name) is None:
            raise click.UsageError(f'no verb is called "{name}"{did_you_mean(name, VERBS)}', ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """From the table alone: no verb is loaded for `robex --help`."""
        with formatter.section("Verbs"):
            formatter.write_dl([(verb, about) for verb, (_, about) in VERBS.items()])
        formatter.write_paragraph()
        formatter.write_text(
            "`robex VERB --help` says more. Plugins may add verbs; `robex doctor` names them."
        )


@click.command(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="robex %(version)s")
def robex() -> None:
    """Benchmark attacks, defenses and explainers: one YAML file, one command, honest statistics."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line and return its exit code. argv: the process goes on afterwards."""
    code = _call(list(sys.argv[1:] if argv is None else argv))
    if argv is None:
        _let_end(code)
    return code


#: How long threads may go on after everything is done, seconds.
_PATIENCE = 10.0


def _let_end(code: int) -> None:
    """A thread that some method left running would keep the process for ever."""
    import threading

    left = [t.name for t in threading.enumerate() if not t.daemon and t is not threading.main_thread()]
    if not left:
        return

    def end() -> None:
        print(f"robex: left a thread behind that does not end: {left[0]}", file=sys.stderr)
        os._exit(code)

    timer = threading.Timer(_PATIENCE, end)
    timer.daemon = True
    timer.start()


def _call(arguments: Sequence[str]) -> int:
    try:
        code = robex.main(
            list(arguments), prog_name="robex", standalone_mode=False, terminal_width=_narrow_terminal()
        )
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except click.ClickException as error:
        error.show()
        return 2
    except (click.Abort, KeyboardInterrupt):
        return 130
    except (_NobodyReads, BrokenPipeError):
        _close_stdout()
        return 141
    except RobexError as error:
        _tell(error, arguments)
        print(harmless(str(error)), file=sys.stderr)
        return error.exit_code
    except OSError as error:
        _tell(error, arguments)
        place = f"{error.filename}: " if error.filename else ""
        print(harmless(f"robex: {place}{reason(error)}"), file=sys.stderr)
        _close_stdout()
        return 2
    except Exception as error:
        _tell(error, arguments)
        hint = "" if "--trace" in arguments else " (--trace shows where; please report it)"
        print(f"robex: bug: {one_line(error)}{hint}", file=sys.stderr)
        return 2


def _close_stdout() -> None:
    """What cannot be written now cannot be written when Python ends either, and it would say so."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _narrow_terminal() -> int | None:
    """Columns for help texts where click would not go below 50; None: its own width."""
    columns = shutil.get_terminal_size().columns
    return max(columns, 20) - 2 if columns < 52 else None


def _tell(error: BaseException, arguments: Sequence[str]) -> None:
    if "--trace" in arguments:
        import traceback

        traceback.print_exception(error)
