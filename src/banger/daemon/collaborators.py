"""What the operations need from the rooms, as narrow contracts. `daemon.app` alone chooses who fulfils them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Generator, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

from banger.catalogue.shelf import Found, Opened
from banger.core.processes import ProcessIdentity
from banger.core.progress import Progress
from banger.core.provenance import Provenance
from banger.hypervisor.contract import CommandLine, Hypervisor
from banger.image.debian_packages import Debian
from banger.image.exporting import ExportFormat
from banger.image.pinned import Fetch
from banger.image.reference import Reference
from banger.image.saving import SavedRoot
from banger.image.store import Image
from banger.kernel.importing import KernelFiles
from banger.kernel.store import Kernel


class Pruned(NamedTuple):
    """How much was removed, or would be."""

    number: int
    freed_bytes: int


@dataclass(slots=True)
class Exported:
    """What is known of an archive once all of it was sent. `digest` names it in other tools; empty for a plain tar."""

    size_bytes: int = 0
    digest: str = ""


class Images(Protocol):
    """The image store and where its images come from."""

    async def clear_up(self) -> None:
        """Remove what killed makers left, and end processes that outlived them."""

    async def needed_bytes(self, name: str, report: Callable[[Progress], None], *, architecture: str) -> int:
        """Bytes of disk space that `ensure` would need, as far as known beforehand: 0 for an image that is here."""

    async def find_architecture(self, name: str, asked: str | None) -> str:
        """Which image a name means if there is one for each architecture: the one asked for, else this computer's
        own, else any.
        """

    async def ensure(
        self, name: str, report: Callable[[Progress], None], *, architecture: str, current: bool = False
    ) -> Image:
        """The named image, made now if it is missing and a catalogue has it; with `current` also if the one here was
        made by another version of the recipe. Raises `NotFound`.
        """

    async def pull(
        self, reference: Reference, name: str, report: Callable[[Progress], None], *, architecture: str
    ) -> Image:
        """Get an image from a registry, unless the very same one is here.

        Raises `AlreadyExists` if the name belongs to an image from elsewhere, and whatever pulling raises.
        """

    async def import_path(
        self, name: str, path: Path, report: Callable[[Progress], None], *, tag: str | None, architecture: str | None
    ) -> Image:
        """Make an image from an archive or an image layout. With an `architecture`, only one for that is accepted.

        Raises `OSError`, and whatever reading it raises.
        """

    def set_machine(self, image: Image, *, kernel: str | None, disk_bytes: int | None) -> Image:
        """Set the default kernel and disk size of an image's VMs; None leaves one as it is."""

    async def save(
        self,
        name: str,
        archive: AsyncGenerator[bytes, None],
        saved: SavedRoot,
        report: Callable[[Progress], None],
    ) -> Image:
        """Make an image from a guest's archived root. Raises what `archive` raises, `AlreadyExists`, `Invalid`."""

    def find(self, name: str, architecture: str | None = None) -> Image | None:
        """The image of that name, if it is here."""

    def read(self, digest: str) -> Image:
        """The image of that digest. Raises `NotFound`."""

    def list(self) -> list[Image]: ...

    async def register(
        self, name: str, path: Path, report: Callable[[Progress], None], *, init: str | None, architecture: str
    ) -> Image:
        """Use a file system image in place, without copying it. Raises `Unsupported` if the file is not one."""

    async def promote(self, image: Image, report: Callable[[Progress], None]) -> Image:
        """Copy a registered image into the store under its name. Raises `Failed` if its file has changed."""

    def check(self, image: Image) -> None:
        """Raise `Failed` or `NotFound` for a registered image whose file is no longer what it was."""

    async def verify(self, image: Image) -> None:
        """Compare the files in the store with their digests. Raises `Failed` naming a file and both digests."""

    async def available(self, report: Callable[[Progress], None]) -> tuple[Sequence[Found], Sequence[Opened]]:
        """Every entry of the catalogues, and the configured catalogues themselves."""

    def remove(self, name: str, *, in_use: frozenset[str], architecture: str | None = None) -> bool:
        """Remove a name, and its content unless that has another name or a digest in `in_use`.

        Returns whether the content was removed. Raises `NotFound`.
        """

    def export(
        self, image: Image, format_: ExportFormat, exported: Exported, report: Callable[[Progress], None]
    ) -> Generator[bytes]:
        """An archive of an image, in pieces; to be run in a thread. Empty pieces come until the first bytes are ready.

        Raises `Failed` naming both digests, before the first bytes, for an image that is damaged in the store.
        """

    def prune(self, *, in_use: frozenset[str], dry_run: bool) -> Pruned:
        """Remove content that no longer has a name, except for digests in `in_use`."""

    async def prune_downloads(self, *, dry_run: bool) -> Pruned:
        """Remove downloads for images that are gone, and the remains of abandoned pulls.

        Raises `WrongState` while a pull is running.
        """

    async def prune_layers(self, *, dry_run: bool) -> Pruned:
        """Remove the unpacked layers that are kept for images which share them."""


