"""Images of registries and of other tools' archives in real guests: their programs run as they say."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from tests.fakes.debian_registry import DebianRegistry, run_registry
from tests.fakes.images import Blob, FakeImage, make_image, sha256
from tests.world import World, until

pytestmark = [pytest.mark.vm, pytest.mark.timeout(600)]

SERVER = """\
#!/bin/sh
echo "serving as $(id -u):$(id -g) in $(pwd) with $GREETING and $*"
trap 'echo ended by QUIT; exit 0' QUIT
while :; do sleep 0.1; done
"""


@pytest.fixture
def registry(own_world: World, tmp_path: Path) -> Iterator[DebianRegistry]:
    with run_registry(tmp_path / "registry") as running:
        configuration = own_world.root / "config" / "banger" / "config.toml"
        configuration.parent.mkdir(parents=True)
        configuration.write_text(f'[registries."{running.host}"]\nplain_http = true\n')
        yield running


def make_layer(members: Mapping[str, bytes | str | None]) -> bytes:
    """A layer: bytes are an executable file, a text is a symbolic link, and None is a directory."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.mode = 0o755
            if content is None:
                info.type = tarfile.DIRTYPE
            elif isinstance(content, str):
                info.type, info.linkname = tarfile.SYMTYPE, content
            else:
                info.size = len(content)
            archive.addfile(info, io.BytesIO(content) if isinstance(content, bytes) else None)
    return buffer.getvalue()


def busybox() -> bytes:
    return next(found for found in (Path("/usr/bin/busybox"), Path("/bin/busybox")) if found.exists()).read_bytes()


def make_base() -> bytes:
    links: dict[str, bytes | str | None] = {
        f"bin/{applet}": "busybox" for applet in ("sh", "id", "cat", "ls", "sleep", "pwd", "uname", "kill", "env")
    }
    passwd = b"root:x:0:0::/root:/bin/sh\nserver:x:1234:77::/srv:/bin/sh\n"
    return make_layer({"bin/busybox": busybox(), **links, "etc/passwd": passwd, "gone": b"x", "srv": None, "tmp": None})


def make_server_image() -> FakeImage:
    top = make_layer({"usr/bin/serve": SERVER.encode(), ".wh.gone": b""})
    return make_image(
        make_base(),
        top,
        packing=("+gzip", "+zstd"),
        config={
            "Env": ["PATH=/usr/bin:/bin", "GREETING=hello"],
            "Entrypoint": ["/usr/bin/serve"],
            "Cmd": ["one", "two words"],
            "User": "server:8",
            "WorkingDir": "/work/here",
            "StopSignal": "SIGQUIT",
        },
    )


def test_an_image_of_a_registry_runs_as_it_says(own_world: World, registry: DebianRegistry) -> None:
    image = make_server_image()
    registry.push("team/server", "1.2", image)
    reference = f"{registry.host}/team/server:1.2"
    printed = own_world.succeed("image", "pull", reference).decode().split()
    assert printed[0] == "server-1-2"
    fetched = registry.requests("/v2/team/server/blobs/")
    # Nothing of it is fetched again, under whichever name.
    own_world.succeed("image", "pull", reference, "--name", "other")
    assert registry.requests("/v2/team/server/blobs/") == fetched
    names = {entry["name"] for entry in json.loads(own_world.succeed("image", "list", "--json"))["images"]}
    assert names == {"server-1-2", "other"}

    # A command instead of its program, as its user, in its directory, with its environment.
    script = "id -u; id -g; pwd; echo $GREETING; ls /gone 2>&1"
    done = own_world.banger("vm", "run", "--rm", "--no-workspace", "--image", reference, "--", "sh", "-c", script)
    assert done.stdout.decode().splitlines()[:4] == ["1234", "8", "/work/here", "hello"]
    assert b"No such file" in done.stdout

    # Detached it serves, and is ended by its own signal.
    own_world.succeed("vm", "run", "-d", "--no-workspace", "--name", "box", "--image", "server-1-2")
    said = b"serving as 1234:8 in /work/here with hello and one two words"
    until(lambda: said in own_world.succeed("vm", "logs", "box"))
    own_world.succeed("vm", "stop", "box")
    assert b"ended by QUIT" in own_world.succeed("vm", "logs", "box")
    own_world.succeed("vm", "start", "box")
    until(lambda: own_world.succeed("vm", "logs", "box").count(said) >= 1)
    own_world.succeed("vm", "delete", "box")


def test_a_single_static_program_is_a_machine(own_world: World, tmp_path: Path) -> None:
    """No shell, no libraries, no /etc: what `docker save` wrote of an image that has one file."""
    layer = make_layer({"busybox": busybox()})
    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Entrypoint": ["/busybox", "echo"], "Cmd": ["hello", "from nothing"]},
        "rootfs": {"type": "layers", "diff_ids": [sha256(layer)]},
    }
    blob = Blob(json.dumps(config).encode(), "")
    manifest = [{"Config": "c.json", "RepoTags": ["hello:1"], "Layers": ["l/layer.tar"]}]
    with tarfile.open(tmp_path / "saved.tar.gz", "w:gz") as archive:
        for name, content in (
            ("manifest.json", json.dumps(manifest).encode()),
            ("c.json", blob.content),
            ("l/layer.tar", layer),
        ):
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    own_world.succeed("image", "import", str(tmp_path / "saved.tar.gz"), "--name", "hello")
    assert own_world.succeed("vm", "run", "--rm", "--no-workspace", "--image", "hello") == b"hello from nothing\n"
