"""A small `systemctl --user` and `loginctl`: keeps units enabled, and really starts and ends what they say."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

STATE = Path(os.environ["FAKE_SYSTEMD"])
UNITS = Path(os.environ["XDG_CONFIG_HOME"]) / "systemd" / "user"


def read_unit(name: str) -> dict[str, list[str]]:
    settings: dict[str, list[str]] = {}
    for key, value in re.findall(r"^(\w+)=(.*)$", (UNITS / name).read_text(), re.MULTILINE):
        settings.setdefault(key, []).append(value.replace("%%", "%"))
    return settings


def pid_of(name: str) -> int | None:
    """The main process, if it lives and is no zombie."""
    with suppress(OSError, ValueError):
        pid = int((STATE / f"{name}.pid").read_text())
        if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z":
            return pid
    return None


def start(name: str) -> None:
    unit = read_unit(name)
    if (STATE / "broken").exists():
        return
    environment = dict(word.partition("=")[::2] for value in unit["Environment"] for word in shlex.split(value))
    with open(unit["StandardOutput"][0].removeprefix("append:"), "ab") as log:
        process = subprocess.Popen(
            [word.replace("$$", "$") for word in shlex.split(unit["ExecStart"][0])],
            env={**{name: os.environ[name] for name in ("HOME", "XDG_RUNTIME_DIR")}, **environment},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            cwd="/",
        )
    (STATE / f"{name}.pid").write_text(str(process.pid))


def stop(name: str) -> None:
    """As `KillMode=process` has it: only the main process."""
    if (pid := pid_of(name)) is not None:
        os.kill(pid, signal.SIGTERM)
        while pid_of(name) is not None:
            time.sleep(0.02)


def systemctl(words: list[str]) -> int:
    assert words[0] == "--user"
    verb, *rest = words[1:]
    name = rest[-1] if rest else ""
    enabled = STATE / f"{name}.enabled"
    if (STATE / "absent").exists():
        sys.stderr.write("Failed to connect to bus: No medium found\n")
        return 1
    if verb == "is-active":
        return say("active", "inactive", yes=pid_of(name) is not None)
    if verb == "is-enabled":
        return say("enabled", "disabled", yes=enabled.exists())
    if verb == "enable":
        enabled.touch()
    elif verb == "disable":
        enabled.unlink(missing_ok=True)
    elif verb not in ("stop", "restart"):
        assert verb in ("daemon-reload", "show-environment"), words
    if verb in ("disable", "stop", "restart"):
        stop(name)
    if verb == "restart":
        start(name)
    return 0


def say(positive: str, negative: str, *, yes: bool) -> int:
    sys.stdout.write(f"{positive if yes else negative}\n")
    return 0 if yes else 3


def main() -> int:
    if Path(sys.argv[1]).name == "loginctl":
        return 1
    return systemctl(sys.argv[2:])


if __name__ == "__main__":
    sys.exit(main())
