"""Writing a root file system, with progress."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from banger.core.progress import Progress
from banger.image.packages import find_packages
from banger.image.rootfs import RootfsTree
from banger.image.store import PACKAGES_FILE

_STEP_BYTES: Final = 8 << 20


def write_rootfs(
    tree: RootfsTree,
    destination: Path,
    *,
    text: str,
    report: Callable[[Progress], None],
    check: Callable[[], None],
) -> str:
    """Write the image of `tree`, telling `report` now and then, and giving up when `check` raises; its digest."""
    total = tree.content_bytes
    told = -_STEP_BYTES

    def tell(done: int) -> None:
        nonlocal told
        check()
        if done - told >= _STEP_BYTES or done == total:
            told = done
            report(Progress(stage="image", text=text, done=min(done, total), total=total, unit="bytes"))

    return tree.write_image(destination, tell)


def write_packages(tree: RootfsTree, draft: Path) -> list[str]:
    """Write the list of packages where a tree has any; the files that were written."""
    packages = find_packages(tree)
    if packages is None:
        return []
    (draft / PACKAGES_FILE).write_text(packages)
    return [PACKAGES_FILE]
