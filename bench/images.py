"""Images of a registry on this computer, against the programs that others use for the same.

What is pulled is made of the default image: 300 MB of its files in three layers, compressed as usual, with a small one
on top that each of the two images has for itself.
"""

from __future__ import annotations

import gzip
import io
import os
import random
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.fakes.debian_registry import DebianRegistry, run_registry
from tests.fakes.images import OCI_CONFIG, OCI_LAYER, OCI_MANIFEST, Blob, FakeImage, encode, sha256
from tests.world import World, kept_cache

from bench.measure import Figure

LAYERS_BYTES = (150_000_000, 80_000_000, 70_000_000)
TOP_BYTES = 10_000_000
THEIRS = "`skopeo copy`, `umoci unpack`, `mke2fs -d`"
# Prints the peak memory, in KiB, of a program that is started by somebody small.
PEAK = """
import resource, subprocess, sys
status = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL).returncode
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(status)
"""


@dataclass
class Cost:
    """What a piece of work took."""

    seconds: float
    peak_mib: float


@dataclass(frozen=True)
class Layer:
    """A layer, packed; what it unpacks to is only known by its digest."""

    blob: Blob
    diff_id: str


def pack_layer(archive: bytes) -> Layer:
    return Layer(Blob(gzip.compress(archive, compresslevel=6, mtime=0), OCI_LAYER + "+gzip"), sha256(archive))


def split(archive: Path) -> Iterator[bytes]:
    """Archives of the members of one, by the bytes of their contents."""
    with tarfile.open(archive) as source:
        members = iter(source)
        for wanted in LAYERS_BYTES:
            buffer, taken = io.BytesIO(), 0
            with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as part:
                for member in members:
                    part.addfile(member, source.extractfile(member) if member.isreg() else None)
                    taken += member.size
                    if taken >= wanted:
                        break
            yield buffer.getvalue()


