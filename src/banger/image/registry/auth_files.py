"""The files in which Docker and Podman keep credentials for registries, or name the programs that do. Pure.

Sources: docker/cli's config.json, containers-auth.json(5).
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from banger.core.errors import BangerError, Invalid
from banger.core.registry_names import DOCKER_HUB, parse_registry_host
from banger.core.strict import parse_object
from banger.core.untrusted import printable

# What Docker calls its hub in its own files, and asks helpers for.
DOCKER_HUB_KEY: Final = "https://index.docker.io/v1/"
_HELPER: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_SECRET_LIMIT: Final = 65536
TOKEN_USER: Final = "<token>"  # noqa: S105 - what helpers call the user of an identity token


@dataclass(frozen=True, slots=True)
class Credential:
    """One of: a user with a password, an identity token (to get others with), a registry token (used as it is)."""

    username: str = ""
    password: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)
    registry_token: str = field(default="", repr=False)

    @property
    def basic(self) -> str:
        """The Authorization header of a user with a password."""
        return "Basic " + base64.b64encode(f"{self.username}:{self.password}".encode()).decode()


@dataclass(frozen=True, slots=True)
class AuthFile:
    """A file of credentials: entries and helpers by registry (`HOST[/NAMESPACE...]`), and the helper for all others."""

    path: Path
    entries: Mapping[str, Credential]
    helpers: Mapping[str, str]
    store: str | None


def list_auth_files(environment: Mapping[str, str]) -> tuple[Path, ...]:
    """Where Podman and Docker look, in the order that counts. What would be relative is left out."""
    home, docker = environment.get("HOME", ""), environment.get("DOCKER_CONFIG")
    config = environment.get("XDG_CONFIG_HOME") or (f"{home}/.config" if home else "")
    found = (
        environment.get("REGISTRY_AUTH_FILE", ""),
        f"{environment.get('XDG_RUNTIME_DIR') or '.'}/containers/auth.json",
        f"{config or '.'}/containers/auth.json",
        f"{docker or (home and f'{home}/.docker') or '.'}/config.json",
    )
    return tuple(Path(text) for text in dict.fromkeys(found) if text.startswith("/"))


def parse_auth_file(content: bytes, path: Path) -> AuthFile:
    """Read such a file; members that are not about credentials are left alone. Raises `Invalid` naming the file."""
    try:
        document = parse_object(content)
        entries = {_key(key): _entry(value) for key, value in _table(document, "auths").items()}
        helpers = {_key(key): _helper(value) for key, value in _table(document, "credHelpers").items()}
        store = _helper(document["credsStore"]) if document.get("credsStore") else None
    except (ValueError, BangerError) as error:
        raise Invalid(
            f"{printable(str(path))} is not a file of credentials: {printable(str(error), limit=120)}",
            hint="fix it or move it away; `docker login` and `podman login` write such files",
        ) from error
    return AuthFile(path, {key: entry for key, entry in entries.items() if entry is not None}, helpers, store)


def list_keys(host: str, repository: str) -> Sequence[str]:
    """The keys that apply to a repository, the most specific first, as containers-auth.json(5) says."""
    parts = repository.split("/")
    return [f"{host}/{'/'.join(parts[:count])}" for count in range(len(parts), 0, -1)] + [host]


def parse_helper_answer(content: bytes) -> Credential:
    """Parse what `docker-credential-NAME get` printed. Raises `ValueError`, which never quotes it."""
    try:
        document = parse_object(content)
    except ValueError as error:
        raise ValueError("it printed no JSON object") from error
    username, secret = document.get("Username"), document.get("Secret")
    if not isinstance(username, str) or not isinstance(secret, str) or not secret or len(secret) > _SECRET_LIMIT:
        raise ValueError("it printed no user name and secret")
    return _checked(
        Credential(identity_token=secret) if username == TOKEN_USER else Credential(username, password=secret)
    )


def _table(document: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = document.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ValueError(f"{name} is not an object")
    return value


def _key(key: str) -> str:
    """`HOST[/NAMESPACE...]`: Docker writes URLs, of which only the host counts."""
    text = key.partition("://")[2].partition("/")[0] if "://" in key else key.rstrip("/")
    host, slash, rest = text.partition("/")
    try:
        return parse_registry_host(host) + slash + rest
    except BangerError:
        return text  # names no registry that can be asked for


def _entry(value: object) -> Credential | None:
    """An entry; None for one that is empty, as `docker login` leaves them where a helper has the secret."""
    if not isinstance(value, dict):
        raise ValueError("an entry of auths is not an object")
    texts = {name: text for name, text in value.items() if isinstance(text, str) and len(text) <= _SECRET_LIMIT}
    if token := texts.get("identitytoken"):
        return _checked(Credential(identity_token=token))
    if token := texts.get("registrytoken"):
        return _checked(Credential(registry_token=token))
    if encoded := texts.get("auth"):
        try:
            decoded = base64.b64decode(encoded, validate=True).decode().rstrip("\0")
        except (binascii.Error, UnicodeDecodeError) as error:
            raise ValueError("an entry of auths has an auth that is not base64 of text") from error
        username, colon, password = decoded.partition(":")
        if not colon:
            raise ValueError("an entry of auths has an auth without a colon")
        return _checked(Credential(username, password=password))
    if texts.get("username") and texts.get("password"):
        return _checked(Credential(texts["username"], password=texts["password"]))
    return None


def _checked(credential: Credential) -> Credential:
    """Raises `ValueError` for what no header can carry."""
    for token in (credential.identity_token, credential.registry_token):
        if not (token.isascii() and token.isprintable()) or " " in token:
            raise ValueError("a token has characters that no header can have")
    if any(ord(character) < 0x20 or ord(character) == 0x7F for character in credential.username + credential.password):
        raise ValueError("a user name or password has control characters")
    if ":" in credential.username:
        raise ValueError("a user name has a colon")
    return credential


def _helper(value: object) -> str:
    """Check a helper's name, which becomes part of a program's name."""
    if not isinstance(value, str) or _HELPER.fullmatch(value) is None:
        raise ValueError(f"{ascii(value)[:60]} is not the name of a credential helper")
    return value


def helper_question(host: str) -> str:
    """The text that a helper gets on standard input."""
    return DOCKER_HUB_KEY if host == DOCKER_HUB else host
