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
    """What was removed, or would be."""

    number: int
    freed_bytes: int


@dataclass(slots=True)
class Exported:
    """What is known of an archive when all of it was given. `digest` is of what names it elsewhere, empty for a tar."""

    size_bytes: int = 0
    digest: str = ""


class Images(Protocol):
    """The image store and where its images come from."""

    async def clear_up(self) -> None:
        """Remove what makers that were killed left, and end what outlived them."""

    async def needed_bytes(self, name: str, report: Callable[[Progress], None], *, architecture: str) -> int:
        """Bytes that `ensure` would need for a while, as far as that is known before: 0 for an image that is here."""

    async def find_architecture(self, name: str, asked: str | None) -> str:
        """Which image is meant where a name has one for each architecture: what was asked for, else this computer's
        own, else the one there is.
        """

    async def ensure(
        self, name: str, report: Callable[[Progress], None], *, architecture: str, current: bool = False
    ) -> Image:
        """The named image, made now if it is one we know how to make; with `current` also if it was made by the recipe
        of another version of banger. Raises `NotFound`.
        """

    async def pull(
        self, reference: Reference, name: str, report: Callable[[Progress], None], *, architecture: str
    ) -> Image:
        """Get an image from a registry, if it has another than is here.

        Raises `AlreadyExists` for the name of an image from elsewhere, and what pulling raises.
        """

    async def import_path(
        self, name: str, path: Path, report: Callable[[Progress], None], *, tag: str | None, architecture: str | None
    ) -> Image:
        """Make an image of an archive or an image layout; `architecture` is what it has to be for, if that matters.

        Raises `OSError`, and what those who read it raise.
        """

    def set_machine(self, image: Image, *, kernel: str | None, disk_bytes: int | None) -> Image:
        """Say which kernel and how large a disk VMs of an image get; None leaves a thing as it is."""

    async def save(
        self,
        name: str,
        archive: AsyncGenerator[bytes, None],
        saved: SavedRoot,
        report: Callable[[Progress], None],
    ) -> Image:
        """Make an image of the root that a guest archives. Raises what `archive` raises, `AlreadyExists`, `Invalid`."""

    def find(self, name: str, architecture: str | None = None) -> Image | None:
        """The image of that name that is here."""

    def read(self, digest: str) -> Image:
        """The image of that digest. Raises `NotFound`."""

    def list(self) -> list[Image]: ...

    async def register(
        self, name: str, path: Path, report: Callable[[Progress], None], *, init: str | None, architecture: str
    ) -> Image:
        """Use a file system image where it lies. Raises `Unsupported` for what is none."""

    async def promote(self, image: Image, report: Callable[[Progress], None]) -> Image:
        """Copy a registered image into the store, under its name. Raises `Failed` for one that has changed."""

    def check(self, image: Image) -> None:
        """Raise `Failed` or `NotFound` for a registered image whose file is no longer what it was."""

    async def verify(self, image: Image) -> None:
        """Read what is in the store and compare it with its digests. Raises `Failed` naming a file and both digests."""

    async def available(self, report: Callable[[Progress], None]) -> tuple[Sequence[Found], Sequence[Opened]]:
        """Everything that catalogues have, and the catalogues of the configuration."""

    def remove(self, name: str, *, in_use: frozenset[str], architecture: str | None = None) -> bool:
        """Take a name away, and what it means unless that has another name, or a digest `in_use`.

        Returns whether it went. Raises `NotFound`.
        """

    def export(
        self, image: Image, format_: ExportFormat, exported: Exported, report: Callable[[Progress], None]
    ) -> Generator[bytes]:
        """An archive of an image, in pieces; to be run in a thread. Empty pieces come while there is nothing yet.

        Raises `Failed`, before there is anything, for an image that is damaged in the store, naming both digests.
        """

    def prune(self, *, in_use: frozenset[str], dry_run: bool) -> Pruned:
        """Remove what has no name any more, but for digests `in_use`."""

    async def prune_downloads(self, *, dry_run: bool) -> Pruned:
        """Remove what was downloaded for images that are gone, and the remains of pulls that nobody goes on with.

        Raises `WrongState` while somebody pulls.
        """

    async def prune_layers(self, *, dry_run: bool) -> Pruned:
        """Remove the unpacked layers that are kept for images which share them."""


