"""Images as other tools save them: OCI layouts and archives, and what `docker save` writes."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from tests.fakes.images import FakeImage, encode, make_image, make_index, make_tar, sha256

from banger.core.errors import BangerError, Failed, Invalid, Unsupported
from banger.disk.rootfs import ArchiveTree, LayerTree
from banger.image.archives.oci import read_oci_layout
from banger.image.archives.places import DirectoryPlace
from banger.image.importing import import_archive
from banger.image.platforms import parse_platform
from banger.image.store import Image, ImageStore

AMD64 = parse_platform("linux/amd64")
LAYER = make_tar({"bin/sh": b"shell", "etc/x": b"1"})


def layout_files(*images: FakeImage, names: tuple[str, ...] = ("",)) -> dict[str, bytes]:
    """The files of an OCI layout."""
    manifests = [
        image.manifest.descriptor(**({"annotations": {"org.opencontainers.image.ref.name": name}} if name else {}))
        for image, name in zip(images, names, strict=True)
    ]
    blobs = {
        f"blobs/sha256/{blob.digest[7:]}": blob.content for image in images for blob in (image.manifest, *image.blobs)
    }
    return {
        "oci-layout": b'{"imageLayoutVersion":"1.0.0"}',
        "index.json": encode({"schemaVersion": 2, "manifests": manifests}),
        **blobs,
    }


def docker_files(*tags: str, layers: tuple[bytes, ...] = (LAYER,), architecture: str = "amd64") -> dict[str, bytes]:
    """The files of an archive of `docker save`."""
    config = encode(
        {
            "architecture": architecture,
            "os": "linux",
            "config": {"Cmd": ["/bin/sh"], "StopSignal": "SIGINT"},
            "rootfs": {"type": "layers", "diff_ids": [sha256(layer) for layer in layers]},
        }
    )
    names = [f"{number}/layer.tar" for number in range(len(layers))]
    manifest = encode([{"Config": "c.json", "RepoTags": list(tags), "Layers": names}])
    return {"manifest.json": manifest, "c.json": config, **dict(zip(names, layers, strict=True))}


def read(store: ImageStore, files: Mapping[str, bytes], tag: str | None = None) -> Image:
    return import_archive(
        store,
        "x",
        io.BytesIO(make_tar(files)),
        read_rootfs=ArchiveTree,
        read_layers=LayerTree,
        tag=tag,
        architecture="x86_64",
    )


@pytest.fixture
def store(tmp_path: Path) -> ImageStore:
    return ImageStore(tmp_path / "images")


def test_the_same_image_in_each_form_is_the_same_here(store: ImageStore, tmp_path: Path) -> None:
    image = make_image(LAYER, config={"Cmd": ["/bin/sh"], "Env": [], "StopSignal": "SIGINT"})
    for name, content in layout_files(image).items():
        (tmp_path / "layout" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "layout" / name).write_bytes(content)
    from_archive = read(store, layout_files(image))
    from_docker = read(store, docker_files())
    assert from_archive.digest == from_docker.digest
    assert (from_archive.run.command, from_archive.run.stop_signal) == (("/bin/sh",), 2)
    with closing(DirectoryPlace(tmp_path / "layout")) as place:
        found = read_oci_layout(place, AMD64, tag=None)
        for layer, given in zip(found.layers, image.layers, strict=True):
            with layer.open() as opened:
                assert opened.read() == given.content
    assert found.digest == image.manifest.digest == from_archive.oci["digest"]


def test_what_an_image_is_made_of_is_kept(store: ImageStore) -> None:
    image = make_image(LAYER, make_tar({"b": b"2"}), config={"Labels": {"who": "me"}})
    oci = read(store, layout_files(image)).oci
    assert oci["labels"] == {"who": "me"}
    assert [(layer["digest"], layer["size_bytes"]) for layer in oci["layers"]] == [
        (layer.digest, len(layer.content)) for layer in image.layers
    ]


def test_one_of_several(store: ImageStore) -> None:
    images = [make_image(LAYER), make_image(make_tar({"other": b"2"}))]
    files = layout_files(*images, names=("one", "repo/app:two"))
    assert read(store, files, "two").oci["digest"] == images[1].manifest.digest
    with pytest.raises(Invalid, match="2 images") as raised:
        read(store, files)
    assert "one, repo/app:two" in (raised.value.hint or "")
    with pytest.raises(Invalid, match="no image three"):
        read(store, files, "three")
    assert read(store, docker_files("app:1", "app:2"), "app:2").run.stop_signal == 2
    with pytest.raises(Invalid, match="no image nope"):
        read(store, docker_files("app:1"), "nope")


def test_an_index_inside_the_layout(store: ImageStore) -> None:
    images = {"linux/arm64": make_image(make_tar({"arm": b""}), architecture="arm64"), "linux/amd64": make_image(LAYER)}
    index = make_index(images)
    files = layout_files(*images.values(), names=("", ""))
    files["index.json"] = encode({"schemaVersion": 2, "manifests": [index.descriptor()]})
    files[f"blobs/sha256/{index.digest[7:]}"] = index.content
    assert read(store, files).oci["digest"] == images["linux/amd64"].manifest.digest


def test_a_root_file_system_that_only_looks_like_a_saved_image(store: ImageStore) -> None:
    assert read(store, {"manifest.json": b'{"name": "my app"}', "bin/sh": b"x"}).oci == {}
    with pytest.raises(Invalid, match="no tags"):
        read(store, {"bin/sh": b"x"}, "latest")


def without(name: str) -> Callable[[dict[str, bytes]], None]:
    def change(files: dict[str, bytes]) -> None:
        for key in [key for key in files if key.startswith(name)]:
            del files[key]

    return change


def with_docker_manifest(**changes: Any) -> Callable[[dict[str, bytes]], None]:
    def change(files: dict[str, bytes]) -> None:
        manifest = json.loads(files["manifest.json"])
        manifest[0].update(changes)
        files["manifest.json"] = encode(manifest)

    return change


def with_content(name: str, content: bytes) -> Callable[[dict[str, bytes]], None]:
    def change(files: dict[str, bytes]) -> None:
        files[name] = content

    return change


@pytest.mark.parametrize(
    ("change", "kind", "said"),
    [
        (with_docker_manifest(Config="../../etc/passwd"), Failed, "missing"),
        (with_docker_manifest(Config="\ud800"), Failed, "cannot be a file"),
        (with_docker_manifest(Config=""), Failed, "cannot be a file"),
        (with_docker_manifest(Layers=["/etc/shadow"]), Failed, "missing"),
        (with_docker_manifest(Layers=[]), Failed, "0 layers"),
        (with_docker_manifest(Layers=["0/layer.tar"] * 129), Failed, "malformed"),
        (with_docker_manifest(Layers=["c.json"]), BangerError, ""),
        (without("0/"), Failed, "missing"),
        (without("c.json"), Failed, "missing"),
        (with_content("manifest.json", b"[]"), Invalid, "0 images"),
        (with_content("manifest.json", b'[{"Config": 1, "Layers": []}]'), Failed, "malformed"),
        (with_content("manifest.json", b'[], "list": []'), Failed, "malformed"),
        (with_content("c.json", b"{}"), Failed, "malformed"),
        (with_content("c.json", b" " * (5 << 20)), Failed, "larger"),
        (with_content("0/layer.tar", make_tar({"other": b""})), BangerError, "sha256"),
        (with_content("0/layer.tar", b""), BangerError, ""),
    ],
)
def test_docker_archives_that_are_refused(
    store: ImageStore, tmp_path: Path, change: Callable[[dict[str, bytes]], None], kind: type[BangerError], said: str
) -> None:
    files = docker_files("app:1")
    change(files)
    with pytest.raises(kind) as raised:
        read(store, files)
    assert said in str(raised.value) + raised.value.summary
    assert store.list() == []
    assert list((tmp_path / "images" / "drafts").iterdir()) == []


@pytest.mark.parametrize(
    ("change", "kind", "said"),
    [
        (without("blobs/"), Failed, "missing"),
        (with_content("index.json", b"{"), Failed, "malformed"),
        (with_content("index.json", b'{"schemaVersion": 2, "manifests": []}'), Invalid, "0 images"),
        (
            with_content(
                "index.json",
                b'{"schemaVersion":2,"manifests":[{"mediaType":"a","digest":"sha256:../../x","size":1}]}',
            ),
            Invalid,
            "not a digest",
        ),
    ],
)
def test_layouts_that_are_refused(
    store: ImageStore, change: Callable[[dict[str, bytes]], None], kind: type[BangerError], said: str
) -> None:
    files = layout_files(make_image(LAYER))
    change(files)
    with pytest.raises(kind) as raised:
        read(store, files)
    assert said in raised.value.summary
    assert store.list() == []


@pytest.mark.parametrize("which", [0, 1, 2])
def test_one_flipped_bit_is_refused_with_both_digests(store: ImageStore, which: int) -> None:
    image = make_image(LAYER)
    blob = (image.manifest, *image.blobs)[which]
    files = layout_files(image)
    flipped = bytearray(blob.content)
    flipped[len(flipped) // 2] ^= 4
    files[f"blobs/sha256/{blob.digest[7:]}"] = bytes(flipped)
    with pytest.raises(BangerError) as raised:
        read(store, files)
    if which < 2:  # a damaged layer may also fail to unpack before its end
        assert blob.digest in raised.value.summary
        assert sha256(bytes(flipped)) in raised.value.summary
    assert store.list() == []


def test_images_of_other_platforms_are_refused(store: ImageStore) -> None:
    with pytest.raises(Unsupported, match="arm64"):
        read(store, docker_files(architecture="arm64"))
    with pytest.raises(Unsupported, match="arm64"):
        read(store, layout_files(make_image(LAYER, architecture="arm64")))


def test_nothing_of_a_layout_directory_is_followed(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"x")
    (tmp_path / "l" / "blobs").mkdir(parents=True)
    (tmp_path / "l" / "index.json").symlink_to(tmp_path / "secret")
    (tmp_path / "l" / "blobs" / "sha256").symlink_to(tmp_path)
    with closing(DirectoryPlace(tmp_path / "l")) as place:
        for path in ("index.json", "blobs/sha256/secret"):
            with pytest.raises(Invalid):
                place.open(path)
        assert place.open("nothing") is None
        with pytest.raises(Invalid, match="not a regular file"):
            place.open("blobs")


def test_a_tar_member_is_never_a_path_of_the_host(store: ImageStore, tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, target in (("manifest.json", "/etc/passwd"), ("oci-layout", str(tmp_path))):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = tarfile.SYMTYPE, target
            archive.addfile(info)
    buffer.seek(0)
    with closing(ArchiveTree(buffer)) as tree:
        assert tree.open("manifest.json") is None
        assert tree.open("oci-layout") is None
