"""Where an image can be fetched from, and where answers may redirect us. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from banger.core.config.registries import Registry
from banger.core.errors import Denied, Failed
from banger.core.registry_names import DOCKER_HUB, DOCKER_HUB_API
from banger.core.untrusted import printable
from banger.image.reference import Reference
from banger.image.registry.addresses import ANYWHERE, Place, reach_from
from banger.image.registry.refusals import forbidden_scheme
from banger.image.registry.urls import Origin, Url, origin_of, parse_url

Registries = Mapping[str, Registry]

REDIRECTS_LIMIT: Final = 5


@dataclass(frozen=True, slots=True)
class Source:
    """A registry that has the image. `host` is its name in the configuration and in files of credentials."""

    host: str
    origin: Origin
    repository: str

    @property
    def is_plain(self) -> bool:
        """Whether the user configured this registry as having no TLS."""
        return self.origin.scheme == "http"

    def url(self, kind: str, name: str) -> Url:
        """Of a manifest or a blob. Both parts were parsed: nothing in them needs quoting."""
        return Url(self.origin, f"/v2/{self.repository}/{kind}/{name}")


def plan_sources(reference: Reference, registries: Registries) -> tuple[Source, ...]:
    """The mirrors of a reference's registry in the order to ask them, and in the end the registry itself."""
    registry = registries.get(reference.host, Registry(reference.host))
    mirrors = [
        _source(mirror.host, "/".join(filter(None, (mirror.prefix, reference.repository))), registries)
        for mirror in registry.mirrors
    ]
    return (*mirrors, _source(reference.host, reference.repository, registries))


def judge_redirect(
    url: Url, location: str, *, source: Source, registries: Registries, peer: Place, reach: Place
) -> tuple[Url, Place]:
    """Where an answer to `url` sends us, and how far inwards that may be.

    `peer` is where the server is that says so, and `reach` how far inwards it might have been itself. Raises `Failed`
    for what is not a URL, `Denied` for one without TLS that the user did not allow.
    """
    try:
        target = parse_url(location, base=url)
    except ValueError as error:
        raise Failed(
            f"{url.origin} sent us to {printable(location, limit=80)}, and {error}",
            hint="the registry misbehaves; ask its operator",
        ) from error
    if target.origin == url.origin:
        return target, reach
    return target, judge_origin(target.origin, source=source, registries=registries, peer=peer, reach=reach)


def judge_origin(
    origin: Origin, *, source: Source, registries: Registries, peer: Place, reach: Place = ANYWHERE
) -> Place:
    """How far inwards a server may be that another one at `peer` named. Raises `Denied` for one without TLS."""
    named = registries.get(origin.authority)
    if origin.scheme == "http" and not (source.is_plain and named is not None and named.plain_http):
        raise forbidden_scheme(origin)
    return ANYWHERE if named is not None else min(reach, reach_from(peer))


def judge_realm(text: str, *, source: Source, has_secret: bool) -> Url:
    """Where a registry wants tokens to be fetched from, if it may be told a secret. Raises `Denied`, `Failed`.

    Over TLS a registry may name another host: that is how most do it, and the secret is the one that the user has for
    this registry. Without TLS somebody on the way may have named it, so it must be the same host.
    """
    try:
        realm = parse_url(text)
    except ValueError as error:
        raise Failed(
            f"{source.origin} wants us to log in at {printable(text, limit=80)}, and {error}",
            hint="the registry misbehaves; ask its operator",
        ) from error
    if realm.origin == source.origin:
        return realm
    if realm.origin.scheme == "http":
        raise forbidden_scheme(realm.origin)
    if has_secret and source.is_plain and realm.origin.host != source.origin.host:
        raise Denied(
            f"{source.origin}, which has no TLS, wants your credentials to be sent to {realm.origin}",
            hint="use the registry with TLS, or log out of it: `docker logout` or `podman logout`",
        )
    return realm


def _source(host: str, repository: str, registries: Registries) -> Source:
    registry = registries.get(host)
    scheme = "http" if registry is not None and registry.plain_http else "https"
    return Source(host, origin_of(scheme, DOCKER_HUB_API if host == DOCKER_HUB else host), repository)
