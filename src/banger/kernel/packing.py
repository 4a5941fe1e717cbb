"""Preparing a kernel and its modules for the store."""

from __future__ import annotations

import lzma
import re
import sys
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Final, Protocol

from banger.core.errors import Invalid, Unsupported
from banger.core.untrusted import printable
from banger.kernel.modules import plan_boot_modules

KERNEL_FILE: Final = "vmlinuz"
MODULES_FILE: Final = "modules.erofs"
CONFIG_FILE: Final = "config"
_MODULE: Final = re.compile(r"\.ko(?:\.(?:gz|xz|zst))?\Z")
_NAME: Final = re.compile(r"[A-Za-z0-9_]{1,64}")
_VERMAGIC: Final = re.compile(rb"\0vermagic=([^ \0]+)")
INDEX: Final = "modules.dep"
_BUILTIN_LIMIT_BYTES: Final = 4 << 20
_MODULE_LIMIT_BYTES: Final = 64 << 20
_HINT: Final = "give the directory lib/modules/RELEASE as `make modules_install` makes it, or a tar of it"


class ModuleTree(Protocol):
    """Files of a kernel package, or of a directory of modules, read from an archive."""

    def names(self) -> list[str]:
        """Relative paths of regular files."""

    def read_start(self, path: str, size: int) -> bytes | None:
        """The first bytes of one; None when there is none."""

    def write_directory(self, directory: str, extra: Mapping[str, Path], destination: Path) -> None:
        """An EROFS image of `directory`, with files of the host added under their names."""

    def close(self) -> None: ...


ReadTree = Callable[[BinaryIO], ModuleTree]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModuleDirectory:
    """A directory of modules in a tree. `prefix` ends with a slash, unless it is the root."""

    tree: ModuleTree
    prefix: str

    def find(self) -> dict[str, str]:
        """Paths of modules by name."""
        return {
            name_module(path): path
            for path in self.tree.names()
            if path.startswith(self.prefix) and _MODULE.search(path) is not None
        }

    def read_builtin(self) -> frozenset[str]:
        """Names of the modules that are built into the kernel, where it says so."""
        text = self.tree.read_start(f"{self.prefix}modules.builtin", _BUILTIN_LIMIT_BYTES) or b""
        return frozenset(map(name_module, text.decode("utf-8", "replace").splitlines()))


def find_directory(tree: ModuleTree, *, release: str) -> ModuleDirectory:
    """Where the modules are in a tree: beside their index. Raises `Invalid`, also for those of another kernel."""
    found = [path.removesuffix(INDEX) for path in tree.names() if PurePosixPath(path).name == INDEX]
    if len(found) != 1:
        raise Invalid(
            f"there are {len(found)} directories of modules" if found else "there are no modules with their index",
            hint=_HINT if found else "run depmod first: it writes modules.dep",
        )
    (prefix,) = found
    directory = PurePosixPath(prefix).name
    if directory not in ("", release):
        raise Invalid(f"the modules are for {printable(directory, limit=80)}, and the kernel is {release}", hint=_HINT)
    return ModuleDirectory(tree=tree, prefix=prefix)


def write_boot_modules(
    directory: ModuleDirectory, draft: Path, *, release: str, builtin: frozenset[str]
) -> tuple[str, ...]:
    """Write the modules that an initramfs loads, unpacked, into a draft; their files, in the order to load them.

    Raises `Unsupported` when the kernel lacks what a guest needs.
    """
    modules = directory.find()

    def read(name: str) -> bytes:
        module = unpack_module(
            read_whole(directory.tree, modules[name], limit_bytes=_MODULE_LIMIT_BYTES), modules[name]
        )
        match = _VERMAGIC.search(module)
        if match is not None and match[1].decode("ascii", "replace") != release:
            other = printable(match[1], limit=80)
            raise Invalid(f"the module {name} is for the kernel {other}, not for {release}", hint=_HINT)
        return module

    order = plan_boot_modules(list(modules), builtin | directory.read_builtin(), read=read)
    (draft / "boot").mkdir()
    for name in order:
        if _NAME.fullmatch(name) is None:
            raise Invalid(f"{printable(name, limit=80)} cannot be the name of a module", hint=_HINT)
        (draft / "boot" / f"{name}.ko").write_bytes(read(name))
    return tuple(f"boot/{name}.ko" for name in order)


def read_whole(tree: ModuleTree, path: str, *, limit_bytes: int) -> bytes:
    """A file of a tree that is not too large. Raises `Invalid`."""
    data = tree.read_start(path, limit_bytes + 1)
    if data is None or len(data) > limit_bytes:
        wrong = "missing" if data is None else "too large"
        raise Invalid(f"{printable(path, limit=200)} is {wrong}", hint=_HINT)
    return data


def name_module(path: str) -> str:
    """The kernel's name of the module in a file."""
    return _MODULE.sub("", PurePosixPath(path).name).replace("-", "_")


def unpack_module(data: bytes, path: str) -> bytes:
    """A module as the kernel loads it, whether its file is compressed or not. Raises `Invalid`."""
    try:
        unpacked = _unpack(data)
    except (zlib.error, lzma.LZMAError, ValueError) as error:
        raise Invalid(f"the module {printable(path, limit=200)} is damaged", hint=_HINT) from error
    if len(unpacked) > _MODULE_LIMIT_BYTES:
        raise Unsupported(f"the module {printable(path, limit=200)} is larger than any module", hint=_HINT)
    return unpacked


def _unpack(data: bytes) -> bytes:
    limit = _MODULE_LIMIT_BYTES + 1
    if data[:2] == b"\x1f\x8b":
        gzip = zlib.decompressobj(16 + zlib.MAX_WBITS)
        return _all(gzip.decompress(data, limit), ended=gzip.eof, limit=limit)
    if data[:6] == b"\xfd7zXZ\0":
        xz = lzma.LZMADecompressor(memlimit=128 << 20)
        return _all(xz.decompress(data, limit), ended=xz.eof, limit=limit)
    if data[:4] == b"\x28\xb5\x2f\xfd":
        if sys.version_info >= (3, 14):
            from compression import zstd
        else:
            from backports import zstd
        unpacker = zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: 26})
        try:
            return _all(unpacker.decompress(data, limit), ended=unpacker.eof, limit=limit)
        except zstd.ZstdError as error:
            raise ValueError(str(error)) from error
    return data


def _all(data: bytes, *, ended: bool, limit: int) -> bytes:
    if not ended and len(data) < limit:
        raise ValueError("cut short")
    return data
