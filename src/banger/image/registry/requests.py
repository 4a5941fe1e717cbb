"""Requests to a registry with what belongs to them: logging in, following redirects, reading refusals, trying again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Final, Protocol, TypeVar

from banger.core.errors import BangerError, Denied, Failed, NotFound, Unavailable
from banger.core.untrusted import printable
from banger.image.documents import read_document
from banger.image.registry.addresses import ANYWHERE
from banger.image.registry.answers import Answer
from banger.image.registry.network import Network, Outgoing
from banger.image.registry.patience import Patience, Transient, parse_retry_after, plan_delay
from banger.image.registry.sources import REDIRECTS_LIMIT, Registries, Source, judge_redirect
from banger.image.registry.urls import Url

Result = TypeVar("Result")

_REDIRECTS: Final = (301, 302, 303, 307, 308)
_PASSING: Final = (408, 425, 429, 500, 502, 503, 504)


class Authorizer(Protocol):
    """Answers servers that ask who we are."""

    def current(self, source: Source, /) -> str | None:
        """The Authorization header to begin with."""

    async def answer(self, source: Source, answer: Answer, /, *, used: str | None) -> str:
        """The header for a server that asks. Raises `Denied` when there is none."""

    async def explain(self, source: Source, /) -> BangerError:
        """The error for a server that was not content with it."""


class Requests:
    """Asks sources. `now_s` is the time of day, for servers that say when to come back."""

    def __init__(
        self,
        network: Network,
        authorizer: Authorizer,
        *,
        registries: Registries,
        patience: Patience,
        now_s: Callable[[], float],
    ) -> None:
        self._network = network
        self._authorizer = authorizer
        self._registries = registries
        self._patience = patience
        self._now_s = now_s

    @asynccontextmanager
    async def open(
        self, source: Source, method: str, url: Url, headers: tuple[tuple[str, str], ...] = ()
    ) -> AsyncIterator[Answer]:
        """The answer after logging in, if that was asked for, and redirects. Raises as `Network.send`, and `Denied`."""
        used = self._authorizer.current(source)
        async with AsyncExitStack() as stack:
            answer = await self._follow(stack, source, Outgoing(method=method, url=url, headers=headers), used)
            if _asks_for_login(answer, source):
                await stack.aclose()
                header = await self._authorizer.answer(source, answer, used=used)
                answer = await self._follow(stack, source, Outgoing(method=method, url=url, headers=headers), header)
                if _asks_for_login(answer, source):
                    raise await self._authorizer.explain(source)
            yield answer

    async def refusal(self, source: Source, answer: Answer, *, what: str) -> Exception:
        """The error for an answer other than the expected one. `what` is what was asked for."""
        said = _read_complaint(await answer.read_complaint())
        because = f": {said}" if said else ""
        if answer.status == 404:
            return NotFound(f"{source.host} has no {what}{because}", hint="check the name and the tag")
        if answer.status in (401, 403):
            return Denied(
                f"{answer.url.origin} does not give {what} to you{because}",
                hint=f"see whether your login at {source.host} may read it",
            )
        if answer.status in _PASSING:
            return self._passing(answer, because)
        return Failed(
            f"{answer.url.origin} answered with status {answer.status} when asked for {what}{because}",
            hint="check that the address is a registry's, or ask its operator",
        )

    async def persist(self, work: Callable[[], Awaitable[Result]]) -> Result:
        """Do `work`, and again after temporary failures. Raises the error of the last attempt."""
        attempt = 1
        while True:
            try:
                return await work()
            except Transient as trouble:
                await self.wait_or_give_up(trouble, attempt=attempt)
            attempt += 1

    async def wait_or_give_up(self, trouble: Transient, *, attempt: int) -> None:
        """Wait before the next attempt. Raises the error when there is none."""
        delay_s = plan_delay(self._patience, attempt=attempt, after_s=trouble.after_s)
        if delay_s is None:
            raise trouble.error from trouble
        await asyncio.sleep(delay_s)

    async def _follow(self, stack: AsyncExitStack, source: Source, outgoing: Outgoing, header: str | None) -> Answer:
        """The first answer that is not a redirect. `header` goes to the source alone, and not after a redirect."""
        url, reach, at_home = outgoing.url, ANYWHERE, True
        for _ in range(REDIRECTS_LIMIT + 1):
            at_home = at_home and url.origin == source.origin
            own = (("Authorization", header),) if header is not None and at_home else ()
            answer = await stack.enter_async_context(
                self._network.send(
                    Outgoing(method=outgoing.method, url=url, headers=(*outgoing.headers, *own), reach=reach)
                )
            )
            location = answer.header("Location") if answer.status in _REDIRECTS else None
            if location is None:
                return answer
            url, reach = judge_redirect(
                url, location, source=source, registries=self._registries, peer=answer.peer, reach=reach
            )
            await stack.aclose()
        raise Failed(
            f"{source.origin} sends us from place to place without end",
            hint="the registry misbehaves; ask its operator",
        )

    def _passing(self, answer: Answer, because: str) -> Transient:
        after_s = parse_retry_after(answer.header("Retry-After"), now_s=self._now_s())
        if answer.status == 429:
            wait = "" if after_s is None else f" for {after_s:.0f} s"
            error = Unavailable(
                f"{answer.url.origin} wants no more requests{wait}{because}",
                hint="wait a while, or log in: registries allow more to those who do",
            )
        else:
            error = Unavailable(
                f"{answer.url.origin} cannot answer now (status {answer.status}){because}", hint="try again later"
            )
        return Transient(error, after_s=after_s)


def _asks_for_login(answer: Answer, source: Source) -> bool:
    """Whether an answer may ask for a login: only the registry itself may, not a server that it redirects to."""
    return answer.status == 401 and answer.url.origin == source.origin


def _read_complaint(content: bytes) -> str:
    """The message of the first error in a refusal (distribution specification, "Error Codes"), made printable."""
    with suppress(BangerError, LookupError, TypeError):
        error = read_document(content, what="")["errors"][0]
        return printable(str(error.get("message") or error.get("code") or ""), limit=200)
    return ""
