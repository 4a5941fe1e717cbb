"""Every command in docs/images.md works as it stands there, with names put in where the page has a word for them."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from tests.component.example_world import make_project
from tests.component.fake_world import FakeWorld
from tests.component.test_docs import DOCS, commands_of
from tests.unit.kernel.kernels import modules

from banger.image.build_recipe import parse_recipe

# What stands for something of the reader's.
VALUES = {
    "PATH": "rootfs.tar",
    "NAME": "theirs",
    "CMD": "true",
    "ghcr.io/OWNER/IMAGE@sha256:...": f"ghcr.io/owner/image@sha256:{'1' * 64}",
}


def test_every_command(world: FakeWorld, tmp_path: Path) -> None:
    lines = [shlex.split(line)[1:] for line in commands_of("images")]
    assert len(lines) > 10
    project = make_project(tmp_path / "project")
    (project / "app.toml").write_text('base = "fake"')
    for name, content in modules("lib/modules/6.1.0/", release="6.1.0").items():
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_bytes(content)
    world.keep_guests_apart()
    world.start_daemon()
    world.succeed("vm", "create", "box")
    for words in lines:
        world.succeed(*(VALUES.get(word, word) for word in words), cwd=project)
    world.succeed("vm", "delete", *(vm["name"] for vm in world.vms()))


def test_the_recipe_that_is_shown() -> None:
    recipe = re.search(r"```toml\n(base = .*?)```", (DOCS / "images.md").read_text(), re.DOTALL)
    assert recipe is not None
    parse_recipe(recipe[1].encode(), file="app.toml")
