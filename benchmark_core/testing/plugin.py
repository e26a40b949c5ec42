"""The pytest plugin behind `pytest --robex-plugin my_bench`. Without the option it imports nothing."""

from __future__ import annotations

from typing import Any

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.getgroup("robex").addoption(
        "--robex-plugin",
        action="append",
        default=[],
        metavar="PLUGIN",
        help="check the methods of a robex plugin (an entry point, a module or a .py file) against every "
        "contract; without other arguments, nothing else is collected",
    )


def pytest_configure(config: pytest.Config) -> None:
    if config.option.robex_plugin and config.args_source is not pytest.Config.ArgsSource.ARGS:
        config.args = []


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(
    session: pytest.Session, config: pytest.Config, items: list[pytest.Item]
) -> None:
    for source in config.option.robex_plugin:
        from ..errors import RobexError
        from .kit import collect

        try:
            found = collect(source)
        except RobexError as error:
            raise pytest.UsageError(f"--robex-plugin {source}: {error}") from None
        items.extend(ConformanceItem.from_parent(session, name=i.id, nodeid=i.id, check=i) for i in found)


class ConformanceItem(pytest.Item):
    """One contract of one method."""

    def __init__(self, *, check: Any, **fields: Any) -> None:
        super().__init__(**fields)
        self.check = check

    def runtest(self) -> None:
        from .kit import NotRun

        try:
            self.check.run()
        except NotRun as reason:
            pytest.skip(str(reason))

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        from .kit import Failure

        if isinstance(excinfo.value, Failure):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Any, int | None, str]:
        return self.path, None, self.nodeid
