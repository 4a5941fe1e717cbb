"""Every command in docs/images.md works as it stands there, with names put in where the page has a word for them."""

from __future__ import annotations

import re
from pathlib import Path

from tests.component.example_world import ExampleWorld, make_project, shell
from tests.component.test_docs import DOCS, commands_of, example_world
from tests.unit.kernel.kernels import modules

from banger.image.build_recipe import parse_recipe

__all__ = ["example_world"]  # the fixture
# What stands for something of the reader's; and the fake image that is exported is not an archive.
VALUES = {
    r"\bPATH\b": "rootfs.tar",
    r"\bNAME\b": "theirs",
    r"\bCMD\b": "true",
    r"\bFILE\b": "theirs.oci",
    r"ghcr.io/OWNER/IMAGE@sha256:\.\.\.": f"ghcr.io/owner/image@sha256:{'1' * 64}",
    r"tar -tv": "cat",
}


def fill_in(line: str) -> str:
    for word, value in VALUES.items():
        line = re.sub(word, value, line)
    return line


def test_every_command(example_world: ExampleWorld, tmp_path: Path) -> None:
    lines = [fill_in(line) for line in commands_of("images")]
    assert len(lines) > 20
    project = make_project(tmp_path / "project")
    (project / "app.toml").write_text('base = "fake"')
    for name, content in modules("lib/modules/6.1.0/", release="6.1.0").items():
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_bytes(content)
    for line in ["banger vm create box", *lines]:
        done = shell(example_world, line, project)
        assert done.returncode == 0, (line, done, example_world.log_tail())


def test_the_recipe_that_is_shown() -> None:
    recipe = re.search(r"```toml\n(base = .*?)```", (DOCS / "images.md").read_text(), re.DOTALL)
    assert recipe is not None
    parse_recipe(recipe[1].encode(), file="app.toml")
