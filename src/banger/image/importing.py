"""An image from an archive: of a root file system, or of an image as other tools save it."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from typing import BinaryIO, Final

from banger.core.errors import Invalid, Unsupported
from banger.core.platforms import ARCHITECTURES, host_architecture, name_platform
from banger.core.progress import Progress
from banger.core.provenance import Provenance
from banger.image.archives.docker import MANIFEST_FILE, read_docker_archive
from banger.image.archives.oci import LAYOUT_FILE, read_oci_layout
from banger.image.layered import LayeredImage, make_layered_image
from banger.image.platforms import Platform, platform_of_machine
from banger.image.rootfs import ReadLayers, ReadRootfs, RootfsTree
from banger.image.store import ROOTFS_FILE, Image, ImageStore, plan_manifest
from banger.image.writing import write_packages, write_rootfs

_PROGRAMS: Final = ("/bin/sh", "/bin/busybox", "/bin/bash", "/usr/bin/env", "/sbin/init", "/usr/lib/systemd/systemd")
_ELF_HEAD_BYTES: Final = 20
# e_machine of an ELF header (elf(5)) with the byte order before it.
_MACHINES: Final = {(1, 0x3E): "x86_64", (1, 0xB7): "aarch64", (1, 0x03): "i686", (1, 0xF3): "riscv64"}


def import_archive(
    store: ImageStore,
    name: str,
    source: BinaryIO,
    *,
    read_rootfs: ReadRootfs,
    read_layers: ReadLayers,
    tag: str | None,
    architecture: str | None,
    report: Callable[[Progress], None] = lambda _progress: None,
    check: Callable[[], None] = lambda: None,
    provenance: Provenance | None = None,
) -> Image:
    """Read, write and publish; blocking, for a thread. `tag` and `architecture` choose one of the images it has.
    `provenance` is where the archive came from, if that is known.

    Without an architecture it is this computer's own, or what the programs of a root file system are for. Raises
    `Invalid` for an archive that cannot be a root file system or is for another architecture, `Unsupported` for what no
    guest can run, and what the readers of saved images raise.
    """

    def tell_read(done: int) -> None:
        check()
        report(Progress(stage="image", text=f"reading the archive of {name}", done=done, unit="bytes"))

    with store.content.draft() as draft:
        with closing(read_rootfs(source, scratch=draft, report=tell_read)) as tree:
            saved = read_saved_image(tree, platform_of_machine(architecture or host_architecture()), tag=tag)
            if saved is not None:
                return make_layered_image(
                    store,
                    name,
                    saved,
                    read_layers=read_layers,
                    origin="imported archive" if provenance is None else provenance.reference,
                    provenance=provenance or Provenance(kind="archive", digest=saved.digest),
                    report=report,
                    check=check,
                )
            if tag is not None:
                raise Invalid("the archive is that of a root file system, which has no tags", hint="leave --tag out")
            architecture = choose_architecture(find_architecture(tree), asked=architecture)
            digest = write_rootfs(tree, draft / ROOTFS_FILE, text=f"writing {name}", report=report, check=check)
            init = tree.find_init()
            files = [ROOTFS_FILE, *write_packages(tree, draft)]
        content = store.content.publish(
            draft,
            name=name,
            files=files,
            digests={ROOTFS_FILE: digest},
            manifest=plan_manifest(
                name=name,
                architecture=architecture,
                init=init,
                created_at_s=time.time(),
                source="imported archive" if provenance is None else provenance.reference,
                environment={},
                provenance=provenance or Provenance(kind="archive"),
            ),
        )
        return store.view(name, content)


def read_saved_image(tree: RootfsTree, platform: Platform, *, tag: str | None) -> LayeredImage | None:
    """The saved image in an archive, None if the archive is a root file system itself."""
    if tree.open(LAYOUT_FILE) is not None and tree.open("index.json") is not None:
        return read_oci_layout(tree, platform, tag=tag)
    if (tree.read_start(MANIFEST_FILE, 64) or b"").lstrip().startswith(b"["):
        return read_docker_archive(tree, platform, tag=tag)
    return None


def choose_architecture(found: str | None, *, asked: str | None) -> str:
    """What a root file system is for whose programs are for `found`, None when there is no telling.

    Raises `Invalid` where something else was asked for, `Unsupported` for what no guest can run.
    """
    if found is None:
        return asked or host_architecture()
    if found not in ARCHITECTURES:
        raise Unsupported(
            f"the programs in the archive are for {found}", hint=f"guests can be {' or '.join(ARCHITECTURES)}"
        )
    if asked not in (None, found):
        raise Invalid(
            f"the programs in the archive are for {found}, and {asked} was asked for",
            hint=f"give an archive for {asked}, or --platform {name_platform(found)}",
        )
    return found


def find_architecture(tree: RootfsTree) -> str | None:
    """For which architecture the shell, or what else every system has, was made; None when there is no telling."""
    for path in _PROGRAMS:
        head = tree.read_start(path, _ELF_HEAD_BYTES)
        if head is not None and (found := parse_architecture(head)) is not None:
            return found
    return None


def parse_architecture(head: bytes) -> str | None:
    """The architecture in the first 20 bytes of an ELF file; `unknown` for one that we have no word for."""
    if len(head) < _ELF_HEAD_BYTES or not head.startswith(b"\x7fELF"):
        return None
    order = head[5]
    return _MACHINES.get((order, int.from_bytes(head[18:20], "little" if order == 1 else "big")), "unknown")
