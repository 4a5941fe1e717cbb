"""What a repository's devcontainer.json asks for, as far as a VM can give it.

Its members are described at containers.dev/implementors/json_reference.

The file can come from anybody. Nothing in it runs on the host, and nothing of the host is put into its values.
"""

from __future__ import annotations

import json
import os
import posixpath
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NoReturn

from banger.core.errors import Invalid, Unsupported
from banger.core.untrusted import printable
from banger.workspace.git import git
from banger.workspace.repository import plan_guest_path
from banger.workspace.work_tree import WorkTree, read_small_file

PLACES: Final = (".devcontainer/devcontainer.json", ".devcontainer.json")
SIZE_LIMIT_BYTES: Final = 1 << 18
_LEAVE_OUT: Final = "--no-bootstrap leaves the file out"
_WORD_LIMIT: Final = 8192
_WORDS_LIMIT: Final = 200
# Each takes a string, a comment or a comma to its end or to that of the text, so that no text is read twice.
_COMMENTS: Final = re.compile(r'("(?:[^"\\]|\\.)*+"?)|//[^\r\n]*|/\*.*?(?:\*/|\Z)', re.DOTALL)
_LAST_COMMAS: Final = re.compile(r'("(?:[^"\\]|\\.)*+"?)|,(?=\s*[}\]])', re.DOTALL)
_VARIABLE: Final = re.compile(
    r"\$\{(localEnv|env|containerEnv|localWorkspaceFolder|containerWorkspaceFolder|localWorkspaceFolderBasename"
    r"|containerWorkspaceFolderBasename|devcontainerId)(?::[^}]*+)?(?:\}|\Z)"  # to the end, if it has none: once
)
_VARIABLE_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_USER: Final = re.compile(r"[a-z_][a-z0-9_-]{0,30}\$?|[0-9]{1,9}")
_FOLDER: Final = re.compile(r"(?:/[A-Za-z0-9_+][A-Za-z0-9._+-]{0,100}){1,10}")
_UNHEARD: Final = frozenset(("$schema", "name"))
_COMMANDS: Final = ("onCreateCommand", "updateContentCommand", "postCreateCommand")
_KNOWN: Final = frozenset(
    ("image", "features", "remoteUser", "containerUser", "containerEnv", "forwardPorts", "workspaceFolder", *_COMMANDS)
)
_REFUSED: Final[Mapping[str, str]] = {
    "build": "it builds an image of a Dockerfile, and banger has no builder for these",
    "dockerFile": "it builds an image of a Dockerfile, and banger has no builder for these",
    "dockerComposeFile": "it is for several containers, and a VM is one machine",
}
_WHY_NO_FEATURES: Final = (
    "its features are programs of others that would have to change the image, which is never changed"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DevContainer:
    """The members that count. Empty where the file says nothing; `ignored` names those without effect."""

    file: str
    guest_path: str
    image: str = ""
    user: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    commands: tuple[tuple[str, ...], ...] = ()
    ports: tuple[int, ...] = ()
    ignored: tuple[str, ...] = ()


def usual_place(top: Path) -> str:
    """The place of the workspace in such containers, which their commands rely on."""
    return f"/workspaces/{posixpath.basename(plan_guest_path(top))}"


async def find_devcontainer(
    top: Path, *, usual: str, chosen: str | None = None, include_untracked: bool = False
) -> DevContainer | None:
    """Read the one that travels, if there is one. The rest is as in `parse_devcontainer`.

    Raises `Invalid` and `Unsupported`, and what `git` does.
    """
    untracked = ["--others", "--exclude-standard"] if include_untracked else []
    listed = (await git(["ls-files", "-z", "--cached", *untracked, "--", *PLACES], cwd=top)).stdout.split(b"\0")
    for place in PLACES:
        path = top / place
        if os.fsencode(place) not in listed or not os.path.lexists(path):
            continue
        with WorkTree(top) as tree:
            seen = tree.look(os.fsencode(place))
        if seen is None or seen.target is not None:
            raise Invalid(f"{place} is a symbolic link, or behind one", hint=_LEAVE_OUT)
        found = read_small_file(path, limit_bytes=SIZE_LIMIT_BYTES)
        if found is None:
            raise Invalid(f"{place} is not a regular file, or larger than 256 KiB", hint=_LEAVE_OUT)
        return parse_devcontainer(found[0], file=place, usual=usual, chosen=chosen)
    return None


def parse_devcontainer(text: bytes, *, file: str, usual: str, chosen: str | None = None) -> DevContainer:
    """What the file asks for, in a workspace that is at `chosen`, or where the file says, or at `usual`.

    Raises `Invalid` for what makes no sense, `Unsupported` for what a VM cannot be given and would miss.
    """
    return _Reader(file, usual, chosen).read(text)


def strip_comments(text: str) -> str:
    """Strip comments and trailing commas, in time proportional to the text."""
    bare = _COMMENTS.sub(lambda match: match[1] or " ", text)
    return _LAST_COMMAS.sub(lambda match: match[1] or "", bare)


class _Reader:
    def __init__(self, file: str, usual: str, chosen: str | None) -> None:
        self._file = file
        self._chosen = chosen
        self._guest_path = chosen or usual

    def read(self, text: bytes) -> DevContainer:
        document = self._decode(text)
        for name, reason in _REFUSED.items():
            if document.get(name):
                raise Unsupported(f"{self._file}: {name} is not supported: {reason}", hint=f"--image and {_LEAVE_OUT}")
        if document.get("features"):
            raise Unsupported(
                f"{self._file}: features are not supported: {_WHY_NO_FEATURES}",
                hint=f"`banger image build` makes an image with what you need; {_LEAVE_OUT}",
            )
        folder = self._text(document, "workspaceFolder")
        if folder and not _FOLDER.fullmatch(folder):
            self._refuse("workspaceFolder is not an absolute directory with a plain name")
        self._guest_path = self._chosen or folder or self._guest_path
        user = self._text(document, "remoteUser") or self._text(document, "containerUser")
        if user and not _USER.fullmatch(user):
            self._refuse("remoteUser is not a name of a user")
        return DevContainer(
            file=self._file,
            guest_path=self._guest_path,
            image=self._text(document, "image"),
            user="" if user in ("root", "0") else user,
            environment=self._environment(document.get("containerEnv")),
            commands=tuple(command for name in _COMMANDS for command in self._commands(name, document.get(name))),
            ports=self._ports(document.get("forwardPorts")),
            ignored=tuple(
                printable(name, limit=40) for name in sorted(document.keys() - _KNOWN - _UNHEARD - _REFUSED.keys())
            )[:20],
        )

    def _decode(self, text: bytes) -> dict[str, Any]:
        try:
            document = json.loads(strip_comments(text.decode("utf-8-sig")), parse_constant=self._refuse)
        except (ValueError, RecursionError) as error:
            reason = "nested too deep" if isinstance(error, RecursionError) else printable(str(error), limit=200)
            raise Invalid(f"{self._file} is not JSON with comments: {reason}", hint=_LEAVE_OUT) from error
        if not isinstance(document, dict):
            self._refuse("it is not an object")
        return document

    def _text(self, document: Mapping[str, Any], name: str) -> str:
        value = document.get(name, "")
        if not isinstance(value, str) or not value.isprintable() or len(value) > _WORD_LIMIT:
            self._refuse(f"{name} is not a string")
        return self._expand(name, value)

    def _environment(self, value: object) -> Mapping[str, str]:
        if value is None:
            return {}
        if not isinstance(value, dict) or len(value) > _WORDS_LIMIT:
            self._refuse("containerEnv is not an object, or has too many variables")
        environment: dict[str, str] = {}
        for name, text in value.items():
            if not _VARIABLE_NAME.fullmatch(name) or not self._is_word(text):
                self._refuse(f"containerEnv: {printable(name, limit=60)} is not a variable with a text")
            environment[name] = self._expand(f"containerEnv.{name}", text)
        return environment

    def _commands(self, name: str, value: object) -> list[tuple[str, ...]]:
        """A string is for the shell, a list is a command with its arguments, an object has several of these."""
        if value is None:
            return []
        several = list(value.values()) if isinstance(value, dict) else [value]
        return [self._command(name, each) for each in several[:_WORDS_LIMIT] if each]

    def _command(self, name: str, value: object) -> tuple[str, ...]:
        if self._is_word(value):
            return ("sh", "-c", self._expand(name, str(value)))
        if not isinstance(value, list) or len(value) > _WORDS_LIMIT or not all(map(self._is_word, value)):
            self._refuse(f"{name} is not a command")
        return tuple(self._expand(name, word) for word in value)

    def _ports(self, value: object) -> tuple[int, ...]:
        if value is None:
            return ()
        if not isinstance(value, list) or len(value) > _WORDS_LIMIT:
            self._refuse("forwardPorts is not a list of ports")
        own = [port for port in value if not isinstance(port, str)]  # `db:5432` is of another container
        if not all(type(port) is int and 0 < port <= 65_535 for port in own):
            self._refuse("forwardPorts is not a list of ports")
        return tuple(dict.fromkeys(own))

    def _expand(self, name: str, text: str) -> str:
        """Expand variables about the guest. One that would reveal something of the host is refused, by name."""

        def value_of(match: re.Match[str]) -> str:
            variable = match[1]
            if not match[0].endswith("}"):
                return match[0]
            if variable == "containerWorkspaceFolder":
                return self._guest_path
            if variable.endswith("WorkspaceFolderBasename"):
                return posixpath.basename(self._guest_path)
            shown = printable(match[0], limit=80)
            why = (
                "would tell the guest of this computer" if variable[0] in "le" else "is not known before there is a VM"
            )
            raise Unsupported(f"{self._file}: {shown} in {name} {why}", hint=f"set it with -e; {_LEAVE_OUT}")

        return _VARIABLE.sub(value_of, text)

    def _is_word(self, value: object) -> bool:
        if not isinstance(value, str) or "\0" in value or len(value) > _WORD_LIMIT:
            return False
        try:
            value.encode()
        except UnicodeEncodeError:
            return False
        return True

    def _refuse(self, what: str) -> NoReturn:
        raise Invalid(f"{self._file}: {what}", hint=_LEAVE_OUT)


def join_commands(commands: tuple[tuple[str, ...], ...]) -> tuple[str, ...]:
    """One command that runs them all in turn, until one fails."""
    return ("sh", "-ec", "\n".join(f"({shlex.join(command)})" for command in commands))
