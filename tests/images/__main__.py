"""`python -m tests.images [--only NAME ...] [--kept DIRECTORY]`: try real images, and every image of the catalogue."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

from tests.images.listing import build_lister
from tests.images.makers import MAKERS, Maker
from tests.images.page import Booted, write_page
from tests.images.proving import Outcome, build, open_world, prove
from tests.images.tools import missing, run_foreign_programs
from tests.world import World, kept_cache

from banger.catalogue.embedded import read_embedded

CATALOGUE = "catalogue"
SHOWN = 20
LONG_S = 3600


def prove_all(makers: list[Maker], directory: Path, kept: Path) -> None:
    """What comes of each image is kept, so that a run that was interrupted goes on where it was."""
    listers = {machine: build_lister(directory, machine) for machine in sorted({maker.machine for maker in makers})}
    with open_world(directory / "trees", kept_cache() / "banger" / "kernels") as (world, registry):
        for maker in makers:
            outcome = prove(maker, world, registry, directory=kept / maker.name, lister=listers[maker.machine])
            (kept / f"{maker.name}.json").write_text(json.dumps(asdict(outcome)))
            judged = "equal" if outcome.is_equal else "NOT EQUAL"
            print(
                f"{maker.name}: {outcome.layers} layers, {outcome.entries} entries,"
                f" {outcome.size_bytes / 1e6:.0f} MB: {judged}, in {outcome.seconds:.0f} s",
                flush=True,
            )
            for what, lines in (("image", outcome.of_image), ("root", outcome.of_root)):
                for line in lines[:SHOWN]:
                    print(f"  {what}: {line}", flush=True)


def boot_catalogue(directory: Path, kept: Path) -> None:
    """Every image of the catalogue that banger has in itself, for every platform."""
    world = World(directory / "catalogue", cache=kept_cache())
    world.root.mkdir()
    run_foreign_programs()
    try:
        for name, platform in list_catalogue():
            result = kept / f"{name_booted(name, platform)}.json"
            if not result.exists():
                result.write_text(json.dumps(asdict(boot(world, name, platform))))
        world.check_nothing_left()
    finally:
        world.end()


def list_catalogue() -> list[tuple[str, str]]:
    return [(entry.name, entry.platform) for entry in read_embedded().entries if entry.kind == "image"]


def name_booted(name: str, platform: str) -> str:
    return f"catalogue-{name}-{platform.replace('/', '-')}"


def boot(world: World, name: str, platform: str) -> Booted:
    """Make an image, boot it, and ask what it is."""
    began = time.monotonic()
    world.succeed("image", "pull", "-q", name, "--platform", platform, timeout_s=LONG_S)
    command = ("vm", "run", "-q", "--rm", "--no-workspace", "--image", name, "--platform", platform)
    kernel, machine = world.succeed(*command, "--", "uname", "-rm", timeout_s=LONG_S).decode().split()
    print(f"{name} {platform}: {machine}, {kernel}, in {time.monotonic() - began:.0f} s", flush=True)
    return Booted(name, platform, f"`{machine}`, `{kernel}`")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.images", description=__doc__)
    names = [*(maker.name for maker in MAKERS), CATALOGUE]
    parser.add_argument("--only", nargs="+", choices=names, default=names, help="some of them; leaves the page alone")
    parser.add_argument("--kept", type=Path, help="where to keep what is done, for a run that goes on with it")
    parser.add_argument("--build", action="store_true", help="only build")
    options = parser.parse_args()
    if os.geteuid() != 0:
        sys.exit("owners and devices are compared: run this as root")
    makers = [maker for maker in MAKERS if maker.name in options.only]
    absent = missing(
        "umoci", "skopeo", "docker-registry", *(need for maker in makers for need in maker.needs), "update-binfmts"
    )
    if absent:
        sys.exit(f"not installed: {', '.join(absent)}")
    with tempfile.TemporaryDirectory() as temporary:
        kept: Path = options.kept or Path(temporary) / "kept"
        kept.mkdir(parents=True, exist_ok=True)
        waiting = [maker for maker in makers if not (kept / f"{maker.name}.json").exists()]
        for maker in waiting:
            build(maker, kept / maker.name)
        if options.build:
            return
        prove_all(waiting, Path(temporary), kept)
        if CATALOGUE in options.only:
            boot_catalogue(Path(temporary), kept)
        outcomes = [Outcome(**json.loads((kept / f"{maker.name}.json").read_bytes())) for maker in makers]
        if set(options.only) == set(names):
            booted = [(kept / f"{name_booted(*entry)}.json").read_bytes() for entry in list_catalogue()]
            write_page(outcomes, [Booted(**json.loads(one)) for one in booted])
    if not all(outcome.is_equal for outcome in outcomes):
        sys.exit(1)


if __name__ == "__main__":
    main()
