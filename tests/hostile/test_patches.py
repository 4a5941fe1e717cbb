"""Patches that a hostile guest could send: each is refused before a byte of it is shown, and none changes anything."""

from __future__ import annotations

import io
import random
import subprocess
from pathlib import Path

import pytest
from tests.world import commit_all, git

from banger.core.errors import Denied
from banger.workspace.paths import find_path_problem, find_target_problem
from banger.workspace.verdict import PatchVerdict, judge_patch

ZERO = "0" * 40
A = "a" * 40
B = "b" * 40


def judge(patch: bytes) -> PatchVerdict:
    return judge_patch(io.BytesIO(patch), size_bytes=len(patch))


def added(path: str, content: str = "x\n", mode: str = "100644", old: str | None = None, new: str | None = None) -> str:
    body = "".join(f"+{line}\n" for line in content.splitlines())
    count = len(content.splitlines())
    end = "" if content.endswith("\n") else "\\ No newline at end of file\n"
    return (
        f"diff --git {old or 'a/' + path} {new or 'b/' + path}\nnew file mode {mode}\nindex {ZERO}..{B}\n"
        f"--- /dev/null\n+++ {new or 'b/' + path}\n@@ -0,0 +1,{count} @@\n{body}{end}"
    )


def modified(path: str, tail: str = "@@ -1 +1 @@\n-a\n+b\n", head: str = f"index {A}..{B} 100644\n") -> str:
    return f"diff --git a/{path} b/{path}\n{head}--- a/{path}\n+++ b/{path}\n{tail}"


PATHS = [
    "../x", "a/../../x", "/etc/passwd", "a//b", "./x", "a/./b", "a/..", "..", ".", "a/", ".git/config", ".git/hooks/pre-commit",
    ".GIT/config", ".Git/x", "sub/.git/config", "sub/.gIt/HEAD", ".git", ".git./x", ".git /x", ".git.../x", ".git::$INDEX_ALLOCATION/x",
    ".git:stream", "git~1/config", "GIT~1/config", "git~2", ".gitmodules", "sub/.gitmodules", ".GITMODULES", "gitmod~1",
    ".g\u200cit/config", ".gi\u200dt/config", "\ufeff.git/config", ".\u202egit/x", ".git\\config", "a\\..\\..\\x", "..\\x", "C:x", "c:\\x",
    "a/" + "b" * 256, "x" * 4096,
]  # fmt: skip


@pytest.mark.parametrize("path", PATHS)
def test_paths_that_leave_the_tree_or_are_gits(path: str) -> None:
    assert find_path_problem(path.encode()) is not None
    with pytest.raises(Denied):
        judge(added(path).encode())


@pytest.mark.parametrize(
    "path",
    [
        "x",
        "a/b",
        ".github/workflows/x.yml",
        ".gitignore",
        ".gitattributes",
        "git",
        "a.git",
        ".gitx",
        "git~",
        "…",
        "a b",
        "-x",
        "...",
        "a..b",
    ],
)
def test_ordinary_paths(path: str) -> None:
    assert find_path_problem(path.encode()) is None
    assert judge(added(path).encode()).files[0].path == path.encode()


@pytest.mark.parametrize(
    "target",
    [
        "/etc/passwd",
        "..",
        "../x",
        "a/../../x",
        "../../home",
        ".git/config",
        "sub/../.git",
        ".GIT",
        "\\x",
        "c:\\x",
        "a/../..",
        "a/../x",  # `a` may be a link to the top itself
        "",
    ],
)
def test_links_that_leave_the_tree(target: str) -> None:
    assert find_target_problem(b"link", target.encode()) is not None
    with pytest.raises(Denied):
        judge(added("link", target, mode="120000").encode())


def test_links_that_stay() -> None:
    assert judge(added("a/b/link", "../../x", mode="120000").encode()).files[0].link_target == b"../../x"


def both(*parts: str) -> str:
    return "".join(parts)


