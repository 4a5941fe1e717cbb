"""An image that goes out as an archive and comes back is the same image."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import pytest
from tests.fakes.images import FakeImage, make_image, make_tar, sha256
from tests.unit.image.test_archives import layout_files

from banger.core.errors import Failed
from banger.core.progress import Progress
from banger.daemon.collaborators import Exported
from banger.daemon.host_export import export_pieces
from banger.disk.rootfs import ArchiveTree, LayerTree
from banger.image.exporting import FORMATS, ExportFormat
from banger.image.importing import import_archive
from banger.image.store import Image, ImageStore

ROOT = make_tar({"bin/sh": b"shell", "etc/big": b"x" * 3_000_000, "etc/x": b"1"})
CONFIG = {
    "Env": ["PATH=/bin", "GREETING=hello = world"],
    "Entrypoint": ["/bin/sh", "-c"],
    "Cmd": ["echo hello"],
    "User": "1000:5",
    "WorkingDir": "/work",
    "StopSignal": "SIGRTMIN+3",
    "Labels": {"who": "me", "empty": ""},
}


def read(store: ImageStore, name: str, content: bytes) -> Image:
    return import_archive(
        store,
        name,
        io.BytesIO(content),
        read_rootfs=ArchiveTree,
        read_layers=LayerTree,
        tag=None,
        architecture="x86_64",
    )


def make(store: ImageStore, image: FakeImage) -> Image:
    return read(store, "first", make_tar(layout_files(image)))


def export(store: ImageStore, image: Image, format_: ExportFormat) -> tuple[bytes, Exported]:
    exported = Exported()
    pieces = list(export_pieces(store, image, format_, exported, lambda _progress: None))
    assert max(map(len, pieces)) < 2 << 20
    return b"".join(pieces), exported


def files_of(content: bytes) -> dict[str, bytes]:
    found = {}
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        for member in archive:
            file = archive.extractfile(member)
            found[member.name] = file.read() if file is not None else b""
    return found


@pytest.fixture
def store(tmp_path: Path) -> ImageStore:
    return ImageStore(tmp_path / "images")


@pytest.mark.parametrize("format_", ["oci", "docker"])
def test_an_image_with_all_that_it_says_comes_back(store: ImageStore, tmp_path: Path, format_: ExportFormat) -> None:
    image = make(store, make_image(ROOT, make_tar({".wh.nothing": b"", "etc/x": b"2"}), config=CONFIG))
    content, exported = export(store, image, format_)
    other = ImageStore(tmp_path / "other")
    back = read(other, "back", content)
    assert back.digest == image.digest
    assert (back.run, back.environment, back.oci["labels"]) == (image.run, image.environment, image.oci["labels"])
    assert exported.size_bytes == len(content)
    assert export(store, image, format_)[0] == content
    # Out again it is the same archive, but for Docker's name.
    again, exported_again = export(other, back, format_)
    assert exported_again.digest == exported.digest
    assert (again == content) is (format_ == "oci")


def test_a_root_file_system_comes_back(store: ImageStore, tmp_path: Path) -> None:
    image = read(store, "first", ROOT)
    for format_ in FORMATS:
        content, exported = export(store, image, format_)
        assert read(ImageStore(tmp_path / format_), "back", content).digest == image.digest
        assert bool(exported.digest) is (format_ != "tar")


def test_the_documents_are_those_of_the_specification(store: ImageStore) -> None:
    image = make(store, make_image(ROOT, config=CONFIG))
    content, exported = export(store, image, "oci")
    files = files_of(content)
    assert list(files)[:2] == ["oci-layout", "index.json"]
    index = json.loads(files["index.json"])
    (described,) = index["manifests"]
    assert described["digest"] == exported.digest
    assert described["platform"] == {"architecture": "amd64", "os": "linux"}
    for name, blob in files.items():
        if name.startswith("blobs/"):
            assert name == "blobs/" + sha256(blob).replace(":", "/")
    manifest = json.loads(files["blobs/" + exported.digest.replace(":", "/")])
    assert manifest["mediaType"] == described["mediaType"] == "application/vnd.oci.image.manifest.v1+json"
    config = json.loads(files["blobs/" + manifest["config"]["digest"].replace(":", "/")])
    assert config["config"] == {**CONFIG, "StopSignal": "37"}
    assert config["rootfs"] == {"type": "layers", "diff_ids": [manifest["layers"][0]["digest"]]}
    assert "created" not in config


@pytest.mark.parametrize(
    ("created", "kept"), [("2024-02-29T01:02:03.5+01:00", True), ("yesterday", False), ("2024-02-29", False)]
)
def test_only_a_time_is_a_time(store: ImageStore, created: str, kept: bool) -> None:
    made = make_image(ROOT)
    document = json.loads(made.config.content)
    document["created"] = created
    image = make(store, _with_config(made, document))
    files = files_of(export(store, image, "docker")[0])
    config = json.loads(files[json.loads(files["manifest.json"])[0]["Config"]])
    assert config.get("created") == (created if kept else None)


def _with_config(image: FakeImage, document: object) -> FakeImage:
    from tests.fakes.images import Blob, encode

    config = Blob(encode(document), image.config.media_type)
    manifest = json.loads(image.manifest.content)
    manifest["config"] = config.descriptor()
    return FakeImage(Blob(encode(manifest), image.manifest.media_type), config, image.layers)


@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize("place", [1030, 4200, -100_000])
def test_nothing_is_given_of_a_damaged_image(store: ImageStore, format_: ExportFormat, place: int) -> None:
    image = read(store, "first", ROOT)
    damaged = bytearray(image.rootfs.read_bytes())
    damaged[place] ^= 4
    image.rootfs.chmod(0o600)
    image.rootfs.write_bytes(damaged)
    given: list[bytes] = []
    with pytest.raises(Failed, match=r"rootfs.erofs of the image .* is damaged: it is sha256:[0-9a-f]{64}, not sha256"):
        given.extend(export_pieces(store, image, format_, Exported(), lambda _progress: None))
    assert b"".join(given) == b""


def test_progress_is_told_and_reaches_its_end(store: ImageStore) -> None:
    image = read(store, "first", ROOT)
    told: list[Progress] = []
    for _ in export_pieces(store, image, "oci", Exported(), told.append):
        pass
    assert [progress.text for progress in told] == ["reading first", "exporting first"]
    assert all(progress.done is not None and progress.total is not None for progress in told)


def test_a_file_is_closed_when_nobody_wants_the_rest(store: ImageStore) -> None:
    import os

    image = read(store, "first", ROOT)
    before = len(os.listdir("/proc/self/fd"))
    pieces = export_pieces(store, image, "tar", Exported(), lambda _progress: None)
    while not next(pieces):
        pass
    assert len(os.listdir("/proc/self/fd")) > before
    pieces.close()
    assert len(os.listdir("/proc/self/fd")) == before
