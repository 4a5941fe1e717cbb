"""The `.git` directory that a guest gets, file by file. Pure.

No hooks, no attributes that run anything, and of the host's configuration only names and how text files are stored.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from banger.workspace.index import IndexEntry, Stat
from banger.workspace.repository import Repository
from banger.workspace.work_tree import Stamp

BASE_REF: Final = "refs/banger/base"
DEFAULT_BRANCH: Final = "main"
DIRECTORIES: Final = (
    b".git",
    b".git/info",
    b".git/objects",
    b".git/objects/info",
    b".git/objects/pack",
    b".git/refs",
    b".git/refs/heads",
    b".git/refs/tags",
)
_SECOND_NS: Final = 1_000_000_000
_LOW_32_BITS: Final = 0xFFFFFFFF

Sections = list[tuple[str, list[tuple[str, str]]]]


class Ref(NamedTuple):
    """A branch or a tag. `peeled` is the commit of an annotated tag, empty for all others."""

    name: str
    oid: str
    peeled: str = ""


def plan_texts(
    repository: Repository, *, base: str, shallow: Sequence[str], refs: Iterable[Ref] = ()
) -> dict[bytes, bytes]:
    """The small files, by their names below `.git`. The host's `refs` come along in a full copy."""
    branch = repository.branch or (None if repository.head else DEFAULT_BRANCH)
    by_name = {ref.name: ref for ref in refs}
    by_name[BASE_REF] = Ref(BASE_REF, base)
    if branch is not None and repository.head is not None:
        by_name[f"refs/heads/{branch}"] = Ref(f"refs/heads/{branch}", repository.head)
    texts = {
        b"HEAD": f"ref: refs/heads/{branch}\n" if branch is not None else f"{repository.head}\n",
        b"config": render_config(plan_guest_settings(repository)),
        b"packed-refs": _render_refs(by_name.values()),
        b"description": "a banger workspace\n",
    }
    if shallow:
        texts[b"shallow"] = "".join(f"{commit}\n" for commit in shallow)
    return {name: text.encode("utf-8", "surrogateescape") for name, text in texts.items()}


def plan_guest_settings(repository: Repository) -> Sections:
    """Only times and sizes may decide whether a file changed, because device and inode numbers differ in a guest."""
    core = [
        ("bare", "false"),
        ("filemode", "true"),
        ("logallrefupdates", "true"),
        ("checkStat", "minimal"),
        ("trustctime", "false"),
    ]
    sections = format_sections(repository, core)
    user = [(key, value) for key, value in (("name", repository.user_name), ("email", repository.user_email)) if value]
    if user:
        sections.append(("user", user))
    if repository.origin:
        remote = [("url", repository.origin), ("fetch", "+refs/heads/*:refs/remotes/origin/*")]
        sections.append(('remote "origin"', remote))
    return sections


def format_sections(repository: Repository, core: Iterable[tuple[str, str]]) -> Sections:
    """Settings without which the objects or the line ends of the repository would be misread, and `core`."""
    sha256 = repository.object_format == "sha256"
    stored = [("autocrlf", repository.auto_crlf), ("eol", repository.eol)]
    settings = [("repositoryformatversion", "1" if sha256 else "0"), *core]
    sections: Sections = [("core", [*settings, *((key, value) for key, value in stored if value)])]
    if sha256:
        sections.append(("extensions", [("objectformat", "sha256")]))
    return sections


def render_config(sections: Sections) -> str:
    """A configuration file (git-config(1), "Syntax"). Names of sections and keys are ours, values anybody's."""
    return "".join(
        f"[{name}]\n" + "".join(f'\t{key} = "{_escape(value)}"\n' for key, value in values) for name, values in sections
    )


def plan_guest_index(
    staged: Iterable[IndexEntry], *, in_tree: Mapping[bytes, IndexEntry], sent: Mapping[bytes, Stamp]
) -> list[IndexEntry]:
    """The index of the guest: what is staged on the host, with the times of the files that are sent.

    `in_tree` is what the work tree has, `sent` how those files are sent that have just this content. A file whose
    staged content is the sent one counts as unmodified without being read; for all others git looks.
    """
    entries: list[IndexEntry] = []
    for entry in staged:
        present = in_tree.get(entry.path)
        if entry.intent_to_add:
            if present is None:
                continue
            entry = present  # noqa: PLW2901 - an announced file is staged as it is: its empty announcement is no content
        stat = Stat(mode=entry.mode)
        stamp = sent.get(entry.path)
        if stamp is not None and present is not None and (present.oid, present.mode) == (entry.oid, entry.mode):
            seconds, nanoseconds = divmod(stamp.mtime_ns, _SECOND_NS)
            size = stamp.size & _LOW_32_BITS
            stat = Stat(mtime_s=seconds & _LOW_32_BITS, mtime_ns=nanoseconds, mode=entry.mode, size=size)
        entries.append(IndexEntry(entry.path, stat, entry.oid))
    return entries


def _render_refs(refs: Iterable[Ref]) -> str:
    ordered = sorted(refs, key=lambda ref: ref.name.encode("utf-8", "surrogateescape"))
    lines = (f"{ref.oid} {ref.name}\n" + (f"^{ref.peeled}\n" if ref.peeled else "") for ref in ordered)
    return "# pack-refs with: peeled fully-peeled sorted \n" + "".join(lines)


def _escape(value: str) -> str:
    return "".join(c for c in value if c.isprintable()).replace("\\", "\\\\").replace('"', '\\"')
