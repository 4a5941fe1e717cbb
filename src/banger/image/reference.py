"""References to images in registries, as Docker and the distribution specification write them. Pure.

    [HOST[:PORT]/]REPOSITORY[:TAG][@DIGEST]

Without a host the registry is Docker Hub, and a repository of one part lies below `library/` there; without tag and
digest the tag is `latest`. With both, the digest decides and the tag is a note for people.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from banger.core.errors import Invalid, Unsupported
from banger.core.registry_names import DOCKER_HUB, REPOSITORY_LIMIT, parse_registry_host, parse_repository
from banger.image.digests import parse_digest

DEFAULT_TAG: Final = "latest"
_OFFICIAL: Final = "library/"
_TAG: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_IMAGE_ID: Final = re.compile(r"[0-9a-f]{64}")
_REFERENCE_LIMIT: Final = 700  # the longest host, repository, tag and digest together
_HINT: Final = "write [HOST[:PORT]/]REPOSITORY[:TAG][@DIGEST], for example debian:bookworm"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """A parsed reference; its text form names the registry and is parsed to the same again."""

    host: str
    repository: str
    tag: str | None
    digest: str | None

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag is not None else ""
        return f"{self.host}/{self.repository}{tag}" + (f"@{self.digest}" if self.digest is not None else "")

    @property
    def familiar(self) -> str:
        """The shortest text that means the same, apart from the default tag: what people write."""
        text = str(self)
        if self.host != DOCKER_HUB:
            return text
        rest = text.removeprefix(f"{DOCKER_HUB}/")
        official = rest.removeprefix(_OFFICIAL)
        if "/" not in official.partition("@")[0]:
            return official
        return text if _is_host(rest.partition("/")[0]) else rest

    @property
    def wanted(self) -> str:
        """What the registry is asked for: the digest, else the tag."""
        return self.digest or self.tag or DEFAULT_TAG

    def at(self, digest: str) -> Reference:
        """The same repository at a digest."""
        return Reference(host=self.host, repository=self.repository, tag=self.tag, digest=parse_digest(digest))


def parse_reference(text: str) -> Reference:
    """Parse what a user wrote. Raises `Invalid`, with the first thing that is wrong, if it is not a reference."""
    if not text:
        raise Invalid("the reference of an image cannot be empty", hint=_HINT)
    if len(text) > _REFERENCE_LIMIT or not text.isascii() or not text.isprintable() or " " in text:
        raise Invalid(f"{ascii(text[:80])} is not the reference of an image", hint=_HINT)
    if "://" in text:
        raise Invalid(
            f"{ascii(text[:80])} is a URL", hint="leave out what comes before the host: registry.example.com/app:1"
        )
    named, at, digest = text.partition("@")
    name, tag = _split_tag(named)
    host, repository = _split_host(name)
    if len(f"{host}/{repository}") > REPOSITORY_LIMIT:
        raise Invalid(f"the image's name has more than {REPOSITORY_LIMIT} characters", hint=_HINT)
    if tag is not None and _TAG.fullmatch(tag) is None:
        raise Invalid(
            f"{ascii(tag[:80])} is not a tag",
            hint="a tag has up to 128 letters, digits, `_`, `.` and `-`, and begins with none of the last two",
        )
    if at:
        _check_digest(digest)
    elif tag is None:
        tag = DEFAULT_TAG
    return Reference(host=host, repository=repository, tag=tag, digest=digest if at else None)


def _split_tag(named: str) -> tuple[str, str | None]:
    """The part after the last colon is a tag unless a slash comes later: then the colon is before a port."""
    name, colon, tag = named.rpartition(":")
    if not colon or "/" in tag:
        return named, None
    return name, tag


def _is_host(first: str) -> bool:
    """Whether the first part is a host, which no Docker Hub name without a host can look like."""
    return "." in first or ":" in first or first.lower() == "localhost"


def _split_host(name: str) -> tuple[str, str]:
    """The host, Docker Hub where none stands there, and the repository."""
    first, slash, rest = name.partition("/")
    if not slash or not _is_host(first):
        return DOCKER_HUB, _parse_hub_repository(name)
    host = parse_registry_host(first)
    if host == DOCKER_HUB:
        return host, _parse_hub_repository(rest)
    return host, parse_repository(rest)


def _parse_hub_repository(name: str) -> str:
    if _IMAGE_ID.fullmatch(name) is not None:
        raise Invalid(
            "64 hexadecimal digits are the id of an image and not its name",
            hint="write REPOSITORY@sha256:DIGEST for an image by its digest",
        )
    return parse_repository(name if "/" in name else f"{_OFFICIAL}{name}")


def _check_digest(digest: str) -> None:
    try:
        parse_digest(digest)
    except Unsupported as error:
        raise Invalid(error.summary, hint=error.hint) from error
