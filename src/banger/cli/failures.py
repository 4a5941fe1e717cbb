"""Reporting errors to the user: one sentence, a hint, the operation's id. Never a traceback."""

from __future__ import annotations

import errno
import json
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Final

from banger.cli import exits
from banger.cli.render import Style
from banger.core.errors import BangerError, Failed, Internal, Invalid
from banger.core.untrusted import printable, printable_lines

_CONSOLE_LINES: Final = 12
_NO_ROOM: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
# The hint for errors of the daemon that have none.
_LOG_HINT: Final = "the daemon's log has the details about {operation}; `banger daemon status` says where it is"


def report(error: BaseException, words: Sequence[str], environment: Mapping[str, str]) -> int:
    """Report `error` and return the exit status."""
    if isinstance(error, KeyboardInterrupt):
        error = exits.Hangup(exits.INTERRUPTED, "cancelled")
    if isinstance(error, exits.Hangup):
        if error.message:
            _tell(f"banger: {error.message}\n")
        return error.status
    if environment.get("BANGER_DEBUG"):
        import traceback

        _tell("".join(traceback.format_exception(error)))
    told = _as_banger_error(error)
    own = words[: words.index("--")] if "--" in words else words
    if "--json" not in own or not _write_json(error_json(told)):
        _tell(render_error(told, Style.for_stream(sys.stderr, environment)))
    return exits.status_of(told)


def error_json(error: BangerError) -> dict[str, Any]:
    """What `--json` prints about a failure: the same shape as the daemon's."""
    data = dict(error.data)
    operation = str(data.pop("operation", "") or "")
    view = {"kind": error.kind, "summary": error.summary, "hint": error.hint, "operation": operation, "data": data}
    return {"error": view}


def render_error(error: BangerError, style: Style, *, subject: str = "") -> str:
    """One sentence with the operation id in parentheses; below it the hint, and the end of a log if there is one."""
    operation = printable(str(error.data.get("operation") or ""), limit=64)
    about = f"{subject}: " if subject else ""
    text = f"banger: {about}{printable(error.summary)}"
    if operation:
        text += " " + style.dim(f"({operation})")
    text += "\n"
    if hint := error.hint or (_LOG_HINT.format(operation=operation) if operation else ""):
        text += f"  {style.dim('hint:')} {printable(hint)}\n"
    text += _boot_failure(error, style)
    if tail := str(error.data.get("log_tail") or ""):
        text += "".join(f"  | {line}\n" for line in printable_lines(tail).splitlines())
    if log := error.data.get("log"):
        text += f"  {style.dim('log:')} {printable(str(log))}\n"
    return text


def _boot_failure(error: BangerError, style: Style) -> str:
    """What the daemon found out about a guest that did not become ready."""
    text = ""
    for label, key in (("stage:", "stage"), ("vmm:", "vmm_error")):
        if value := str(error.data.get(key) or ""):
            text += f"  {style.dim(label)} {printable(value, limit=400)}\n"
    lines = printable_lines(str(error.data.get("console") or "")).splitlines()
    if lines:
        text += f"  {style.dim('console:')}\n" + "".join(f"  | {line[:200]}\n" for line in lines[-_CONSOLE_LINES:])
    if kept := str(error.data.get("kept") or ""):
        text += f"  {style.dim('kept:')} {printable(kept)}\n"
    return text


def unknown_command(words: Sequence[str]) -> Invalid:
    """The error for words that call nothing, with the command that was probably meant."""
    from banger.cli.arguments import shorten
    from banger.cli.table import find_group

    depth = 0
    while depth < len(words) and find_group(tuple(words[: depth + 1])):
        depth += 1
    called = " ".join(words[: depth + 1])
    meant = _meant_command(words[: depth + 1])
    where = " ".join(["banger", *words[:depth]])
    hint = f"did you mean `banger {meant}`?" if meant else f"`{where} --help` lists what there is"
    return Invalid(f"there is no command {shorten(called)}", hint=hint)


def _meant_command(words: Sequence[str]) -> str | None:
    """The command or group that is called so in other programs, has this word elsewhere, or is spelled almost so."""
    from difflib import get_close_matches

    from banger.cli.habits import command_for
    from banger.cli.table import ALIASES, COMMANDS, GROUPS

    words = [word.lower() for word in words]
    *before, word = words or [""]
    known = [*(command.words for command in COMMANDS if not command.hidden), *(group.words for group in GROUPS)]
    if tuple(words) in known:
        return " ".join(words)
    if habit := command_for(words):
        return habit
    elsewhere = [entry for entry in known if entry[-1] == word]
    elsewhere += [meant for alias, meant in ALIASES.items() if alias[-1] == word]
    elsewhere.sort(key=lambda entry: (entry[0] != words[0], len(entry)))
    if elsewhere and not before:
        return " ".join(elsewhere[0])
    here = {entry[len(before)] for entry in known if len(entry) > len(before) and entry[: len(before)] == tuple(before)}
    if near := get_close_matches(word, here, n=1):
        return " ".join([*before, *near])
    return " ".join(elsewhere[0]) if elsewhere else None


def _as_banger_error(error: BaseException) -> BangerError:
    if isinstance(error, BangerError):
        return error
    if isinstance(error, FileNotFoundError) and error.filename is None and not _is_somewhere():
        return Invalid("the directory that you are in is not there any more", hint="`cd` into one that is")
    if isinstance(error, OSError) and error.filename is None and error.errno in _NO_ROOM:
        return Failed(f"the output cannot be written: {error.strerror}", hint=exits.OUTPUT_HINT)
    if isinstance(error, OSError):
        place = f"{printable(os.fsdecode(error.filename))}: " if isinstance(error.filename, str | bytes) else ""
        return Failed(f"{place}{error.strerror or error}", hint="run it again with BANGER_DEBUG=1 to see where")
    return Internal(
        f"something went wrong inside banger: {type(error).__name__}: {printable(str(error), limit=200)}",
        hint="run it again with BANGER_DEBUG=1 to see where, and report it",
    )


def _is_somewhere() -> bool:
    try:
        os.getcwd()  # noqa: PTH109 - the same
    except OSError:
        return False
    return True


def _tell(text: str) -> None:
    try:
        sys.stderr.write(text)
        sys.stderr.flush()
    except OSError:
        pass  # nobody listens; the exit status still says it


def _write_json(document: object) -> bool:
    """Print a document; whether there was room for it. A reader that has left wants to hear nothing."""
    try:
        sys.stdout.write(json.dumps(document, indent=2) + "\n")
        sys.stdout.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return isinstance(error, BrokenPipeError)
    return True
