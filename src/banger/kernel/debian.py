"""A kernel from Debian's signed archive, without root and without installing it."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

from banger.core.content_store import digest_file
from banger.core.debian import DEBIAN_ARCHITECTURES, KEYRING, read_host_proxies, read_host_sources
from banger.core.errors import Denied, Failed, Unavailable
from banger.core.processes import run, run_to_file
from banger.core.progress import Progress
from banger.core.provenance import Provenance
from banger.core.sizes import format_size
from banger.core.threads import left_in_thread, run_in_thread
from banger.kernel.apt import Candidate, KernelApt
from banger.kernel.formats import SIZE_LIMIT_BYTES
from banger.kernel.modules import find_builtin
from banger.kernel.packing import (
    KERNEL_FILE,
    MODULES_FILE,
    ModuleDirectory,
    ModuleTree,
    ReadTree,
    read_whole,
    write_boot_modules,
)
from banger.kernel.store import Kernel, KernelStore, plan_manifest

BUILD_BYTES: Final = 512 << 20  # what making one needs for a while; with 6.1 it was 460 MiB
_SOURCE: Final = re.compile(r"Debian [a-z]{1,20}, ([^ ]{1,120}) ([^ ]{1,100})")
_CONFIG_LIMIT_BYTES: Final = 4 << 20
_UNPACK_DEADLINE_S: Final = 300.0
_HINT: Final = "banger makes its default kernel with apt, dpkg-deb and depmod; `banger doctor` shows what is missing"


@dataclass(frozen=True, slots=True, kw_only=True)
class DebianKernel:
    """A kernel of Debian: our word for the architecture, Debian's word, and the package that depends on the newest."""

    architecture: str
    debian_architecture: str
    meta_package: str
    suite: str = "bookworm"


KERNELS: Final = MappingProxyType(
    {
        architecture: DebianKernel(
            architecture=architecture,
            debian_architecture=debian_architecture,
            meta_package=f"linux-image-cloud-{debian_architecture}",
        )
        for architecture, debian_architecture in DEBIAN_ARCHITECTURES.items()
    }
)


async def make_debian_kernel(
    store: KernelStore,
    name: str,
    *,
    read_package: ReadTree,
    report: Callable[[Progress], None],
    wanted: DebianKernel,
    came: Provenance | None = None,
    host_sources: Sequence[str] | None = None,
) -> Kernel:
    """Download, verify (apt does, against the archive's keys), and store the newest cloud kernel of the suite.

    With `came` it is the very package that an earlier kernel was made of, by version and digest, or nothing.
    """
    if not Path(KEYRING).exists():
        raise Unavailable(f"{KEYRING} is missing", hint="install the package debian-archive-keyring")
    async with left_in_thread(store.content.draft()) as draft:
        apt = KernelApt(
            draft / "apt",
            suite=wanted.suite,
            architecture=wanted.debian_architecture,
            host_sources=read_host_sources() if host_sources is None else host_sources,
            proxies=await read_host_proxies(),
        )
        report(Progress(stage="kernel", text="reading the package lists of Debian"))
        await apt.update()
        candidate = await (apt.find_kernel(wanted.meta_package) if came is None else find_again(apt, came))
        report(Progress(stage="kernel", text=f"downloading {candidate.name} ({format_size(candidate.size_bytes)})"))
        package = await apt.download(candidate)
        report(Progress(stage="kernel", text=f"unpacking {candidate.name}"))
        kernel = await _store_package(
            store,
            name,
            draft,
            package,
            read_package=read_package,
            architecture=wanted.architecture,
            source=render_source(wanted.suite, candidate),
        )
        report(Progress(stage="kernel", text=f"{name} is ready: Linux {kernel.release}"))
        return kernel


