"""Which of a VM's workspaces a command is about: one that is named, or that of the repository one is in."""

from __future__ import annotations

import os
from argparse import Namespace
from typing import TYPE_CHECKING, TypedDict

from banger.cli.arguments import Parser

if TYPE_CHECKING:
    from typing import NotRequired


class Which(TypedDict):
    """What a request says about it."""

    guest_path: str | None
    near: NotRequired[str]


def add_guest_path(parser: Parser) -> None:
    """`--guest-path`, the same for every command that brings work back."""
    parser.add_argument("--guest-path", metavar="DIR", help="which workspace (default: that of the repository here)")


def which(options: Namespace) -> Which:
    """What the options, and the directory one is in, say about it."""
    named: Which = {"guest_path": options.guest_path}
    if options.guest_path is not None:
        return named
    try:
        here = os.path.realpath(".")
        here.encode()
    except (OSError, UnicodeEncodeError):
        return named
    return {**named, "near": here}
