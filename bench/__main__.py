"""`python -m bench [machines|images]`: measure all or a part, and write docs/performance.md or that part of it."""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.world import REPOSITORY, World, kept_cache

from banger.core.layout import Layout
from banger.core.sockets import connect_unix
from banger.guest.channel import Channel
from banger.guest.process import ExecRequest
from bench.bare import Bare, resident_kib, write_sample_repository
from bench.images import image_figures
from bench.measure import Figure, alternate, row, timed

TURNS = int(os.environ.get("BENCH_TURNS", "5"))
IMAGES_HEADING = "## Images of registries"
CROWD = int(os.environ.get("BENCH_VMS", "30"))
CROWD_MIB = 192
IDLE_AFTER_S = 25  # guests have booted to the end
EXEC = ExecRequest(argv=["true"], environment={"PATH": "/usr/bin:/bin"})


def python_floor(world: World) -> float:
    return timed(lambda: subprocess.run([sys.executable, "-c", "pass"], env=world.environment, check=True))


def command(world: World, *arguments: str) -> float:
    return timed(lambda: world.succeed(*arguments))


def script(world: World, *arguments: str) -> float:
    """The installed command rather than `python -m banger`."""
    program = Path(sys.executable).parent / "banger"
    return timed(
        lambda: subprocess.run([program, *arguments], env=world.environment, check=True, stdout=subprocess.DEVNULL)
    )


def start_up(world: World, bare: Bare, directory: Path) -> list[Figure]:
    repository = directory / "small"
    write_sample_repository(repository, files=20, size_bytes=100_000)
    size = ("--memory", str(bare.memory_mib), "--vcpu", str(bare.vcpu))
    return [
        alternate(
            "`vm run --rm -- true` in a repository of 20 files",
            "bare QEMU until the agent's first answer, and its end",
            value=lambda: command(world, "vm", "run", "--rm", *size, str(repository), "--", "true"),
            base=bare.boot_once,
            reach=1.25,
            turns=TURNS,
            unit="s",
        ),
        alternate(
            "`banger --help`",
            "`python3 -c pass`",
            value=lambda: script(world, "--help"),
            base=lambda: python_floor(world),
            reach=3,
            turns=TURNS * 4,
            unit="s",
        ),
        alternate(
            "Tab after `banger vm exec`",
            "`python3 -c pass`",
            value=lambda: script(world, "internal-complete", "fish", "--", "vm", "exec", ""),
            base=lambda: python_floor(world),
            reach=6,
            turns=TURNS * 4,
            unit="s",
        ),
    ]


async def exec_floor(channel: Channel) -> float:
    began = time.perf_counter()
    async with channel.exec(EXEC) as process:
        while await process.read() is not None:
            pass
        await process.wait()
    return time.perf_counter() - began


async def exec_figure(world: World, bare: Bare) -> Figure:
    """`vm exec` on a banger VM against the same request on an open channel of a bare one, both idle."""
    world.succeed("vm", "run", "-d", "--no-workspace", "--name", "box", "--memory", str(bare.memory_mib))
    values, floors = [], []
    async with bare.running() as (channel, _):
        await asyncio.sleep(IDLE_AFTER_S)
        for turn in range(TURNS * 4 + 1):
            value = await asyncio.to_thread(script, world, "vm", "exec", "box", "--", "true")
            floor = await exec_floor(channel)
            if turn:
                values.append(value)
                floors.append(floor)
    world.succeed("vm", "delete", "box")
    return Figure("`vm exec box -- true`", "the same request on an open channel", "s", values, floors, 3)


def list_figure(world: World) -> Figure:
    from bench.rows import insert_rows

    insert_rows(world, 20)
    figure = alternate(
        "`vm list --json`, 20 VMs",
        "`python3 -c pass`",
        value=lambda: script(world, "vm", "list", "--json"),
        base=lambda: python_floor(world),
        reach=6,
        turns=TURNS * 4,
        unit="s",
    )
    world.succeed("vm", "delete", *[vm["name"] for vm in world.vms()])
    return figure


async def copy_figure(
    world: World, bare: Bare, directory: Path, *, files: int, size_bytes: int, turns: int, warm: int = 1
) -> list[Figure]:
    """A repository into the guest, against the same files through a port that nobody else uses; and ten files of it
    again, against all of it.
    """
    repository = directory / f"repository-{files}"
    write_sample_repository(repository, files=files, size_bytes=size_bytes)
    values, floors, again = [], [], []
    for turn in range(turns + warm):
        name = f"copy{turn}"
        world.succeed("vm", "run", "-d", "--name", name, "--memory", "1G", str(repository))
        seconds = _copy_seconds(world)
        for number in range(10):
            with next(repository.glob(f"d*/e*/file{number}.txt")).open("a") as file:
                file.write(f"changed {turn}\n")
        prepared = world.json("vm", "workspace", "prepare", name, str(repository))
        assert prepared["files"] == 10, prepared
        world.succeed("vm", "delete", name)
        await bare.renew_disk()
        async with bare.running(with_port=True) as (channel, _):
            floor = await tar_floor(channel, bare.port, repository)
        if turn >= warm:
            values.append(seconds)
            floors.append(floor)
            again.append(prepared["elapsed_s"])
    what = f"{files:,} files, {size_bytes >> 20} MB"
    return [
        Figure(f"{what}, into the guest", "`tar` of the same files into bare virtio-serial", "s", values, floors, 1.5),
        Figure(f"ten files of {files:,} once more", "`tar` of all files, as above", "s", again, floors, 1),
    ]


