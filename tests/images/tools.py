"""The programs of others that images are built with here: umoci, skopeo, mmdebstrap and more, as root."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from banger.core.debian import find_mirrors, read_host_sources

SUITE = "bookworm"
TAG = "image"


def run(*words: object, cwd: Path | None = None, environment: dict[str, str] | None = None) -> bytes:
    """Run a program that must succeed; its output."""
    done = subprocess.run(
        [os.fspath(word) if isinstance(word, Path) else str(word) for word in words],
        check=False,
        capture_output=True,
        cwd=cwd,
        env={**os.environ, **(environment or {})},
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, (
        words,
        done.stdout[-2000:].decode("utf-8", "replace"),
        done.stderr[-4000:].decode("utf-8", "replace"),
    )
    return done.stdout


def run_foreign_programs() -> None:
    """Have this computer run what Debian for another processor is built with."""
    for machine in ("x86_64", "aarch64"):
        if os.uname().machine != machine and not Path(f"/proc/sys/fs/binfmt_misc/qemu-{machine}").exists():
            run("update-binfmts", "--enable", f"qemu-{machine}")


def missing(*programs: str) -> list[str]:
    """Those that are not installed."""
    return [program for program in programs if shutil.which(program) is None]


class Layout:
    """One image in an OCI layout, as umoci keeps it."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "layout"
        self._directory = directory
        self._bundles = 0

    @property
    def image(self) -> str:
        return f"{self.path}:{TAG}"

    def begin(self) -> None:
        """An image without layers."""
        run("umoci", "init", "--layout", self.path)
        run("umoci", "new", "--image", self.image)

    def add_archive(self, archive: Path) -> None:
        """A layer that another program has written."""
        run("umoci", "raw", "add-layer", "--image", self.image, archive)

    def change(self, work: Callable[[Path], None]) -> None:
        """A layer of whatever `work` does to the root directory."""
        bundle = self._next_bundle()
        run("umoci", "unpack", "--image", self.image, bundle)
        work(bundle / "rootfs")
        run("umoci", "repack", "--image", self.image, bundle)
        shutil.rmtree(bundle)

    def configure(self, *words: str) -> None:
        """`umoci config`."""
        run("umoci", "config", "--image", self.image, *words)

    def unpack(self) -> Path:
        """The root directory as umoci makes it."""
        bundle = self._next_bundle()
        run("umoci", "unpack", "--image", self.image, bundle)
        return bundle / "rootfs"

    def forget(self) -> None:
        """Remove what was unpacked."""
        for bundle in self._directory.glob("bundle*"):
            shutil.rmtree(bundle)

    def count_layers(self) -> int:
        index = json.loads((self.path / "index.json").read_bytes())
        manifest: dict[str, Any] = json.loads(self._blob(index["manifests"][0]["digest"]))
        return len(manifest["layers"])

    def _blob(self, digest: str) -> bytes:
        return (self.path / "blobs" / digest.replace(":", "/")).read_bytes()

    def _next_bundle(self) -> Path:
        self._bundles += 1
        return self._directory / f"bundle{self._bundles}"


def push(layout: Layout, host: str, repository: str, *options: str) -> None:
    """Into a registry without TLS, by skopeo."""
    run(
        "skopeo",
        "copy",
        "-q",
        "--dest-tls-verify=false",
        *options,
        f"oci:{layout.image}",
        f"docker://{host}/{repository}",
    )


def mmdebstrap(archive: Path, *options: str) -> None:
    run("mmdebstrap", "--quiet", *options, SUITE, archive, mirror())


def mirror() -> str:
    """This computer's own mirror of Debian, else the public one."""
    return find_mirrors(read_host_sources(), suite=SUITE).archive


def debian_file(directory: Path, package: str, path: str) -> Path:
    """A file out of a package of Debian's, which apt has fetched and checked."""
    unpacked = directory / f"package-{package}"
    if not unpacked.exists():
        downloads = directory / "downloads"
        downloads.mkdir(exist_ok=True)
        run("apt-get", "download", "-q", "-o", "APT::Sandbox::User=root", package, cwd=downloads)
        (file,) = downloads.glob(f"{package}_*.deb")
        run("dpkg-deb", "-x", file, unpacked)
    return unpacked / path
