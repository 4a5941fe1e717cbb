"""docs/tested-images.md: written by the run that it tells of."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass

from tests.images.makers import MAKERS
from tests.images.proving import Outcome
from tests.world import REPOSITORY

PAGE = REPOSITORY / "docs" / "tested-images.md"


@dataclass(frozen=True)
class Booted:
    """An entry of a catalogue, and what its guest says of itself."""

    name: str
    platform: str
    said: str


def render(outcomes: Sequence[Outcome], booted: Sequence[Booted]) -> str:
    says = {maker.name: maker.says for maker in MAKERS}
    trees = "\n".join(
        f"| `{outcome.name}` | {says[outcome.name]} | {outcome.layers} | {outcome.entries:,} |"
        f" {outcome.size_bytes / 1e6:.0f} MB | {_judge(outcome.of_image)} | {_judge(outcome.of_root)} |"
        for outcome in outcomes
    )
    entries = "\n".join(f"| `{one.name}` | {one.platform} | {one.said} |" for one in booted)
    host = f"{os.cpu_count()} processors, Linux {platform.release().split('-')[0]}"
    return f"""# Images that were tried

Written by `make test-images` ({host}). Images that nobody of this project designed are built by the tools of others, pushed to
Debian's `docker-registry`, pulled by `banger image pull` and booted. What the guest's kernel then shows is compared with
what `umoci unpack`, as root, makes of the same image: the SHA-256 of every file, targets of links, mode, owner, time to the
nanosecond, device numbers, extended attributes, and which names are of one inode.

| image | made by | layers | entries | size | the image in the guest | the root after booting |
|---|---|---|---|---|---|---|
{trees}

- *The image in the guest* is the disk as the guest's kernel mounts it: nothing is left out of the comparison.
- *The root after booting* is what programs see. Left out is what booting writes: the host's name and resolver, mount points, keys of
  ssh, the directories in which these are, and, where systemd has booted, its machine id and `/var`.

Every image of banger's own catalogue is made and booted with the catalogue's kernel for its platform, those for another
processor under emulation:

| image | platform | `uname -m`, `uname -r` in the guest |
|---|---|---|
{entries}
"""


def _judge(lines: Sequence[str]) -> str:
    return "equal" if not lines else f"**{len(lines)} differences**"


def write_page(outcomes: Sequence[Outcome], booted: Sequence[Booted]) -> None:
    PAGE.write_text(render(outcomes, booted))
