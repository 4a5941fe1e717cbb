"""`banger vm workspace apply`."""

from __future__ import annotations

import os
from argparse import Namespace
from typing import TYPE_CHECKING, Any, Final

from banger.cli import exits
from banger.cli.arguments import Parser, add_json, add_vm
from banger.cli.asking import ask, check_somebody_answers
from banger.cli.context import vm_path
from banger.cli.patch_text import render_files, render_findings, render_totals
from banger.cli.render import Style, count, render_json
from banger.cli.targets import add_quiet, follow
from banger.cli.workspaces import add_guest_path, which
from banger.core.errors import error_of_kind
from banger.core.untrusted import printable

if TYPE_CHECKING:
    from banger.api.messages import ApplyRequest, ApplyResult, ReviewRequest, ReviewResult
    from banger.cli.context import Context

USAGE = "VM [--check] [--pick PATH...] [options]"
DESCRIPTION = """\
Bring what was done in a workspace into the working tree of the repository that it was copied from. The
patch is saved, judged and tried first; then you see what is in it and what is worth a look, and are asked.
It is applied as a whole or not at all, whatever happens meanwhile. Nothing is staged, nothing is committed.

What is in the working tree already, because it was applied before, counts as done. A repository with
other changes that are not committed is left alone, unless --allow-dirty says otherwise."""
EXAMPLES = (
    ("banger vm workspace apply box --check", "does it fit, and what is in it?"),
    ("banger vm workspace apply box", "shows it and asks"),
    ("banger vm workspace apply box --yes", "does not ask"),
    ("banger vm workspace apply box --yes --pick src notes.txt", "only these files and directories"),
)
_SHOWN_FILES: Final = 40
_SHOWN_REVERTED: Final = 5


def declare(parser: Parser) -> None:
    add_vm(parser)
    parser.add_argument("--check", action="store_true", help="change nothing: show what is in it, and whether it fits")
    parser.add_argument(
        "--pick", metavar="PATH", nargs="+", action="extend", help="only these, from the top of the repository"
    )
    parser.add_argument("-y", "--yes", action="store_true", help="do not ask")
    parser.add_argument("--allow-dirty", action="store_true", help="apply beside changes that are not committed")
    add_guest_path(parser)
    parser.add_argument("--base-commit", metavar="COMMIT", help="since this commit (default: the one that went in)")
    add_json(parser)
    add_quiet(parser)


def run(context: Context, options: Namespace) -> int:
    if not options.check and not options.yes:
        check_somebody_answers(hint="give --yes to apply without asking, or --check to look at it")
    picked = options.pick or []
    asked: ReviewRequest = {
        **which(options),
        "base_commit": options.base_commit,
        "paths": picked,
        "allow_dirty": options.allow_dirty,
    }
    review: ReviewResult = follow(context, options, path=vm_path(options.vm, "/workspace/review"), body=asked)
    if not options.json and not options.quiet:
        context.tell(render_review(review, context.error_style))
    problem = review["problem"]
    if problem is not None:
        if options.json and options.check:
            return _write(context, review, None, exits.OF_KIND[problem["kind"]])
        raise error_of_kind(
            problem["kind"], problem["summary"], hint=problem["hint"], saved=printable(review["saved_path"])
        )
    if options.check or not review["pending"]:
        return _write(context, review, None, exits.DONE) if options.json else exits.DONE
    if not options.yes and not ask(f"Apply it to {printable(review['source'])}?"):  # the patch is saved by now
        context.tell("Nothing was changed.")
        return exits.FAILED
    result = _apply(context, options, review, picked)
    if options.json:
        return _write(context, review, result, exits.DONE)
    if not options.quiet:
        done = f"{count(result['changed'], 'file')} changed in {printable(result['source'])}"
        context.tell(f"{done}; nothing is committed, `git diff` shows it")
    return exits.DONE


def _apply(context: Context, options: Namespace, review: ReviewResult, picked: list[str]) -> ApplyResult:
    umask = os.umask(0o077)
    os.umask(umask)
    request: ApplyRequest = {
        **which(options),
        "saved": review["saved"],
        "paths": picked,
        "allow_dirty": options.allow_dirty,
        "umask": umask,
    }
    result: ApplyResult = follow(context, options, path=vm_path(options.vm, "/workspace/apply"), body=request)
    return result


def _write(context: Context, review: ReviewResult, applied: ApplyResult | None, status: int) -> int:
    document: dict[str, Any] = {"review": review, "applied": applied}
    context.write(render_json(document))
    return status


def is_done(review: ReviewResult) -> bool:
    """Whether all of it is in the working tree already."""
    return review["problem"] is None and not review["pending"] and review["file_count"] > 0


def render_review(review: ReviewResult, style: Style) -> str:
    """What is in a patch, what is worth a look, and whether it fits."""
    if not review["file_count"] and not review["reverted"]:
        return "Nothing was changed in the guest: there is nothing to apply."
    lines = render_files(review["files"][:_SHOWN_FILES], total=review["file_count"], style=style)
    lines.append(render_totals(review["file_count"], review["additions"], review["deletions"]))
    if review["reverted"]:
        shown = ", ".join(map(printable, review["reverted"][:_SHOWN_REVERTED]))
        more = review["reverted_count"] - _SHOWN_REVERTED
        lines.append(f"Applied before and undone in the guest: {shown}" + (f" and {more} more" if more > 0 else ""))
    lines += render_findings(review["findings"], style)
    lines.append(f"Saved as {printable(review['saved_path'])}")
    if review["problem"] is None:
        lines.append(_describe_fit(review))
    return "\n".join(lines)


def _describe_fit(review: ReviewResult) -> str:
    if is_done(review):
        return "All of it is in the working tree already."
    already = f"; {review['already']} of the files are so already" if review["already"] else ""
    return f"It fits {printable(review['source'])}{already}."
