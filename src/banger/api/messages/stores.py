"""Images and kernels."""

from __future__ import annotations

from typing import NotRequired, TypedDict


class ImageView(TypedDict):
    """An image in the store."""

    name: str
    digest: str
    architecture: str
    size_bytes: int
    init: str | None
    created_at_s: float
    source: str


class KernelView(TypedDict):
    """A kernel in the store."""

    name: str
    digest: str
    architecture: str
    release: str
    size_bytes: int
    created_at_s: float
    source: str


class PullRequest(TypedDict):
    """Body of `POST /v1/images/pull` (progress): make or fetch an image and the default kernel.

    `image` is a name of a catalogue or a reference to a registry; with a `name`, always a reference. `platform` is such
    as `linux/arm64`; without one it is this computer's own.
    """

    image: str
    name: str | None
    platform: NotRequired[str | None]


class ImportRequest(TypedDict):
    """Body of `POST /v1/images/import` (progress): an archive or an image layout at an absolute host path.

    `tag` and `platform` choose an image where there are several; without a platform it is this computer's own, or what
    the programs of a root file system are made for.
    """

    name: str
    path: str
    tag: str | None
    platform: NotRequired[str | None]
