"""Images and kernels."""

from __future__ import annotations

from typing import TypedDict


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

    `image` is a name of a catalogue or a reference to a registry; with a `name`, always a reference.
    """

    image: str
    name: str | None


class ImportRequest(TypedDict):
    """Body of `POST /v1/images/import` (progress): an archive or an image layout at an absolute host path.

    `tag` chooses an image where there are several.
    """

    name: str
    path: str
    tag: str | None
