"""Images from the real registry of Debian."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import signal
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from tests.fakes.debian_registry import PASSWORD, USER, DebianRegistry, run_registry
from tests.fakes.images import FakeImage, make_docker_image, make_image, make_index, make_tar
from tests.fakes.registry_server import REPOSITORY, RegistryServer
from tests.fakes.web_server import Exchange, WebServer
from tests.world import REPOSITORY as HERE

from banger.core.config.registries import Registry
from banger.core.errors import Denied, Failed, NotFound, Unsupported, WrongState
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


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DebianRegistry]:
    """A registry that wants a login."""
    with run_registry(tmp_path_factory.mktemp("closed") / "r", with_login=True) as running:
        yield running


def log_in(puller: Puller, path: str, host: str, password: str = PASSWORD) -> None:
    file = puller.home / path
    file.parent.mkdir(parents=True)
    auth = base64.b64encode(f"{USER}:{password}".encode()).decode()
    file.write_text(json.dumps({"auths": {host: {"auth": auth}}}))


@pytest.mark.parametrize("path", [".docker/config.json", ".config/containers/auth.json"])
async def test_with_a_password(closed: DebianRegistry, tmp_path: Path, path: str) -> None:
    image = make_image(BASE, TOP)
    closed.push("secret/app", "1", image)
    puller = Puller(tmp_path, {closed.host: Registry(closed.host, plain_http=True)})
    log_in(puller, path, closed.host)
    check(await puller.pull(f"{closed.host}/secret/app:1"), image)


async def test_with_a_helper(closed: DebianRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image = make_image(TOP)
    closed.push("helped", "1", image)
    puller = Puller(tmp_path, {closed.host: Registry(closed.host, plain_http=True)})
    (puller.home / ".docker").mkdir()
    (puller.home / ".docker" / "config.json").write_text(json.dumps({"credHelpers": {closed.host: "for-tests"}}))
    program = tmp_path / "bin" / "docker-credential-for-tests"
    program.parent.mkdir()
    answer = json.dumps({"ServerURL": closed.host, "Username": USER, "Secret": PASSWORD})
    program.write_text(f"#!/bin/sh\nread host; [ \"$1 $host\" = 'get {closed.host}' ] && echo '{answer}'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    check(await puller.pull(f"{closed.host}/helped:1"), image)


async def test_without_a_password_or_with_a_wrong_one(closed: DebianRegistry, tmp_path: Path) -> None:
    puller = Puller(tmp_path, {closed.host: Registry(closed.host, plain_http=True)})
    with pytest.raises(Denied, match="does not let anybody read app without a login") as caught:
        await puller.pull(f"{closed.host}/app:1")
    assert f"docker login {closed.host}" in caught.value.hint
    log_in(puller, ".docker/config.json", closed.host, password="wrong")
    with pytest.raises(Denied, match="does not let me read app"):
        await puller.pull(f"{closed.host}/app:1")


async def test_a_registry_without_tls_that_nobody_said_so_of(registry: DebianRegistry, puller: Puller) -> None:
    puller.registries = {}
    with pytest.raises(Failed, match="does not speak TLS") as caught:
        await puller.pull(f"{registry.host}/kept:1")
    assert f'[registries."{registry.host}"] and plain_http = true' in caught.value.hint


async def test_a_partial_blob_is_completed_by_the_real_registry(registry: DebianRegistry, puller: Puller) -> None:
    image = make_image(make_tar({"big": os.urandom(3_000_000)}))
    registry.push("resumed", "1", image)
    (layer,) = image.layers
    partial = puller.cache._root / "partial" / layer.digest.replace(":", "-")
    partial.parent.mkdir(parents=True)
    partial.write_bytes(layer.content[:1_000_000])
    check(await puller.pull(f"{registry.host}/resumed:1"), image)
    (line,) = [
        line for line in registry.log.read_text().splitlines() if f"GET /v2/resumed/blobs/{layer.digest} " in line
    ]
    assert f" 206 {len(layer.content) - 1_000_000} " in line
    assert puller.needed_bytes == [len(layer.content) - 1_000_000]
    assert not partial.exists()


async def test_kill_9_leaves_what_the_next_pull_goes_on_with(tmp_path: Path) -> None:
    image = make_image(make_tar({"big": os.urandom(6_000_000)}), packing="")
    (layer,) = image.layers
    server = RegistryServer(image)

    async def half(exchange: Exchange) -> None:
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(layer.content)}\r\n\r\n".encode()
        await exchange.raw(head + layer.content[: len(layer.content) // 2])
        await asyncio.Event().wait()

    server.instead["layer"] = half
    async with WebServer(server) as web:
        puller = Puller(tmp_path, {web.host: Registry(web.host, plain_http=True)})
        blobs = tmp_path / "blobs"
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.fakes.pulling",
            web.host, str(blobs), str(puller.home), f"{web.host}/{REPOSITORY}:1",
            cwd=HERE, env={**os.environ, "PYTHONPATH": f"{HERE}/src:{HERE}"},
        )  # fmt: skip
        partial = blobs / "partial" / layer.digest.replace(":", "-")
        while not partial.exists() or partial.stat().st_size < 2 << 20:
            assert child.returncode is None
            await asyncio.sleep(0.01)
        with pytest.raises(WrongState, match="is being pulled right now"):
            await puller.cache.remove(puller.cache.list())
        child.send_signal(signal.SIGKILL)
        await child.wait()
        there = partial.stat().st_size
        assert [(blob.size_bytes, blob.digest) for blob in puller.cache.list() if blob.is_partial] == [
            (there, layer.digest)
        ]
        del server.instead["layer"]
        check(await puller.pull(f"{web.host}/{REPOSITORY}:1"), image)
        assert [request.headers.get("range") for request in web.requests if layer.digest in request.path] == [
            None,
            f"bytes={there}-",
        ]
        assert not partial.exists()


async def test_a_pull_that_is_given_up_can_be_gone_on_with(tmp_path: Path) -> None:
    image = make_image(make_tar({"big": os.urandom(3_000_000)}), TOP, packing="")
    layer = image.layers[0]
    server = RegistryServer(image)

    async def half(exchange: Exchange) -> None:
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(layer.content)}\r\n\r\n".encode()
        await exchange.raw(head + layer.content[:1_500_000])
        await asyncio.Event().wait()

    server.instead["layer"] = half
    async with WebServer(server) as web:
        puller = Puller(tmp_path, {web.host: Registry(web.host, plain_http=True)})
        pull = asyncio.create_task(puller.pull(f"{web.host}/{REPOSITORY}:1"))
        while not any(told.detail and told.done and told.total == len(layer.content) for told in puller.told):
            await asyncio.sleep(0.01)
        pull.cancel()
        with pytest.raises(asyncio.CancelledError):
            await pull
        (partial,) = [blob for blob in puller.cache.list() if blob.is_partial and blob.digest == layer.digest]
        assert 0 < partial.size_bytes <= 1_500_000
        del server.instead["layer"]
        check(await puller.pull(f"{web.host}/{REPOSITORY}:1"), image)
        assert f"bytes={partial.size_bytes}-" in [request.headers.get("range") for request in web.requests]


async def test_ten_processes_at_once_fetch_each_blob_once(registry: DebianRegistry, tmp_path: Path) -> None:
    image = make_image(BASE, TOP)
    registry.push("crowd", "1", image)
    (tmp_path / "home").mkdir()
    children = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.fakes.pulling",
            registry.host, str(tmp_path / "blobs"), str(tmp_path / "home"), f"{registry.host}/crowd:1",
            cwd=HERE, env={**os.environ, "PYTHONPATH": f"{HERE}/src:{HERE}"}, stdout=asyncio.subprocess.PIPE,
        )
        for _ in range(10)
    ]  # fmt: skip
    for child in children:
        assert (await child.communicate())[0].decode().strip() == image.manifest.digest
    assert [registry.requests(f"/v2/crowd/blobs/{blob.digest}") for blob in image.blobs] == [1] * len(image.blobs)
