"""Finding the credentials of a registry: in files, and from the programs that the files name."""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from banger.core.errors import BangerError, Denied, Invalid
from banger.core.processes import proxy_environment, run
from banger.core.untrusted import printable
from banger.image.registry.auth_files import (
    AuthFile,
    Credential,
    helper_question,
    list_auth_files,
    list_keys,
    parse_auth_file,
    parse_helper_answer,
)

_FILE_LIMIT_BYTES: Final = 1 << 20
# What helpers need beyond the usual: where the user's keys, session and clouds are.
_HELPER_VARIABLES: Final = (
    "PATH", "HOME", "DBUS_SESSION_BUS_ADDRESS", "DISPLAY", "WAYLAND_DISPLAY",
    "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR", "DOCKER_CONFIG",
    "GNUPGHOME", "GPG_TTY", "PASSWORD_STORE_DIR", "AWS_CONFIG_FILE", "AWS_PROFILE", "AWS_REGION",
    "AWS_SHARED_CREDENTIALS_FILE", "AZURE_CONFIG_DIR", "CLOUDSDK_CONFIG", "GOOGLE_APPLICATION_CREDENTIALS",
)  # fmt: skip
_NOT_FOUND: Final = b"credentials not found"


@dataclass(frozen=True, slots=True)
class Lookup:
    """The credential that was found, and the helpers that could not be asked."""

    credential: Credential | None
    troubles: tuple[str, ...] = ()


class Credentials(Protocol):
    """Where credentials are looked up."""

    async def find(self, host: str, repository: str) -> Lookup:
        """What the user has for a repository of the registry `host`."""


class UserCredentials:
    """What `docker login` and `podman login` left. Files are read anew for every registry that asks."""

    def __init__(self, environment: Mapping[str, str], *, helper_deadline_s: float) -> None:
        self._environment = environment
        self._helper_deadline_s = helper_deadline_s

    async def find(self, host: str, repository: str) -> Lookup:
        """The first file that has something decides. Raises `Invalid` or `Denied` for one that cannot be read."""
        troubles: list[str] = []
        for path in list_auth_files(self._environment):
            content = await asyncio.to_thread(_read_file, path)
            if content is None:
                continue
            found = await self._find_in(parse_auth_file(content, path), list_keys(host, repository), host, troubles)
            if found is not None:
                return Lookup(found, tuple(troubles))
        return Lookup(None, tuple(troubles))

    async def _find_in(self, file: AuthFile, keys: Sequence[str], host: str, troubles: list[str]) -> Credential | None:
        """A helper for the registry, then what the file says itself, then the helper for all, as Docker does.

        A helper that cannot be asked is noted, and what the file says counts.
        """
        if name := next((file.helpers[key] for key in keys if key in file.helpers), file.store):
            try:
                if (found := await self._ask(name, host)) is not None:
                    return found
            except (BangerError, ValueError) as error:
                troubles.append(f"docker-credential-{name} could not be asked: {printable(str(error), limit=200)}")
        return next((file.entries[key] for key in keys if key in file.entries), None)

    async def _ask(self, name: str, host: str) -> Credential | None:
        """Run `docker-credential-NAME get`; None if it has nothing. Raises `BangerError`, `ValueError`."""
        variables = {key: self._environment[key] for key in _HELPER_VARIABLES if key in self._environment}
        completed = await run(
            [f"docker-credential-{name}", "get"],
            environment={**proxy_environment(), **variables},
            stdin=helper_question(host).encode(),
            timeout_s=self._helper_deadline_s,
            accepted=range(256),
        )
        if completed.returncode == 0:
            return parse_helper_answer(completed.stdout)
        said = (completed.stdout.strip() or completed.stderr.strip())[:400]
        if _NOT_FOUND in said.lower():
            return None
        raise ValueError(f"status {completed.returncode}: {printable(said, limit=160)}")


def _read_file(path: Path) -> bytes | None:
    """The content of a regular file of bounded size; None if there is none. Raises `Invalid`, `Denied`."""
    shown = printable(str(path))
    try:
        # O_NONBLOCK: opening a named pipe must not wait for a writer.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise Denied(f"{shown} cannot be read: {error.strerror}", hint="fix its permissions") from error
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise Invalid(f"{shown} is not a regular file", hint="move it away")
        content = file.read(_FILE_LIMIT_BYTES + 1)
    if len(content) > _FILE_LIMIT_BYTES:
        raise Invalid(f"{shown} is larger than 1 MiB", hint="fix it or move it away")
    return content
