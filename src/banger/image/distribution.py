"""The default image from Debian's signed archive, by mmdebstrap, with or without root."""

from __future__ import annotations

import gzip
import os
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from typing import Final

from banger.core.debian import (
    Mirrors,
    find_mirrors,
    read_host_proxies,
    render_apt_conf,
    render_sources,
)
from banger.core.errors import Failed
from banger.core.platforms import host_architecture
from banger.core.progress import Progress
from banger.core.provenance import Provenance
from banger.core.threads import from_thread, left_in_thread, run_in_thread
from banger.image.building import BuildLog
from banger.image.packages import find_packages
from banger.image.pinned import Fetch, fetch_wanted
from banger.image.recipe import (
    CLEARED,
    DPKG_OPTIONS,
    EMPTIED,
    ENVIRONMENT,
    ON_DEMAND,
    PROFILE,
    REMOVED,
    SSH_UNIT,
    DebianImage,
    Download,
    apt_options,
    fingerprint,
    masked_units,
    plan_mmdebstrap,
)
from banger.image.rootfs import ReadRootfs, RootfsTree
from banger.image.sandbox import HostFacts, build_directory, can_contain, check_runs_here, choose_mode, run_build
from banger.image.store import PACKAGES_FILE, ROOTFS_FILE, Image, ImageStore, plan_manifest
from banger.image.writing import write_rootfs

_HINT: Final = (
    "see whether this host reaches Debian's mirror, and whether there is space left; the daemon's log has more"
)
_PIECE_BYTES: Final = 1 << 20
_OPEN_LIMIT_BYTES: Final = 512 << 20  # of a download, when it is not packed any more


async def make_debian_image(
    store: ImageStore,
    name: str,
    *,
    host_sources: Sequence[str],
    facts: HostFacts,
    read_rootfs: ReadRootfs,
    report: Callable[[Progress], None],
    wanted: DebianImage,
    fetch: Fetch,
) -> Image:
    """Build, edit in memory, write and publish the image. Cancelling it leaves nothing.

    Without an optional download it gets another fingerprint, so that the next pull tries again.
    """
    check_runs_here(wanted.architecture, host=host_architecture())
    mode = choose_mode(facts)
    fetched = [(download, await fetch_wanted(download, fetch, report)) for download in wanted.downloads]
    downloads = [(download, path) for download, path in fetched if path is not None]
    wanted = replace(wanted, downloads=tuple(download for download, _ in downloads))
    async with left_in_thread(store.content.draft()) as draft:
        archive = draft / "rootfs.tar"
        report(Progress(stage="image", text=f"building {name} from Debian's archive"))
        await _bootstrap(wanted, archive, draft=draft, mode=mode, host_sources=host_sources, report=report)
        tell = from_thread(report)

        def write(check: Callable[[], None]) -> Image:
            with ExitStack() as opened:
                extra = [
                    (download, open_download(path, draft, opened, read_rootfs=read_rootfs, check=check))
                    for download, path in downloads
                ]
                return _write(
                    store, name, draft, archive, extra, wanted=wanted, read_rootfs=read_rootfs, report=tell, check=check
                )

        image = await run_in_thread(write)
        report(Progress(stage="image", text=f"{name} is ready"))
        return image


async def _bootstrap(
    wanted: DebianImage,
    archive: Path,
    *,
    draft: Path,
    mode: str,
    host_sources: Sequence[str],
    report: Callable[[Progress], None],
) -> None:
    """Have mmdebstrap make the archive. Raises `Failed` with its own reason."""
    sources, apt_conf = draft / "sources.list", draft / "apt.conf"
    sources.write_text(render_sources(find_mirrors(host_sources, suite=wanted.suite), suite=wanted.suite))
    apt_conf.write_text(render_apt_conf(apt_options(await read_host_proxies())))
    argv = plan_mmdebstrap(
        wanted,
        mode=mode,
        contained=mode == "root" and await can_contain(),
        output=os.fspath(archive),
        sources=os.fspath(sources),
        apt_conf=os.fspath(apt_conf),
        foreign=wanted.architecture != host_architecture(),
    )
    log = BuildLog()

    def take_line(line: bytes) -> None:
        progress = log.feed(line)
        if progress is not None:
            report(progress)

    async with build_directory(draft, mode=mode) as directory:
        status = await run_build(argv, directory=directory, take_line=take_line)
    if status != 0:
        raise Failed(f"mmdebstrap failed: {log.reason}", hint=_HINT, log=log.last_lines)


