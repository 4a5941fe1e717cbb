"""Requests about repositories in guests."""

from __future__ import annotations

from typing import Literal, NotRequired, TypedDict


class WorkspaceOptions(TypedDict):
    """What of a repository is copied, and where to. For an existing workspace, missing members stay as before.

    `guest_path`: by default where it is already, or a place named after the repository. `branch` is a new one, which
    only the guest has; it begins at `start`, or at the host's HEAD, and then has the files as they are on the host.
    """

    guest_path: NotRequired[str | None]
    branch: NotRequired[str | None]
    start: NotRequired[str | None]
    mode: NotRequired[Literal["overlay", "full-copy"] | None]
    include_untracked: NotRequired[bool | None]


class PrepareRequest(WorkspaceOptions):
    """Body of `POST /v1/vms/{ref}/workspace/prepare` (progress). `path` is absolute, in a repository of the host.

    `overwrite`: work in the guest may be lost.
    """

    path: str
    overwrite: bool


class PlannedFile(TypedDict):
    """A file that would be copied; `mode` as git writes it."""

    path: str
    mode: str
    size_bytes: int


class PlannedWorkspace(TypedDict):
    """What `--dry-run` finds out."""

    guest_path: str
    source: str
    mode: str
    commit: str | None
    branch: str | None
    untracked_count: int
    files: list[PlannedFile]


class PrepareResult(TypedDict):
    """What was sent: all of a new workspace (`created`), or what changed since it was last prepared."""

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
    """First frame of `POST /v1/vms/{ref}/workspace/export` (stream); the patch comes as output frames.

    `near`, here and in the other requests, is where on the host the client is: without a `guest_path` the workspace is
    meant that was copied from there.
    """

    guest_path: str | None
    near: NotRequired[str]
    base_commit: str | None


class ChangedFile(TypedDict):
    """The change of one file. Line counts leave out binary files; modes are git's, empty if there is no file."""

    path: str
    change: str
    binary: bool
    old_mode: str
    new_mode: str
    additions: int
    deletions: int


class FindingView(TypedDict):
    """Something about a patch that is worth a look. `paths` are the first of `count`."""

    kind: str
    title: str
    count: int
    paths: list[str]


class ExportResult(TypedDict):
    """What an exported patch contains. `files` are the first of `file_count`: all of them may be very many."""

    files: list[ChangedFile]
    file_count: int
    additions: int
    deletions: int
    findings: list[FindingView]
    size_bytes: int
    base_commit: str


class ProblemView(TypedDict):
    """Why a patch cannot be applied at present. `kind` is from the closed list in `banger.core.errors`."""

    kind: str
    summary: str
    hint: str


class WorkspaceStatusRequest(TypedDict):
    """Body of `POST /v1/vms/{ref}/workspace/status` (progress)."""

    guest_path: str | None
    near: NotRequired[str]
    base_commit: str | None


class WorkspaceStatus(TypedDict):
    """What was done in a workspace since it was copied, and what became of the repository since then.

    `files` are the first of `file_count`. Commits are those made in the guest; None if its git cannot say.
    `host_head` is None when the repository cannot be read any more; `host_changes` counts tracked files that differ
    from it.
    """

    guest_path: str
    source: str
    base_commit: str
    copied_head: str | None
    guest_head: str | None
    guest_branch: str | None
    guest_commits: int | None
    host_head: str | None
    host_branch: str | None
    host_changes: int | None
    files: list[ChangedFile]
    file_count: int
    additions: int
    deletions: int


class ReviewRequest(TypedDict):
    """Body of `POST /v1/vms/{ref}/workspace/review` (progress). `paths` pick files and directories; none is all."""

    guest_path: str | None
    near: NotRequired[str]
    base_commit: str | None
    paths: list[str]
    allow_dirty: bool


class ReviewResult(TypedDict):
    """A patch that was saved and tried, and what a reviewer should know about it. `saved` is its name for `apply`.

    `files` are the first of `file_count`; `pending` files of the work tree would change, `already` are so. `reverted`,
    the first of `reverted_count` of those that would change, were applied before and are undone in the guest.
    `problem` says why the patch cannot be applied.
    """

    saved: str
    saved_path: str
    size_bytes: int
    base_commit: str
    source: str
    files: list[ChangedFile]
    file_count: int
    additions: int
    deletions: int
    findings: list[FindingView]
    pending: int
    already: int
    reverted: list[str]
    reverted_count: int
    problem: ProblemView | None


class ApplyRequest(TypedDict):
    """Body of `POST /v1/vms/{ref}/workspace/apply` (progress): a saved patch into the work tree.

    `umask` is the client's: new files get their permissions by it.
    """

    guest_path: str | None
    near: NotRequired[str]
    saved: str
    paths: list[str]
    allow_dirty: bool
    umask: int


class FetchRequest(TypedDict):
    """Body of `POST /v1/vms/{ref}/workspace/fetch` (progress). `force` replaces branches that were rewritten."""

    guest_path: str | None
    near: NotRequired[str]
    force: bool


class BranchReview(TypedDict):
    """What the commits of a branch change in all, and what of it is worth a look."""

    file_count: int
    additions: int
    deletions: int
    findings: list[FindingView]


class FetchedBranchView(TypedDict):
    """A branch of the guest: what it is called here, and how many commits the repository did not have.

    `state` is `new`, `updated` or `unchanged`. `review` is None for what did not change, or is too much to be told.
    """

    guest_branch: str
    branch: str
    commit: str
    commits: int
    state: str
    review: BranchReview | None


class FetchResult(TypedDict):
    """The branches that were fetched into the repository at `source`."""

    source: str
    branches: list[FetchedBranchView]


class ApplyResult(TypedDict):
    """How many files of the work tree were changed, and how many had the change already."""

    source: str
    changed: int
    already: int
