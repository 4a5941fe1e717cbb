"""URLs as this client sends requests to them: parsed once, strictly, because servers send them too. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import urljoin, urlsplit

from banger.core.errors import BangerError
from banger.core.registry_names import parse_host

URL_LIMIT: Final = 16384  # signed URLs of object stores have about 2,000 characters
DEFAULT_PORTS: Final = {"http": 80, "https": 443}
# Everything that RFC 3986 lets a URL be made of. A backslash, which some programs take for a slash, is not in it.
_CHARACTERS: Final = re.compile(r"[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=%-]+")


@dataclass(frozen=True, slots=True)
class Origin:
    """Where credentials may be at home: scheme, host (an IPv6 address without brackets) and port."""

    scheme: str
    host: str
    port: int

    @property
    def authority(self) -> str:
        """What the Host header says; the port only if it is not the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}"


@dataclass(frozen=True, slots=True)
class Url:
    """An origin, and the path with the query to ask it for."""

    origin: Origin
    target: str

    def __str__(self) -> str:
        return f"{self.origin}{self.target}"


def origin_of(scheme: str, authority: str) -> Origin:
    """The origin of `HOST` or `HOST:PORT` as `parse_host` spells it."""
    bracket = authority.rfind("]")
    host, colon, port = authority[bracket + 1 :].partition(":")
    return Origin(scheme, authority[1:bracket] if bracket > 0 else host, int(port) if colon else DEFAULT_PORTS[scheme])


def parse_url(text: str, *, base: Url | None = None) -> Url:
    """Read an http or https URL, relative to `base` if there is one. Raises `ValueError`.

    Refused are user names and passwords, hosts that are no proper names, and whatever RFC 3986 has no place for; a
    fragment is dropped.
    """
    if len(text) > URL_LIMIT or _CHARACTERS.fullmatch(text) is None:
        raise ValueError("it is not a proper URL")
    parts = urlsplit(urljoin(str(base), text) if base is not None else text)
    if parts.scheme not in DEFAULT_PORTS:
        raise ValueError("it is neither http nor https")
    if "@" in parts.netloc:
        raise ValueError("it has a user name")
    try:
        authority = parse_host(parts.netloc)
    except BangerError as error:
        raise ValueError(error.summary) from error
    query = f"?{parts.query}" if parts.query else ""
    return Url(origin_of(parts.scheme, authority), (parts.path or "/") + query)
