import asyncio
import os
import sys
from pathlib import Path
from typing import cast

import pytest

from banger.core.errors import TimedOut, Unavailable
from banger.core.processes import (
    CommandFailed,
    PrintedTooMuch,
    end,
    guest_proxies,
    read_identity,
    run,
    start,
    without_login,
)


async def test_output_status_and_input() -> None:
    completed = await run(["/bin/sh", "-c", "cat; echo err >&2; exit 3"], stdin=b"in", accepted=(3,))
    assert (completed.stdout, completed.stderr, completed.returncode) == (b"in", b"err\n", 3)


async def test_a_bad_status_says_the_last_line_without_control_characters() -> None:
    with pytest.raises(CommandFailed) as caught:
        await run(["/bin/sh", "-c", r"printf 'one\n\033[31mtwo\n' >&2; exit 7"])
    assert "status 7" in caught.value.summary
    assert "\\x1b[31mtwo" in caught.value.summary


async def test_a_signal_is_named() -> None:
    with pytest.raises(CommandFailed, match="SIGTERM"):
        await run(["/bin/sh", "-c", "kill -TERM $$"])


async def test_a_program_that_is_not_there() -> None:
    with pytest.raises(Unavailable):
        await run(["/nonexistent/program"])


async def test_a_deadline_ends_the_whole_session(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    with pytest.raises(TimedOut):
        await run(["/bin/sh", "-c", f"sleep 600 & echo $! > {pid_file}; wait"], timeout_s=0.5)
    child = int(pid_file.read_text())
    for _ in range(1000):
        if read_identity(child) is None:
            break
        await asyncio.sleep(0.01)
    assert read_identity(child) is None


async def test_the_environment_is_built_from_a_list() -> None:
    os.environ["BANGER_TEST_SECRET"] = "s"
    try:
        completed = await run(
            [sys.executable, "-c", "import os; print(sorted(os.environ))"], environment={"EXTRA": "1"}
        )
    finally:
        del os.environ["BANGER_TEST_SECRET"]
    assert b"BANGER_TEST_SECRET" not in completed.stdout
    assert b"EXTRA" in completed.stdout


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
async def test_a_program_that_prints_for_ever_is_ended(stream: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """And not when its time is up: until then it would have filled our memory."""
    monkeypatch.setattr("banger.core.processes._OUTPUT_LIMIT_BYTES", 1 << 20)
    with pytest.raises(PrintedTooMuch, match=r"printed more than 1048576 bytes"):
        await run(["yes"] if stream == "stdout" else ["bash", "-c", "exec yes >&2"], timeout_s=600)


async def test_a_program_that_reads_nothing_of_its_input() -> None:
    assert (await run(["echo", "done"], stdin=bytes(4 << 20))).stdout == b"done\n"


@pytest.mark.parametrize(
    ("proxy", "shown"),
    [
        ("http://proxy.example:3128", "http://proxy.example:3128"),
        ("http://user:secret@proxy.example:3128/", "http://proxy.example:3128/"),
        ("user:secret@proxy.example", "proxy.example"),
        ("http://user:se@cret@[::1]:80", "http://[::1]:80"),
        ("http://user:se/cret@proxy.example", ""),
        ("localhost,.example.com", "localhost,.example.com"),
    ],
)
def test_a_proxy_without_its_password(proxy: str, shown: str) -> None:
    assert without_login(proxy) == shown


def test_what_guests_are_told_of_proxies_has_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTPS_PROXY", "all_proxy"):
        monkeypatch.setenv(
            name, "http://user:sec/ret@p.example" if name == "all_proxy" else "http://user:secret@p.example"
        )
    found = guest_proxies()
    assert found["http_proxy"] == found["HTTPS_PROXY"] == "http://p.example"
    assert "all_proxy" not in found
    assert "secret" not in str(found)


async def test_a_signal_without_a_name_is_a_number() -> None:
    with pytest.raises(CommandFailed, match="signal 40"):
        await run(["/bin/sh", "-c", "kill -40 $$"])


async def test_a_process_may_call_itself_anything() -> None:
    code = r"import sys; open('/proc/self/comm', 'wb').write(b'\xff) Z (\xfe'); print(flush=True); sys.stdin.read()"
    process = await start([sys.executable, "-c", code], stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    await process.stdout.readline()
    identity = read_identity(process.pid)
    await end(process)
    assert identity is not None
    assert identity.pid == process.pid


class Hanging:
    """A process that the kernel does not let go: SIGKILL does nothing to it."""

    returncode = None
    stdout = stderr = None

    def __init__(self, pid: int) -> None:
        self.pid = pid

    async def wait(self) -> int:
        await asyncio.Event().wait()
        return 0


async def test_a_process_that_hangs_in_the_kernel_is_not_waited_for() -> None:
    process = await start([sys.executable, "-c", "input()"])
    await end(cast("asyncio.subprocess.Process", Hanging(process.pid)), deadline_s=0.05)
    await end(process)
