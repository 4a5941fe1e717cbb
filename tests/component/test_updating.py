"""`banger update`, with a real pip in an environment of its own, and wheels that differ in their versions."""

from __future__ import annotations

import subprocess
import sysconfig
import venv
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from tests.world import REPOSITORY, World

from banger import __version__

SOURCE = REPOSITORY / "src" / "banger"
NEWER, BROKEN = "90.0.0", "91.0.0"


class InstalledWorld(World):
    """Its banger was installed by pip; the index is a directory of wheels."""

    def __init__(self, root: Path, wheels: Path) -> None:
        index = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(wheels), "PIP_CONFIG_FILE": "/dev/null"}
        super().__init__(root, cache=root / "cache", extra=index)
        self.python = root / "venv" / "bin" / "python"
        venv.create(root / "venv", with_pip=True, symlinks=True)
        subprocess.run(
            [self.python, "-m", "pip", "install", "-q", f"banger=={__version__}"], env=self.environment, check=True
        )
        (site,) = (root / "venv" / "lib").glob("python*/site-packages")
        (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")

    @property
    def command(self) -> list[str]:
        return [str(self.python), "-P", "-m", "banger"]


def make_wheel(directory: Path, version: str, *, changed: Mapping[str, bytes] | None = None) -> None:
    """What pip needs of a wheel: the files, METADATA, WHEEL and RECORD (the binary distribution format of PyPA)."""
    info = f"banger-{version}.dist-info"
    files = {
        f"banger/{path.relative_to(SOURCE)}": path.read_bytes()
        for path in SOURCE.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    files["banger/__init__.py"] = files["banger/__init__.py"].replace(__version__.encode(), version.encode())
    files.update(changed or {})
    files[f"{info}/METADATA"] = f"Metadata-Version: 2.1\nName: banger\nVersion: {version}\n".encode()
    files[f"{info}/WHEEL"] = b"Wheel-Version: 1.0\nGenerator: a test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    files[f"{info}/RECORD"] = "".join(f"{name},,\n" for name in (*files, f"{info}/RECORD")).encode()
    with zipfile.ZipFile(directory / f"banger-{version}-py3-none-any.whl", "w", zipfile.ZIP_STORED) as wheel:
        for name, content in files.items():
            wheel.writestr(name, content)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[InstalledWorld]:
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    make_wheel(wheels, __version__)
    make_wheel(wheels, NEWER)
    world = InstalledWorld(tmp_path / "w", wheels)
    yield world
    world.end()


def test_to_the_newest_and_vms_of_the_daemon_stay(world: InstalledWorld) -> None:
    world.succeed("daemon", "restart")
    checked = world.json("update", "--check")
    assert (checked["current"], checked["version"], checked["updated"]) == (__version__, NEWER, False)
    assert f"banger=={NEWER}" in world.succeed("update", "--dry-run").decode()
    assert world.json("version")["version"] == __version__

    pid = world.json("daemon", "status")["daemon"]["pid"]
    updated = world.json("update")
    assert (updated["updated"], updated["daemon_restarted"]) == (True, True)
    assert world.json("version")["version"] == NEWER
    daemon = world.json("daemon", "status")["daemon"]
    assert daemon["version"] == NEWER
    assert daemon["pid"] != pid
    assert b"nothing newer" in world.succeed("update")

    older = world.banger("update", "--to", __version__)
    assert older.returncode == 5
    assert b"--force" in older.stderr
    world.succeed("update", "--to", __version__, "--force")
    assert world.json("version")["version"] == __version__
    world.succeed("daemon", "stop")


def test_a_version_that_does_not_work_is_taken_back(world: InstalledWorld, tmp_path: Path) -> None:
    for changed in ({"banger/__main__.py": b"raise SystemExit('oh no')\n"}, {"banger/daemon/__main__.py": b"1 / 0\n"}):
        make_wheel(tmp_path / "wheels", BROKEN, changed=changed)
        world.succeed("daemon", "restart")
        failed = world.banger("update")
        assert failed.returncode == 1, failed
        assert f"banger {__version__} is back." in failed.stderr.decode()
        assert b"fails" in failed.stderr
        assert world.json("version")["version"] == __version__
        assert world.json("daemon", "status")["daemon"]["version"] == __version__
    world.succeed("daemon", "stop")


def test_what_there_is_not(world: InstalledWorld) -> None:
    for words, status, said in (
        (("--to", "99.9"), 3, b"the package index has no banger 99.9"),
        (("--to", "1 2"), 2, b"is not a version"),
        (("--to", "--index-url=http://evil"), 2, b"needs a value"),
        (("--check", "--dry-run"), 2, b"exclude each other"),
    ):
        done = world.banger("update", *words)
        assert (done.returncode, said in done.stderr) == (status, True), done


def test_a_checkout_is_not_changed(tmp_path: Path) -> None:
    world = World(tmp_path / "w", cache=tmp_path / "cache")
    world.root.mkdir()
    done = world.banger("update")
    assert done.returncode == 7
    assert b"git pull" in done.stderr
