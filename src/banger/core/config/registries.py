"""`[registries."HOST"]`: the mirrors of a registry, and which registries have no TLS. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from banger.core.errors import Invalid
from banger.core.registry_names import parse_registry_host, parse_repository

MIRRORS_LIMIT: Final = 8
REGISTRIES_LIMIT: Final = 256
_EXAMPLE: Final = 'write mirrors = ["mirror.example.com"]'


class Mirror(NamedTuple):
    """Another registry with the same images; their repositories lie below `prefix` there, if it has one."""

    host: str
    prefix: str

    def __str__(self) -> str:
        return f"{self.host}/{self.prefix}" if self.prefix else self.host


class Registry(NamedTuple):
    """What the file says about one registry."""

    host: str
    mirrors: tuple[Mirror, ...] = ()
    plain_http: bool = False


def parse_registry(host: str, *, mirrors: object, plain_http: object) -> Registry:
    """Check one section, with values as TOML gives them and None for a missing one. Raises `Invalid`."""
    name = parse_registry_host(host)
    if plain_http is not None and not isinstance(plain_http, bool):
        raise Invalid("plain_http is neither true nor false", hint="write true or false, without quotes")
    found = _parse_mirrors(mirrors)
    if any(mirror.host == name and not mirror.prefix for mirror in found):
        raise Invalid(
            "mirrors: a registry cannot be its own mirror",
            hint="leave it out: the registry itself is always asked last",
        )
    return Registry(name, found, bool(plain_http))


def index_registries(registries: tuple[Registry, ...]) -> Mapping[str, Registry]:
    """The registries by host. Raises `Invalid` for one that is there twice in two spellings."""
    found: dict[str, Registry] = {}
    for registry in registries:
        if registry.host in found:
            raise Invalid(f"{registry.host} is listed twice", hint="merge the two sections")
        found[registry.host] = registry
    return found


def _parse_mirrors(value: object) -> tuple[Mirror, ...]:
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
        raise Invalid("mirrors is not a list of strings", hint=_EXAMPLE)
    if len(value) > MIRRORS_LIMIT:
        raise Invalid(f"{len(value)} mirrors are too many", hint=f"{MIRRORS_LIMIT} are allowed")
    return tuple(map(_parse_mirror, value))


def _parse_mirror(text: str) -> Mirror:
    try:
        host, slash, prefix = text.partition("/")
        if not host:
            raise Invalid("it has no host", hint=_EXAMPLE)
        return Mirror(parse_registry_host(host), parse_repository(prefix) if slash else "")
    except Invalid as error:
        raise Invalid(f"mirrors: {ascii(text[:80])}: {error.summary}", hint=error.hint or _EXAMPLE) from error
