"""What images and kernels have in common: which VMs use one, where it came from, what catalogues have."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import Literal, Protocol

from banger.api.messages import (
    AvailableResult,
    AvailableView,
    CatalogueView,
    NamesRequest,
    NamesResult,
    ProvenanceView,
)
from banger.catalogue.document import Bundle, Distribution, Entry, OciSource
from banger.catalogue.shelf import Found, Opened
from banger.core.errors import NotFound, WrongState
from banger.core.nearest import hint_nearest
from banger.core.platforms import name_platform, parse_platform
from banger.core.provenance import Provenance
from banger.daemon.context import Request
from banger.daemon.exchanges import error_view
from banger.store.connection import Database
from banger.store.records import VmRecord, list_vms


class Users:
    """Which VMs use which images and kernels."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def by_digest(self) -> dict[str, list[str]]:
        """Names of VMs by the digests of the images and kernels that they run now or boot next."""
        found: dict[str, list[str]] = {}
        for record in await self._database.call(list_vms):
            for digest in _digests(record):
                found.setdefault(digest, []).append(record.name)
        return found


class Item(Protocol):
    """An image or a kernel."""

    @property
    def name(self) -> str: ...

    @property
    def digest(self) -> str: ...

    @property
    def architecture(self) -> str: ...


class Store(Protocol):
    """What the stores of images and of kernels have in common; see `daemon.collaborators`."""

    def find(self, name: str, architecture: str | None = None) -> Item | None: ...

    def list(self) -> Sequence[Item]: ...

    def remove(self, name: str, *, in_use: frozenset[str], architecture: str | None = None) -> bool: ...


Kind = Literal["image", "kernel"]


async def remove_each(request: Request, asked: NamesRequest, *, kind: Kind, store: Store, users: Users) -> NamesResult:
    """Remove what no VM uses; one that cannot be removed does not keep the others from being removed."""
    outcomes: NamesResult = {"outcomes": []}
    platform = asked.get("platform")
    architecture = read_platform(platform)
    for name in dict.fromkeys(asked["names"]):
        try:
            used = await users.by_digest()
            item = await asyncio.to_thread(store.find, name, architecture)
            if item is None:
                raise missing(kind, name, platform, {known.name for known in store.list()})
            if item.digest in used:
                vms = used[item.digest]
                raise WrongState(
                    f"the {kind} {name} is used by {'the VM' if len(vms) == 1 else 'the VMs'} {', '.join(vms)}",
                    hint=f"delete what uses it first: `banger vm delete {' '.join(vms)}`",
                )
            await asyncio.to_thread(store.remove, name, in_use=frozenset(used), architecture=architecture)
        except Exception as error:  # noqa: BLE001 - of any kind: the others are removed all the same
            outcomes["outcomes"].append({"name": name, "error": error_view(error, request.operation)})
        else:
            outcomes["outcomes"].append({"name": name, "error": None})
    return outcomes


def read_platform(platform: str | None) -> str | None:
    """The architecture of a requested platform, None if none was requested. Raises `Invalid`."""
    return parse_platform(platform) if platform else None


def missing(kind: Kind, name: str, platform: str | None, known: Iterable[str]) -> NotFound:
    """The error for a name that is not in the store, whose names are `known`."""
    of_it = f" for {platform}" if platform else ""
    return NotFound(
        f"there is no {kind} named {ascii(name)[1:-1]}{of_it} here",
        hint=hint_nearest(name, known, otherwise=f"`banger {kind} list` shows those that are"),
    )


async def view_available(
    request: Request, store: Store, found: Sequence[Found], opened: Sequence[Opened]
) -> AvailableResult:
    """What catalogues have, whether it is in the store already, and which catalogues are believed."""
    here = {(item.name, name_platform(item.architecture)) for item in await asyncio.to_thread(store.list)}
    return {
        "entries": [_view_entry(one, here=(one.entry.name, one.entry.platform) in here) for one in found],
        "catalogues": [_view_catalogue(one, request.operation) for one in opened],
    }


def view_provenance(provenance: Provenance) -> ProvenanceView:
    """Where something came from, as clients see it."""
    view: ProvenanceView = {
        "kind": provenance.kind,
        "reference": provenance.reference,
        "digest": provenance.digest,
        "catalogue": provenance.catalogue,
        "signer": provenance.signer,
    }
    if provenance.base:
        view["base"] = provenance.base
    return view


def _digests(record: VmRecord) -> set[str]:
    specs = [record.spec, *([record.running_spec] if record.running_spec is not None else [])]
    return {digest for spec in specs for digest in (spec.image_digest, spec.kernel_digest)}


def _view_entry(found: Found, *, here: bool) -> AvailableView:
    entry = found.entry
    return {
        "name": entry.name,
        "platform": entry.platform,
        "description": entry.description,
        "source": _describe_source(entry),
        "size_bytes": entry.source.size if isinstance(entry.source, Bundle) else None,
        "catalogue": found.catalogue,
        "signer": found.signer,
        "here": here,
    }


def _describe_source(entry: Entry) -> str:
    match entry.source:
        case Distribution(recipe=recipe):
            return f"made from a distribution's archive ({recipe})"
        case OciSource(reference=reference):
            return reference
        case Bundle(url=url):
            return url


def _view_catalogue(opened: Opened, operation: str) -> CatalogueView:
    verdict = opened.verdict
    return {
        "place": opened.place,
        "name": verdict.catalogue.name if verdict is not None else "",
        "version": verdict.catalogue.version if verdict is not None else 0,
        "expires_at_s": verdict.catalogue.expires.timestamp() if verdict is not None else 0.0,
        "signer": verdict.signer.id if verdict is not None else "",
        "error": error_view(opened.problem, operation) if opened.problem is not None else None,
    }
