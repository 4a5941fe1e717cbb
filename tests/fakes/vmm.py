"""A VMM that is no machine: it joins the channel to the real agent, which runs its commands on this host.

As a process it is like a VMM in everything that the daemon relies on: it outlives the daemon, listens on the channel,
works in the run directory, has the VM's id on its command line, and ends when the guest switches itself off. With
BANGER_FAKE_VMM=dies it says something and ends instead. With `apart:DIRECTORY` the guest's /root, /srv and /var/log are
below that directory, in one of the VM's own that begins as a copy of `every` beside it, and everything else is this host's. With `other_agent` its agent speaks another protocol, with
`updated` from the second session on, as if the host's banger had been replaced meanwhile.
"""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

SWITCHED_OFF = 3


def die_with_us() -> None:
    """A guest does not outlive its VMM (prctl(2), PR_SET_PDEATHSIG)."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


OTHER_AGENT = """
import asyncio, socket, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from tests.fakes.agent import FakeAgent, Vice
agent = FakeAgent(root=Path("/"), vice=Vice.WRONG_VERSION)
asyncio.run(agent.serve_socket(socket.socket(fileno=int(sys.argv[1]))))
"""


# The program is held open, because it may be below one of the directories that are covered.
APART = """
exec 9<"$2"
[ -e "$1" ] || [ ! -d "${1%/*}/every" ] || cp -a "${1%/*}/every" "$1" || exit
for place in root srv var/log; do (umask 022 && mkdir -p "$1/$place") && mount --bind "$1/$place" "/$place" || exit; done
exec /proc/self/fd/9 --serve-fd "$3"
"""


def plan_agent(way: str, program: str, descriptor: int) -> list[str]:
    """What serves a session on `descriptor`."""
    if way.startswith("apart:"):
        mapped = ["--map-root-user"] if os.geteuid() else []
        command = ["sh", "-c", APART, "sh", f"{way.removeprefix('apart:')}/{sys.argv[3]}", program, str(descriptor)]
        return ["unshare", "--mount", *mapped, *command]
    if way == "other_agent":
        return [sys.executable, "-c", OTHER_AGENT, str(descriptor), str(Path(__file__).parents[2])]
    return [program, "--serve-fd", str(descriptor)]


def main() -> int:
    if os.environ.get("BANGER_FAKE_VMM") == "dies":
        sys.stderr.write("first line\nvmm: it is broken\n")
        return 1
    listener = socket.socket(fileno=int(sys.argv[1]))
    agent = sys.argv[2]
    way = os.environ.get("BANGER_FAKE_VMM", "")
    while True:
        connection, _ = listener.accept()
        with connection:
            process = subprocess.Popen(
                plan_agent(way, agent, connection.fileno()),
                pass_fds=[connection.fileno()],
                preexec_fn=die_with_us,  # noqa: PLW1509 - there is one thread
            )
        if process.wait() == SWITCHED_OFF:
            return 0
        if way == "updated":
            way = "other_agent"


if __name__ == "__main__":
    sys.exit(main())
