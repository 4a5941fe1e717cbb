"""Images and kernels."""

from __future__ import annotations

from typing import NotRequired, TypedDict

from banger.api.messages.errors import ErrorView


class ImageView(TypedDict):
    """An image in the store."""

    name: str
    digest: str
    architecture: str
    size_bytes: int
    init: str | None
    created_at_s: float
    source: str


class KernelView(TypedDict):
    """A kernel in the store."""

    name: str
    digest: str
    architecture: str
    release: str
    size_bytes: int
    created_at_s: float
    source: str


class PullRequest(TypedDict):
    """Body of `POST /v1/images/pull` (progress): make or fetch an image and the default kernel.

    `image` is a name in a catalogue or a registry's reference; with a `name`, always a reference. `platform` is such
    as `linux/arm64`; without one it is this computer's own. `kernel` and `disk_bytes` become what its VMs get unless
    somebody says otherwise; null leaves that as it is.
    """

    image: str
    name: str | None
    platform: NotRequired[str | None]
    kernel: NotRequired[str | None]
    disk_bytes: NotRequired[int | None]


class BuildRequest(TypedDict):
    """Body of `POST /v1/images/build` (progress): make an image from the recipe at an absolute host path."""

    path: str
    name: str


class SaveRequest(TypedDict):
    """Body of `POST /v1/images/save` (progress): make an image from a stopped VM."""

    vm: str
    name: str


class ImportRequest(TypedDict):
    """Body of `POST /v1/images/import` (progress): an archive or an image layout at an absolute host path.

    `tag` and `platform` choose an image where there are several; without a platform it is this computer's own, or what
    the programs of a root file system are made for.
    """

    name: str
    path: str
    tag: str | None
    platform: NotRequired[str | None]


class ImageExportRequest(TypedDict):
    """Request of `POST /v1/images/{name}/export` (stream), whose output is an archive. `format`: oci, docker or tar."""

    format: str
    platform: NotRequired[str | None]


class ExportedImage(TypedDict):
    """What was sent. `archive_digest` is that of the manifest in an OCI archive, of the configuration in Docker's."""

    name: str
    digest: str
    architecture: str
    format: str
    archive_digest: str | None
    size_bytes: int


class ProvenanceView(TypedDict):
    """Where something came from. `kind` is `distribution`, `oci`, `bundle`, `archive`, `files`, `vm`, `recipe`
    or empty.

    `reference` is a recipe, an address, a path or a VM, `digest` that of what was fetched, or of the recipe, and `base`
    that of the image it was made on; `catalogue` named it, and `signer` is the key or keyring that vouches for it.
    """

    kind: str
    reference: str
    digest: str
    base: NotRequired[str]
    catalogue: str
    signer: str


class LayerView(TypedDict):
    """A layer that an image was made of, as it was transferred."""

    digest: str
    size_bytes: int


class PackageView(TypedDict):
    """A package in an image, as the image says."""

    name: str
    version: str


class ImageDetail(ImageView):
    """Answer of `GET /v1/images/{name}`. `vms` use the image.

    `packages` is null if they are unknown; `packages_unknown` says why, and is empty otherwise. `packages_format`
    is `deb`, `apk`, `rpm`, or empty where an older banger made the list, `packages_distribution` the ID of
    os-release(5), or empty.
    `kernel` and `disk_bytes` are the defaults of its VMs; null if none are set.
    """

    provenance: ProvenanceView
    layers: list[LayerView]
    packages: list[PackageView] | None
    packages_format: str
    packages_distribution: str
    packages_unknown: str
    environment: dict[str, str]
    kernel: str | None
    disk_bytes: int | None
    vms: list[str]


class KernelDetail(KernelView):
    """Answer of `GET /v1/kernels/{name}`. `boot_modules` are loaded before the root is there; `vms` use the kernel."""

    provenance: ProvenanceView
    boot_modules: list[str]
    vms: list[str]


class AvailableView(TypedDict):
    """An image or kernel that a catalogue has. `here`: something of that name is in the store.

    `size_bytes` is that of the download, null if unknown; `signer` is empty for banger's own catalogue.
    """

    name: str
    platform: str
    description: str
    source: str
    size_bytes: int | None
    catalogue: str
    signer: str
    here: bool


class CatalogueView(TypedDict):
    """A configured catalogue; with an `error` it is not trusted, and the rest is unknown."""

    place: str
    name: str
    version: int
    expires_at_s: float
    signer: str
    error: ErrorView | None


class AvailableResult(TypedDict):
    """Result of `POST /v1/images|kernels/available` (progress)."""

    entries: list[AvailableView]
    catalogues: list[CatalogueView]


class NamesRequest(TypedDict):
    """Body of `POST /v1/images|kernels/delete` (progress). Without a platform: this computer's own, else any."""

    names: list[str]
    platform: NotRequired[str | None]


class NameOutcome(TypedDict):
    """The outcome for one name."""

    name: str
    error: ErrorView | None


class NamesResult(TypedDict):
    """The outcomes, in the order of the names."""

    outcomes: list[NameOutcome]


class KernelPullRequest(TypedDict):
    """Body of `POST /v1/kernels/pull` (progress). `platform` is such as `linux/arm64`, else this computer's own."""

    name: str
    platform: NotRequired[str | None]


class KernelImportRequest(TypedDict):
    """Body of `POST /v1/kernels/import` (progress): absolute host paths of a kernel, its modules, its configuration."""

    name: str
    path: str
    modules: str | None
    config: str | None


class PruneRequest(TypedDict):
    """Body of `POST /v1/images/cache/prune` (progress). With `dry_run` nothing is removed."""

    dry_run: bool


class PruneResult(TypedDict):
    """What was removed, or would be: downloads, unpacked layers, and images and kernels without a name."""

    blobs: int
    layers: int
    images: int
    kernels: int
    freed_bytes: int
    directory: str


class PinView(TypedDict):
    """An image or a kernel in a lock file; see `banger.core.lock_file`."""

    name: str
    platform: str
    digest: str
    source: str
    reference: str
    fetched: str


class LockView(TypedDict):
    """Result of `POST /v1/lock` (progress), and what `vm run --locked` says."""

    image: PinView
    kernel: PinView


class LockRequest(TypedDict):
    """Body of `POST /v1/lock` (progress): what to pin; null means the default."""

    image: str | None
    kernel: str | None
    platform: str | None


class RegisterRequest(TypedDict):
    """Body of `POST /v1/images/register` (progress): a file system image at an absolute host path.

    `init` is the path of its systemd; null means that the agent stays process 1.
    """

    name: str
    path: str
    init: str | None
    platform: str | None


class PromoteRequest(TypedDict):
    """Body of `POST /v1/images/promote` (progress)."""

    name: str
    platform: str | None
