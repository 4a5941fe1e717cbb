"""Names of registries and repositories, as the distribution specification and Docker spell them. Pure.

In core because both the configuration file and image references use them.
"""

from __future__ import annotations

import re
from typing import Final

from banger.core.errors import Invalid

DOCKER_HUB: Final = "docker.io"
# The host that speaks the protocol for Docker Hub, and an older name of it: all three are the same registry.
DOCKER_HUB_API: Final = "registry-1.docker.io"
_DOCKER_HUB_NAMES: Final = (DOCKER_HUB, "index.docker.io", DOCKER_HUB_API)
_HOST_LIMIT: Final = 253
REPOSITORY_LIMIT: Final = 255
_LABEL: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_PORT: Final = re.compile(r"[1-9][0-9]{0,4}")
_COMPONENT: Final = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*")
_HOST_HINT: Final = "write HOST or HOST:PORT, for example registry.example.com:5000"


def parse_registry_host(text: str) -> str:
    """Like `parse_host`; the names of Docker Hub all become `docker.io`."""
    host = parse_host(text)
    return DOCKER_HUB if host in _DOCKER_HUB_NAMES else host


def parse_host(text: str) -> str:
    """Return `HOST` or `HOST:PORT` in lower case.

    A host is a DNS name, an IPv4 address, or an IPv6 address in brackets. Raises `Invalid`.
    """
    shown = ascii(text[:80])
    if len(text) > _HOST_LIMIT + 6 or not text.isascii():
        raise Invalid(f"{shown} is not the name of a registry", hint=_HOST_HINT)
    if "://" in text:
        raise Invalid(f"{shown} is a URL, and a registry is named by its host", hint=_HOST_HINT)
    host, port = _split_port(text.lower())
    if port is not None and (_PORT.fullmatch(port) is None or int(port) > 65535):
        raise Invalid(f"{shown} has no usable port", hint="a port is a number from 1 to 65535")
    host = _parse_address_in_brackets(host) if host.startswith("[") else host
    if not host.startswith("["):
        _check_dns_name(host, shown)
    return host if port is None else f"{host}:{port}"


def parse_repository(text: str) -> str:
    """Return `text` if it is the path of a repository: parts of lower-case letters and digits. Raises `Invalid`."""
    hint = "use lower-case letters and digits, inside also `.`, `_`, `-`, and `/` between parts"
    if len(text) > REPOSITORY_LIMIT:
        raise Invalid(f"the repository's name has {len(text)} characters; {REPOSITORY_LIMIT} are allowed", hint=hint)
    if not all(_COMPONENT.fullmatch(component) for component in text.split("/")):
        raise Invalid(
            f"{ascii(text[:80])} is not the name of a repository",
            hint=hint,
        )
    return text


def _split_port(text: str) -> tuple[str, str | None]:
    bracket = text.rfind("]")
    host, colon, port = text[bracket + 1 :].partition(":")
    return text[: bracket + 1] + host, port if colon else None


def _parse_address_in_brackets(host: str) -> str:
    from ipaddress import IPv6Address

    try:
        # A zone (`%eth0`) is a name of this computer's and no part of a registry's.
        if not host.endswith("]") or "%" in host:
            raise ValueError
        return f"[{IPv6Address(host[1:-1]).compressed}]"
    except ValueError as error:
        raise Invalid(f"{ascii(host)} is not an IPv6 address in brackets", hint=_HOST_HINT) from error


def _check_dns_name(host: str, shown: str) -> None:
    labels = host.split(".")
    if len(host) > _HOST_LIMIT or not all(_LABEL.fullmatch(label) for label in labels):
        raise Invalid(f"{shown} is not the name of a registry", hint=_HOST_HINT)
    # A host that resolvers may take for an address must be one in the usual spelling.
    if labels[-1].isdecimal() or labels[-1].startswith("0x"):
        from ipaddress import IPv4Address

        try:
            IPv4Address(host)
        except ValueError as error:
            raise Invalid(f"{shown} is neither a name nor an IPv4 address", hint=_HOST_HINT) from error
