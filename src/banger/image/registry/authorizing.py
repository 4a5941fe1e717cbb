"""Logging in: what a registry asks for with a 401 becomes the Authorization header of the next request.

A secret goes to the registry that the user has it for, and to the one place over TLS where that registry says tokens
are made; a token goes to the registry alone. Nothing is sent before it is asked for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import urlencode

import msgspec

from banger.core.errors import BangerError, Denied, Failed
from banger.core.untrusted import printable
from banger.image.documents import convert_document, read_document
from banger.image.registry.addresses import ANYWHERE
from banger.image.registry.answers import Answer
from banger.image.registry.auth_files import Credential
from banger.image.registry.challenges import Challenge, parse_challenges
from banger.image.registry.credentials import Credentials, Lookup
from banger.image.registry.network import Network, Outgoing
from banger.image.registry.patience import Transient
from banger.image.registry.sources import Registries, Source, judge_origin, judge_realm
from banger.image.registry.urls import Url

_TOKEN_LIMIT: Final = 65536
_ANSWER_LIMIT_BYTES: Final = 256 << 10
_LEAST_LIFE_S: Final = 60.0  # what the specification says of a token without a word about it
_MOST_LIFE_S: Final = 3600.0
_SLACK_S: Final = 5.0


class _TokenAnswer(msgspec.Struct, frozen=True):
    token: str | None = None
    access_token: str | None = None
    expires_in: float | None = None


@dataclass(frozen=True, slots=True)
class _Header:
    value: str
    expires_at_s: float


class Authorizer:
    """Remembers for each source the header that it accepted."""

    def __init__(
        self, network: Network, credentials: Credentials, *, registries: Registries, monotonic_s: Callable[[], float]
    ) -> None:
        self._network = network
        self._credentials = credentials
        self._registries = registries
        self._monotonic_s = monotonic_s
        self._headers: dict[Source, _Header] = {}
        self._locks: dict[Source, asyncio.Lock] = {}

    def current(self, source: Source) -> str | None:
        """The header for the next request; None before the server asked for one, or when it has expired."""
        header = self._headers.get(source)
        return header.value if header is not None and self._monotonic_s() < header.expires_at_s else None

    async def answer(self, source: Source, refusal: Answer, *, used: str | None) -> str:
        """The header that a 401 asks for. `used` is the one that was refused.

        Requests that were refused at the same time log in once. Raises `Denied` when there is nothing to log in with.
        """
        async with self._locks.setdefault(source, asyncio.Lock()):
            current = self.current(source)
            if current is not None and current != used:
                return current
            self._headers.pop(source, None)
            header = await self._log_in(source, refusal)
            self._headers[source] = header
            return header.value

    async def explain(self, source: Source) -> BangerError:
        """The error for a source that refuses the very credentials it asked for."""
        return _denied(source, await self._credentials.find(source.host, source.repository))

    async def _log_in(self, source: Source, refusal: Answer) -> _Header:
        challenges = _parse(source, refusal)
        lookup = await self._credentials.find(source.host, source.repository)
        credential = lookup.credential
        if bearer := challenges.get("bearer"):
            if credential is not None and credential.registry_token:
                return _Header(f"Bearer {credential.registry_token}", self._monotonic_s() + _MOST_LIFE_S)
            return await self._fetch_token(source, refusal, bearer, lookup)
        if "basic" in challenges and credential is not None and credential.username:
            return _Header(credential.basic, self._monotonic_s() + _MOST_LIFE_S)
        if challenges and "basic" not in challenges:
            raise Failed(
                f"{source.origin} wants a login of a kind that banger does not know: "
                f"{printable(', '.join(challenges), limit=80)}",
                hint="banger knows Basic and Bearer",
            )
        raise _denied(source, lookup)

    async def _fetch_token(self, source: Source, refusal: Answer, challenge: Challenge, lookup: Lookup) -> _Header:
        """Ask for a token to read this one repository, whatever scope the registry suggests."""
        realm_text = challenge.parameters.get("realm", "")
        realm = judge_realm(realm_text, source=source, has_secret=lookup.credential is not None)
        reach = ANYWHERE
        if realm.origin != source.origin:
            reach = judge_origin(realm.origin, source=source, registries=self._registries, peer=refusal.peer)
        service = challenge.parameters.get("service", "")
        outgoing = _token_request(realm, service, f"repository:{source.repository}:pull", lookup.credential)
        async with self._network.send(replace(outgoing, reach=reach)) as answer:
            if answer.status in (400, 401, 403, 404):
                raise _denied(source, lookup)
            if answer.status != 200:
                raise _token_trouble(answer)
            content = await answer.read(limit=_ANSWER_LIMIT_BYTES)
        what = f"the token from {realm.origin}"
        found = convert_document(read_document(content, what=what), _TokenAnswer, what=what)
        token = found.token or found.access_token or ""
        if not token or len(token) > _TOKEN_LIMIT or not (token.isascii() and token.isprintable()) or " " in token:
            raise Failed(f"{realm.origin} sent no usable token", hint="the registry misbehaves; ask its operator")
        life_s = min(max(found.expires_in or _LEAST_LIFE_S, _LEAST_LIFE_S), _MOST_LIFE_S)
        return _Header(f"Bearer {token}", self._monotonic_s() + life_s - _SLACK_S)


def _parse(source: Source, refusal: Answer) -> dict[str, Challenge]:
    """The challenges by scheme; of two of the same scheme the first counts."""
    try:
        challenges = parse_challenges(refusal.headers("WWW-Authenticate"))
    except ValueError as error:
        raise Failed(
            f"{source.origin} wants a login in words that make no sense: {error}",
            hint="the registry misbehaves; ask its operator",
        ) from error
    return {challenge.scheme: challenge for challenge in reversed(challenges)}


def _token_request(realm: Url, service: str, scope: str, credential: Credential | None) -> Outgoing:
    """A GET with the user's password or nothing; a POST with an identity token (Docker's token and OAuth2 pages)."""
    parameters = {"service": service, "scope": scope} if service else {"scope": scope}
    if credential is not None and credential.identity_token:
        form = {
            "grant_type": "refresh_token",
            "client_id": "banger",
            "refresh_token": credential.identity_token,
            **parameters,
        }
        headers = (("Content-Type", "application/x-www-form-urlencoded"), ("Accept", "application/json"))
        return Outgoing(method="POST", url=realm, headers=headers, body=urlencode(form).encode())
    joint = "&" if "?" in realm.target else "?"
    url = Url(realm.origin, f"{realm.target}{joint}{urlencode(parameters)}")
    basic = (("Authorization", credential.basic),) if credential is not None and credential.username else ()
    return Outgoing(method="GET", url=url, headers=(("Accept", "application/json"), *basic))


def _token_trouble(answer: Answer) -> Exception:
    if 300 <= answer.status < 400:
        return answer.error("sends us elsewhere when asked for a token, and a secret goes nowhere else")
    error = answer.error(f"gave no token (status {answer.status})")
    return Transient(error) if answer.status in (429, 500, 502, 503, 504) else error


def _denied(source: Source, lookup: Lookup) -> BangerError:
    troubles = "; ".join(lookup.troubles)
    login = f"`docker login {source.host}` or `podman login {source.host}`"
    if lookup.credential is None:
        return Denied(
            f"{source.host} does not let anybody read {source.repository} without a login, or there is no such image",
            hint=troubles or f"check the name, or log in: {login}",
        )
    username = printable(lookup.credential.username, limit=60)
    return Denied(
        f"{source.host} does not let {username or 'you'} read {source.repository}, or there is no such image",
        hint=troubles or f"check the name, or log in anew: {login}",
    )
