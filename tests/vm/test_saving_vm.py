"""Real guests saved as images: what is in the image is what was in the guest, and runs as before."""

from __future__ import annotations

import io
import json
import secrets
import tarfile
from pathlib import Path

import pytest
from tests.fakes.images import sha256
from tests.vm.test_layered_images_vm import busybox, make_layer
from tests.world import World

pytestmark = [pytest.mark.vm, pytest.mark.timeout(1500)]

APPLETS = (
    "sh cat chmod chown cp dd echo find grep ln ls mkdir mkfifo mknod mv rm sed setfattr sha256sum sleep sort stat "
)
APPLETS += "sync touch truncate wc readlink kill true hostname"

CHANGES = """
set -e
cd /data
echo changed > same
rm gone
rm -r replaced; mkdir replaced; echo new > replaced/new
mv moved elsewhere
chmod 4755 setuid; chown 1234:5678 setuid
ln same linked
echo hello > /data/note
mkfifo pipe; mknod null c 1 3; mknod block b 8 1
ln -s 'far/away' link
printf odd > "odd
name"
dd if=/dev/zero of=sparse bs=1 count=1 seek=20000000 2>/dev/null
touch -d '2001-02-03 04:05:06' same
mkdir -p /var/lib/docker/overlay2/one/diff; cd /var/lib/docker/overlay2/one/diff
mknod whiteout c 0 0; echo kept > file; ln file again; chmod 0700 /var/lib/docker
echo secret > /tmp/secret
echo 10.0.0.1 mine >> /etc/hosts
sync
"""

PLACES = "proc sys dev run tmp lib/modules root/.ssh etc/ssh etc/hostname etc/hosts"
PRUNED = " -o ".join(f"-path /{place}" for place in PLACES.split())
FIND = f"find / \\( {PRUNED} \\) -prune -o"
# Of directories not the time: the agent makes some in every guest.
LOOK = f"""
{FIND} -type d -exec stat -c '%n|%f|%u|%g' {{}} + | sort
{FIND} -type f -exec stat -c '%n|%f|%u|%g|%s|%h|%Y' {{}} + | sort
{FIND} ! -type d ! -type f -exec stat -c '%n|%f|%u|%g|%h|%t:%T' {{}} + | sort
{FIND} -type f -exec sha256sum {{}} + | sort
readlink /data/link
"""


def make_saved_archive(path: Path) -> None:
    """What `docker save` writes of an image with two layers and a program that prints what is in /data."""
    links: dict[str, bytes | str | None] = {f"bin/{applet}": "busybox" for applet in APPLETS.split()}
    base = make_layer({"bin/busybox": busybox(), **links, "etc/passwd": b"root:x:0:0::/root:/bin/sh\n", "tmp": None})
    names = ("same", "gone", "moved/file", "setuid", "replaced/old")
    data = make_layer({f"data/{name}": f"{name}\n".encode() * 1000 for name in names})
    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": {
            "Entrypoint": ["/bin/sh", "-c"],
            "Cmd": ["cat note || echo nothing; echo $GREETING"],
            "Env": ["PATH=/bin", "GREETING=hi"],
            "WorkingDir": "/data",
        },
        "rootfs": {"type": "layers", "diff_ids": [sha256(base), sha256(data)]},
    }
    manifest = [{"Config": "c.json", "RepoTags": ["box:1"], "Layers": ["0.tar", "1.tar"]}]
    with tarfile.open(path, "w") as archive:
        for name, content in (
            ("manifest.json", json.dumps(manifest).encode()),
            ("c.json", json.dumps(config).encode()),
            ("0.tar", base),
            ("1.tar", data),
        ):
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))


def ask(world: World, vm: str, script: str) -> list[str]:
    return world.succeed("vm", "exec", vm, "--", "sh", "-c", script, timeout_s=300).decode().splitlines()


@pytest.fixture
def box(own_world: World, tmp_path: Path) -> World:
    """A world with a machine of an image that is not ours, `box`, which runs."""
    make_saved_archive(tmp_path / "saved.tar")
    own_world.succeed("image", "import", str(tmp_path / "saved.tar"), "--name", "base")
    own_world.succeed("vm", "run", "-d", "--no-workspace", "--name", "box", "--image", "base", "--disk", "1GiB")
    return own_world


