"""`image build` around the work in the guest: what is refused, what is told, and that nothing is left."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.component.fake_world import FakeWorld
from tests.fakes.web import Page, WebServer

RECIPE = """
base = "fake"
commands = ["echo first", ["sh", "-c", "echo second >&2"]]

[[files]]
source = "conf"
path = "/srv/conf"

[[files]]
source = "conf/app.conf"
path = "/srv/app.conf"
mode = "0600"

[environment]
GREETING = "hello"
"""


@pytest.fixture
def world(tmp_path: Path) -> Iterator[FakeWorld]:
    world = FakeWorld(tmp_path / "w", cache=tmp_path / "cache")
    world.root.mkdir()
    world.keep_guests_apart()
    world.start_daemon()
    (world.root / "conf").mkdir()
    (world.root / "conf" / "app.conf").write_text("x")
    yield world
    world.clear()


def write(world: FakeWorld, text: str) -> str:
    (world.root / "tools.toml").write_text(text)
    return "tools.toml"


def test_a_recipe_becomes_an_image(world: FakeWorld) -> None:
    done = world.banger("image", "build", write(world, RECIPE), "--name", "tools")
    assert done.returncode == 0, (done, world.log_tail())
    lines = done.stderr.decode().splitlines()
    assert lines.index("echo first") < lines.index("first") < lines.index("second")
    assert world.vms() == []
    image = world.json("image", "show", "tools")
    origin = image["provenance"]
    assert (origin["kind"], origin["reference"]) == ("recipe", "tools.toml")
    assert origin["digest"].startswith("sha256:")
    base = world.json("image", "show", "fake")
    assert origin["base"] == base["digest"]


@pytest.mark.parametrize(
    ("recipe", "said"),
    [
        ('base = "missing"', b"missing"),
        ('base = "fake"\ncolour = "red"', b"colour"),
        ('base = "fake"\n[[files]]\nsource = "gone"\npath = "/srv/x"', b"gone"),
        ('base = "fake"\n[[files]]\nsource = "../w/conf"\npath = "/srv/x"', b"inside the recipe"),
        ('base = "fake"\n[[files]]\nsource = "link"\npath = "/srv/x"', b"symbolic link"),
        ('base = "fake"\n[[files]]\nsource = "way/passwd"\npath = "/srv/x"', b"through a link"),
        ('base = "fake"\n[[files]]\nsource = "pipe"\npath = "/srv/x"', b"neither a file nor a directory"),
        ('base = "fake"\n[[files]]\nsource = "conf"\npath = "/srv/x"\nmode = "0600"', b"directory"),
        ('base = "fake"\nvcpu = 10000', b"vCPUs"),
    ],
    ids=["base", "key", "missing file", "escape", "link", "link on the way", "pipe", "mode of a directory", "size"],
)
def test_what_is_refused_before_anything_exists(world: FakeWorld, recipe: str, said: bytes) -> None:
    (world.root / "link").symlink_to("/etc/passwd")
    (world.root / "way").symlink_to("/etc")
    os.mkfifo(world.root / "pipe")
    refused = world.banger("image", "build", write(world, recipe), "--name", "tools")
    assert refused.returncode not in (0, 70), refused
    assert said in refused.stderr
    assert b"hint" in refused.stderr
    assert b"booting" not in refused.stderr


def test_what_is_downloaded(world: FakeWorld) -> None:
    """By digest: what cannot be had ends a build that needs it, and other bytes end every build."""
    content = b"#!/bin/sh\necho a tool\n"

    def plan(path: str, *, size: int = len(content), optional: bool = False) -> str:
        return f"""
