"""The limits of a command for a guest: it travels to the agent in one frame, with its whole environment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from banger.core.errors import Invalid

TOTAL_LIMIT_BYTES: Final = 60_000  # of the agent's 65,536; the rest is for the directory, the user and the terminal
WORDS_LIMIT: Final = 4096  # the agent's, of arguments and of variables
SIZE_LIMIT: Final = 10_000  # of a terminal, in characters
_FIELD_BYTES: Final = 5  # a tag and a length for each word


def check_terminal_size(rows: int, columns: int) -> None:
    """Raise `Invalid` for what no terminal has."""
    if not (0 <= rows <= SIZE_LIMIT and 0 <= columns <= SIZE_LIMIT):
        raise Invalid("that is no size of a terminal", hint=f"it has at most {SIZE_LIMIT} rows and columns")


def check_command(argv: Sequence[str] | None, environment: Mapping[str, str]) -> None:
    """Raise `Invalid` for a command that no guest accepts. Without `argv` it is a shell."""
    if argv is not None and not argv:
        raise Invalid("the command is empty", hint="give a command after `--`")
    words = list(argv or ())
    if any("\0" in word for word in words):
        raise Invalid("an argument of the command contains a NUL byte", hint="send such bytes as standard input")
    for name, value in environment.items():
        if not name or "=" in name or "\0" in name + value:
            raise Invalid(f"{ascii(name)} is not the name of an environment variable", hint="give --env NAME=VALUE")
    variables = [f"{name}={value}" for name, value in environment.items()]
    try:
        total = sum(len(word.encode("utf-8", "surrogateescape")) + _FIELD_BYTES for word in (*words, *variables))
    except UnicodeEncodeError as error:  # a surrogate that stands for no byte
        raise Invalid(
            "an argument or a variable of the command is not valid text", hint="send it as standard input"
        ) from error
    if total > TOTAL_LIMIT_BYTES or max(len(words), len(variables)) > WORDS_LIMIT:
        raise Invalid(
            f"the command has {total} bytes in {len(words)} words with its environment, "
            f"and a guest takes at most {TOTAL_LIMIT_BYTES} bytes in {WORDS_LIMIT}",
            hint="send it as standard input, or put it into a script in the workspace",
        )