MALFORMED = {
    "text before": "hello\n" + added("x"),
    "text after": added("x") + "trailing\n",
    "text between": added("x") + "between\n" + added("y"),
    "no end of line": added("x").rstrip("\n"),
    "twice": both(added("x"), added("x")),
    "twice modified": both(modified("x"), modified("x")),
    "added then deleted": both(
        added("x"),
        f"diff --git a/x b/x\ndeleted file mode 100644\nindex {A}..{ZERO}\n--- a/x\n+++ /dev/null\n@@ -1 +0,0 @@\n-a\n",
    ),
    "other name": added("x", new="b/y"),
    "two names": f"diff --git a/x b/y\nindex {A}..{B} 100644\n--- a/x\n+++ b/y\n@@ -1 +1 @@\n-a\n+b\n",
    "minus names another": modified("x").replace("--- a/x", "--- a/.git/x"),
    "plus names another": modified("x").replace("+++ b/x", "+++ b/../x"),
    "plus is dev null": modified("x").replace("+++ b/x", "+++ /dev/null"),
    "minus is dev null": modified("x").replace("--- a/x", "--- /dev/null"),
    "rename": "diff --git a/x b/y\nsimilarity index 100%\nrename from x\nrename to y\n",
    "copy": "diff --git a/x b/y\nsimilarity index 100%\ncopy from x\ncopy to y\n",
    "rename into git": f"diff --git a/x b/x\nrename from x\nrename to .git/config\nindex {A}..{B} 100644\n",
    "submodule": added("sub", "Subproject commit " + A, mode="160000"),
    "device mode": added("x", mode="060644"),
    "directory mode": added("x", mode="040000"),
    "setuid mode": added("x", mode="104755"),
    "odd mode": added("x", mode="100666"),
    "mode change to link": "diff --git a/x b/x\nold mode 100644\nnew mode 120000\n",
    "mode change to the same": "diff --git a/x b/x\nold mode 100644\nnew mode 100644\n",
    "mode change half": "diff --git a/x b/x\nold mode 100644\n",
    "short ids": modified("x", head="index aaaaaaa..bbbbbbb 100644\n"),
    "no index": "diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n",
    "no mode": modified("x", head=f"index {A}..{B}\n"),
    "added with old id": added("x").replace(ZERO, A),
    "modified without old id": modified("x").replace(A, ZERO),
    "hunk too short": modified("x", "@@ -1,2 +1 @@\n-a\n+b\n"),
    "hunk too long": modified("x", "@@ -1 +1 @@\n-a\n+b\n+c\n"),
    "hunk hides a file": modified("x", "@@ -1 +1 @@\n-a\n+b\ndiff --git a/.git/config b/.git/config\n"),
    "hunk malformed": modified("x", "@@ -1 +1\n-a\n+b\n"),
    "hunks out of order": modified("x", "@@ -9 +9 @@\n-a\n+b\n@@ -1 +1 @@\n-a\n+b\n"),
    "no hunk": modified("x", ""),
    "addition that deletes": added("x").replace("@@ -0,0 +1,1 @@\n+x", "@@ -1 +1 @@\n-y\n+x"),
    "backslash first": modified("x", "@@ -1 +1 @@\n\\ No newline\n-a\n+b\n"),
    "binary of another size": f"diff --git a/x b/x\nindex {A}..{B} 100644\nGIT binary patch\nliteral 9\nIcmZQzWMT#Y01f~L\n\nliteral 0\nHcmV?d00001\n\n",
    "binary garbage": f"diff --git a/x b/x\nindex {A}..{B} 100644\nGIT binary patch\nliteral 5\nzzzz\n\nliteral 0\nHcmV?d00001\n\n",
    "binary half": f"diff --git a/x b/x\nindex {A}..{B} 100644\nGIT binary patch\nliteral 0\nHcmV?d00001\n\n",
    "binary link": f"diff --git a/x b/x\nnew file mode 120000\nindex {ZERO}..{B}\nGIT binary patch\nliteral 0\nHcmV?d00001\n\nliteral 0\nHcmV?d00001\n\n",
    "binary without content": f"diff --git a/x b/x\nindex {A}..{B} 100644\nBinary files a/x and b/x differ\n",
    "through a link": both(added("d", "sub", mode="120000"), added("d/x")),
    "through a link, later": both(added("d/x"), added("d", "sub", mode="120000")),
    "below a file": both(added("d"), added("d/x")),
    "quotes left open": 'diff --git "a/x b/x\n',
    "quotes with nonsense": 'diff --git "a/\\q" "b/\\q"\n',
    "octal beyond a byte": 'diff --git "a/\\777" "b/\\777"\n',
    "quoted escape": 'diff --git "a/\\056git/x" "b/\\056git/x"\n',
    "quoted NUL": 'diff --git "a/x\\000" "b/x\\000"\n',
    "only a header": "diff --git a/x b/x\n",
    "combined diff": "diff --cc x\n",
    "e-mail": "From: someone\n\n" + added("x"),
    "empty line": "\n",
    "NUL bytes": "\0\0\0\n",
}