def make_top(seed: int) -> bytes:
    """What a program brings along: files that compress to half."""
    chance = random.Random(seed)
    buffer, taken, number = io.BytesIO(), 0, 0
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as part:
        while taken < TOP_BYTES:
            size = chance.choice((1_000, 5_000, 20_000, 200_000))
            member = tarfile.TarInfo(f"opt/app{seed}/file{number}")
            member.size = size
            part.addfile(member, io.BytesIO(chance.randbytes(size // 2) + bytes(size - size // 2)))
            taken, number = taken + size, number + 1
    return buffer.getvalue()


def make_image(layers: list[Layer]) -> FakeImage:
    document = {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Env": ["PATH=/usr/bin:/bin"], "Cmd": ["/bin/sh"]},
        "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in layers]},
    }
    config = Blob(encode(document), OCI_CONFIG)
    blobs = tuple(layer.blob for layer in layers)
    manifest = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": config.descriptor(),
        "layers": [blob.descriptor() for blob in blobs],
    }
    return FakeImage(Blob(encode(manifest), OCI_MANIFEST), config, blobs)


def push_images(registry: DebianRegistry, directory: Path) -> None:
    """`bench/app:first` and `:second`."""
    world = World(directory / "export", cache=kept_cache())
    world.root.mkdir()
    try:
        world.succeed("image", "pull", timeout_s=1800)
        archive = directory / "default.tar"
        world.succeed("image", "export", "-q", "debian-bookworm", "--format", "tar", "-o", str(archive))
    finally:
        world.end()
    base = [pack_layer(part) for part in split(archive)]
    archive.unlink()
    for seed, tag in enumerate(("first", "second")):
        registry.push("bench/app", tag, make_image([*base, pack_layer(make_top(seed))]))


class Theirs:
    """The pipeline of others, with a directory of its own: what was copied before is not copied again."""

    def __init__(self, registry: DebianRegistry, directory: Path) -> None:
        self._registry = registry
        self._directory = directory
        directory.mkdir()

    def fetch(self, tag: str) -> Cost:
        layout, bundle = f"{self._directory}/layout:{tag}", self._directory / tag
        rootless = ["--rootless"] if os.geteuid() else []
        began = time.perf_counter()
        peaks = [
            self._run("skopeo", "copy", "-q", "--src-tls-verify=false", self._source(tag), f"oci:{layout}"),
            self._run("umoci", "unpack", *rootless, "--image", layout, str(bundle)),
            self._run("mke2fs", "-q", "-F", "-t", "ext4", "-d", f"{bundle}/rootfs", f"{bundle}.ext4", "800M"),
        ]
        return Cost(time.perf_counter() - began, max(peaks) / 1024)

    def _source(self, tag: str) -> str:
        return f"docker://{self._registry.host}/bench/app:{tag}"

    def _run(self, *words: str) -> int:
        done = subprocess.run([sys.executable, "-c", PEAK, *words], check=True, stdout=subprocess.PIPE)
        return int(done.stdout)


class Ours:
    """A banger with nothing in its store but a kernel."""

    def __init__(self, registry: DebianRegistry, directory: Path) -> None:
        cache = directory / "cache"
        (cache / "banger").mkdir(parents=True)
        (cache / "banger" / "kernels").symlink_to(kept_cache() / "banger" / "kernels")
        self.world = World(directory / "w", cache=cache)
        configuration = self.world.root / "config" / "banger" / "config.toml"
        configuration.parent.mkdir(parents=True)
        configuration.write_text(f'[registries."{registry.host}"]\nplain_http = true\n')
        self._registry = registry
        self.world.vms()  # the daemon runs

    def fetch(self, tag: str) -> Cost:
        """The peak is what the daemon grew by, and the whole of the command."""
        daemon = Path(f"/proc/{self.world.daemon_pid()}")
        (daemon / "clear_refs").write_text("5")  # the peak begins anew (proc(5))
        before_kib = _memory_kib(daemon, "VmRSS")
        command = [*self.world.command, "image", "pull", "-q", f"{self._registry.host}/bench/app:{tag}"]
        began = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-c", PEAK, *command], env=self.world.environment, check=True, stdout=subprocess.PIPE
        )
        seconds = time.perf_counter() - began
        return Cost(seconds, (_memory_kib(daemon, "VmHWM") - before_kib + int(done.stdout)) / 1024)


def _memory_kib(process: Path, field: str) -> int:
    lines = (process / "status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{field}:"))


@contextmanager
def _turn(registry: DebianRegistry, directory: Path) -> Iterator[tuple[Ours, Theirs]]:
    directory.mkdir()
    ours = Ours(registry, directory)
    try:
        yield ours, Theirs(registry, directory / "theirs")
    finally:
        ours.world.end()
        shutil.rmtree(directory)


def image_figures(turns: int) -> list[Figure]:
    """The first image on an empty store, and then the second. What was written before is on the disk before each."""
    first = Figure("`image pull` of 300 MB from a local registry", THEIRS, "s", [], [], 0.6)
    memory = Figure("memory of it", "the largest of the three", "MiB", [], [], 1)
    second = Figure("`image pull` of another image on the same base", THEIRS, "s", [], [], 0.2)
    with tempfile.TemporaryDirectory() as temporary:
        directory = Path(temporary)
        with run_registry(directory / "registry") as registry:
            push_images(registry, directory)
            for number in range(turns + 1):
                with _turn(registry, directory / f"turn{number}") as (ours, theirs):
                    for tag, figure in (("first", first), ("second", second)):
                        os.sync()
                        value = ours.fetch(tag)
                        os.sync()
                        floor = theirs.fetch(tag)
                        if number:  # the first turn warms up
                            figure.values.append(value.seconds)
                            figure.floors.append(floor.seconds)
                        if number and tag == "first":
                            memory.values.append(value.peak_mib)
                            memory.floors.append(floor.peak_mib)
    return [first, memory, second]
