"""`banger update`."""

from __future__ import annotations

import json
import shlex
from argparse import Namespace
from typing import TYPE_CHECKING, Final

from banger import __version__
from banger.cli.arguments import Parser, add_json
from banger.cli.installation import Installation, find_installation, find_version, install, is_older, tail
from banger.cli.progress import Progress
from banger.cli.render import render_json
from banger.cli.targets import add_quiet
from banger.core.errors import BangerError, Failed, Invalid, WrongState
from banger.core.processes import read_here
from banger.core.untrusted import printable

if TYPE_CHECKING:
    from banger.cli.context import Context

USAGE = "[--check | --dry-run] [--to VERSION] [--force] [--json] [-q]"
DESCRIPTION = """\
Update banger to the newest version, or to the one that --to names: with pip or pipx, whichever
installed it, from the package index that they are set to. The new one is tried, then the daemon is started
anew. When either goes wrong, the version that was there is put back. VMs keep running.

An older version is taken only with --force: its daemon refuses a database that a newer one has changed."""
EXAMPLES = (
    ("banger update --check", "is there a newer one?"),
    ("banger update --dry-run", "what would be done"),
    ("banger update", ""),
    ("banger update --to 0.2.0", "this one"),
)
_TRY_TIMEOUT_S: Final = 60.0
_RESTART_TIMEOUT_S: Final = 600.0


def declare(parser: Parser) -> None:
    parser.add_argument("--check", action="store_true", help="only say which version is available")
    parser.add_argument("--dry-run", action="store_true", help="only say what would be done")
    parser.add_argument("--to", metavar="VERSION", help="this version instead of the newest")
    parser.add_argument("--force", action="store_true", help="allow an older version, or the same one again")
    add_json(parser)
    add_quiet(parser)


def run(context: Context, options: Namespace) -> int:
    if options.check and options.dry_run:
        raise Invalid("--check and --dry-run exclude each other", hint="leave one of them out")
    if options.to is not None and (not options.to.isascii() or not options.to.replace(".", "").isalnum()):
        raise Invalid(f"{ascii(options.to)} is not a version", hint="such as 0.2.0")
    installation = find_installation()
    with Progress.for_terminal(context.environment, quiet=options.quiet) as progress:
        progress.event({"event": "stage", "stage": "look", "text": "looking for versions", "state": "begin"})
        version = find_version(installation, options.to, environment=context.environment)
        progress.event({"event": "stage", "stage": "look", "text": "looking for versions", "state": "end"})
        wanted = options.force or is_older(__version__, version)
        if options.check or not wanted or options.dry_run:
            if options.to is not None and not wanted and is_older(version, __version__):
                raise WrongState(f"{version} is older than {__version__}", hint="--force takes it nevertheless")
            return _tell(context, options, version, command=installation.plan_install(version) if wanted else None)
        restarted = Update(context, installation, version).do(progress)
    if options.json:
        _write(context, version, command=installation.plan_install(version), updated=True, restarted=restarted)
    else:
        context.write(f"banger {version} is here" + (", and its daemon runs\n" if restarted else "\n"))
    return 0


class Update:
    """One change of versions. After it has begun, this process imports nothing: its files are the new version's."""

    def __init__(self, context: Context, installation: Installation, version: str) -> None:
        self._context = context
        self._installation = installation
        self._version = version

    def do(self, progress: Progress) -> bool:
        """Install, try, restart the daemon if one runs; whether one did. Raises `Failed` when the old one is back."""
        connected = self._context.daemon.connect_running()
        if connected is not None:
            connected.close()
        text = f"installing banger {self._version}"
        progress.event({"event": "stage", "stage": "install", "text": text, "state": "begin"})
        try:
            install(self._installation.plan_install(self._version), environment=self._context.environment)
            self._try()
            if connected is not None:
                self._restart()
        except BaseException as error:
            self._put_back(error, restart=connected is not None)
            raise
        progress.event({"event": "stage", "stage": "install", "text": text, "state": "end"})
        return connected is not None

    def _try(self) -> None:
        done = self._run("version", "--json", timeout_s=_TRY_TIMEOUT_S)
        try:
            said = json.loads(done)["version"]
        except (ValueError, LookupError, TypeError):
            said = None
        if said != self._version:
            raise Failed(f"the new program says that it is {printable(str(said), limit=100)}", hint="report that")

    def _restart(self) -> None:
        self._run("daemon", "restart", timeout_s=_RESTART_TIMEOUT_S)

    def _run(self, *words: str, timeout_s: float) -> bytes:
        argv = [self._installation.python, "-P", "-m", "banger", *words]
        done = read_here(argv, environment=self._context.environment, timeout_s=timeout_s)
        if done.returncode:
            raise Failed(f"`banger {shlex.join(words)}` of version {self._version} fails: {tail(done.stderr)}")
        return done.stdout

    def _put_back(self, error: BaseException, *, restart: bool) -> None:
        """The version that was there. What that says goes to the user beside what went wrong."""
        try:
            install(self._installation.plan_install(__version__), environment=self._context.environment)
            if restart:
                self._restart()
        except BangerError as second:
            self._context.tell(f"banger {__version__} could not be put back: {printable(second.summary)}")
        else:
            self._context.tell(f"banger {__version__} is back.")
        if isinstance(error, BangerError) and not error.hint:
            error.hint = "`banger update --to VERSION` takes another one"


def _tell(context: Context, options: Namespace, version: str, *, command: list[str] | None) -> int:
    if options.json:
        _write(context, version, command=command, updated=False, restarted=False)
    elif command is None:
        context.write(f"banger {__version__} is installed, and there is nothing newer: the index has {version}\n")
    elif options.dry_run:
        context.write(f"{shlex.join(command)}\n")
    else:
        context.write(f"banger {__version__} is installed, and {version} is available: run `banger update`\n")
    return 0


def _write(context: Context, version: str, *, command: list[str] | None, updated: bool, restarted: bool) -> None:
    document = {
        "current": __version__,
        "version": version,
        "command": command,
        "updated": updated,
        "daemon_restarted": restarted,
    }
    context.write(render_json(document))
