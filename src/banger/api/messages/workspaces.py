"""Requests about repositories in guests."""

from __future__ import annotations

from typing import TypedDict


class PrepareRequest(TypedDict):
    """Body of `POST /v1/vms/{ref}/workspace/prepare` (progress). `path` is absolute, in a repository of the host.

    `guest_path` null: where it is already, or a place named after the repository. `overwrite`: what was done in the
    guest may be lost.
    """

    path: str
    guest_path: str | None
    overwrite: bool


class PrepareResult(TypedDict):
    """What was moved: all of a new workspace (`created`), or what changed since it was last prepared."""

    guest_path: str
    source: str
    commit: str | None
    branch: str | None
    created: bool
    files: int
    removed: int
    size_bytes: int
    elapsed_s: float


class ExportRequest(TypedDict):
    """First frame of `POST /v1/vms/{ref}/workspace/export` (stream); the patch comes as output frames."""

    guest_path: str | None
    base_commit: str | None


class ExportedFile(TypedDict):
    """One file of an exported patch."""

    path: str
    change: str
    binary: bool


class ExportResult(TypedDict):
    """What an exported patch contains. `files` are the first of `file_count`: all of them may be very many."""

    files: list[ExportedFile]
    file_count: int
    additions: int
    deletions: int
    size_bytes: int
    base_commit: str
