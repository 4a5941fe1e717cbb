"""Images from the real registry of Debian."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from tests.fakes.debian_registry import DebianRegistry, run_registry
from tests.fakes.images import FakeImage, make_docker_image, make_image, make_index, make_tar

from banger.core.config.registries import Registry
from banger.core.errors import NotFound, Unsupported
from banger.core.progress import Progress
from banger.image.blob_cache import BlobCache
from banger.image.fetching import FetchedImage, fetch_image
from banger.image.platforms import parse_platform
from banger.image.reference import parse_reference
from banger.image.registry.opening import open_client


class Puller:
    """Pulls with a cache and a home of its own."""

    def __init__(self, root: Path, registries: Mapping[str, Registry]) -> None:
        self.home = root / "home"
        self.home.mkdir(parents=True)
        self.cache = BlobCache(root / "blobs", check_space=self.check_space)
        self.registries = registries
        self.told: list[Progress] = []
        self.needed_bytes: list[int] = []

    def check_space(self, _path: Path, *, needed_bytes: int) -> None:
        self.needed_bytes.append(needed_bytes)

    async def pull(self, reference: str, platform: str = "linux/amd64") -> FetchedImage:
        environment = {"HOME": str(self.home), "PATH": os.environ["PATH"]}
        async with open_client(registries=self.registries, environment=environment) as client:
            return await fetch_image(
                parse_reference(reference),
                parse_platform(platform),
                client=client,
                cache=self.cache,
                report=self.told.append,
            )


def check(found: FetchedImage, image: FakeImage) -> None:
    assert found.digest == image.manifest.digest
    assert [layer.digest for layer in found.layers] == [layer.digest for layer in image.layers]
    assert [layer.path.read_bytes() for layer in found.layers] == [layer.content for layer in image.layers]
    assert {layer.path.stat().st_mode & 0o777 for layer in found.layers} == {0o400}


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DebianRegistry]:
    with run_registry(tmp_path_factory.mktemp("registry") / "r") as running:
        yield running


@pytest.fixture
def puller(tmp_path: Path, registry: DebianRegistry) -> Puller:
    return Puller(tmp_path, {registry.host: Registry(registry.host, plain_http=True)})


BASE = make_tar({"bin/sh": os.urandom(3_000_000)})
TOP = make_tar({"etc/motd": b"hello"})


async def test_by_tag_and_by_digest(registry: DebianRegistry, puller: Puller) -> None:
    image = make_image(BASE, TOP, BASE, packing=["+gzip", "+zstd", ""], says_its_type=False)
    registry.push("some/app", "1.0", image)
    found = await puller.pull(f"{registry.host}/some/app:1.0")
    check(found, image)
    assert found.named_digest == found.digest
    assert found.config.environment == {"PATH": "/bin"}
    assert found.config.run.argv == ("/bin/sh",)
    last = [told for told in puller.told if told.stage == "download"][-1]
    assert last.done == last.total == sum(len(layer.content) for layer in image.layers)
    assert puller.needed_bytes == [last.total]
    layer = registry.requests(f"/v2/some/app/blobs/{image.layers[0].digest}")
    check(await puller.pull(f"{registry.host}/some/app@{found.digest}"), image)
    assert registry.requests(f"/v2/some/app/blobs/{image.layers[0].digest}") == layer == 1


async def test_without_the_network_everything_is_in_the_cache(registry: DebianRegistry, puller: Puller) -> None:
    image = make_image(BASE)
    registry.push("kept", "1", image)
    found = await puller.pull(f"{registry.host}/kept:1")
    puller.registries = {}  # nobody speaks TLS there
    check(await puller.pull(f"{registry.host}/kept@{found.digest}"), image)


async def test_the_platform_of_an_index(registry: DebianRegistry, puller: Puller) -> None:
    images = {
        "linux/amd64": make_image(BASE, TOP),
        "linux/arm64/v8": make_image(TOP, architecture="arm64", variant="v8"),
        "linux/s390x": make_image(BASE, architecture="s390x"),
    }
    attestation = make_image(make_tar({"a": b"1"}))
    index = make_index(images, attestation.manifest.descriptor(platform={"os": "unknown", "architecture": "unknown"}))
    registry.push_index("multi", "1", index, [*images.values(), attestation])
    for platform, wanted in (("linux/amd64", "linux/amd64"), ("linux/arm64", "linux/arm64/v8")):
        found = await puller.pull(f"{registry.host}/multi:1", platform)
        check(found, images[wanted])
        assert found.named_digest == index.digest
    only = make_index({"linux/s390x": images["linux/s390x"]})
    registry.push_index("single", "1", only, [images["linux/s390x"]])
    with pytest.raises(Unsupported, match="is not for linux/amd64, but for linux/s390x"):
        await puller.pull(f"{registry.host}/single:1")
    with pytest.raises(Unsupported, match="is not for linux/arm64, but for linux/amd64"):
        await puller.pull(f"{registry.host}/multi@{images['linux/amd64'].manifest.digest}", "linux/arm64")


async def test_an_image_in_dockers_words(registry: DebianRegistry, puller: Puller) -> None:
    image = make_docker_image(BASE, TOP)
    registry.push("docker", "1", image)
    check(await puller.pull(f"{registry.host}/docker:1"), image)


async def test_what_is_not_there(registry: DebianRegistry, puller: Puller) -> None:
    with pytest.raises(NotFound, match=r"has no .*nothing:1: manifest unknown"):
        await puller.pull(f"{registry.host}/nothing:1")


async def test_ten_pulls_at_once_fetch_each_blob_once(registry: DebianRegistry, tmp_path: Path) -> None:
    image = make_image(BASE, TOP, make_tar({"x": os.urandom(2_000_000)}))
    registry.push("busy", "1", image)
    registries = {registry.host: Registry(registry.host, plain_http=True)}
    puller = Puller(tmp_path, registries)
    for found in await asyncio.gather(*(puller.pull(f"{registry.host}/busy:1") for _ in range(10))):
        check(found, image)
    assert [registry.requests(f"/v2/busy/blobs/{blob.digest}") for blob in image.blobs] == [1] * len(image.blobs)
    assert [blob.is_partial for blob in puller.cache.list()] == [False] * (len(image.blobs) + 1)
