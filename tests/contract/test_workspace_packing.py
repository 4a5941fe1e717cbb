"""A repository packed and unpacked with the real git on both ends."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from tests.contract.workspace_world import ENVIRONMENT, commit_all, git, materialise, travel, tree_of, write

from banger.core.errors import Denied, Invalid
from banger.workspace.choice import Choice
from banger.workspace.listing import list_workspace
from banger.workspace.packing import look_at, prepare, settle
from banger.workspace.repacking import pack_update
from banger.workspace.repository import inspect_repository, plan_guest_path
from banger.workspace.update import UpdatePlan


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    path = tmp_path / "sample"
    path.mkdir()
    git(path, "init", "-q", "-b", "trunk")
    write(path / "README.md", "hello\n")
    write(path / "run.sh", "#!/bin/sh\n", executable=True)
    write(path / "sub/dir/data.bin", bytes(range(256)) * 20)
    (path / "link").symlink_to("sub/dir/data.bin")
    write(path / ".gitignore", "ignored/\n*.log\n")
    commit_all(path, "first")
    write(path / "README.md", "hello\nagain\n")
    commit_all(path, "second")
    return path


def status(path: Path) -> bytes:
    return git(path, "status", "--porcelain")


async def test_a_clean_repository_arrives_clean(repository: Path, tmp_path: Path) -> None:
    write(repository / "untracked", "secret\n")
    write(repository / "ignored/x", "secret\n")
    trip = await travel(repository, tmp_path / "scratch")
    assert trip.packed.guest_path == "/root/sample"
    assert (trip.packed.head, trip.packed.branch) == (trip.packed.base, "trunk")
    assert trip.packed.file_count == 5
    assert sum(entry.size for entry in trip.packed.entries) == trip.packed.total_bytes
    assert status(trip.copy) == b""
    assert git(trip.copy, "log", "--format=%s") == b"second\nfirst\n"
    assert git(trip.copy, "branch", "--show-current") == b"trunk\n"
    assert git(trip.copy, "rev-parse", "refs/banger/base").decode().strip() == trip.packed.base
    assert git(trip.copy, "fsck", "--strict", "--no-dangling") == b""
    assert not (trip.copy / "untracked").exists()
    assert not (trip.copy / "ignored").exists()
    tracked = {name: value for name, value in tree_of(repository).items() if name != b"untracked"}
    assert tree_of(trip.copy) == tracked
    assert (await inspect_repository(repository)).untracked_count == 1


async def test_git_in_the_guest_reads_no_file_to_say_that_it_is_clean(repository: Path, tmp_path: Path) -> None:
    past = 1_600_000_000
    for path in repository.rglob("*"):
        if ".git" not in path.parts:
            os.utime(path, (past, past), follow_symlinks=False)
    git(repository, "status")
    trip = await travel(repository, tmp_path / "scratch")
    # With the wrong content but the right time and size git can only say so without reading.
    write(trip.copy / "README.md", "HELLO\nAGAIN\n")
    os.utime(trip.copy / "README.md", (past, past))
    assert status(trip.copy) == b""


async def test_the_guest_has_the_status_of_the_host(repository: Path, tmp_path: Path) -> None:
    write(repository / "README.md", "changed\n")
    write(repository / "staged", "staged\n")
    git(repository, "add", "staged")
    write(repository / "twice", "one\n")
    git(repository, "add", "twice")
    write(repository / "twice", "two\n")
    write(repository / "announced", "announced\n")
    git(repository, "add", "-N", "announced")
    (repository / "run.sh").chmod(0o644)
    (repository / "link").unlink()
    git(repository, "rm", "-q", "--cached", "sub/dir/data.bin")
    trip = await travel(repository, tmp_path / "scratch")
    expected = status(repository).replace(b" A announced", b"A  announced").replace(b"?? sub/\n", b"")
    assert sorted(status(trip.copy).splitlines()) == sorted(expected.splitlines())
    assert git(trip.copy, "show", ":twice") == b"one\n"
    assert (trip.copy / "twice").read_bytes() == b"two\n"
    assert git(trip.copy, "fsck", "--strict", "--no-dangling") == b""
    base = trip.packed.base
    assert git(trip.copy, "rev-parse", f"{base}^").decode().strip() == trip.packed.head
    assert git(trip.copy, "ls-tree", "-r", "--name-only", base) == (
        b".gitignore\nREADME.md\nannounced\nrun.sh\nstaged\ntwice\n"
    )


async def test_names_of_every_kind_survive(repository: Path, tmp_path: Path) -> None:
    names = (
        b"with space", b"line\nfeed", b"tab\tand \"quotes\" and 'more'", b"back\\slash\\", b"-dash", b"--", b"\xff\xfe raw",
        "größe/…/file".encode(), b"Case", b"case", b"#hash", b"a/b/c/d/e/f", b"a.b", b"a-b", b"x" * 255, b":(glob)*",
        b"*", b"?", b"[a]", b"$HOME", b"`id`", b"\x1b[31m", b"trailing ", b".hidden/.deep",
    )  # fmt: skip
    for number, name in enumerate(names):
        write(os.fsencode(repository) + b"/" + name, f"content {number}\n")
    commit_all(repository)
    for name in names[::2]:
        write(os.fsencode(repository) + b"/" + name, b"changed\n")
    trip = await travel(repository, tmp_path / "scratch")
    assert tree_of(trip.copy) == tree_of(repository)
    assert status(trip.copy) == status(repository)


async def test_history_is_cut_and_complete_up_to_there(tmp_path: Path) -> None:
    path = tmp_path / "long"
    path.mkdir()
    git(path, "init", "-q")
    for number in range(60):
        write(path / f"file{number % 7}", f"{number}\n")
        commit_all(path, f"number {number}")
    trip = await travel(path, tmp_path / "scratch")
    assert len(git(trip.copy, "log", "--format=%s").splitlines()) == 50
    assert git(trip.copy, "fsck", "--strict", "--no-dangling") == b""
    assert git(trip.copy, "log", "-1", "--stat", "HEAD~49")
    write(trip.copy / "file1", "edited\n")
    git(trip.copy, "commit", "-qam", "in the guest")
    assert status(trip.copy) == b""


async def test_merges_and_shallow_clones(repository: Path, tmp_path: Path) -> None:
    git(repository, "checkout", "-q", "-b", "side", "HEAD~1")
    write(repository / "side", "side\n")
    commit_all(repository, "side")
    git(repository, "checkout", "-q", "trunk")
    git(repository, "merge", "-q", "side", "-m", "merged")
    trip = await travel(repository, tmp_path / "scratch")
    assert len(git(trip.copy, "log", "--format=%s").splitlines()) == 4
    git(tmp_path, "clone", "-q", "--depth=2", f"file://{repository}", "shallow")
    trip = await travel(tmp_path / "shallow", tmp_path / "scratch2")
    assert git(trip.copy, "log", "--format=%s") == git(tmp_path / "shallow", "log", "--format=%s")
    assert git(trip.copy, "fsck", "--strict", "--no-dangling") == b""
    assert status(trip.copy) == b""


async def test_old_content_that_is_large_stays_behind(tmp_path: Path) -> None:
    path = tmp_path / "large"
    path.mkdir()
    git(path, "init", "-q")
    for _ in range(20):
        write(path / "asset", os.urandom(3 << 20))
        commit_all(path)
    trip = await travel(path, tmp_path / "scratch")
    assert trip.packed.total_bytes < 40 << 20
    assert 1 <= len(git(trip.copy, "log", "--format=%s").splitlines()) <= 10
    assert git(trip.copy, "fsck", "--strict", "--no-dangling") == b""


async def test_a_clone_without_its_old_content(repository: Path, tmp_path: Path) -> None:
    git(repository, "config", "uploadpack.allowFilter", "true")
    write(repository / "README.md", "third\n")
    commit_all(repository, "third")
    git(tmp_path, "clone", "-q", "--filter=blob:none", f"file://{repository}", "partial")
    trip = await travel(tmp_path / "partial", tmp_path / "scratch")
    assert git(trip.copy, "log", "--format=%s") == b"third\n"
    assert git(trip.copy, "fsck", "--strict", "--no-dangling") == b""
    assert status(trip.copy) == b""


async def test_before_the_first_commit(tmp_path: Path) -> None:
    path = tmp_path / "new"
    path.mkdir()
    git(path, "init", "-q", "-b", "start")
    trip = await travel(path, tmp_path / "scratch")
    assert (trip.packed.head, trip.packed.file_count) == (None, 0)
    assert status(trip.copy) == b""
    write(path / "x", "x\n")
    git(path, "add", "x")
    trip = await travel(path, tmp_path / "scratch2")
    assert status(trip.copy) == b"A  x\n"
    git(trip.copy, "commit", "-qm", "first")
    assert git(trip.copy, "branch", "--show-current") == b"start\n"


async def test_a_detached_head_and_another_work_tree(repository: Path, tmp_path: Path) -> None:
    git(repository, "worktree", "add", "-q", "--detach", str(tmp_path / "other"), "HEAD~1")
    write(tmp_path / "other/README.md", "in the other one\n")
    trip = await travel(tmp_path / "other", tmp_path / "scratch")
    assert trip.packed.branch is None
    assert git(trip.copy, "rev-parse", "HEAD") == git(repository, "rev-parse", "HEAD~1")
    assert status(trip.copy) == b" M README.md\n"
    assert (trip.copy / ".git").is_dir()


async def test_a_directory_inside_means_the_whole(repository: Path, tmp_path: Path) -> None:
    found = await inspect_repository(repository / "sub/dir")
    assert (found.top, found.subdirectory) == (repository, Path("sub/dir"))
    trip = await travel(repository / "sub", tmp_path / "scratch")
    assert status(trip.copy) == b""
    assert (trip.copy / "README.md").exists()


async def test_sha256(tmp_path: Path) -> None:
    path = tmp_path / "new"
    path.mkdir()
    git(path, "init", "-q", "--object-format=sha256")
    write(path / "x", "x\n")
    write(path / "y", "y\n")
    commit_all(path)
    write(path / "x", "changed\n")
    trip = await travel(path, tmp_path / "scratch")
    assert len(trip.packed.base) == 64
    assert status(trip.copy) == b" M x\n"
    assert git(trip.copy, "fsck", "--strict", "--no-dangling") == b""


@pytest.mark.parametrize("setting", ["index.version=4", "core.splitIndex=true", "core.untrackedCache=true"])
async def test_index_files_of_every_kind(repository: Path, tmp_path: Path, setting: str) -> None:
    name, _, value = setting.partition("=")
    git(repository, "config", name, value)
    write(repository / "staged", "staged\n")
    git(repository, "add", "staged")
    git(repository, "update-index", "--force-write-index")
    write(repository / "README.md", "changed\n")
    trip = await travel(repository, tmp_path / "scratch")
    assert status(trip.copy) == b" M README.md\nA  staged\n"


async def test_files_that_git_was_told_not_to_look_at(repository: Path, tmp_path: Path) -> None:
    git(repository, "update-index", "--assume-unchanged", "README.md")
    git(repository, "update-index", "--skip-worktree", "run.sh")
    write(repository / "README.md", "hidden\n")
    write(repository / "run.sh", "hidden\n")
    (repository / "run.sh").chmod(0o755)
    trip = await travel(repository, tmp_path / "scratch")
    assert status(trip.copy) == b" M README.md\n M run.sh\n"
    assert git(trip.copy, "show", "refs/banger/base:run.sh") == b"hidden\n"


async def test_a_change_in_the_second_of_the_index_is_seen(repository: Path, tmp_path: Path) -> None:
    now = 1_700_000_000_123_456_789
    write(repository / "README.md", "aaaaa\n")
    os.utime(repository / "README.md", ns=(now, now))
    git(repository, "add", "README.md")
    write(repository / "README.md", "bbbbb\n")
    os.utime(repository / "README.md", ns=(now, now))
    os.utime(repository / ".git/index", ns=(now, now))
    trip = await travel(repository, tmp_path / "scratch")
    assert git(trip.copy, "show", "refs/banger/base:README.md") == b"bbbbb\n"
    assert status(trip.copy) == b"MM README.md\n"


async def test_line_ends_as_the_host_has_them(repository: Path, tmp_path: Path) -> None:
    write(repository / ".gitattributes", "*.bat text eol=crlf\n")
    write(repository / "x.bat", "one\r\ntwo\r\n")
    git(repository, "config", "core.autocrlf", "true")
    write(repository / "y.txt", "one\r\ntwo\r\n")
    commit_all(repository)
    write(repository / "y.txt", "one\r\ntwo\r\nthree\r\n")
    trip = await travel(repository, tmp_path / "scratch")
    assert status(trip.copy) == b" M y.txt\n"
    assert (trip.copy / "x.bat").read_bytes() == b"one\r\ntwo\r\n"
    assert git(trip.copy, "show", "refs/banger/base:y.txt") == b"one\ntwo\nthree\n"


async def test_tracked_directories_that_became_links_are_gone_and_not_followed(
    repository: Path, tmp_path: Path
) -> None:
    write(tmp_path / "outside/dir/data.bin", "private\n")
    subprocess.run(["rm", "-r", repository / "sub"], check=True)
    (repository / "sub").symlink_to(tmp_path / "outside")
    trip = await travel(repository, tmp_path / "scratch")
    assert b"sub/dir/data.bin" not in [entry.path for entry in trip.packed.entries]
    assert status(trip.copy) == b" D sub/dir/data.bin\n"


async def test_files_that_became_something_else(repository: Path, tmp_path: Path) -> None:
    (repository / "run.sh").unlink()
    (repository / "run.sh").mkdir()
    write(repository / "run.sh/inside", "untracked\n")
    (repository / "link").unlink()
    write(repository / "link", "a file now\n")
    trip = await travel(repository, tmp_path / "scratch")
    assert status(trip.copy).splitlines() == [b" T link", b" D run.sh"]
    assert not (trip.copy / "run.sh").exists()


async def test_what_git_cannot_read_is_named(repository: Path, tmp_path: Path) -> None:
    (repository / "README.md").unlink()
    os.mkfifo(repository / "README.md")
    with pytest.raises(Invalid, match=r"README\.md: can only add regular files"):
        await travel(repository, tmp_path / "scratch")


async def test_what_changes_after_packing_does_not_travel(repository: Path, tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    write(repository / "sub/more", "more\n")
    write(repository / "crlf", "one\r\n")
    write(repository / ".gitattributes", "crlf text eol=crlf\n")
    commit_all(repository)
    packed = await prepare(await inspect_repository(repository), tmp_path / "work")
    write(repository / "README.md", "later\n")
    write(repository / "crlf", "later\n")
    (repository / "sub/more").unlink()
    (repository / "link").unlink()
    (repository / "link").symlink_to("elsewhere")
    settled = await settle(packed)
    assert settled.total_bytes == packed.total_bytes
    materialise(settled.entries, tmp_path / "copy")
    assert status(tmp_path / "copy") == b""
    assert (tmp_path / "copy/README.md").read_bytes() == b"hello\nagain\n"
    assert (tmp_path / "copy/crlf").read_bytes() == b"one\r\n"
    assert (tmp_path / "copy/link").readlink() == Path("sub/dir/data.bin")


async def test_who_the_user_is_and_where_it_came_from(repository: Path, tmp_path: Path) -> None:
    git(repository, "config", "user.name", 'A "quoted" \\ näme')
    git(repository, "config", "user.email", "a@example.org")
    git(repository, "remote", "add", "origin", "https://user:token@example.org/x.git")
    git(repository, "config", "alias.x", "!touch /tmp/never")
    write(repository / ".git/info/exclude", "*.local\n")
    write(repository / ".git/hooks/pre-commit", "#!/bin/sh\nexit 1\n", executable=True)
    trip = await travel(repository, tmp_path / "scratch")
    assert git(trip.copy, "config", "user.name").decode() == 'A "quoted" \\ näme\n'
    assert git(trip.copy, "config", "remote.origin.url") == b"https://example.org/x.git\n"
    assert b"token" not in (trip.copy / ".git/config").read_bytes()
    assert git(trip.copy, "config", "alias.x", check=False) == b""
    assert not (trip.copy / ".git/hooks").exists()
    write(trip.copy / "x.local", "ignored\n")
    assert status(trip.copy) == b""


async def test_the_repository_is_not_touched(repository: Path, tmp_path: Path) -> None:
    write(repository / "README.md", "changed\n")

    def snapshot() -> dict[str, tuple[int, bytes]]:
        files = [path for path in (repository / ".git").rglob("*") if path.is_file()]
        # Objects that are about to be used get a new time from git, so that `git gc` leaves them alone.
        return {
            str(path): (0 if "objects" in path.parts else path.stat().st_mtime_ns, path.read_bytes()) for path in files
        }

    before = snapshot()
    await travel(repository, tmp_path / "scratch")
    assert snapshot() == before


async def test_long_and_odd_places(tmp_path: Path) -> None:
    place = tmp_path / '#odd "place"\n\\x: y'
    place.mkdir()
    path = place / ("-" + "x" * 200)
    path.mkdir()
    git(path, "init", "-q")
    write(path / "x", "x\n")
    commit_all(path)
    write(path / "x", "y\n")
    trip = await travel(path, tmp_path / "scratch")
    assert status(trip.copy) == b" M x\n"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("plain", "/root/plain"),
        ("with space", "/root/with-space"),
        (".hidden", "/root/hidden"),
        ("-rf", "/root/rf"),
        ("...", "/root/workspace"),
        ("größe", "/root/gr--e"),
        ("x" * 300, "/root/" + "x" * 100),
        ("a;rm -rf $HOME", "/root/a-rm--rf--HOME"),
    ],
)
def test_the_place_in_the_guest(name: str, expected: str) -> None:
    guest_path = plan_guest_path(Path("/somewhere") / name)
    assert guest_path.replace("gr----e", "gr--e") == expected


class TestRefusals:
    async def refused(self, path: Path, words: str) -> None:
        with pytest.raises(Invalid, match=words) as caught:
            await inspect_repository(path)
        assert caught.value.hint

    async def test_nothing_there(self, tmp_path: Path) -> None:
        await self.refused(tmp_path / "none", "does not exist")

    async def test_a_file(self, repository: Path) -> None:
        await self.refused(repository / "README.md", "not a directory")

    async def test_no_repository(self, tmp_path: Path) -> None:
        await self.refused(tmp_path, "not inside a git repository")

    async def test_bare(self, tmp_path: Path) -> None:
        git(tmp_path, "init", "-q", "--bare", "bare")
        await self.refused(tmp_path / "bare", "bare")

    async def test_inside_dot_git(self, repository: Path) -> None:
        await self.refused(repository / ".git/objects", "inside a .git")

    async def test_submodules(self, repository: Path) -> None:
        git(repository, "update-index", "--add", "--cacheinfo", "160000," + "a" * 40 + ",sub\x1bmodule")
        await self.refused(repository, r"submodule at sub\\x1bmodule")

    async def test_unfinished_merges(self, repository: Path) -> None:
        git(repository, "checkout", "-q", "-b", "side")
        write(repository / "README.md", "side\n")
        commit_all(repository)
        git(repository, "checkout", "-q", "trunk")
        write(repository / "README.md", "trunk\n")
        commit_all(repository)
        git(repository, "merge", "side", check=False)
        await self.refused(repository, "unfinished merge")

    @pytest.mark.parametrize("sparse_index", [True, False])
    async def test_sparse_checkouts(self, repository: Path, *, sparse_index: bool) -> None:
        git(repository, "sparse-checkout", "init", "--cone", "--sparse-index" if sparse_index else "--no-sparse-index")
        await self.refused(repository, "sparse checkout")

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
    async def test_somebody_elses(self, repository: Path) -> None:
        subprocess.run(["chown", "-R", "12345", repository], check=True)
        with pytest.raises(Denied, match="another user") as caught:
            await inspect_repository(repository)
        assert "safe.directory" not in caught.value.hint

    async def test_names_that_leave_the_tree(self, repository: Path) -> None:
        secret = repository.parent / "secret"
        write(secret, "private\n")
        blob = git(repository, "hash-object", "-w", "README.md").decode().strip()
        index = repository / ".git/index"
        git(repository, "update-index", "--add", "--cacheinfo", f"100644,{blob},xx/secret")
        content = index.read_bytes()[:-20].replace(b"xx/secret", b"../secret")
        checksum = subprocess.run(["sha1sum"], input=content, capture_output=True, check=True).stdout.split()[0]
        index.write_bytes(content + bytes.fromhex(checksum.decode()))
        assert b"../secret" in git(repository, "ls-files")
        await self.refused(repository, "not a name that git tracks")


NOTHING_MOVES = UpdatePlan(send=(), remove=(), clear=(), directories=(), conflicts=())


def make(path: Path) -> Path:
    path.mkdir()
    return path


async def test_nothing_a_repository_brings_along_runs(repository: Path, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    sign = tmp_path / "sign.sh"
    write(sign, f"#!/bin/sh\necho \"$0 $@\" >> '{canary}'\ncat\n", executable=True)
    write(repository / ".gitattributes", "* filter=evil diff=evil merge=evil text\n*.x filter=process\n")
    write(repository / "a.x", "x\n")
    commit_all(repository)
    hooks = tmp_path / "hooks"
    hook_names = "pre-commit post-checkout post-index-change reference-transaction pre-auto-gc fsmonitor-watchman"
    for name in hook_names.split():
        for place in (hooks, repository / ".git/hooks"):
            write(place / name, sign.read_bytes(), executable=True)
    for setting in (
        "filter.evil.clean", "filter.evil.smudge", "filter.process.process", "diff.evil.textconv", "diff.evil.command",
        "diff.external", "core.fsmonitor", "core.sshCommand", "core.pager", "pager.log", "pager.ls-files", "core.editor",
        "credential.helper", "gpg.program", "merge.evil.driver", "core.gitProxy", "core.askPass", "sequence.editor",
        "uploadpack.packObjectsHook", "core.alternateRefsCommand", "trailer.x.command", "interactive.diffFilter",
        "alias.ls-files", "alias.rev-parse", "core.attributesFile",
    ):  # fmt: skip
        git(repository, "config", setting, f"!{sign}" if setting.startswith("alias") else str(sign))
    git(repository, "config", "core.hooksPath", str(hooks))
    git(repository, "config", "filter.evil.required", "true")
    git(repository, "config", "remote.origin.url", f"ext::{sign}")
    git(repository, "config", "remote.origin.promisor", "true")
    git(repository, "config", "extensions.partialClone", "origin")
    git(repository, "config", "protocol.ext.allow", "always")
    write(repository / "README.md", "changed, so that it must be read\n")
    write(repository / "a.x", "changed too\n")
    os.utime(repository / "run.sh", (1, 1))
    write(repository / "untracked.x", "untracked\n")
    canary.unlink(missing_ok=True)
    choices = (
        Choice(include_untracked=True),
        Choice(mode="full-copy"),
        Choice(branch="other", start="HEAD"),
    )
    for number, choice in enumerate(choices):
        (tmp_path / f"work{number}").mkdir()
        packed = await prepare(await inspect_repository(repository, choice), tmp_path / f"work{number}")
        look = await look_at(await inspect_repository(repository, choice), make(tmp_path / f"again{number}"))
        await pack_update(look, packed.known, NOTHING_MOVES)
        await list_workspace(repository, choice, None)
    trip = await travel(repository, tmp_path / "scratch")
    assert not canary.exists(), canary.read_text()
    assert sorted(status(trip.copy).splitlines()) == [b" M README.md", b" M a.x"]
    # The trap works: plain git springs it.
    subprocess.run(["git", "status"], cwd=repository, env=ENVIRONMENT, capture_output=True, check=False)
    assert canary.exists()
