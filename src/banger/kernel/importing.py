"""A kernel from files: the user's own, or those of a bundle."""

from __future__ import annotations

import errno
import os
import stat
import tarfile
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from banger.core.errors import AlreadyExists, Invalid, NotFound
from banger.core.provenance import Provenance
from banger.core.reading import read_bounded
from banger.core.untrusted import printable
from banger.kernel.formats import SIZE_LIMIT_BYTES, KernelFormat, parse_kernel, read_embedded_config
from banger.kernel.modules import find_builtin
from banger.kernel.packing import (
    CONFIG_FILE,
    INDEX,
    KERNEL_FILE,
    MODULES_FILE,
    ModuleTree,
    find_directory,
    read_whole,
    write_boot_modules,
)
from banger.kernel.store import Kernel, KernelStore, plan_manifest

_CONFIG_LIMIT_BYTES: Final = 4 << 20
# The names that distributions and the kernel's own build use, in order of preference.
_KERNEL_NAMES: Final = ("vmlinuz", "bzImage", "Image", "vmlinux")
_BUNDLE_HINT: Final = "a bundle of a kernel is a tar with vmlinuz and lib/modules/RELEASE; tell its maintainer"


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelFiles:
    """Host files: the kernel, a directory or archive of its modules, the configuration that it was built with."""

    kernel: Path
    modules: Path | None = None
    config: Path | None = None


def import_kernel(
    store: KernelStore,
    name: str,
    files: KernelFiles,
    *,
    open_tree: Callable[[Path, Path], AbstractContextManager[ModuleTree]],
    check: Callable[[], None],
) -> Kernel:
    """Check and publish a kernel of the user's; blocking, for a thread. `open_tree` is given an archive and a draft.

    Raises `Invalid` or `Unsupported` with what is wrong with it or missing in it, `AlreadyExists` where
    another one for its architecture has that name.
    """
    kernel = read_bounded(files.kernel, limit_bytes=SIZE_LIMIT_BYTES, what="the kernel")
    found = parse_kernel(kernel)
    if store.find(name, found.architecture) is not None:
        raise AlreadyExists(f"there is already a kernel named {name}", hint="choose another --name")
    config = None
    if files.config is not None:
        text = read_bounded(files.config, limit_bytes=_CONFIG_LIMIT_BYTES, what="the configuration")
        config = text.decode("utf-8", "replace")
    source = f"imported from {files.kernel.name}"
    with store.content.draft() as draft:
        archive = draft / "modules.tar" if files.modules is None or files.modules.is_dir() else files.modules
        if archive != files.modules:
            pack_modules(files.modules, archive, release=found.release, check=check)
        check()
        with open_tree(archive, draft) as tree:
            check()
            return publish_kernel(
                store,
                name,
                draft,
                kernel,
                found,
                tree=tree,
                config=config,
                source=source,
                provenance=Provenance(kind="files", reference=str(files.kernel)),
            )


def import_bundle(
    store: KernelStore, name: str, draft: Path, tree: ModuleTree, *, source: str, provenance: Provenance
) -> Kernel:
    """Publish the kernel in a bundle. Raises as `import_kernel`."""
    names = [path for path in tree.names() if "lib/modules/" not in path]

    def find(wanted: Sequence[str]) -> str | None:
        fitting = (path for name in wanted for path in names if PurePosixPath(path).name.partition("-")[0] == name)
        return next(fitting, None)

    path = find(_KERNEL_NAMES)
    if path is None:
        raise Invalid("the bundle has no kernel", hint=_BUNDLE_HINT)
    kernel = read_whole(tree, path, limit_bytes=SIZE_LIMIT_BYTES)
    config_path = find(("config", ".config"))
    config = None
    if config_path is not None:
        config = read_whole(tree, config_path, limit_bytes=_CONFIG_LIMIT_BYTES).decode("utf-8", "replace")
    return publish_kernel(
        store,
        name,
        draft,
        kernel,
        parse_kernel(kernel),
        tree=tree,
        config=config,
        source=source,
        provenance=provenance,
    )


def publish_kernel(
    store: KernelStore,
    name: str,
    draft: Path,
    kernel: bytes,
    found: KernelFormat,
    *,
    tree: ModuleTree,
    config: str | None,
    source: str,
    provenance: Provenance,
) -> Kernel:
    """Check that a kernel has what guests need, and publish it with its modules."""
    said = config if config is not None else read_embedded_config(kernel)
    directory = find_directory(tree, release=found.release)
    if said is None and not directory.find():
        raise Invalid(
            "nothing says what is built into the kernel",
            hint="give its modules with --modules, or the configuration that it was built with with --config",
        )
    builtin = find_builtin(said, architecture=found.architecture) if said is not None else frozenset()
    boot_files = write_boot_modules(directory, draft, release=found.release, builtin=builtin)
    (draft / KERNEL_FILE).write_bytes(kernel)
    tree.write_directory(directory.prefix.rstrip("/"), {}, draft / MODULES_FILE)
    if said is not None:
        (draft / CONFIG_FILE).write_text(said)
    content = store.content.publish(
        draft,
        name=name,
        files=[KERNEL_FILE, MODULES_FILE, *boot_files, *([CONFIG_FILE] if said is not None else [])],
        manifest=plan_manifest(
            name=name,
            architecture=found.architecture,
            release=found.release,
            boot_modules=boot_files,
            created_at_s=time.time(),
            source=source,
            provenance=provenance,
        ),
    )
    return store.view(name, content)


def pack_modules(directory: Path | None, archive: Path, *, release: str, check: Callable[[], None]) -> None:
    """Write a directory of modules as an archive; without one, an empty directory with an empty index.

    Only regular files are taken: `build` and `source` point into somebody's home.
    """
    with tarfile.open(archive, "w", format=tarfile.PAX_FORMAT) as tar:
        if directory is None:
            tar.addfile(tarfile.TarInfo(f"{release}/{INDEX}"))
            return
        root = _find_modules(directory, release=release)
        for place, directories, names in os.walk(root):
            directories.sort()
            for file in sorted(names):
                check()
                _add(tar, Path(place) / file, f"{release}/{(Path(place) / file).relative_to(root)}")


def _find_modules(directory: Path, *, release: str) -> Path:
    for place in (directory, directory / "lib" / "modules" / release, directory / release):
        if (place / INDEX).is_file():
            return place
    raise NotFound(
        f"{printable(str(directory), limit=300)} has no modules of the kernel {release} with their index",
        hint="give the directory lib/modules/RELEASE; depmod writes its index modules.dep",
    )


def _add(tar: tarfile.TarFile, path: Path, name: str) -> None:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        if error.errno == errno.ELOOP:
            return
        raise NotFound(
            f"{printable(str(path), limit=300)} cannot be read: {error.strerror}", hint="give files that you may read"
        ) from error
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(file.fileno())
        if stat.S_ISREG(status.st_mode):
            info = tarfile.TarInfo(name)
            info.size, info.mtime, info.mode = status.st_size, int(status.st_mtime), 0o644
            tar.addfile(info, file)