class Packages(Protocol):
    """Packages for guests, and other files that recipes name."""

    def downloaded(
        self, packages: Sequence[str], debian: Debian, *, architecture: str, report: Callable[[Progress], None]
    ) -> AbstractAsyncContextManager[Sequence[Path]]:
        """Files of packages and of what they need, but for what a guest has, as long as the block lasts.

        Raises `Failed` where they cannot be had together, `Unavailable` without apt or its keys.
        """

    def fetching(self, report: Callable[[Progress], None]) -> AbstractAsyncContextManager[Fetch]:
        """What gets a pinned file and checks it; it stays where it is as long as the block lasts."""


class Kernels(Protocol):
    """The kernel store and where its kernels come from."""

    async def clear_up(self) -> None:
        """Remove what makers that were killed left."""

    async def needed_bytes(self, name: str, report: Callable[[Progress], None], *, architecture: str) -> int:
        """As for images."""

    async def ensure(
        self, name: str, report: Callable[[Progress], None], *, architecture: str, current: bool = False
    ) -> Kernel:
        """The named kernel, got now if a catalogue knows how; with `current` as its source has it now.

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
        """What once was got by a name and is kept as `store_as` now: of the very same package or bundle.

        One that has another digest than `digest` all the same does not keep that name. Raises `NotFound` and `Denied`
        when its source does not have that.
        """

    async def available(self, report: Callable[[Progress], None]) -> tuple[Sequence[Found], Sequence[Opened]]:
        """Everything that catalogues have, and the catalogues of the configuration."""

    async def verify(self, kernel: Kernel) -> None:
        """As for images."""

    async def import_files(self, name: str, files: KernelFiles, report: Callable[[Progress], None]) -> Kernel:
        """Make a kernel of files. Raises `Invalid` and `Unsupported` with what is wrong or missing."""

    def find(self, name: str, architecture: str | None = None) -> Kernel | None: ...

    def read(self, digest: str) -> Kernel:
        """The kernel of that digest. Raises `NotFound`."""

    def list(self) -> list[Kernel]: ...

    def remove(self, name: str, *, in_use: frozenset[str], architecture: str | None = None) -> bool:
        """As for images."""

    def prune(self, *, in_use: frozenset[str], dry_run: bool) -> Pruned:
        """As for images."""


class Chooser(Protocol):
    """Picks the VMM by really running a guest."""

    def check(self, architecture: str) -> None:
        """Raise `Unsupported` or `Unavailable` where no VMM can work for guests of an architecture, before anything is
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
        """What the guest's kernel is told under this VMM."""

    @property
    def notice(self) -> str:
        """One line for the user, empty when there is nothing to say."""


class Networks(Protocol):
    """Networks of VMs that asked for a way out."""

    def check(self) -> None:
        """Raise `Unavailable` with a hint when this host cannot give a VM a network."""

    async def start(
        self, *, vm_id: str, run_directory: Path, socket: Path, log: Path, traffic: Path
    ) -> ProcessIdentity:
        """Start the network of a VM, which counts in `traffic` what goes through it."""

    def is_up(self, addresses: Iterable[str]) -> bool:
        """Whether a guest that has these addresses has its network."""


class Space(Protocol):
    """The host's free disk space."""

    def check(self, *, needed_bytes: int = 0) -> None:
        """Raise `Unavailable` when so little is left, or would be, that no VM may be made or started."""

    def check_stores(self, needed_bytes: int) -> None:
        """Raise `Unavailable` when so much would not fit beside images and kernels."""


class DataDisks(Protocol):
    """Data disks."""

    async def make(self, path: Path, size_bytes: int) -> None:
        """An empty one. Raises `Unavailable` when there is no space."""

    async def copy(self, source: Path, path: Path) -> None:
        """One with the same bytes as another, which nothing of this host looks at. Raises `Unavailable`."""