@pytest.mark.parametrize("name", MALFORMED)
def test_patches_that_git_would_not_have_written(name: str) -> None:
    with pytest.raises(Denied) as caught:
        judge(MALFORMED[name].encode())
    assert "\x1b" not in caught.value.summary
    assert caught.value.hint


def test_an_announced_size_must_be_right() -> None:
    patch = added("x").encode()
    with pytest.raises(Denied):
        judge_patch(io.BytesIO(patch), size_bytes=len(patch) + 1)


def test_a_change_of_type_is_a_deletion_and_an_addition() -> None:
    deletion = (
        f"diff --git a/x b/x\ndeleted file mode 100644\nindex {A}..{ZERO}\n--- a/x\n+++ /dev/null\n@@ -1 +0,0 @@\n-a\n"
    )
    verdict = judge((deletion + added("x", "y", mode="120000")).encode())
    assert [file.change for file in verdict.files] == ["deleted", "added"]


def test_an_empty_patch_changes_nothing() -> None:
    assert judge(b"").files == ()


def snapshot(root: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(root)): b"->" + str(path.readlink()).encode() if path.is_symlink() else path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_symlink() or path.is_file()
    }


def test_what_is_accepted_after_damage_stays_inside_the_tree(tmp_path: Path) -> None:
    """Thousands of damaged patches: whatever the verdict lets through, applying it changes nothing but the tree."""
    outside = tmp_path / "outside"
    tree = outside / "tree"
    tree.mkdir(parents=True)
    (outside / "precious").write_text("precious\n")
    git(tree, "init", "-q")
    (tree / "x").write_text("a\n")
    (tree / "d").mkdir()
    (tree / "d" / "y").write_text("1\n2\n3\n")
    commit_all(tree)
    base = both(
        modified("x"),
        added("new/z"),
        added("link", "d/y", mode="120000"),
        modified("d/y", "@@ -1,3 +1,3 @@\n 1\n-2\n+two\n 3\n"),
    )
    pieces = [
        "../",
        "/",
        ".git/",
        "\\",
        '"',
        "120000",
        "100755",
        "a/",
        "b/",
        "\n",
        "-",
        "+",
        "@@ ",
        "precious",
        " ",
        "\t",
        "..",
        "0",
    ]
    before = snapshot(tree / ".git"), (outside / "precious").read_bytes()
    chance = random.Random(7)
    accepted = 0
    for _ in range(3000):
        patch = base
        for _ in range(chance.randint(1, 3)):
            at = chance.randrange(len(patch))
            piece = chance.choice(pieces)
            patch = patch[:at] + piece + patch[at + chance.choice([0, len(piece)]) :]
        try:
            judge(patch.encode())
        except Denied:
            continue
        accepted += 1
        subprocess.run(["git", "apply", "-"], cwd=tree, input=patch.encode(), capture_output=True, check=False)
        assert sorted(path.name for path in outside.iterdir()) == ["precious", "tree"]
        assert (snapshot(tree / ".git"), (outside / "precious").read_bytes()) == before
        subprocess.run(["git", "clean", "-qfdx"], cwd=tree, check=True)
        git(tree, "checkout", "-q", "-f", ".")
        before = snapshot(tree / ".git"), before[1]
    assert 0 < accepted < 3000
