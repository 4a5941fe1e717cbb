import asyncio
import os
import sys
from pathlib import Path

from banger.core.processes import start
from banger.hypervisor.console import read_console
from banger.hypervisor.vmm_log import LIMIT_BYTES, LogDrain, clear_log, open_for_vmm


async def say(pipe: Path, program: str) -> asyncio.subprocess.Process:
    """A VMM that prints."""
    descriptor = open_for_vmm(pipe)
    try:
        return await start([sys.executable, "-c", program], stdout=descriptor, stderr=descriptor)
    finally:
        os.close(descriptor)


async def test_what_was_said_last_is_there_after_the_end(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("of an earlier run")
    clear_log(log)
    process = await say(tmp_path / "pipe", "input(); print('no such disk')")
    drain = LogDrain(tmp_path / "pipe", log)
    await process.wait()
    drain.close()
    drain.close()
    assert b"EOFError" in log.read_bytes()
    assert (tmp_path / "pipe").stat().st_mode & 0o777 == 0o600


async def test_a_flood_stays_within_the_limit_and_goes_on(tmp_path: Path) -> None:
    program = """
import os
for number in range(100_000):
    try:
        os.write(1, b"qemu: the guest is at it again, %09d\\n" % number)
    except BlockingIOError:
        pass
"""
    process = await say(tmp_path / "pipe", program)
    drain = LogDrain(tmp_path / "pipe", tmp_path / "log", pause_s=0)
    await process.wait()
    drain.close()
    content = read_console(tmp_path / "log")
    assert 0 < len(content) <= LIMIT_BYTES
    assert content.startswith(b"qemu: the guest") or b"\nqemu: the guest" in content


async def test_nobody_has_to_listen(tmp_path: Path) -> None:
    program = """
import os
said = 0
while True:
    try:
        said += os.write(1, b"x" * 1000)
    except BlockingIOError:
        break
"""
    process = await say(tmp_path / "pipe", program + "\nraise SystemExit(7)\n")
    assert await process.wait() == 7


async def test_a_later_daemon_reads_on(tmp_path: Path) -> None:
    process = await say(tmp_path / "pipe", "import os, time\nos.write(1, b'first\\n')\nwhile True: time.sleep(1)")
    log = tmp_path / "log"
    first = LogDrain(tmp_path / "pipe", log)
    while b"first" not in read_console(log):
        await asyncio.sleep(0.01)
    first.close()
    second = LogDrain(tmp_path / "pipe", log)
    with (tmp_path / "pipe").open("wb", buffering=0) as other:
        other.write(b"second\n")
    while b"second" not in read_console(log):
        await asyncio.sleep(0.01)
    second.close()
    process.kill()
    await process.wait()
    assert read_console(log) == b"first\nsecond\n"
