"""A terminal that goes while a session uses it."""

from __future__ import annotations

import os
import pty

from banger.cli.terminal import RawTerminal


def test_a_terminal_that_is_gone_is_no_error() -> None:
    master, slave = pty.openpty()
    try:
        with RawTerminal(slave) as terminal:
            os.close(master)
            terminal.enter()
        with RawTerminal(slave):
            pass
    finally:
        os.close(slave)
