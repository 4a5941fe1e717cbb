"""What `image export` writes, in the hands of other programs: skopeo, umoci and GNU tar."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from tests.contract.umoci_world import check_equal, describe_directory, describe_image, umoci
from tests.fakes.images import make_image
from tests.unit.daemon.test_host_export import CONFIG, ROOT, export, make
from tests.unit.disk.trees import trees, write_bytes

from banger.disk.tar_writer import tar_pieces
from banger.disk.tree import Tree
from banger.image.store import ImageStore

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("umoci") is None or shutil.which("skopeo") is None,
    reason="needs root, umoci and skopeo",
)


def run(*words: object) -> bytes:
    done = subprocess.run([str(word) for word in words], check=False, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


@pytest.mark.parametrize(("format_", "transport"), [("oci", "oci-archive"), ("docker", "docker-archive")])
def test_skopeo_reads_an_image_with_all_that_it_says(tmp_path: Path, format_: str, transport: str) -> None:
    store = ImageStore(tmp_path / "images")
    image = make(store, make_image(ROOT, config=CONFIG))
    content, exported = export(store, image, format_)  # type: ignore[arg-type]  # one of the parameters above
    archive = tmp_path / "archive.tar"
    archive.write_bytes(content)
    inspected = json.loads(run("skopeo", "inspect", f"{transport}:{archive}"))
    assert (inspected["Architecture"], inspected["Os"], inspected["Env"]) == ("amd64", "linux", CONFIG["Env"])
    if format_ == "oci":
        assert inspected["Digest"] == exported.digest
    run("skopeo", "copy", "-q", f"{transport}:{archive}", f"oci:{tmp_path}/layout:copied")
    umoci("unpack", "--image", f"{tmp_path}/layout:copied", tmp_path / "bundle")
    check_equal(describe_directory(tmp_path / "bundle" / "rootfs"), describe_image(image.rootfs))
    config = json.loads((tmp_path / "bundle" / "config.json").read_bytes())["process"]
    assert config["args"] == ["/bin/sh", "-c", "echo hello"]
    assert config["cwd"] == "/work"


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tree=trees(on_disk=True))
def test_gnu_tar_unpacks_what_is_in_the_tree(tree: Tree, tmp_path: Path) -> None:
    target = tmp_path / "unpacked"
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    (tmp_path / "archive.tar").write_bytes(b"".join(tar_pieces(tree)))
    (tmp_path / "image").write_bytes(write_bytes(tree))
    run("tar", "-C", target, "--xattrs", "--xattrs-include=*", "--same-owner", "-xpf", tmp_path / "archive.tar")
    check_equal(describe_directory(target), describe_image(tmp_path / "image"))