class Packages(Protocol):
    """Packages for guests, and other files that recipes name by address."""

    def downloaded(
        self, packages: Sequence[str], debian: Debian, *, architecture: str, report: Callable[[Progress], None]
    ) -> AbstractAsyncContextManager[Sequence[Path]]:
        """Files of packages and their dependencies that a guest lacks, for as long as the block lasts.

        Raises `Failed` if they cannot be installed together, `Unavailable` without apt or its keys.
        """

    def fetching(self, report: Callable[[Progress], None]) -> AbstractAsyncContextManager[Fetch]:
        """A function that gets a pinned file and checks it; the file stays in place as long as the block lasts."""


class Kernels(Protocol):
    """The kernel store and where its kernels come from."""

    async def clear_up(self) -> None:
        """Remove what killed makers left."""

    async def needed_bytes(self, name: str, report: Callable[[Progress], None], *, architecture: str) -> int:
        """As for images."""

    async def ensure(
        self, name: str, report: Callable[[Progress], None], *, architecture: str, current: bool = False
    ) -> Kernel:
        """The named kernel, got now if it is missing and a catalogue has it; with `current` as its source has it now.

        Raises `NotFound`.
        """

    async def get_again(
        self,
        name: str,
        came: Provenance,
        report: Callable[[Progress], None],
        *,
        architecture: str,
        store_as: str,
        digest: str,
    ) -> Kernel:
        """Get a kernel again from the very package or bundle that it came from, and keep it as `store_as`.

        If its digest is not `digest` after all, it does not keep that name. Raises `NotFound` and `Denied`
        when its source no longer has it.
        """

    async def available(self, report: Callable[[Progress], None]) -> tuple[Sequence[Found], Sequence[Opened]]:
        """Every entry of the catalogues, and the configured catalogues themselves."""

    async def verify(self, kernel: Kernel) -> None:
        """As for images."""

    async def import_files(self, name: str, files: KernelFiles, report: Callable[[Progress], None]) -> Kernel:
        """Make a kernel from files. Raises `Invalid` and `Unsupported` with what is wrong or missing."""

    def find(self, name: str, architecture: str | None = None) -> Kernel | None: ...

    def read(self, digest: str) -> Kernel:
        """The kernel of that digest. Raises `NotFound`."""

    def list(self) -> list[Kernel]: ...

    def remove(self, name: str, *, in_use: frozenset[str], architecture: str | None = None) -> bool:
        """As for images."""

    def prune(self, *, in_use: frozenset[str], dry_run: bool) -> Pruned:
        """As for images."""


class Chooser(Protocol):
    """Chooses a VMM by really running a guest."""

    def check(self, architecture: str) -> None:
        """Raise `Unsupported` or `Unavailable` if no VMM can run guests of an architecture, before anything is
        fetched for one.
        """

    async def choose(self, kernel: Kernel) -> Chosen:
        """Raises `Unavailable` when no VMM works here."""

    async def try_each(self, kernel: Kernel) -> Sequence[Trial]:
        """Really run a guest under each VMM, the best one first. Raises `Unavailable` when none is installed."""


class Trial(Protocol):
    """Whether a guest ran under a VMM, and what was seen."""

    @property
    def name(self) -> str: ...

    @property
    def accelerator(self) -> str: ...

    @property
    def works(self) -> bool: ...

    @property
    def reason(self) -> str: ...


class Chosen(Protocol):
    """A VMM that works, and why it was chosen."""

    @property
    def hypervisor(self) -> Hypervisor: ...

    @property
    def accelerator(self) -> str: ...

    @property
    def command_line(self) -> CommandLine:
        """The guest kernel's command line under this VMM."""

    @property
    def notice(self) -> str:
        """One line for the user, empty when there is nothing to say."""


class Networks(Protocol):
    """Networks of VMs that were given access to the internet."""

    def check(self) -> None:
        """Raise `Unavailable` with a hint when this host cannot give a VM a network."""

    async def start(
        self, *, vm_id: str, run_directory: Path, socket: Path, log: Path, traffic: Path
    ) -> ProcessIdentity:
        """Start the network of a VM, which counts its bytes in the file `traffic`."""

    def is_up(self, addresses: Iterable[str]) -> bool:
        """Whether a guest with these addresses has its network."""


class Space(Protocol):
    """The host's free disk space."""

    def check(self, *, needed_bytes: int = 0) -> None:
        """Raise `Unavailable` when too little is left, or would be, for a VM to be made or started."""

    def check_stores(self, needed_bytes: int) -> None:
        """Raise `Unavailable` when that much does not fit on the file system of images and kernels."""


class DataDisks(Protocol):
    """Data disks."""

    async def make(self, path: Path, size_bytes: int) -> None:
        """Make an empty one. Raises `Unavailable` when there is no space."""

    async def copy(self, source: Path, path: Path) -> None:
        """Copy one byte by byte; the host never interprets its content. Raises `Unavailable`."""
