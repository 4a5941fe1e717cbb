"""What we read of rpm's database is what rpm says is in it."""

from __future__ import annotations

import subprocess
import tarfile
from contextlib import closing
from pathlib import Path

from banger.disk.rootfs import ArchiveTree
from banger.image.packages import find_packages, parse_packages

SPEC = """\
Name: pack{number}
Version: 1.{number}~rc1
Release: {number}.el9
Epoch: {number}
Summary: a test
License: none
BuildArch: noarch
%description
A test.
%install
for number in $(seq {files}); do mkdir -p %{{buildroot}}/opt/p{number}; echo > %{{buildroot}}/opt/p{number}/a-file-$number; done
%files
/opt/p{number}
"""


def run(*argv: object) -> bytes:
    return subprocess.run([str(word) for word in argv], check=True, capture_output=True).stdout


def test_a_database_that_rpm_made(tmp_path: Path) -> None:
    for number, files in enumerate((1, 40, 400)):
        spec = tmp_path / f"{number}.spec"
        spec.write_text(SPEC.format(number=number, files=files))
        run("rpmbuild", "-bb", "--quiet", "--define", f"_topdir {tmp_path}/build", spec)
    rpm = ("rpm", "--root", tmp_path / "root", "--dbpath", "/usr/lib/sysimage/rpm", "--define", "_db_backend sqlite")
    (tmp_path / "root").mkdir()
    run(*rpm, "--initdb")
    run(*rpm, "-i", "--justdb", "--nodeps", "--nosignature", *(tmp_path / "build" / "RPMS" / "noarch").glob("*.rpm"))
    with tarfile.open(tmp_path / "root.tar", "w") as tar:
        tar.add(tmp_path / "root", arcname=".")
    with (tmp_path / "root.tar").open("rb") as source, closing(ArchiveTree(source)) as tree:
        found = parse_packages(find_packages(tree) or "")
    expected = run(*rpm, "-qa", "--qf", r"%{NAME} %{EVR}\n").decode().replace(" 0:", " ").split("\n")
    assert sorted(" ".join(package) for package in found.packages) == sorted(filter(None, expected))
    assert found.format == "rpm"
