"""Through which proxy an origin is reached, by the variables that programs here agree on. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from urllib.parse import unquote, urlsplit

from banger.core.errors import BangerError, Invalid, Unsupported
from banger.core.registry_names import parse_host
from banger.image.registry.urls import Origin, origin_of


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy; user name and password are for it alone."""

    origin: Origin
    username: str = ""
    password: str = ""

    def __repr__(self) -> str:
        return f"Proxy({self.origin})"


def choose_proxy(origin: Origin, environment: Mapping[str, str]) -> Proxy | None:
    """The proxy for `origin` by `http_proxy`, `https_proxy`, `all_proxy` and `no_proxy`, also in capitals.

    Raises `Invalid` for a variable that is not a URL, `Unsupported` for a kind of proxy that we cannot speak to.
    """

    def read(name: str) -> tuple[str, str]:
        spelling = name if environment.get(name) else name.upper()
        return spelling, environment.get(spelling, "")

    variable, text = read(f"{origin.scheme}_proxy")
    if not text:
        variable, text = read("all_proxy")
    if not text or _is_exempt(origin, read("no_proxy")[1]):
        return None
    return _parse_proxy(variable, text)


def _parse_proxy(variable: str, text: str) -> Proxy:
    hint = f"set {variable} to a URL such as http://proxy.example.com:3128, or unset it"
    try:
        parts = urlsplit(text if "://" in text else f"http://{text}")
        authority = parse_host(parts.netloc.rpartition("@")[2])
    except (ValueError, BangerError) as error:
        raise Invalid(f"{variable} is not a URL of a proxy", hint=hint) from error  # it may hold a password: not shown
    if parts.scheme not in ("http", "https"):
        raise Unsupported(f"{variable} is a proxy of the kind {ascii(parts.scheme[:20])}", hint=hint)
    return Proxy(origin_of(parts.scheme, authority), unquote(parts.username or ""), unquote(parts.password or ""))


def _is_exempt(origin: Origin, no_proxy: str) -> bool:
    """Names with their subdomains, addresses and networks, each perhaps with a port; `*` is everything."""
    for entry in filter(None, (entry.strip().lower() for entry in no_proxy.split(","))):
        if entry == "*":
            return True
        host, colon, port = entry.rpartition(":")
        if colon and port.isdecimal() and (":" not in host or host.endswith("]")):
            if int(port) != origin.port:
                continue
            entry = host  # noqa: PLW2901 - the same entry without its port
        if _matches(origin.host, entry.strip("[]")):
            return True
    return False


def _matches(host: str, entry: str) -> bool:
    try:
        return ip_address(host) in ip_network(entry, strict=False)
    except ValueError:
        name = entry.removeprefix("*").lstrip(".")
        return bool(name) and (host == name or host.endswith(f".{name}"))
