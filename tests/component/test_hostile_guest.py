"""A guest whose repository is full of traps: every command here is run on it, and none of them goes off on this computer."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from tests.component.fake_world import FakeWorld
from tests.component.test_workspaces import in_guest
from tests.hostile.patch_host import HOOKS, TRAPS, see
from tests.world import commit_all, git

# The home of whoever runs it says where it was run: in the guest that is not this one's.
TRAP = "touch $HOME/canary; cat"
SHORT = "$(printf '\\342\\200\\214')"
PLANTS = f"""
for hook in {" ".join(HOOKS)}; do
    printf '#!/bin/sh\\n%s\\n' '{TRAP}' >.git/hooks/$hook
    chmod +x .git/hooks/$hook
done
mkdir -p .github/workflows .vscode .husky sub deep
echo on: >.github/workflows/ci.yml
echo '{{}}' >.vscode/tasks.json
echo '{TRAP}' >.husky/pre-commit
echo '{TRAP}' >.envrc
printf '* filter=trap diff=trap merge=trap text ident\\n' >.gitattributes
ln -s deep inside
"""


@pytest.fixture
def repository(world: FakeWorld) -> Path:
    world.keep_guests_apart()
    path = world.root / "around" / "repo"
    path.mkdir(parents=True)
    (path.parent / "precious").write_text("precious\n")
    git(path, "init", "-q", "-b", "main")
    git(path, "config", "user.name", "Somebody")
    git(path, "config", "user.email", "somebody@example.org")
    (path / "notes.txt").write_text("one\n")
    commit_all(path)
    world.start_daemon()
    world.succeed("vm", "run", "-q", "-d", "--name", "box", ".", cwd=path)
    return path


def set_traps(world: FakeWorld) -> None:
    """Settings last: from now on git in the guest runs them."""
    settings = "".join(f"git config {name} '{TRAP}'\n" for name in TRAPS if name != "core.fsmonitor")
    in_guest(world, f"mkdir -p .git/hooks\n{PLANTS}{settings}git config core.fsmonitor '{TRAP}'")


def run_everything(world: FakeWorld, repository: Path) -> list[subprocess.CompletedProcess[bytes]]:
    words = (
        ("status", "box"),
        ("status", "box", "--json"),
        ("diff", "box"),
        ("diff", "box", "--stat"),
        ("export", "box", "-q"),
        ("export", "box", "--base-commit", "HEAD"),
        ("apply", "box", "--check"),
        ("fetch", "box"),
        ("apply", "box", "--yes"),
        ("apply", "box", "--yes", "--allow-dirty"),
        ("prepare", "box"),
    )
    return [world.banger("vm", "workspace", *line, cwd=repository) for line in words]


def canary(world: FakeWorld) -> Path:
    return world.root / "canary"


def test_traps_in_the_guests_repository(world: FakeWorld, repository: Path) -> None:
    in_guest(world, "echo a >a; git add -A; git commit -qm one; echo b >>a; echo two >>notes.txt")
    set_traps(world)
    around = see(repository.parent, leave_out=repository)
    before = see(repository / ".git", leave_out=repository / ".git" / "objects")
    for done in run_everything(world, repository):
        assert b"Traceback" not in done.stderr
        assert not canary(world).exists(), done
    assert see(repository.parent, leave_out=repository) == around
    after = see(repository / ".git", leave_out=repository / ".git" / "objects")
    changed = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
    assert all(name.startswith(("refs/heads/banger", "logs/refs/heads", "logs/refs")) for name in changed), changed


PATHS = {
    "a hook": "mkdir -p x/.git/hooks; echo hi >x/.git/hooks/pre-commit; git -C x init -q; git -C x add -A",
    "a submodule": "git init -q sub2; git -C sub2 -c user.name=x -c user.email=x commit -q --allow-empty -m x",
    "module settings": "printf '[submodule \"x\"]\\n\\tpath = x\\n\\turl = ext::touch /x\\n' >.gitmodules",
    "a link out": "ln -s ../../.. out",
    "a link to a secret": "ln -s /etc/passwd out",
    "a link to git": "ln -s .git/hooks out",
    "capitals": "mkdir .GIT; echo x >.GIT/config",
    "a short name": "mkdir git~1; echo x >git~1/config",
    "dots and spaces": "mkdir '.git. '; echo x >'.git. /config'",
    "a stream": "echo x >'.git::$INDEX_ALLOCATION'",
    "letters that are not there": f'mkdir ".g{SHORT}it"; echo x >".g{SHORT}it/config"',
    "a bare repository": "git init -q --bare bare; rm -r bare/hooks; touch bare/objects/info/x bare/refs/heads/x",
    "a repository in parts": "mkdir part; echo 'ref: refs/heads/main' >part/HEAD; echo ../.git >part/commondir",
    "a backslash": "touch '..\\..\\x'",
    "another git directory": "mv .git .real; ln -s .real .git",
    "another work tree": "git config core.worktree /etc",
    "an alias of a path": "git config core.ignorecase true; git config core.protectNTFS false; mkdir .Git; touch .Git/x",
    "many files": "mkdir many; i=0; while [ $i -lt 3000 ]; do echo $i >many/$i; i=$((i+1)); done",
    "a large file": "head -c 30000000 /dev/zero >zeros",
    "a name of controls": "touch \"$(printf 'a\\033[2Jb')\"",
}


def test_what_a_guest_makes(world: FakeWorld, repository: Path) -> None:
    """Refused or harmless: nothing but files of the tree ever changes here."""
    in_guest(world, f"echo '{TRAP}' >/root/trap; chmod +x /root/trap; cp -a /root/repo /root/before")
    around = see(repository.parent, leave_out=repository)
    before = see(repository / ".git", leave_out=repository / ".git" / "objects")
    commands = (
        ("apply", "box", "--check"),
        ("apply", "box", "--yes"),
        ("fetch", "box"),
        ("status", "box"),
        ("diff", "box"),
    )
    for name, script in PATHS.items():
        in_guest(world, script)
        for words in commands:
            done = world.banger("vm", "workspace", *words, cwd=repository)
            assert b"Traceback" not in done.stderr, name
            assert words[0] == "diff" or b"\x1b" not in done.stdout + done.stderr, name
        assert not canary(world).exists(), name
        assert see(repository.parent, leave_out=repository) == around, name
        assert see(repository / ".git", leave_out=repository / ".git" / "objects") == before, name
        git(repository, "status", "--porcelain")
        assert not canary(world).exists(), name
        git(repository, "clean", "-qffdx")
        git(repository, "checkout", "-qf", ".")
        before = see(repository / ".git", leave_out=repository / ".git" / "objects")
        world.succeed(
            "vm", "exec", "box", "--cwd", "/", "--", "sh", "-ec", "rm -rf /root/repo; cp -a /root/before /root/repo"
        )
