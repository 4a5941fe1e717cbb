import json
import os
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from banger.core.layout import VmLayout
from banger.core.vm import State, VmSpec
from banger.daemon.manifest import read_manifest, rewrite_manifest, same_manifest, write_manifest
from banger.store.records import VmRecord, WorkspaceRecord

IDENTITY = "12345678-1234-4234-8234-123456789abc"
SPEC = VmSpec(
    image="debian",
    image_digest="sha256:1",
    kernel="cloud",
    kernel_digest="sha256:2",
    vcpu=2,
    memory_mib=512,
    disk_bytes=1 << 30,
    nat=True,
    origins={"vcpu": "host", "memory_mib": "flag"},
)
RECORD = VmRecord(
    id=IDENTITY,
    name="box",
    state=State.RUNNING,
    spec=SPEC,
    ephemeral=False,
    created_at_s=1.5,
    workspaces=(WorkspaceRecord(guest_path="/root/r", source="/home/r", head="c", branch=None, base="b"),),
)


@pytest.fixture
def files(tmp_path: Path) -> VmLayout:
    layout = VmLayout(state=tmp_path / IDENTITY, run=tmp_path / "run")
    layout.state.mkdir()
    return layout


def test_it_says_what_the_row_said(files: VmLayout) -> None:
    write_manifest(files, RECORD)
    read = read_manifest(files.manifest)
    assert read == replace(RECORD, state=State.STOPPED)
    assert files.manifest.stat().st_mode & 0o777 == 0o600
    assert read is not None
    assert same_manifest(read, RECORD)
    assert not same_manifest(read, replace(RECORD, name="other"))


def test_a_new_commit_replaces_it_and_a_failure_is_only_logged(files: VmLayout) -> None:
    rewrite_manifest(files, RECORD)
    rewrite_manifest(files, replace(RECORD, name="other"))
    read = read_manifest(files.manifest)
    assert read is not None
    assert read.name == "other"
    files.manifest.unlink()
    files.state.rmdir()
    rewrite_manifest(files, RECORD)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("name",), "../../etc"),
        (("name",), "x\x1b[31m"),
        (("name",), 7),
        (("id",), "12345678-1234-4234-8234-123456789abd"),
        (("id",), IDENTITY.upper()),
        (("id",), None),
        (("created_at_s",), "now"),
        (("created_at_s",), float("inf")),
        (("created_at_s",), 10**400),
        (("ephemeral",), 0),
        (("surplus",), 1),
        (("spec",), []),
        (("spec",), None),
        (("spec", "vcpu"), True),
        (("spec", "vcpu"), 2.0),
        (("spec", "vcpu"), 0),
        (("spec", "memory_mib"), 10**30),
        (("spec", "disk_bytes"), -1),
        (("spec", "nat"), "yes"),
        (("spec", "surplus"), "x"),
        (("spec", "origins"), None),
        (("spec", "origins"), {"vcpu": 1}),
        (("workspaces",), {}),
        (("workspaces",), [1]),
        (("workspaces",), [{"guest_path": 1}]),
    ],
)
def test_what_is_not_exactly_a_manifest_is_none(files: VmLayout, path: tuple[str, ...], value: object) -> None:
    write_manifest(files, RECORD)
    content: Any = json.loads(files.manifest.read_bytes())
    target = content
    for name in path[:-1]:
        target = target[name]
    target[path[-1]] = value
    files.manifest.write_text(json.dumps(content))
    assert read_manifest(files.manifest) is None


def test_files_that_are_no_files_of_ours(files: VmLayout) -> None:
    assert read_manifest(files.manifest) is None
    for content in (b"", b"[]", b"\0" * 100, b"[" * 100_000, b'{"a":' * 50_000, b"\xff\xfe", b"x" * (2 << 20)):
        files.manifest.write_bytes(content)
        assert read_manifest(files.manifest) is None
    files.manifest.unlink()
    elsewhere = VmLayout(state=files.state.parent / "elsewhere", run=files.run)
    elsewhere.state.mkdir()
    write_manifest(elsewhere, RECORD)
    files.manifest.symlink_to(elsewhere.manifest)
    assert read_manifest(files.manifest) is None
    files.manifest.unlink()
    os.mkfifo(files.manifest)
    assert read_manifest(files.manifest) is None
    files.manifest.unlink()
    files.manifest.mkdir()
    assert read_manifest(files.manifest) is None


def test_damage_never_raises(files: VmLayout) -> None:
    write_manifest(files, RECORD)
    whole = files.manifest.read_bytes()
    chance = random.Random(3)
    for _ in range(500):
        damaged = bytearray(whole)
        for _ in range(chance.randint(1, 16)):
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        files.manifest.write_bytes(damaged[: chance.randint(0, len(damaged))] if chance.random() < 0.3 else damaged)
        read = read_manifest(files.manifest)
        assert read is None or read.id == IDENTITY
