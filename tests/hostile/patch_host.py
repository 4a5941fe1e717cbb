"""A host with something to lose: a repository full of traps, files around it, and a way to see that nothing happened."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
from dataclasses import dataclass, field
from pathlib import Path

from tests.world import commit_all, git

from banger.workspace.applying import SavedPatch, prepare_patch
from banger.workspace.repository import Repository, inspect_repository
from banger.workspace.verdict import PatchVerdict

HOOKS = (
    *(
        "applypatch-msg",
        "pre-applypatch",
        "post-applypatch",
        "pre-commit",
        "post-checkout",
        "post-index-change",
        "post-merge",
    ),
    *("pre-auto-gc", "reference-transaction", "fsmonitor-watchman", "post-rewrite", "prepare-commit-msg", "update"),
)
TRAPS = (
    *(
        "core.fsmonitor",
        "core.sshCommand",
        "core.pager",
        "core.editor",
        "core.askPass",
        "core.alternateRefsCommand",
        "diff.external",
    ),
    *(
        "gpg.program",
        "sequence.editor",
        "credential.helper",
        "filter.trap.clean",
        "filter.trap.smudge",
        "filter.trap.process",
    ),
    *(
        "diff.trap.textconv",
        "diff.trap.command",
        "merge.trap.driver",
        "uploadpack.packObjectsHook",
        "trailer.trap.command",
    ),
)


def see(directory: Path, *, leave_out: Path | None = None) -> dict[str, tuple[int, bytes]]:
    """Every name below a directory with its mode and content."""
    found: dict[str, tuple[int, bytes]] = {}
    for place, directories, files in os.walk(directory):
        if leave_out is not None and Path(place) == leave_out:
            directories.clear()
            continue
        for name in (*directories, *files):
            path = os.path.join(place, name)
            mode = os.lstat(path).st_mode
            content = b""
            if stat.S_ISLNK(mode):
                content = os.fsencode(os.readlink(path))
            elif stat.S_ISREG(mode):
                content = hashlib.sha256(Path(path).read_bytes()).digest()
            found[os.path.relpath(path, directory)] = (mode, content)
    return found


@dataclass(slots=True)
class PatchHost:
    """`home` has the canary, `tree` the repository, `work` what banger needs for itself."""

    root: Path
    repository: Repository | None = None
    applied: int = 0
    _around: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    _tree: dict[str, tuple[int, bytes]] = field(default_factory=dict)

    @property
    def home(self) -> Path:
        return self.root / "home"

    @property
    def tree(self) -> Path:
        return self.root / "around" / "tree"

    @property
    def canary(self) -> Path:
        return self.home / "canary"

    async def make(self) -> None:
        """Make it. HOME must be `home` already."""
        self.home.mkdir(parents=True)
        self.tree.mkdir(parents=True)
        (self.root / "around" / "precious").write_text("precious\n")
        (self.root / "around" / "outside").mkdir()
        (self.root / "around" / "outside" / "file").write_text("outside\n")
        git(self.tree, "init", "-q", "-b", "main")
        for name, content in {"x": "a\n", "d/y": "1\n2\n3\n", "tool": "#!/bin/sh\n", "a b": "a\n"}.items():
            (self.tree / name).parent.mkdir(exist_ok=True)
            (self.tree / name).write_text(content)
        (self.tree / "bin").write_bytes(bytes(range(256)))
        (self.tree / "tool").chmod(0o755)
        (self.tree / "link").symlink_to("d")
        commit_all(self.tree)
        (self.tree / "up").symlink_to("../outside")
        (self.tree / ".git/info/exclude").write_text("/up\n/ignored\n")
        (self.tree / "ignored").write_text("secret\n")
        self._set_traps()
        self.repository = await inspect_repository(self.tree)
        self._tree = see(self.tree, leave_out=self.tree / ".git")
        self._around = self.look_around()

    def ids(self) -> dict[str, str]:
        """git's ids of the files by name."""
        listed = git(self.tree, "-c", "core.fsmonitor=false", "ls-files", "-z", "--stage").decode().split("\0")[:-1]
        self.canary.unlink(missing_ok=True)
        return {name: described.split(" ")[1] for described, _, name in (line.partition("\t") for line in listed)}

    def look_around(self) -> dict[str, tuple[int, bytes]]:
        """Everything that no patch may touch."""
        return {
            **see(self.root / "around", leave_out=self.tree),
            **{f".git/{name}": what for name, what in see(self.tree / ".git").items()},
            **{f"home/{name}": what for name, what in see(self.home).items()},
        }

    def check_untouched(self, *, tree_too: bool) -> None:
        """Nothing outside the tree or under `.git` has changed, nothing was run."""
        assert not self.canary.exists()
        assert self.look_around() == self._around
        if tree_too:
            assert see(self.tree, leave_out=self.tree / ".git") == self._tree

    async def apply(self, patch: bytes, verdict: PatchVerdict, *, number: int = 0) -> None:
        """Apply a patch, look around, and take it back. Raises what applying raises; then nothing has changed."""
        assert self.repository is not None
        work = self.root / "work" / str(number)
        work.mkdir(parents=True)
        (work / "saved.patch").write_bytes(patch)
        try:
            prepared = await prepare_patch(
                self.repository,
                SavedPatch(work / "saved.patch", verdict),
                earlier=(),
                applied=(),
                directory=work / "apply",
                allow_dirty=True,
                umask=0o022,
            )
            self.check_untouched(tree_too=True)
            if prepared.placing is not None:
                prepared.placing.record()
                prepared.placing.write()
                self.applied += 1
                self.check_untouched(tree_too=False)
                assert prepared.placing.restore() == []
        finally:
            shutil.rmtree(work)
        self.check_untouched(tree_too=True)

    def _set_traps(self) -> None:
        trap = f"touch '{self.canary}'"
        for name in HOOKS:
            hook = self.tree / ".git" / "hooks" / name
            hook.write_text(f"#!/bin/sh\n{trap}\n")
            hook.chmod(0o755)
        for setting in TRAPS:
            git(self.tree, "-c", "core.fsmonitor=false", "config", setting, trap)
        git(self.tree, "config", "filter.trap.required", "true")
        git(self.tree, "config", "apply.whitespace", "fix")
        (self.tree / ".git/info/attributes").write_text("* filter=trap diff=trap merge=trap\n")
        self.canary.unlink(missing_ok=True)
