"""Requests about repositories in guests."""

from __future__ import annotations

from typing import TypedDict


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
