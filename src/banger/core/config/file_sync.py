"""`[[file_sync]]`: which files of the user's home go into every VM when it starts. Pure."""

from __future__ import annotations

import os.path
import re
from typing import Final, NamedTuple

from banger.core.errors import Invalid

DEFAULT_MODE: Final = 0o600
GUEST_HOME: Final = "/root"
_NAME_LIMIT_BYTES: Final = 255
_PATH_LIMIT_BYTES: Final = 4000
_MODE: Final = re.compile(r"0?[0-7]{3}", re.ASCII)


class FileSync(NamedTuple):
    """A file or directory, named relative to the home on each side. `mode` is for a file; None means the default."""

    host: str
    guest: str
    mode: int | None

    @property
    def shown_host(self) -> str:
        return f"~/{self.host}"

    @property
    def shown_guest(self) -> str:
        return f"{GUEST_HOME}/{self.guest}"


def parse_file_sync(*, host: object, guest: object, mode: object, home: str) -> FileSync:
    """Check one entry, with values as TOML gives them and None for a missing one. Raises `Invalid`.

    `host` is `~/...`, or an absolute path below `home`; `guest` is `~/...` or `/root/...`, which are the same.
    """
    return FileSync(host=_parse_host(host, home), guest=_parse_guest(guest), mode=_parse_mode(mode))


def _parse_host(value: object, home: str) -> str:
    text = _text("host", value, example="~/.gitconfig")
    if text.startswith("/"):
        below = home.rstrip("/") + "/"
        if not text.startswith(below):
            raise Invalid(
                f"host: {ascii(text)} is not in your home directory {home}",
                hint="only files from there are copied into VMs",
            )
        return _relative("host", text.removeprefix(below), text)
    if not text.startswith("~/"):
        raise Invalid(f"host: {ascii(text)} is not an absolute path", hint="write ~/FILE, or the whole path")
    return _relative("host", text.removeprefix("~/"), text)


def _parse_guest(value: object) -> str:
    text = _text("guest", value, example="~/.gitconfig")
    for beginning in ("~/", f"{GUEST_HOME}/"):
        if text.startswith(beginning):
            return _relative("guest", text.removeprefix(beginning), text)
    raise Invalid(f"guest: {ascii(text)} is not in the guest's home", hint=f"write ~/FILE, or {GUEST_HOME}/FILE")


def _text(key: str, value: object, *, example: str) -> str:
    if value is None:
        raise Invalid(f"{key} is missing", hint=f'write {key} = "{example}"')
    if not isinstance(value, str):
        raise Invalid(f"{key} must be a string", hint=f'write {key} = "{example}"')
    if not value:
        raise Invalid(f"{key} is empty", hint=f'write {key} = "{example}"')
    return value


def _relative(key: str, rest: str, whole: str) -> str:
    """The path below a home, without empty components or a trailing slash."""
    names = [name for name in rest.split("/") if name not in ("", ".")]
    if ".." in names:
        raise Invalid(f"{key}: {ascii(whole)} contains `..`", hint="write the path without it")
    if not names:
        raise Invalid(f"{key}: {ascii(whole)} is a whole home directory", hint="name a file or directory in it")
    encoded = [os.fsencode(name) for name in names]
    too_long = max(map(len, encoded)) > _NAME_LIMIT_BYTES or sum(map(len, encoded)) > _PATH_LIMIT_BYTES
    if too_long or any(ord(character) < 0x20 or ord(character) == 0x7F for character in rest):
        raise Invalid(f"{key}: {ascii(whole[:80])} is not a usable path", hint="name a file or directory in it")
    return "/".join(names)


def _parse_mode(value: object) -> int | None:
    if value is None:
        return None
    if not isinstance(value, str) or _MODE.fullmatch(value) is None:
        raise Invalid(
            f"mode: {ascii(value)} is not a file mode", hint='write three octal digits as a string: mode = "0600"'
        )
    return int(value, 8)
