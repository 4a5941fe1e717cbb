"""Patches for people: what changed file by file, what a reviewer looks at, and the text itself made safe to print."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Final

from banger.cli.render import Style, count
from banger.core.untrusted import printable

if TYPE_CHECKING:
    from banger.api.messages import ChangedFile, FindingView

_LETTERS: Final = {"added": "A", "modified": "M", "deleted": "D"}
_BAR_MARKS: Final = 30
_SHOWN_PATHS: Final = 5
_LINE_LIMIT: Final = 4096
_MODES: Final = {"100644": "", "100755": "executable", "120000": "link"}


def render_files(files: Sequence[ChangedFile], *, total: int, style: Style) -> list[str]:
    """A line for each file: letter, name, what is odd about it, lines added and removed, as `git diff --stat` draws."""
    most = max((file["additions"] + file["deletions"] for file in files), default=0)
    lines = [_file_line(file, most, style) for file in files]
    if total > len(files):
        lines.append(f"  and {total - len(files)} more")
    return lines


def render_totals(file_count: int, additions: int, deletions: int) -> str:
    """`3 files changed, 12 lines added, 4 removed`."""
    return f"{count(file_count, 'file')} changed, {count(additions, 'line')} added, {deletions} removed"


def render_findings(findings: Sequence[FindingView], style: Style) -> list[str]:
    """What is worth a look, each kind with the first of its files; nothing where nothing is."""
    lines = ["Worth a look:"] if findings else []
    for finding in findings:
        lines.append(f"  {style.odd(printable(finding['title']))}:")
        shown = finding["paths"][:_SHOWN_PATHS]
        lines += [f"    {printable(path)}" for path in shown]
        if finding["count"] > len(shown):
            lines.append(f"    and {finding['count'] - len(shown)} more")
    return lines


def render_patch(pieces: Iterable[bytes], style: Style) -> Iterator[str]:
    """The lines of a patch as a terminal may have them: controls escaped, binary content left out, in colours."""
    binary = False
    for line in _lines(pieces):
        if line.startswith(b"diff --git "):
            binary = False
        if binary:
            continue
        if line == b"GIT binary patch":
            binary = True
            yield style.dim("(binary content)")
            continue
        yield _paint(line[:1], printable(line.replace(b"\t", b"    "), limit=_LINE_LIMIT), line, style)


def _file_line(file: ChangedFile, most: int, style: Style) -> str:
    added, removed = file["additions"], file["deletions"]
    odd = "binary" if file["binary"] else ""
    if file["old_mode"] != file["new_mode"] and file["change"] != "deleted":
        kind = _MODES.get(file["new_mode"], file["new_mode"])
        kind = "no longer executable" if file["change"] == "modified" and not kind else kind
        odd = ", ".join(filter(None, (odd, kind)))
    text = f"  {_LETTERS.get(file['change'], '?')} {printable(file['path'])}" + (f" ({odd})" if odd else "")
    if not added and not removed:
        return text
    scale = min(1.0, _BAR_MARKS / most)
    plus = style.good("+" * _marks(added, scale))
    minus = style.bad("-" * _marks(removed, scale))
    return f"{text}  {added + removed} {plus}{minus}"


def _marks(lines: int, scale: float) -> int:
    return max(1, round(lines * scale)) if lines else 0


def _paint(sign: bytes, text: str, line: bytes, style: Style) -> str:
    if line.startswith((b"diff --git ", b"--- ", b"+++ ", b"index ", b"old mode", b"new ", b"deleted ")):
        return style.bold(text)
    if sign == b"+":
        return style.good(text)
    if sign == b"-":
        return style.bad(text)
    return style.dim(text) if sign == b"@" else text


def _lines(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Lines without their ends; of a very long one only the beginning."""
    rest = b""
    for piece in pieces:
        first, *more = piece.split(b"\n")
        rest = (rest + first)[: 2 * _LINE_LIMIT]
        for following in more:
            yield rest
            rest = following[: 2 * _LINE_LIMIT]
    if rest:
        yield rest
