"""The seed: the identity of a VM, as a small archive that is appended to the shared initramfs."""

from __future__ import annotations

import ipaddress
import posixpath
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from banger.core.errors import Invalid
from banger.core.names import parse_vm_name
from banger.core.untrusted import printable
from banger.guest.cpio import CpioEntry, directory, encode_archive, regular

# What a value may contain: nothing that could start a new line or a new key.
_VALUE: Final = re.compile(r"[A-Za-z0-9._:/@+-]{1,255}")
_SERIAL: Final = re.compile(r"[A-Za-z0-9_-]{1,20}")  # VIRTIO_BLK_ID_BYTES, virtio specification 5.2.6
_CHANNEL: Final = re.compile(r"virtio:[A-Za-z0-9._-]{1,64}")
_ROOT_FS: Final = ("erofs", "squashfs", "ext4")
_DIRECT_LIMIT: Final = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class SeedFile:
    """A file that appears in the guest at an absolute path, owned by root."""

    path: str
    mode: int
    content: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Seed:
    """Everything that is specific to one VM. Keys as in docs/agent-protocol.md; None leaves a key out."""

    hostname: str
    clock_ns: int
    init: str | None
    root_fs: str
    modules_disk: str | None
    channel: str
    direct: tuple[str, ...] = ()
    address: str | None = None
    gateway: str | None = None
    dns: str | None = None
    mtu: int | None = None
    files: tuple[SeedFile, ...] = ()
    entrypoint: bytes | None = None
    """As `guest.process.encode_entrypoint` writes it."""

    def archive(self) -> bytes:
        """The cpio archive. Raises `Invalid` for values that a key cannot hold."""
        self._check()
        return encode_archive(
            (
                directory("/seed", mode=0o700),
                regular(
                    "/seed/config", "".join(f"{key}={value}\n" for key, value in self._lines()).encode(), mode=0o600
                ),
                *((regular("/seed/entrypoint", self.entrypoint, mode=0o600),) if self.entrypoint else ()),
                directory("/seed/files", mode=0o755),
                *self._file_entries(),
            )
        )

    def _check(self) -> None:
        parse_vm_name(self.hostname)
        for path in (*self.direct, *((self.init,) if self.init else ())):
            if not path.startswith("/") or path == "/" or posixpath.normpath(path) != path:
                raise Invalid(f"the seed needs an absolute path, not {printable(path, limit=100)}")
        for key, value, fits in (
            ("clock_ns", str(self.clock_ns), 0 <= self.clock_ns < 1 << 63),
            ("mtu", str(self.mtu), self.mtu is None or 68 <= self.mtu <= 65_535),
            ("root_fs", self.root_fs, self.root_fs in _ROOT_FS),
            ("modules_disk", self.modules_disk, self.modules_disk is None or _SERIAL.fullmatch(self.modules_disk)),
            ("channel", self.channel, _CHANNEL.fullmatch(self.channel)),
            ("direct", str(len(self.direct)), len(self.direct) <= _DIRECT_LIMIT),
        ):
            if not fits:
                raise Invalid(f"the seed cannot hold {key}={printable(str(value), limit=100)}")
        try:
            if self.address is not None:
                ipaddress.IPv4Interface(self.address)
            for address in (self.gateway, self.dns):
                if address is not None:
                    ipaddress.IPv4Address(address)
        except ValueError as error:
            raise Invalid(f"the seed's network is malformed: {printable(str(error), limit=100)}") from error

    def _lines(self) -> Iterator[tuple[str, str]]:
        values: tuple[tuple[str, str | int | None], ...] = (
            ("hostname", self.hostname),
            ("clock_ns", self.clock_ns),
            ("init", self.init or "none"),
            ("root", "image"),
            ("root_fs", self.root_fs),
            ("modules_disk", self.modules_disk),
            ("data", "data"),
            *(("direct", path) for path in self.direct),
            ("address", self.address),
            ("gateway", self.gateway),
            ("dns", self.dns),
            ("mtu", self.mtu),
            ("channel", self.channel),
        )
        for key, value in values:
            if value is None:
                continue
            if _VALUE.fullmatch(str(value)) is None:
                raise Invalid(f"the seed cannot hold {key}={printable(str(value), limit=100)}")
            yield key, str(value)

    def _file_entries(self) -> Iterator[CpioEntry]:
        made: set[str] = set()
        for file in self.files:
            if _VALUE.fullmatch(file.path) is None or posixpath.normpath(file.path) != file.path or file.path[0] != "/":
                raise Invalid(f"the seed cannot hold a file at {printable(file.path, limit=100)}")
            if file.mode & ~0o777:  # the agent copies no more of it
                raise Invalid(f"the seed cannot hold a file of mode {file.mode:o}")
            parents: list[str] = []
            parent = posixpath.dirname(file.path)
            while parent != "/":
                parents.append(parent)
                parent = posixpath.dirname(parent)
            for parent in reversed(parents):
                if parent not in made:
                    made.add(parent)
                    private = parent.endswith("/.ssh")
                    yield directory(f"/seed/files{parent}", mode=0o700 if private else 0o755)
            yield regular(f"/seed/files{file.path}", file.content, mode=file.mode)
