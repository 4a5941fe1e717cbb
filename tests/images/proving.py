"""One image from its making to the guest: built, pushed, pulled, booted, and compared with what umoci unpacks."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.fakes.debian_registry import DebianRegistry, run_registry
from tests.images.listing import Listing, describe_directory, differences, parse_listing
from tests.images.makers import Maker
from tests.images.tools import Layout, push
from tests.world import World

# What is mounted or written before anything of the image runs, and the program that lists.
BOOT = (
    *(b"dev", b"proc", b"run", b"sys", b"tmp", b"lister"),
    *(b"etc/hostname", b"etc/hosts", b"etc/resolv.conf"),
    *(b"etc/ssh/ssh_host_ed25519_key", b"etc/ssh/ssh_host_ed25519_key.pub", b"root/.ssh/authorized_keys"),
    *(b"lib/modules", b"usr/lib/modules", b"var/lib/containerd", b"var/lib/docker"),
)
# What systemd and its helpers make, besides everything below /var.
SYSTEMD = (b"etc/machine-id", b"etc/.updated", b"etc/ssh", b"etc/ld.so.cache", b"etc/mtab", b"etc/localtime")


@dataclass(frozen=True)
class Outcome:
    """What came of one image. Each difference is a line."""

    name: str
    layers: int
    entries: int
    size_bytes: int
    of_image: list[str]
    of_root: list[str]
    seconds: float

    @property
    def is_equal(self) -> bool:
        return not self.of_image and not self.of_root


@contextmanager
def open_world(directory: Path, kernels: Path) -> Iterator[tuple[World, DebianRegistry]]:
    """A banger with an image store of its own, and a registry that it is configured to use."""
    cache = directory / "cache"
    (cache / "banger").mkdir(parents=True)
    (cache / "banger" / "kernels").symlink_to(kernels)
    world = World(directory / "w", cache=cache)
    configuration = world.root / "config" / "banger" / "config.toml"
    configuration.parent.mkdir(parents=True)
    with run_registry(directory / "registry") as registry:
        configuration.write_text(f'[registries."{registry.host}"]\nplain_http = true\n')
        try:
            yield world, registry
            world.check_nothing_left()
        finally:
            world.end()


def build(maker: Maker, directory: Path) -> None:
    """Make an image where it is looked for, unless it is there."""
    if directory.exists():
        return
    making = directory.with_name(f"{directory.name}.making")
    shutil.rmtree(making, ignore_errors=True)
    making.mkdir()
    layout = Layout(making)
    maker.build(layout, making)
    directory.mkdir()
    layout.path.rename(Layout(directory).path)
    shutil.rmtree(making)


def prove(maker: Maker, world: World, registry: DebianRegistry, *, directory: Path, lister: Path) -> Outcome:
    """Everything with one image; what was built stays in `directory`."""
    began = time.monotonic()
    build(maker, directory)
    layout, platform = Layout(directory), ("--platform", maker.platform)
    try:
        push(layout, registry.host, maker.name, *maker.pushing)
        world.succeed("image", "pull", "-q", f"{registry.host}/{maker.name}", "--name", maker.name, *platform)
        with running(world, maker.name, lister, *platform) as list_tree:
            of_image, of_root = list_tree("image"), list_tree("root")
        expected = forget_times(describe_directory(layout.unpack()), of_image, maker)
        shown = world.json("image", "show", maker.name, *platform)
        world.succeed("image", "delete", maker.name, *platform)
        return Outcome(
            name=maker.name,
            layers=layout.count_layers(),
            entries=len(expected),
            size_bytes=shown["size_bytes"],
            of_image=differences(expected, of_image),
            of_root=differences(expected, of_root, is_excused=excuses(maker)),
            seconds=time.monotonic() - began,
        )
    finally:
        layout.forget()


@contextmanager
def running(world: World, image: str, lister: Path, *options: str) -> Iterator[Callable[[str], Listing]]:
    """A guest in which trees can be listed."""
    world.succeed("vm", "create", "box", "-q", "--image", image, "--memory", "1G", *options)
    try:
        world.succeed("vm", "cp", str(lister), "box:/lister")
        listing = ("vm", "exec", "box", "--user", "root", "--cwd", "/", "--", "/lister")
        yield lambda what: parse_listing(world.succeed(*listing, what, timeout_s=900))
    finally:
        world.succeed("vm", "delete", "box")


def forget_times(expected: Listing, found: Listing, maker: Maker) -> Listing:
    """What is expected, without the times that umoci makes up."""
    from dataclasses import replace

    return {
        path: replace(entry, mtime_ns=found[path].mtime_ns) if path in maker.times_unknown and path in found else entry
        for path, entry in expected.items()
    }


def excuses(maker: Maker) -> Callable[[bytes], bool]:
    """Which paths a guest that has booted changes. Directories that something is written in have another time."""
    written = {*BOOT, *(SYSTEMD if maker.has_init else ())}
    above = {
        b"/".join(parts[:count]) for parts in (path.split(b"/") for path in written) for count in range(len(parts))
    }

    def is_excused(path: bytes) -> bool:
        parts = path.split(b"/")
        if maker.has_init and parts[0] == b"var":
            return True
        return path in above or any(b"/".join(parts[:count]) in written for count in range(1, len(parts) + 1))

    return is_excused
