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
    """Body of `POST /v1/images/pull` (progress): make or fetch the named image and the default kernel."""

    name: str


class ImportRequest(TypedDict):
    """Body of `POST /v1/images/import` (progress): a root file system tar at an absolute host path."""

    name: str
    path: str