async def find_again(apt: KernelApt, came: Provenance) -> Candidate:
    """The package that a kernel was made from. Raises `NotFound` if the archive no longer has it, `Denied` if it has
    something else under that name and version.
    """
    match = _SOURCE.fullmatch(came.reference)
    if match is None:
        raise Denied(
            f"{ascii(came.reference[:200])} does not name a kernel package of Debian's", hint="pin a kernel again"
        )
    candidate = await apt.find_exactly(match[1], match[2])
    if candidate.digest != came.digest:
        raise Denied(
            f"{candidate.name} {candidate.version} is {candidate.digest} in Debian's archive, not {came.digest}",
            hint="Debian never changes a package without its version; see who pinned the other one",
        )
    return candidate


def render_source(suite: str, candidate: Candidate) -> str:
    """Where a kernel came from, so that `find_again` finds it."""
    return f"Debian {suite}, {candidate.name} {candidate.version}"


async def _store_package(
    store: KernelStore,
    name: str,
    draft: Path,
    package: Path,
    *,
    read_package: ReadTree,
    architecture: str,
    source: str,
) -> Kernel:
    """Unpack a package that Debian signed: depmod needs its modules as files, everything else is read from the tar."""
    archive, staging = draft / "data.tar", draft / "staging"
    await run(
        ["dpkg-deb", "--extract", os.fspath(package), os.fspath(staging)], timeout_s=_UNPACK_DEADLINE_S, hint=_HINT
    )
    await run_to_file(
        ["dpkg-deb", "--fsys-tarfile", os.fspath(package)], archive, timeout_s=_UNPACK_DEADLINE_S, hint=_HINT
    )
    release = _find_release(staging)
    await run(
        ["depmod", "-b", os.fspath(staging), release], timeout_s=_UNPACK_DEADLINE_S, hint="install the package kmod"
    )
    indexes = {path.name: path for path in (staging / "lib" / "modules" / release).glob("modules.*")}

    def publish(check: Callable[[], None]) -> Kernel:
        with archive.open("rb") as opened, closing(read_package(opened)) as tree:
            check()
            boot_files = _write_files(draft, tree, release=release, architecture=architecture, indexes=indexes)
            check()
            digest = digest_file(package)
            content = store.content.publish(
                draft,
                name=name,
                files=[KERNEL_FILE, MODULES_FILE, *boot_files],
                manifest=plan_manifest(
                    name=name,
                    architecture=architecture,
                    release=release,
                    boot_modules=boot_files,
                    created_at_s=time.time(),
                    source=source,
                    provenance=Provenance(
                        kind="distribution", reference=source, digest=digest, signer="debian-archive-keyring"
                    ),
                ),
            )
            return store.view(name, content)

    return await run_in_thread(publish)


def _write_files(
    draft: Path, tree: ModuleTree, *, release: str, architecture: str, indexes: Mapping[str, Path]
) -> tuple[str, ...]:
    """Write what the store keeps into the draft; the names of the boot modules, in the order to load them.

    Raises `Unsupported` if Debian's kernel should lack something that guests need.
    """
    directory = ModuleDirectory(tree=tree, prefix=f"lib/modules/{release}/")
    config = read_whole(tree, f"boot/config-{release}", limit_bytes=_CONFIG_LIMIT_BYTES)
    builtin = find_builtin(config.decode("utf-8", "replace"), architecture=architecture)
    boot_files = write_boot_modules(directory, draft, release=release, builtin=builtin)
    (draft / KERNEL_FILE).write_bytes(read_whole(tree, f"boot/vmlinuz-{release}", limit_bytes=SIZE_LIMIT_BYTES))
    tree.write_directory(directory.prefix.rstrip("/"), indexes, draft / MODULES_FILE)
    return boot_files


def _find_release(staging: Path) -> str:
    found = [path.name.removeprefix("vmlinuz-") for path in (staging / "boot").glob("vmlinuz-*")]
    if len(found) != 1 or not (staging / "lib" / "modules" / found[0]).is_dir():
        raise Failed("the kernel package has no kernel, or no modules for it", hint=_HINT)
    return found[0]