base = "fake"
commands = ["test ! -e /srv/tool || /srv/tool"]
[[downloads]]
url = "{web.url}{path}"
sha256 = "{hashlib.sha256(content).hexdigest()}"
size = {size}
path = "/srv/tool"
mode = "0755"
optional = {str(optional).lower()}
"""

    with WebServer().running() as web:
        web.pages = {"/tool": Page(content), "/other": Page(content.replace(b"tool", b"fool"))}
        for path, said in (("/gone", b"nothing at"), ("/other", b"sha256:")):
            refused = world.banger("image", "build", write(world, plan(path)), "--name", "tools")
            assert refused.returncode not in (0, 70), refused
            assert said in refused.stderr
            assert b"booting" not in refused.stderr
        assert world.banger("image", "build", write(world, plan("/tool", size=7)), "--name", "tools").returncode
        refused = world.banger("image", "build", write(world, plan("/other", optional=True)), "--name", "tools")
        assert refused.returncode not in (0, 70), refused
        done = world.banger("image", "build", write(world, plan("/gone", optional=True)), "--name", "without")
        assert done.returncode == 0, (done, world.log_tail())
        assert b"going on without gone: there is nothing at" in done.stderr
        done = world.banger("image", "build", write(world, plan("/tool")), "--name", "tools")
        assert done.returncode == 0, (done, world.log_tail())
        assert b"\na tool\n" in done.stderr
    assert world.vms() == []


def test_another_base_than_the_recipe_was_written_for(world: FakeWorld) -> None:
    recipe = f'base = "fake"\nbase_digest = "sha256:{"1" * 64}"'
    refused = world.banger("image", "build", write(world, recipe), "--name", "tools")
    base = world.json("image", "show", "fake")["digest"]
    assert refused.returncode == 1
    assert base.encode() in refused.stderr
    assert b"1" * 64 in refused.stderr
    assert world.json("image", "build", write(world, f'base = "fake"\nbase_digest = "{base}"'), "--name", "tools")


def test_a_name_that_is_taken(world: FakeWorld) -> None:
    refused = world.banger("image", "build", write(world, RECIPE), "--name", "fake")
    assert refused.returncode == 4


def test_a_command_that_fails_leaves_nothing(world: FakeWorld) -> None:
    recipe = 'base = "fake"\ncommands = ["echo good", "echo bad >&2; exit 7", "echo never"]'
    failed = world.banger("image", "build", write(world, recipe), "--name", "tools")
    assert failed.returncode == 1
    assert b"ended with status 7" in failed.stderr
    assert b"| bad" in failed.stderr
    assert b"never" not in failed.stderr.replace(b"echo never", b"")
    answer = world.banger("image", "build", "tools.toml", "--name", "tools", "--json")
    data = json.loads(answer.stdout)["error"]["data"]
    assert (data["exit_status"], data["log_tail"]) == (7, "bad")
    assert "tools" not in {image["name"] for image in world.json("image", "list")["images"]}
    assert world.vms() == []


def test_what_a_guest_prints_cannot_paint(world: FakeWorld) -> None:
    recipe = r"""base = "fake"
commands = ["printf '\\033[2J\\033]0;x\\007evil\\n'; exit 1"]"""
    failed = world.banger("image", "build", write(world, recipe), "--name", "tools")
    assert b"evil" in failed.stderr
    assert b"\x1b[2J" not in failed.stderr


def test_packages_are_for_debian(world: FakeWorld) -> None:
    """The fake guest says what this computer is, and has no network to do it in any other way."""
    recipe = 'base = "fake"\npackages = ["tiny-package"]'
    done = world.banger("image", "build", write(world, recipe), "--name", "tools")
    # Its apt is this computer's, which does not take an empty file for a package: it was asked, with that file.
    assert b"apt-get" in done.stderr or b"says it is" in done.stderr
    assert world.vms() == []


@pytest.mark.parametrize("failpoint", ["start.guest.after_done", "stop.processes.after_act", "create.disk.after_act"])
def test_a_daemon_that_dies_leaves_no_vm(world: FakeWorld, failpoint: str) -> None:
    assert world.daemon is not None
    world.daemon.terminate()
    world.daemon.wait(30)
    world.start_daemon(failpoints=f"{failpoint}=kill")
    world.banger("image", "build", write(world, RECIPE), "--name", "tools")
    world.wait_for_death()
    world.start_daemon()
    assert world.vms() == []


def test_ctrl_c_leaves_nothing(world: FakeWorld) -> None:
    recipe = 'base = "fake"\ncommands = ["echo it begins; sleep 1000"]'
    building = world.start("image", "build", write(world, recipe), "--name", "tools")
    assert building.stderr is not None
    while building.stderr.readline() != b"it begins\n":
        assert building.poll() is None
    building.send_signal(2)
    building.communicate(timeout=60)
    assert building.returncode == 130
    assert world.vms() == []
