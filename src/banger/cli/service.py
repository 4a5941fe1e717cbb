"""The daemon as a service of the user's systemd, for computers where it should outlive a logout and begin at boot.

Nothing needs it: each command starts the daemon when there is none.
"""

from __future__ import annotations

import os
import pwd
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from banger.cli.dotfiles import find_directory
from banger.cli.ssh_client import WORLD
from banger.core.errors import BangerError, Failed, Invalid, TimedOut, Unavailable, Unsupported
from banger.core.files import make_private_directory, write_durably
from banger.core.processes import read_here
from banger.core.untrusted import printable

if TYPE_CHECKING:
    from banger.api.messages import Ping
    from banger.cli.context import Context

UNIT: Final = "banger.service"
READY_DEADLINE_S: Final = 15.0
_STEP_S: Final = 0.05
_READABLE: Final = 0o644
_ENABLED: Final = frozenset((b"enabled", b"enabled-runtime", b"linked"))
_LINGERING: Final = Path("/var/lib/systemd/linger")  # one file for each user (loginctl(1), enable-linger)
_NOT_NEEDED: Final = "banger works without: each command starts the daemon when there is none"


class UserService:
    """The unit file, and what systemd makes of it."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self.path = plan_unit_path(context.environment)

    @property
    def installed(self) -> bool:
        return self.path.exists()

    def check(self) -> None:
        """Raise `Unsupported` where the user has no systemd that answers."""
        try:
            done = read_here(["systemctl", "--user", "show-environment"], environment=self._context.environment)
            said = done.stderr if done.returncode else b""
        except Unavailable as error:
            said = error.summary.encode()
        if said:
            raise Unsupported(f"your systemd does not answer: {printable(said.strip(), limit=200)}", hint=_NOT_NEEDED)

    def write(self) -> bool:
        """Have the unit file as it should be; whether that changed anything. Raises `Failed`, `Invalid`."""
        daemon = self._context.daemon
        text = render_unit(
            argv=daemon.argv,
            environment={**plan_environment(self._context.environment), **daemon.import_path},
            log=self._context.layout.daemon_log,
        ).encode()
        try:
            make_private_directory(self._context.layout.state)  # where systemd opens the log
            if self.installed and self.path.read_bytes() == text:
                return False
            self.path.parent.mkdir(parents=True, exist_ok=True)
            write_durably(self.path, text, mode=_READABLE)
        except OSError as error:
            raise self._failed(error) from error
        return True

    def remove(self) -> bool:
        """Stop the service and have no unit file; whether there was one. VMs keep running. Raises `Failed`."""
        if not self.installed:
            return False
        try:
            self._systemctl("disable", "--now", UNIT)
        except BangerError as error:  # no systemd answers any more: what is left of the service is this file
            self._context.tell(f"banger: {printable(error.summary)}")
        try:
            self.path.unlink(missing_ok=True)
        except OSError as error:
            raise self._failed(error) from error
        read_here(["systemctl", "--user", "daemon-reload"], environment=self._context.environment)
        return True

    def restart(self) -> Ping:
        """Put the service in the place of whatever daemon there is, and wait until it answers. Raises `TimedOut`."""
        self._systemctl("daemon-reload")
        self._systemctl("stop", UNIT)
        self._context.daemon.stop(self._context.tell)
        self._systemctl("enable", UNIT)
        self._systemctl("restart", UNIT)
        return self.wait()

    def wait(self) -> Ping:
        """What the daemon says of itself, as soon as it says something. Raises `TimedOut`."""
        deadline_s = time.monotonic() + READY_DEADLINE_S
        daemon = self._context.daemon
        while True:
            if (ping := daemon.ping()) is not None:
                return ping
            if time.monotonic() >= deadline_s:
                raise TimedOut(
                    f"the service was not ready within {READY_DEADLINE_S:g} s",
                    hint=f"`systemctl --user status {UNIT}` and the daemon's log say more",
                    log=str(self._context.layout.daemon_log),
                    log_tail=daemon.read_log_tail(),
                )
            time.sleep(_STEP_S)

    def read_state(self) -> str:
        """What systemd says: `active`, `inactive`, `failed`, ...; `unknown` where none answers."""
        try:
            done = read_here(["systemctl", "--user", "is-active", UNIT], environment=self._context.environment)
        except Unavailable:
            return "unknown"
        return printable(done.stdout.strip(), limit=40) or "unknown"

    def is_enabled(self) -> bool:
        """Whether it begins with the user's systemd."""
        try:
            done = read_here(["systemctl", "--user", "is-enabled", UNIT], environment=self._context.environment)
        except Unavailable:
            return False
        return done.stdout.strip() in _ENABLED

    def linger(self) -> bool:
        """Have the user's systemd from boot to shutdown, not from login to logout; whether that is so now."""
        if not lingers():
            try:
                read_here(["loginctl", "enable-linger"], environment=self._context.environment)
            except Unavailable:
                return False
        return lingers()

    def _systemctl(self, *words: str) -> None:
        done = read_here(["systemctl", "--user", *words], environment=self._context.environment, timeout_s=120)
        if done.returncode:
            said = printable(done.stderr.strip(), limit=300)
            raise Failed(f"systemctl --user {' '.join(words)}: {said}", hint=_NOT_NEEDED)

    def _failed(self, error: OSError) -> Failed:
        return Failed(f"{printable(str(self.path), limit=200)}: {error.strerror}", hint=_NOT_NEEDED)


def lingers() -> bool:
    """Whether the user's systemd stays when nobody is logged in."""
    return (_LINGERING / user_name()).exists()


def user_name() -> str:
    """Whose processes these are."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


def plan_unit_path(environment: Mapping[str, str]) -> Path:
    """Where the user's units are (systemd.unit(5)). Raises `Invalid` when nothing says where home is."""
    return find_directory(environment, "XDG_CONFIG_HOME", ".config") / "systemd" / "user" / UNIT


def plan_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """What a service has to be told, because the user's systemd knows nothing of it."""
    kept = (name for name in (*WORLD, "PATH") if name != "XDG_RUNTIME_DIR" or "BANGER_HOME" not in environment)
    return {name: environment[name] for name in kept if environment.get(name)}


def render_unit(*, argv: Sequence[str], environment: Mapping[str, str], log: Path) -> str:
    """The unit file (systemd.service(5)). Raises `Invalid` for words that no unit file can hold.

    `KillMode=process`: only the daemon ends with the service. VMs go on, and the next daemon adopts them.
    """
    lines = [
        "# Written by `banger system install`; `banger system uninstall` removes it.",
        "[Unit]",
        "Description=banger: disposable Linux machines",
        "",
        "[Service]",
        "Type=exec",
        f"ExecStart={' '.join(_quote(word).replace('$', '$$') for word in argv)}",
        *(f"Environment={_quote(f'{name}={value}')}" for name, value in sorted(environment.items())),
        f"StandardOutput=append:{_specifiers(str(log))}",
        "StandardError=inherit",
        "Restart=on-failure",
        "RestartSec=1",
        "KillMode=process",
        "UMask=0077",
        "",
        "[Install]",
        "WantedBy=default.target",
    ]
    return "\n".join(lines) + "\n"


def _quote(word: str) -> str:
    escaped = word.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{_specifiers(escaped)}"'


def _specifiers(word: str) -> str:
    if not word.isprintable():
        raise Invalid(f"{printable(word)} cannot stand in a unit file", hint=_NOT_NEEDED)
    return word.replace("%", "%%")