def _write(
    store: ImageStore,
    name: str,
    draft: Path,
    archive: Path,
    extra: Sequence[tuple[Download, RootfsTree]],
    *,
    wanted: DebianImage,
    read_rootfs: ReadRootfs,
    report: Callable[[Progress], None],
    check: Callable[[], None],
) -> Image:
    with archive.open("rb") as source, closing(read_rootfs(source, scratch=draft, report=lambda _: check())) as tree:
        packages = find_packages(tree) or ""
        edit(tree, wanted)
        for download, files in extra:
            for packed, path, mode in download.files:
                file = files.open(packed)
                if file is None:
                    raise Failed(f"{download.url} has no file {packed}", hint="use a newer version of banger")
                tree.add_open_file(path, file, mode=mode)
        digest = write_rootfs(tree, draft / ROOTFS_FILE, text=f"writing {name}", report=report, check=check)
        init = tree.find_init()
    (draft / PACKAGES_FILE).write_text(packages)
    check()
    content = store.content.publish(
        draft,
        name=name,
        files=[ROOTFS_FILE, PACKAGES_FILE],
        digests={ROOTFS_FILE: digest},
        manifest=plan_manifest(
            name=name,
            architecture=wanted.architecture,
            init=init,
            created_at_s=time.time(),
            source=f"Debian {wanted.suite}, signed archive",
            environment=ENVIRONMENT,
            recipe=fingerprint(wanted),
            provenance=Provenance(
                kind="distribution", reference=f"Debian {wanted.suite}", signer="debian-archive-keyring"
            ),
        ),
    )
    return store.view(name, content)


def open_download(
    path: Path, draft: Path, opened: ExitStack, *, read_rootfs: ReadRootfs, check: Callable[[], None]
) -> RootfsTree:
    """The files of a download, unpacked into `draft`, for as long as `opened` is. Raises `Failed`."""
    unpacked = opened.enter_context((draft / path.name).open("w+b"))
    with gzip.open(path) as packed:
        size = 0
        while data := packed.read(_PIECE_BYTES):
            check()
            size += len(data)
            if size > _OPEN_LIMIT_BYTES:
                raise Failed(
                    "a download is larger than it may be when it is unpacked", hint="use a newer version of banger"
                )
            unpacked.write(data)
    unpacked.seek(0)
    return opened.enter_context(closing(read_rootfs(unpacked, scratch=draft, report=lambda _: check())))


def edit(tree: RootfsTree, wanted: DebianImage) -> None:
    """Remove what belongs to the build, and add what makes the image one of banger's."""
    for path in REMOVED:
        tree.remove(path)
    for path in EMPTIED:
        tree.empty(path)
    for path in CLEARED:
        tree.clear(path)
    for unit in wanted.disabled:
        tree.remove(f"etc/systemd/system/{unit}")
    for unit in masked_units(wanted):
        tree.add_symlink(f"etc/systemd/system/{unit}", "/dev/null")
    for target, unit in ON_DEMAND:
        tree.add_symlink(f"etc/systemd/system/{target}.wants/{unit}", "/dev/null")
    tree.add_symlink("etc/systemd/system/default.target", "/lib/systemd/system/multi-user.target")
    tree.add_symlink("etc/tmpfiles.d/systemd-nologin.conf", "/dev/null")  # nobody is kept out while it boots
    tree.add_file("etc/systemd/system/ssh.service.d/banger.conf", SSH_UNIT.encode())
    tree.add_file("etc/machine-id", b"")
    tree.add_file("etc/motd", b"")
    tree.add_file("etc/default/locale", "".join(f"{name}={value}\n" for name, value in ENVIRONMENT.items()).encode())
    tree.add_file("etc/apt/sources.list", render_sources(Mirrors(), suite=wanted.suite).encode())
    tree.add_file("etc/apt/apt.conf.d/90banger", render_apt_conf((("Acquire::Languages", "none"),)).encode())
    tree.add_file("etc/dpkg/dpkg.cfg.d/90banger", "".join(f"{option}\n" for option in DPKG_OPTIONS).encode())
    for profile, text in (("banger", PROFILE), *(each for download in wanted.downloads for each in download.profiles)):
        tree.add_file(f"etc/profile.d/{profile}.sh", text.encode())
