"""Registries whose manifests, indexes and configurations are not what they should be, each by name."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from tests.fakes.images import (
    DOCKER_LIST,
    OCI_CONFIG,
    OCI_INDEX,
    OCI_LAYER,
    OCI_MANIFEST,
    Blob,
    FakeImage,
    encode,
    make_image,
    make_index,
)
from tests.fakes.registry_server import replying, serving
from tests.hostile.registry_world import LAYER, Case, World, run

from banger.core.errors import Failed, Unsupported

Arrange = Callable[[World], None]
OTHER = make_image(LAYER + bytes(1024))


def raw(content: bytes, media_type: str = OCI_MANIFEST) -> Arrange:
    """These bytes are the manifest, and their digest is right."""

    def arrange(world: World) -> None:
        world.server.image = replace(world.image, manifest=Blob(content, media_type))

    return arrange


def changed(change: Callable[[dict[str, Any]], object], media_type: str = OCI_MANIFEST) -> Arrange:
    """The manifest with a change."""

    def arrange(world: World) -> None:
        document = json.loads(world.image.manifest.content)
        change(document)
        raw(encode(document), media_type)(world)

    return arrange


def layer(**changes: Any) -> Arrange:
    return changed(lambda document: document["layers"][0].update(changes))


def config(**changes: Any) -> Arrange:
    """The descriptor of the configuration with a change."""
    return changed(lambda document: document["config"].update(changes))


def configured(change: Callable[[dict[str, Any]], object]) -> Arrange:
    """Another configuration, and a manifest that fits it."""

    def arrange(world: World) -> None:
        document = json.loads(world.image.config.content)
        change(document)
        blob = Blob(encode(document), OCI_CONFIG)
        world.server.image = replace(world.image, config=blob)
        changed(lambda manifest: manifest.update(config=blob.descriptor()))(world)

    return arrange


def index(change: Callable[[dict[str, Any]], object]) -> Arrange:
    """An index over the image with a change."""

    def arrange(world: World) -> None:
        document = json.loads(make_index({"linux/amd64": world.image}).content)
        change(document)
        world.server.index = Blob(encode(document), OCI_INDEX)

    return arrange


def entry(**changes: Any) -> Arrange:
    return index(lambda document: document["manifests"][0].update(changes))


def instead(kind: str, image: FakeImage) -> Arrange:
    """Another manifest is sent than what was promised."""

    def arrange(world: World) -> None:
        world.server.instead[kind] = serving(image.manifest)

    return arrange


def flipped(kind: str) -> Arrange:
    """A blob differs in its last bit."""

    def arrange(world: World) -> None:
        content = (world.image.config if kind == "config" else world.image.layers[0]).content
        world.server.instead[kind] = replying(200, content[:-1] + bytes([content[-1] ^ 1]))

    return arrange


def child_of_another_digest(world: World) -> None:
    index(lambda _document: None)(world)
    instead("child", OTHER)(world)


def child_of_another_type(world: World) -> None:
    index(lambda _document: None)(world)
    world.server.instead["child"] = replying(200, world.image.manifest.content, {"Content-Type": OCI_INDEX})


def lying_header(world: World) -> None:
    manifest = world.image.manifest
    headers = {"Content-Type": manifest.media_type, "Docker-Content-Digest": OTHER.manifest.digest}
    world.server.instead["manifest"] = replying(200, manifest.content, headers)


def headed(kind: str, **headers: str) -> Arrange:
    def arrange(world: World) -> None:
        world.server.instead[kind] = replying(
            200, world.image.manifest.content, {name.replace("_", "-"): value for name, value in headers.items()}
        )

    return arrange


def other_platform(world: World) -> None:
    world.server.image = make_image(LAYER, architecture="riscv64")


def nested(depth: int) -> bytes:
    return b'{"a":' * depth + b"1" + b"}" * depth


def members(text: str) -> Arrange:
    """A manifest with something between its members."""

    def arrange(world: World) -> None:
        content = world.image.manifest.content
        raw(content.rstrip().removesuffix(b"}") + b"," + text.encode() + b"}")(world)

    return arrange


HELM = "application/vnd.cncf.helm.config.v1+json"
FOREIGN = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
ENCRYPTED = f"{OCI_LAYER}+gzip+encrypted"

CASES = [
    # digests
    Case("manifest of another digest", instead("manifest", OTHER), Failed, "sent a manifest that is sha256:"),
    Case("digest header lies about the body", lying_header, Failed, "another digest than that of what it sent"),
    Case("digest header is not a digest", headed("head", Docker_Content_Digest="../../etc/passwd")),
    Case("digest header missing", headed("head")),
    Case("child of another digest", child_of_another_digest, Failed, "sent a manifest that is sha256:"),
    Case("config with a flipped bit", flipped("config"), Failed, "sent a blob that is sha256:"),
    Case("layer with a flipped bit", flipped("layer"), Failed, "sent a blob that is sha256:"),
    Case("digest climbs out of the cache", layer(digest="sha256:../../../../tmp/x"), Failed, "is not a digest"),
    Case("digest in capitals", layer(digest="sha256:" + "A" * 64), Failed, "is not a digest"),
    Case("digest too short", layer(digest="sha256:" + "a" * 63), Failed, "is not a digest"),
    Case("digest by md5", layer(digest="md5:" + "a" * 32), Failed, "made by md5"),
    Case("digest with a line feed", layer(digest="sha256:" + "a" * 64 + "\n"), Failed, "is not a digest"),
    # sizes
    Case("child of another size", entry(size=5), Failed, "its index says 5"),
    Case("child of 5 GiB", entry(size=5 << 30), Unsupported, "5 GiB, and 4 MiB are allowed"),
    Case("config of 5 GiB", config(size=5 << 30), Unsupported, "5 GiB, and 4 MiB are allowed"),
    Case("layer smaller than said", layer(size=len(LAYER) * 2), Failed, "announces"),
    Case("layer larger than said", layer(size=10), Failed, "announces"),
    Case("layer of no bytes", layer(size=0), Failed, "has no bytes"),
    Case("layer of less than no bytes", layer(size=-1), Failed, "malformed"),
    Case("layer of 2^63 bytes", layer(size=2**63), Failed, "malformed"),
    Case("layer of 10^30 bytes", layer(size=10**30), Failed, "too many digits"),
    Case("layer of true bytes", layer(size=True), Failed, "malformed"),
    Case("layer of 1.5 bytes", layer(size=1.5), Failed, "malformed"),
    Case("layer of a text of bytes", layer(size="7"), Failed, "malformed"),
    Case(
        "one blob of two sizes",
        changed(lambda d: d["layers"].append({**d["layers"][0], "size": 9})),
        Failed,
        "two sizes",
    ),
    Case(
        "layers of 2 TiB together",
        changed(lambda d: d.update(layers=[{**d["layers"][0], "digest": f"sha256:{n:064x}", "size": 64 << 30} for n in range(32)])),
        Unsupported,
        "2 TiB",
    ),
    # kinds
    Case("index and image in one", changed(lambda d: d.update(manifests=[])), Failed, "an index and an image in one"),
    Case("image sent as index", headed("manifest", Content_Type=OCI_INDEX), Failed, "it was sent as"),
    Case("image that calls itself an index", changed(lambda d: d.update(mediaType=OCI_INDEX)), Failed, "it was sent as"),
    Case("child sent as index", child_of_another_type, Failed, "its index says"),
    Case("sent as a web page", headed("manifest", Content_Type="text/html"), Failed, "it was sent as text/html"),
    Case("sent as anything", headed("manifest", Content_Type="application/octet-stream")),
    Case("type is a number", changed(lambda d: d.update(mediaType=7)), Failed, "mediaType is not a string"),
    Case("schema 1", raw(encode({"schemaVersion": 1, "fsLayers": []})), Unsupported, "schema 1"),
    Case("schema 3", changed(lambda d: d.update(schemaVersion=3)), Failed, "malformed"),
    Case("a Helm chart", config(mediaType=HELM), Unsupported, "an artifact of the type"),
    Case("a layer from the web", layer(mediaType=FOREIGN, urls=["https://storage.test/"]), Unsupported, "on the web"),
    Case("an encrypted layer", layer(mediaType=ENCRYPTED), Unsupported, "has a layer of the type"),
    Case("a type with escapes", layer(mediaType="\x1b[2J\u202e"), Unsupported, "has a layer of the type"),
    Case("no layers", changed(lambda d: d.update(layers=[])), Unsupported, "no layers"),
    Case("layers are null", changed(lambda d: d.update(layers=None)), Failed, "malformed"),
    Case("129 layers", changed(lambda d: d.update(layers=d["layers"] * 129)), Failed, "malformed"),
    Case("config is missing", changed(lambda d: d.pop("config")), Failed, "malformed"),
    Case("index of nothing", index(lambda d: d.update(manifests=[])), Unsupported, "without any image"),
    Case("index of indexes", entry(mediaType=DOCKER_LIST), Unsupported, "without any image"),
    Case("index of 1025 entries", index(lambda d: d.update(manifests=d["manifests"] * 1025)), Failed, "malformed"),
    Case(
        "index for platforms with escapes",
        entry(platform={"os": "linux", "architecture": "\x1b]0;x\x07"}),
        Unsupported,
        "is not for linux/amd64",
    ),
    Case("index without platforms", index(lambda d: d["manifests"][0].pop("platform")), Unsupported, "without any"),
    # configurations
    Case("config for another platform", other_platform, Unsupported, "but for linux/riscv64"),
    Case("config without layers", configured(lambda d: d["rootfs"].update(diff_ids=[])), Failed, "lists 0"),
    Case("config of too many layers", configured(lambda d: d["rootfs"].update(diff_ids=["x"] * 200)), Failed, "malformed"),
    Case("config with a wrong diff_id", configured(lambda d: d["rootfs"].update(diff_ids=["x"])), Failed, "is not a digest"),
    Case("config without a rootfs", configured(lambda d: d.pop("rootfs")), Failed, "malformed"),
    Case("config of another rootfs", configured(lambda d: d["rootfs"].update(type="x")), Failed, "made of layers"),
    Case("user wraps round to root", configured(lambda d: d["config"].update(User="4294967296")), Failed, "of a user"),
    Case("user has a line feed", configured(lambda d: d["config"].update(User="a\nb")), Failed, "is not a user"),
    Case("variable has a NUL", configured(lambda d: d["config"].update(Env=["A=\0"])), Failed, "has a NUL"),
    Case("variable has no name", configured(lambda d: d["config"].update(Env=["=a"])), Failed, "is not a variable"),
    Case("stop signal is none", configured(lambda d: d["config"].update(StopSignal="SIGFOO")), Failed, "is not a signal"),
    Case("command is an object", configured(lambda d: d["config"].update(Cmd={})), Failed, "malformed"),
    # JSON
    Case("not a number", members('"x": NaN'), Failed, "NaN is not a number"),
    Case("without end", members('"x": Infinity'), Failed, "Infinity is not a number"),
    Case("too large a number", members('"x": 1e999'), Failed, "too large"),
    Case("10,000 digits", members(f'"x": {"9" * 10_000}'), Failed, "too many digits"),
    Case("half a character", members('"\\ud800": 1'), Failed, "malformed"),
    Case("a member twice", members('"layers": []'), Failed, "is there twice"),
    Case("100,000 deep", raw(nested(100_000)), Failed, "nested too deep"),
    Case("a lone surrogate", configured(lambda d: d["config"].update(Cmd=["\ud800"])), Failed, "malformed"),
    Case("not UTF-8", raw(b'{"schemaVersion": "\xff"}'), Failed, "malformed"),
    Case("UTF-16", raw('{"schemaVersion": 2}'.encode("utf-16")), Failed, "malformed"),
    Case("half a document", raw(b'{"schemaVersion": 2, "con'), Failed, "malformed"),
    Case("a list", raw(b"[]"), Failed, "not an object"),
    Case("an empty object", raw(b"{}"), Failed, "malformed"),
    Case("nothing", raw(b""), Failed, "malformed"),
    Case("3 MiB of spaces", raw(b" " * (3 << 20)), Failed, "malformed"),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_a_document_that_is_not_what_it_should_be(case: Case, plain: World) -> None:
    plain.log_in()
    plain.server.login = "basic"
    await run(case, plain)


def test_they_are_many() -> None:
    assert len({case.name for case in CASES}) == len(CASES) >= 60