def _copy_seconds(world: World) -> float:
    """How long the daemon says the copy took, from its log."""
    lines = [line for line in (world.state / "daemon.log").read_text().splitlines() if "workspace copied in" in line]
    return float(lines[-1].split()[-2])


# GNU tar takes a device for a tape, and a short read for its end: `-B` and standard input.
TAR_IN_GUEST = """
mkdir /root/t
for port in /sys/class/virtio-ports/*; do
    [ "$(cat "$port/name")" = bench.tar ] && exec tar -xBf - -C /root/t <"/dev/${port##*/}"
done
exit 9
"""


async def tar_floor(channel: Channel, port: Path, repository: Path) -> float:
    """Seconds from the start of one `tar`, which writes into QEMU's socket, to the end of the other in the guest.

    The bytes go through a virtio-serial port of their own; the agent starts the guest's `tar` and tells how it ended.
    """
    request = ExecRequest(argv=["sh", "-c", TAR_IN_GUEST], environment={"PATH": "/usr/bin:/bin"})
    # Connected from before to after: a port without anybody at its other end reads as ended.
    with connect_unix(port) as connection:
        async with channel.exec(request) as process:
            began = time.perf_counter()
            tar = await asyncio.create_subprocess_exec(
                *("tar", "-C", str(repository), "--exclude=.git", "-cf", "-", "."), stdout=connection.fileno()
            )
            sent = await tar.wait()
            while (chunk := await process.read()) is not None:
                print(chunk.data.decode(errors="replace"), file=sys.stderr)
            status = await process.wait()
    assert (sent, status.code) == (0, 0), (sent, status)
    return time.perf_counter() - began


async def memory_figures(world: World, bare: Bare) -> list[Figure]:
    """Each turn has an idle VM, an idle bare one and an idle Python of its own; the daemon is the one that serves."""
    script_text = (
        "import asyncio\nasync def m():\n    print('r', flush=True)\n    await asyncio.sleep(600)\nasyncio.run(m())"
    )
    guest = Figure("memory of an idle VM beyond its guest RAM", "bare QEMU with the same guest", "MiB", [], [], 1.1)
    served = Figure("memory of the daemon", "a bare asyncio Python", "MiB", [], [], 3)
    for _ in range(TURNS):
        world.succeed("vm", "run", "-d", "--no-workspace", "--name", "box", "--memory", str(bare.memory_mib))
        pid = world.vms()[0]["pid"]
        daemon = world.daemon_pid()
        assert daemon is not None
        await bare.renew_disk()
        with subprocess.Popen([sys.executable, "-c", script_text], stdout=subprocess.PIPE) as plain:
            assert plain.stdout is not None
            plain.stdout.readline()
            async with bare.running() as (_, bare_pid):
                await asyncio.sleep(IDLE_AFTER_S)
                guest.values.append(resident_kib(pid, beyond_mib=bare.memory_mib) / 1024)
                guest.floors.append(resident_kib(bare_pid, beyond_mib=bare.memory_mib) / 1024)
                served.values.append(resident_kib(daemon) / 1024)
                served.floors.append(resident_kib(plain.pid) / 1024)
            plain.kill()
        world.succeed("vm", "delete", "box")
    return [guest, served]


async def crowd_figure(world: World, bare: Bare) -> Figure:
    """What each of many idle VMs costs the host, with its share of what the daemon has grown by."""
    daemon = world.daemon_pid()
    assert daemon is not None
    alone_kib = resident_kib(daemon)
    names = [f"crowd{number}" for number in range(CROWD)]
    for name in names:
        world.succeed("vm", "run", "-d", "--no-workspace", "--name", name, "--memory", str(CROWD_MIB))
    bare.memory_mib = CROWD_MIB
    floors = []
    for _ in range(TURNS):
        await bare.renew_disk()
        async with bare.running() as (_, bare_pid):
            await asyncio.sleep(IDLE_AFTER_S)
            floors.append(resident_kib(bare_pid, beyond_mib=CROWD_MIB) / 1024)
    share_kib = (resident_kib(daemon) - alone_kib) / CROWD
    values = [(resident_kib(vm["pid"], beyond_mib=CROWD_MIB) + share_kib) / 1024 for vm in world.vms()]
    world.succeed("vm", "delete", *names)
    name = f"memory of each of {CROWD} idle VMs beyond its guest RAM, with its share of the daemon"
    return Figure(name, "bare QEMU with the same guest", "MiB", values, floors, 1.1)


