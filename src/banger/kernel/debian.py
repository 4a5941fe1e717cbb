"""A kernel from Debian's signed archive, without root and without installing it."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Final, Protocol

from banger.core.debian import KEYRING, find_mirrors, render_sources
from banger.core.errors import Failed, NotFound, Unavailable
from banger.core.processes import run, run_to_file
from banger.core.progress import Progress
from banger.kernel.modules import plan_boot_modules
from banger.kernel.store import Kernel, KernelStore, plan_manifest

SUITE: Final = "bookworm"
PACKAGES: Final = {"x86_64": "linux-image-cloud-amd64"}
DEBIAN_ARCHITECTURES: Final = {"x86_64": "amd64"}
_APT_DEADLINE_S: Final = 900.0
_HINT: Final = "banger makes its default kernel with apt and dpkg-deb on Debian; `banger doctor` shows what is missing"


class PackageTree(Protocol):
    """A package's files, read from its archive."""

    def names(self) -> list[str]:
        """Relative paths of regular files."""

    def read(self, path: str) -> bytes:
        """The content of one."""

    def write_directory(self, directory: str, extra: dict[str, Path], destination: Path) -> None:
        """An EROFS image of `directory`, with files of the host added under their names."""


ReadPackage = Callable[[BinaryIO], PackageTree]


@dataclass(frozen=True, slots=True)
class Apt:
    """apt with directories of its own, the host's proxies, and sources that we wrote."""

    directory: Path
    sources: Path

    def argv(self, program: str, *arguments: str) -> list[str]:
        directory = os.fspath(self.directory)
        options = {
            "Dir::State": f"{directory}/state",
            "Dir::State::status": f"{directory}/status",
            "Dir::Cache": f"{directory}/cache",
            "Dir::Etc::SourceList": os.fspath(self.sources),
            "Dir::Etc::SourceParts": "/dev/null",
            "APT::Sandbox::User": "root" if os.getuid() == 0 else "",
            "APT::Architecture": DEBIAN_ARCHITECTURES["x86_64"],
            "Acquire::Languages": "none",
        }
        flags = [word for name, value in options.items() if value for word in ("-o", f"{name}={value}")]
        return [program, "-q", *flags, *arguments]


def read_host_sources() -> list[str]:
    """The texts of this host's apt sources."""
    root = Path("/etc/apt")
    paths = [root / "sources.list", *sorted((root / "sources.list.d").glob("*.list"))]
    paths += sorted((root / "sources.list.d").glob("*.sources"))
    return [path.read_text(errors="replace") for path in paths if path.is_file()]


async def make_debian_kernel(
    store: KernelStore, name: str, *, read_package: ReadPackage, report: Callable[[Progress], None]
) -> Kernel:
    """Download, verify (apt does, against the archive's keys), and store the newest cloud kernel of the suite."""
    if not Path(KEYRING).exists():
        raise Unavailable(f"{KEYRING} is missing", hint="install the package debian-archive-keyring")
    with store.content.draft() as draft:
        report(Progress(stage="kernel", text="reading the package lists of Debian"))
        package = await _download(draft, PACKAGES["x86_64"])
        report(Progress(stage="kernel", text="unpacking the kernel"))
        return await _store_package(store, name, draft, package, read_package=read_package)


async def _download(draft: Path, meta_package: str) -> Path:
    directory = draft / "apt"
    for part in ("state/lists/partial", "cache/archives/partial", "packages"):
        (directory / part).mkdir(parents=True)
    (directory / "status").touch()
    sources = directory / "sources.list"
    sources.write_text(render_sources(find_mirrors(read_host_sources(), suite=SUITE), suite=SUITE))
    apt = Apt(directory, sources)
    await run(apt.argv("apt-get", "update"), timeout_s=_APT_DEADLINE_S, hint=_HINT)
    shown = await run(apt.argv("apt-cache", "show", meta_package), timeout_s=_APT_DEADLINE_S, hint=_HINT)
    package = find_dependency(shown.stdout.decode("utf-8", "replace"))
    await run(
        apt.argv("apt-get", "download", package), cwd=directory / "packages", timeout_s=_APT_DEADLINE_S, hint=_HINT
    )
    found = list((directory / "packages").glob("*.deb"))
    if len(found) != 1:
        raise Failed(f"apt downloaded {len(found)} packages instead of one", hint=_HINT)
    return found[0]


def find_dependency(control: str) -> str:
    """The kernel package that a meta package's description depends on. Raises `NotFound`."""
    for line in control.splitlines():
        if line.startswith("Depends:"):
            for dependency in line.removeprefix("Depends:").split(","):
                package = dependency.split()[0]
                if package.startswith("linux-image-") and package.isascii() and "/" not in package:
                    return package
    raise NotFound("Debian's kernel meta package names no kernel", hint=_HINT)


async def _store_package(
    store: KernelStore, name: str, draft: Path, package: Path, *, read_package: ReadPackage
) -> Kernel:
    archive, staging = draft / "data.tar", draft / "staging"
    await run(["dpkg-deb", "--extract", os.fspath(package), os.fspath(staging)], timeout_s=300, hint=_HINT)
    await run_to_file(["dpkg-deb", "--fsys-tarfile", os.fspath(package)], archive, timeout_s=300, hint=_HINT)
    with archive.open("rb") as source:
        tree = await asyncio.to_thread(read_package, source)
        release = _find_release(tree.names())
        await run(["depmod", "-b", os.fspath(staging), release], timeout_s=300, hint="install the package kmod")
        indexes = {path.name: path for path in (staging / "lib" / "modules" / release).glob("modules.*")}
        return await asyncio.to_thread(
            _publish,
            store,
            name,
            draft,
            tree=tree,
            release=release,
            indexes=indexes,
            source=package.name.removesuffix(".deb"),
        )


def _publish(
    store: KernelStore,
    name: str,
    draft: Path,
    *,
    tree: PackageTree,
    release: str,
    indexes: dict[str, Path],
    source: str,
) -> Kernel:
    prefix = f"lib/modules/{release}/"
    modules = {
        PurePosixPath(path).stem.replace("-", "_"): path
        for path in tree.names()
        if path.startswith(prefix) and path.endswith(".ko")
    }
    builtin = frozenset(
        PurePosixPath(line).stem.replace("-", "_")
        for line in tree.read(f"{prefix}modules.builtin").decode().splitlines()
    )
    order = plan_boot_modules(list(modules), builtin, read=lambda module: tree.read(modules[module]))
    boot_files = tuple(f"boot/{module}.ko" for module in order)
    (draft / "boot").mkdir()
    for module, file in zip(order, boot_files, strict=True):
        (draft / file).write_bytes(tree.read(modules[module]))
    (draft / "vmlinuz").write_bytes(tree.read(f"boot/vmlinuz-{release}"))
    tree.write_directory(f"lib/modules/{release}", indexes, draft / "modules.erofs")
    content = store.content.publish(
        draft,
        name=name,
        files=["vmlinuz", "modules.erofs", *boot_files],
        manifest=plan_manifest(
            name=name,
            architecture="x86_64",
            release=release,
            boot_modules=boot_files,
            created_at_s=time.time(),
            source=source,
        ),
    )
    return store.read(content.digest)


def _find_release(names: list[str]) -> str:
    for name in names:
        if name.startswith("boot/vmlinuz-"):
            return name.removeprefix("boot/vmlinuz-")
    raise Failed("the kernel package has no kernel in it", hint=_HINT)