def test_a_saved_image_is_what_was_in_the_guest(box: World) -> None:
    ask(box, "box", CHANGES)
    before = ask(box, "box", LOOK)
    assert any("overlay2/one/diff/whiteout|21a4|0|0|1|0:0" in line for line in before)
    box.succeed("vm", "stop", "box")
    image = box.json("image", "save", "box", "tools")
    assert (image["name"], image["source"]) == ("tools", "saved from the VM box")
    # It starts as the machine's own image did, with what the machine had.
    done = box.succeed("vm", "run", "--rm", "--no-workspace", "--image", "tools")
    assert done == b"hello\nhi\n"
    box.succeed("vm", "run", "-d", "--no-workspace", "--name", "copy", "--image", "tools")
    assert ask(box, "copy", LOOK) == before
    # Who a machine is, is its own.
    assert ask(box, "copy", "cat /etc/hostname; grep -c mine /etc/hosts; ls /tmp") == ["copy", "0"]
    # And again, of what was made of it; nothing is lost or added.
    box.succeed("vm", "stop", "copy")
    again = box.json("image", "save", "copy", "twice")
    assert again["size_bytes"] == image["size_bytes"]
    box.succeed("vm", "delete", "copy", "box")


def test_a_machine_that_was_killed_is_saved_as_it_would_boot(box: World) -> None:
    ask(box, "box", "echo hello > /data/note; sync")
    box.succeed("vm", "kill", "box")
    box.succeed("image", "save", "box", "killed")
    assert box.succeed("vm", "run", "--rm", "--no-workspace", "--image", "killed") == b"hello\nhi\n"
    box.succeed("vm", "delete", "box")


def test_a_save_that_is_given_up_leaves_nothing(box: World) -> None:
    ask(box, "box", "dd if=/dev/urandom of=/data/large bs=1048576 count=300 2>/dev/null; sync")
    box.succeed("vm", "stop", "box")
    saving = box.start("image", "save", "box", "large")
    assert saving.stderr is not None
    while b"reading the files" not in saving.stderr.readline():
        assert saving.poll() is None
    saving.send_signal(2)
    saving.communicate(timeout=120)
    assert saving.returncode == 130
    assert {image["name"] for image in box.json("image", "list")["images"]} == {"base"}
    assert [vm["name"] for vm in box.vms()] == ["box"]
    box.succeed("vm", "start", "box")
    box.succeed("vm", "delete", "box")


RECIPE = """
base = "debian-bookworm"
packages = ["tcl"]
commands = [
    "echo 'puts [expr 6 * 7]' | tclsh > /srv/answer; test $GREETING = hello; test \\"$(cat /proc/1/comm)\\" != systemd",
    ["sh", "-c", "sleep 1000 >/dev/null 2>&1 & echo left running"],
    "mkdir -p /data && mount -t tmpfs none /data && echo hidden > /data/file",
    "chown 12:34 /srv/conf/app.conf; rm /etc/motd; ! ip route | grep default",
]

[environment]
GREETING = "hello"

[[files]]
source = "conf"
path = "/srv/conf"

[run]
working_dir = "/srv"
"""


def test_a_recipe_on_debian(world: World) -> None:
    """Packages that the host's apt got and checked, files, and commands that leave nothing running or mounted.

    Docker takes minutes to install in an emulated guest: test_debian_dev_vm.py has it.
    """
    (world.root / "conf").mkdir()
    (world.root / "conf" / "app.conf").write_text("x")
    (world.root / "tools.toml").write_text(RECIPE)
    asked = ("image", "build", "tools.toml", "--name", f"tools-{secrets.token_hex(4)}", "--json")
    image = json.loads(world.succeed(*asked, timeout_s=800))
    name = image["name"]
    try:
        assert image["init"] == "/usr/lib/systemd/systemd"
        world.succeed("vm", "run", "-d", "--no-workspace", "--name", "tools", "--image", name)
        script = (
            "cat /srv/answer; stat -c %u:%g /srv/conf/app.conf; ls /data /tmp; dpkg --audit; ls /etc/motd 2>&1; true"
        )
        lines = ask(world, "tools", script)
        assert lines[:2] == ["42", "12:34"]
        assert not {"hidden", "file"} & set(lines)
        assert "No such file" in lines[-1]
        world.succeed("vm", "delete", "tools")
        listed = json.loads(world.succeed("image", "show", name, "--json"))
        assert listed["provenance"]["kind"] == "recipe"
        assert world.vms() == []
    finally:
        world.succeed("image", "delete", name)
