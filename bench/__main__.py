"""`python -m bench [--only NAME ...]`: measure, and write docs/performance.md or the sections NAME of it."""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from tests.world import World, kept_cache

from banger.core.layout import Layout
from bench.bare import MEMORY_MIB, Bare
from bench.commands import exec_figure, quick_figures, run_figure
from bench.files import copy_figures
from bench.images import image_figures
from bench.measure import TURNS, Figure
from bench.memory import crowd_figure, memory_figures
from bench.page import Section, describe_computer, keep
from bench.sections import COMMANDS, CROWD, FILES, IMAGES, MANY_FILES, MEMORY, RUN, SECTIONS

SIZE_BYTES = 100 << 20


@dataclass(frozen=True)
class Guests:
    """What figures about guests are measured with: a banger, and a QEMU without one."""

    world: World
    bare: Bare
    directory: Path


async def measure_run(with_: Guests) -> list[Figure]:
    return [await asyncio.to_thread(run_figure, with_.world, with_.bare, with_.directory)]


async def measure_commands(with_: Guests) -> list[Figure]:
    figures = await asyncio.to_thread(quick_figures, with_.world)
    return [*figures, await exec_figure(with_.world, with_.bare)]


async def measure_memory(with_: Guests) -> list[Figure]:
    return await memory_figures(with_.world, with_.bare)


async def measure_crowd(with_: Guests) -> list[Figure]:
    return [await crowd_figure(with_.world, with_.bare)]


async def measure_files(with_: Guests) -> list[Figure]:
    return await copy_figures(with_.world, with_.bare, with_.directory, files=5000, size_bytes=SIZE_BYTES, turns=TURNS)


async def measure_many_files(with_: Guests) -> list[Figure]:
    """Once, for it takes minutes."""
    return await copy_figures(
        with_.world, with_.bare, with_.directory, files=100_000, size_bytes=SIZE_BYTES, turns=1, warm=0
    )


GROUPS: dict[Section, Callable[[Guests], Awaitable[list[Figure]]]] = {
    RUN: measure_run,
    COMMANDS: measure_commands,
    MEMORY: measure_memory,
    CROWD: measure_crowd,
    FILES: measure_files,
    MANY_FILES: measure_many_files,
}


async def measure_with_guests(groups: list[Section]) -> None:
    """Each section is written as soon as it is measured."""
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
        where = f"{describe_computer()},\nguests under {'KVM' if bare.accelerator == 'kvm' else 'software emulation'}"
        try:
            for section in groups:
                bare.memory_mib = MEMORY_MIB
                keep(SECTIONS, section, await GROUPS[section](Guests(world, bare, directory)), where)
        finally:
            world.end()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    names = [section.name for section in SECTIONS]
    parser.add_argument("--only", nargs="+", choices=names, default=names, metavar="NAME", help=", ".join(names))
    only = parser.parse_args().only
    if groups := [section for section in GROUPS if section.name in only]:
        asyncio.run(measure_with_guests(groups))
    if IMAGES.name in only:
        keep(SECTIONS, IMAGES, image_figures(TURNS), describe_computer())


if __name__ == "__main__":
    main()
