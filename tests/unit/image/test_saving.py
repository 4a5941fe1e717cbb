"""The archive that an agent sends becomes an image, and what no honest agent sends does not."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest
from tests.unit.image.test_images import X86_64, make_archive

from banger.core.errors import Invalid
from banger.core.provenance import Provenance
from banger.disk.rootfs import ArchiveTree
from banger.image.run_config import RunConfig
from banger.image.saving import SavedRoot, make_saved_image
from banger.image.store import Image, ImageStore

SAVED = SavedRoot(
    architecture="x86_64",
    environment={"PATH": "/bin"},
    run=RunConfig(entrypoint=("/bin/serve",), user="server"),
    source="saved from the VM box",
    provenance=Provenance(kind="vm", reference="box", base=f"sha256:{'1' * 64}"),
    hint="remove it in the VM",
)
STATUS = """\
Package: bash
Status: install ok installed
Version: 5.2-1

Package: gone
Status: deinstall ok config-files
Version: 1

Status: install ok installed

Package: ../evil\x1b[2J
Status: install ok installed
Version: 1
"""


@pytest.fixture
def store(tmp_path: Path) -> ImageStore:
    return ImageStore(tmp_path / "images")


def save(store: ImageStore, source: io.BytesIO) -> Image:
    return make_saved_image(store, "saved", source, SAVED, read_rootfs=ArchiveTree)


def test_it_is_run_as_its_base_is(store: ImageStore) -> None:
    image = save(store, make_archive({"bin/serve": X86_64, "var/lib/dpkg/status": STATUS.encode()}))
    assert (image.run, image.environment, image.init) == (SAVED.run, {"PATH": "/bin"}, None)
    assert (image.source, image.provenance) == (SAVED.source, SAVED.provenance)
    assert image.packages is not None
    assert image.packages.read_text() == "# deb\nbash 5.2-1\n"
    assert store.find("saved") == image


def test_the_same_root_is_the_same_image(store: ImageStore, tmp_path: Path) -> None:
    other = ImageStore(tmp_path / "other")
    members: dict[str, bytes | str] = {"b": b"1", "a": b"2"}
    backwards = dict(reversed(members.items()))
    assert save(store, make_archive(members)).digest == save(other, make_archive(backwards)).digest


def test_systemd_is_not_told_that_it_boots_for_the_first_time(store: ImageStore, tmp_path: Path) -> None:
    image = save(store, make_archive({"usr/lib/systemd/systemd": X86_64, "etc/hostname": b"x"}))
    assert image.init == "/usr/lib/systemd/systemd"
    assert b"machine-id" in image.rootfs.read_bytes()
    assert b"machine-id" not in save(ImageStore(tmp_path / "o"), make_archive({"etc/x": b"x"})).rootfs.read_bytes()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not an archive" * 100,
        bytes(1024),
        make_archive({"a": b"x" * 5000}).getvalue()[:3000],
        make_archive({"../escape": b"x"}).getvalue(),
        make_archive({"link": "/etc", "link/passwd": b"x"}).getvalue(),
    ],
    ids=["nothing", "garbage", "empty", "cut short", "escape", "below a link"],
)
def test_what_is_no_root_leaves_nothing(store: ImageStore, tmp_path: Path, content: bytes) -> None:
    with pytest.raises(Invalid) as refused:
        save(store, io.BytesIO(content))
    assert "VM" in refused.value.hint
    assert store.list() == []
    assert list((tmp_path / "images" / "drafts").iterdir()) == []


def test_a_name_that_is_said_twice_is_the_last(store: ImageStore) -> None:
    """A hostile agent may well say it twice: what is in the image is one of both, and nothing else happens."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for content in (b"first", b"second"):
            info = tarfile.TarInfo("x")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    buffer.seek(0)
    assert b"second" in save(store, buffer).rootfs.read_bytes()
