"""What every test gets: tests that boot guests start first, because they take longest."""

from __future__ import annotations

import signal

import pytest
from hypothesis import settings
from tests.parity import Plugin

# Who runs the tests in the background may have these ignored, which programs inherit (POSIX, "signals and the shell").
for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, signal.default_int_handler if number is signal.SIGINT else signal.SIG_DFL)

# A loaded machine is no defect: how long one example takes is never asserted. The same examples every time, so that what
# fails is due to the change at hand; `make explore` goes looking for others.
settings.register_profile("same", deadline=None, derandomize=True, database=None)
settings.register_profile("explore", deadline=None, print_blob=True)
settings.load_profile("same")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--parity", action="store_true", help="bring docs/parity.md up to date with what is run")


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--parity") and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Plugin())


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.get_closest_marker("vm") is None)
