"""`banger doctor`."""

from __future__ import annotations

import os
import shlex
from argparse import Namespace
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from banger.cli import exits
from banger.cli.arguments import Parser, add_json
from banger.cli.asking import ask, check_somebody_answers
from banger.cli.progress import Progress
from banger.cli.render import Style, count, render_json, render_table
from banger.cli.ssh_client import plan_program
from banger.core.errors import BangerError, Invalid
from banger.core.untrusted import printable, printable_lines

if TYPE_CHECKING:
    from banger.api.messages import CheckView, LeaksResult
    from banger.cli.context import Context

USAGE = "[--fix [-f] | --leaks] [--json]"
DESCRIPTION = """\
Look at what banger needs on this computer and say what is missing, each with the command that fixes it.
Each VMM is tried by running a small guest under it. The exit status is 1 when something fails.
Without --fix it changes nothing. With it, the commands that fix what does not pass are shown and, if you
agree, run; then it looks again.

With --leaks it lists instead what belongs to banger and is no longer wanted: processes, directories, sockets,
unfinished files. Normally there is nothing; the exit status is 1 when there is something."""
EXAMPLES = (
    ("banger doctor", ""),
    ("banger doctor --fix", "fix what commands can fix"),
    ("banger doctor --json", "for programs"),
    ("banger doctor --leaks", "is anything left?"),
)
_LABELS: Final = {"pass": "PASS", "warn": "WARN", "fail": "FAIL"}


def declare(parser: Parser) -> None:
    parser.add_argument("--fix", action="store_true", help="run the commands that fix what does not pass")
    parser.add_argument("-f", "--force", action="store_true", help="do not ask first")
    parser.add_argument("--leaks", action="store_true", help="list leftovers, without removing them")
    add_json(parser)


def run(context: Context, options: Namespace) -> int:
    if options.leaks and options.fix:
        raise Invalid("--leaks only looks", hint="`banger daemon restart` cleans up what it can")
    if options.leaks:
        return run_leaks(context, options)
    checks = ask_daemon(context)
    ran: list[list[str]] = []
    if options.fix and (commands := plan_fixes(checks)):
        if not options.force and not confirm(context, commands):
            context.tell("Nothing was changed.")
            return exits.FAILED
        ran = run_fixes(context, commands)
        checks = ask_daemon(context)
    elif options.fix:
        context.tell("There is nothing that a command could fix.")
    if options.json:
        context.write(render_json({"checks": checks, "ran": ran} if options.fix else {"checks": checks}))
    else:
        context.write(render_checks(checks, context.style))
    return exits.FAILED if any(check["level"] == "fail" for check in checks) else exits.DONE


def plan_fixes(checks: Sequence[CheckView]) -> list[list[str]]:
    """The commands of what does not pass, each once, in the order of the checks."""
    commands: list[list[str]] = []
    for check in checks:
        commands += [command for command in check["commands"] if check["level"] != "pass" and command not in commands]
    return commands


def confirm(context: Context, commands: Sequence[Sequence[str]]) -> bool:
    """Show what would be run and ask. Raises `Invalid` where nobody can answer."""
    check_somebody_answers(hint="give -f to run without asking")
    context.tell("\n".join(f"  {printable(shlex.join(command))}" for command in commands))
    return ask(f"Run {count(len(commands), 'command')}?")


def run_fixes(context: Context, commands: Sequence[Sequence[str]]) -> list[list[str]]:
    """Run them one after the other; one that fails does not stop the others. Those that were run."""
    from banger.core.processes import run_here

    for command in commands:
        context.tell(context.error_style.bold(f"$ {printable(shlex.join(command))}"))
        argv = plan_program(command[1:]) if command[0] == "banger" else command
        try:
            status = run_here(argv)
        except BangerError as error:
            context.tell(f"banger: {printable(error.summary)}")
        else:
            if status:
                context.tell(f"banger: {printable(command[0])} ended with status {status}")
    return [list(command) for command in commands]


def run_leaks(context: Context, options: Namespace) -> int:
    """What the daemon finds left over."""
    with context.open() as daemon:
        result: LeaksResult = daemon.get("/v1/system/leaks")
    leaks = result["leaks"]
    if options.json:
        context.write(render_json(result))
    elif leaks:
        rows = [(leak["kind"].replace("_", " "), leak["what"], leak["why"]) for leak in leaks]
        context.write(render_table(("KIND", "WHAT", "WHY"), rows, context.style, limit=300))
        context.tell("`banger daemon restart` cleans up what it can; it keeps disks that belong to no known VM.")
    else:
        context.tell("Nothing was left over.")
    return exits.FAILED if leaks else exits.DONE


def ask_daemon(context: Context) -> list[CheckView]:
    """The daemon's checks. A daemon that cannot be reached is one of them."""
    try:
        with Progress.for_terminal(context.environment) as progress, context.open() as daemon:
            for message in daemon.follow("/v1/doctor", {}):
                if "result" in message:
                    checks: list[CheckView] = message["result"]["checks"]
                    return checks
                progress.event(message)
    except BangerError as error:
        return _unreachable(context, error)
    raise AssertionError("`follow` ends with a result or an error")


def render_checks(checks: list[CheckView], style: Style) -> str:
    """One line a check, what fixes it below, the sum at the end."""
    width = max((len(printable(check["title"])) for check in checks), default=0)
    paint = {"pass": style.good, "warn": style.odd, "fail": style.bad}
    lines: list[str] = []
    for check in checks:
        first, *more = printable_lines(check["text"]).split("\n")
        label = paint[check["level"]](_LABELS[check["level"]])
        lines.append(f"{label}  {printable(check['title']):<{width}}  {first}".rstrip())
        lines += [f"{'':6}{'':<{width}}  {line}" for line in more]
        if check["fix"]:
            fixes = printable_lines(check["fix"]).split("\n")
            lines += [
                f"{'':6}{'':<{width}}  {'fix:' if index == 0 else '    '} {line}" for index, line in enumerate(fixes)
            ]
    totals: dict[str, Any] = {level: sum(check["level"] == level for check in checks) for level in _LABELS}
    lines.append(f"\n{totals['pass']} passed, {count(totals['warn'], 'warning')}, {totals['fail']} failed")
    return "".join(f"{line}\n" for line in lines)


def _unreachable(context: Context, error: BangerError) -> list[CheckView]:
    """What can be said without the daemon: that a mistake in the configuration file keeps it from starting."""
    from banger.core.config.reading import find_home, read_configuration

    try:
        read_configuration(context.layout.config_file, home=find_home(context.environment, uid=os.getuid()))
    except BangerError as mistake:
        return [
            {
                "id": "configuration",
                "title": "configuration file",
                "level": "fail",
                "text": mistake.summary,
                "fix": mistake.hint,
                "commands": [],
            },
            {
                "id": "daemon",
                "title": "daemon",
                "level": "fail",
                "text": "it does not start with that, and it makes all the other checks",
                "fix": "fix the configuration file and run `banger doctor` again",
                "commands": [],
            },
        ]
    return [_daemon_check(context, error)]


def _daemon_check(context: Context, error: BangerError) -> CheckView:
    text = error.summary
    if tail := str(error.data.get("log_tail") or ""):
        text += f"\nits log, {context.layout.daemon_log}, ends with:\n{tail}"
    return {"id": "daemon", "title": "daemon", "level": "fail", "text": text, "fix": error.hint, "commands": []}