def render_table(figures: list[Figure]) -> str:
    lines = [
        "| figure | banger | floor | what the floor is | ratio | reach | met |",
        "|---|---|---|---|---|---|---|",
        *(row(figure) for figure in figures),
    ]
    return "\n".join(lines)


def describe_computer() -> str:
    cpu = next(
        (line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line),
        "unknown processor",
    )
    return (
        f"Measured on {os.cpu_count()} processors ({cpu}), Linux {platform.release()},"
        f" Python {platform.python_version()}"
    )


def render_machines(figures: list[Figure], accelerator: str) -> str:
    """The first part of the page."""
    return f"""# Performance

Written by `make bench` (`python -m bench`), which measures each figure and the floor it is divided by in turns in the
same run and takes the medians of {TURNS} turns or more. What matters is the ratio: the times are those of one machine.

{describe_computer()},
guests under {"KVM" if accelerator == "kvm" else "software emulation"}.

{render_table(figures)}

- The floor of a run has the same kernel, initramfs, image and size, and no daemon, journal, workspace or command line.
- `vm exec` begins with the start of a Python, and ends with a process in the guest; the floor has only the latter.
- Memory is the proportional set size. Of a VM the guest's RAM is left out, so what is left is QEMU itself, whose cache
  of translated code is most of it under emulation; it differs from boot to boot.
- The repository is packed with its history, checked and written by the agent; the floor is one `tar` into another,
  through a virtio-serial port without agent, frames or windows. Its 100,000 files are measured once.
- Ten files once more: from the request to the last file in its place and on the guest's disk. Both sides look at all
  files, and what moves is ten.
"""


def render_images(figures: list[Figure]) -> str:
    """The second part."""
    return f"""{IMAGES_HEADING}

Written by `python -m bench images`, and by `make bench` too. {describe_computer()}.

{render_table(figures)}

- The image has 300 MB of the default image's files in three layers that are compressed by gzip, and a layer of 10 MB
  that the second image has another of. The registry is Debian's `docker-registry`, on the same computer.
- Both begin with an empty store and end with a file system image that a machine can boot; what was fetched or unpacked
  for the first image may be used for the second. banger's image is on the disk (fsync) when it says so.
- Memory is the peak of what the daemon grew by and of the command together; of the others it is that of the largest.
"""


def keep(part: str) -> None:
    """Write one part of the page; the other stays."""
    path = REPOSITORY / "docs" / "performance.md"
    machines, heading, images = path.read_text().partition(IMAGES_HEADING)
    if part.startswith(IMAGES_HEADING):
        path.write_text(f"{machines.rstrip()}\n\n{part}")
    else:
        path.write_text(f"{part}\n{heading}{images}" if heading else part)
    print(part)


def tell(figures: list[Figure]) -> None:
    """All values, for who wants to see how far apart they are."""
    for figure in figures:
        print(figure.name, *(f"{value:.3f}" for value in figure.values), "/", *(f"{f:.3f}" for f in figure.floors))


def measure_images() -> None:
    figures = image_figures(TURNS)
    keep(render_images(figures))
    tell(figures)


async def measure_machines() -> None:
    with tempfile.TemporaryDirectory() as temporary:
        directory = Path(temporary)
        world = World(directory / "w", cache=kept_cache())
        world.root.mkdir()
        world.succeed("image", "pull", timeout_s=1800)
        bare_root = directory / "bare"
        layout = Layout(
            config=bare_root / "c", state=bare_root / "s", cache=kept_cache() / "banger", run=bare_root / "r"
        )
        bare = Bare(layout)
        await bare.prepare()
        try:
            figures = await asyncio.to_thread(start_up, world, bare, directory)
            figures.append(await exec_figure(world, bare))
            figures.append(await asyncio.to_thread(list_figure, world))
            figures += await memory_figures(world, bare)
            figures.append(await crowd_figure(world, bare))
            bare.memory_mib = 1024
            figures += await copy_figure(world, bare, directory, files=5000, size_bytes=100 << 20, turns=TURNS)
            figures += await copy_figure(world, bare, directory, files=100_000, size_bytes=100 << 20, turns=1, warm=0)
        finally:
            world.end()
        keep(render_machines(figures, bare.accelerator))
        tell(figures)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("part", nargs="?", choices=("machines", "images"))
    part = parser.parse_args().part
    if part != "images":
        asyncio.run(measure_machines())
    if part != "machines":
        measure_images()


if __name__ == "__main__":
    main()
