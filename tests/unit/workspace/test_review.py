"""What a reviewer is pointed at, and what not."""

from __future__ import annotations

import io
from collections.abc import Collection

import pytest
from tests.hostile.test_patches import added, modified

from banger.workspace import review_rules as rules
from banger.workspace.review import review_patch
from banger.workspace.verdict import judge_patch

A, ZERO = "a" * 40, "0" * 40


def kinds(patch: str, places: Collection[bytes] = (b"src", b"tests")) -> dict[str, tuple[bytes, ...]]:
    raw = patch.encode("utf-8", "surrogateescape")
    verdict = judge_patch(io.BytesIO(raw), size_bytes=len(raw))
    return {finding.kind: finding.paths for finding in review_patch(io.BytesIO(raw), verdict, places=places)}


def deleted(path: str) -> str:
    return (
        f"diff --git a/{path} b/{path}\ndeleted file mode 100644\nindex {A}..{ZERO}\n"
        f"--- a/{path}\n+++ /dev/null\n@@ -1 +0,0 @@\n-def test_x():\n"
    )


@pytest.mark.parametrize(
    "path",
    [
        *(
            ".github/workflows/ci.yml",
            "sub/.github/actions/x/action.yml",
            ".gitlab-ci.yml",
            "Jenkinsfile",
            ".circleci/config.yml",
        ),
        *(
            ".vscode/tasks.json",
            ".vscode/settings.json",
            ".idea/workspace.xml",
            "x.code-workspace",
            ".exrc",
            ".dir-locals.el",
        ),
        *(
            ".envrc",
            "sub/.envrc",
            ".env",
            ".env.local",
            "mise.toml",
            ".tool-versions",
            ".devcontainer/devcontainer.json",
        ),
        *(
            ".husky/pre-commit",
            ".githooks/x",
            ".pre-commit-config.yaml",
            "lefthook.yml",
            ".gitattributes",
            ".lfsconfig",
        ),
        *("CLAUDE.md", "AGENTS.md", ".claude/settings.json", ".cursor/rules/x", ".mcp.json", ".cursorrules"),
        *(
            "package.json",
            "setup.py",
            "conftest.py",
            "tests/conftest.py",
            "Makefile",
            "build.rs",
            ".npmrc",
            ".cargo/config.toml",
        ),
        *("x.pth", "sitecustomize.py", "gradlew", "flake.nix", "Dockerfile", "docker-compose.override.yml"),
    ],
)
def test_files_that_run_by_themselves(path: str) -> None:
    assert rules.runs_by_itself(path.encode())
    assert "runs_by_itself" in kinds(added(path))


@pytest.mark.parametrize(
    "path", ["src/main.py", "README.md", "docs/github/workflows.md", "src/vscode.ts", "env", "package.jsonx"]
)
def test_files_that_do_not(path: str) -> None:
    assert not rules.runs_by_itself(path.encode())


@pytest.mark.parametrize(
    "path",
    ["uv.lock", "sub/package-lock.json", "yarn.lock", "Cargo.lock", "go.sum", "requirements-dev.txt", "banger.lock"],
)
def test_lock_files(path: str) -> None:
    assert "lock_files" in kinds(modified(path))


@pytest.mark.parametrize(
    "path",
    [
        "tests/x.py",
        "test_a.py",
        "a_test.go",
        "src/a.test.ts",
        "a.spec.js",
        "src/FooTest.java",
        "spec/x_spec.rb",
        "x/__tests__/y.js",
    ],
)
def test_tests(path: str) -> None:
    assert rules.is_test(path.encode())
    assert kinds(deleted(path))["tests_deleted"] == (path.encode(),)


@pytest.mark.parametrize("path", ["src/latest.py", "src/main.go", "contest/main.py", "attest.rs"])
def test_files_that_are_no_tests(path: str) -> None:
    assert not rules.is_test(path.encode())


@pytest.mark.parametrize(
    "line",
    [
        *(
            "@pytest.mark.skip",
            "@pytest.mark.xfail(reason='x')",
            "    pytest.skip('x')",
            "@unittest.skip('x')",
            "self.skipTest('x')",
        ),
        *("it.skip('x', () => {", "describe.only('x'", "xit('x', ", "xdescribe('x'", "test.todo('x')", "fit('x'"),
        *(
            "    t.Skip()",
            "#[ignore]",
            "@Disabled",
            '@Ignore("x")',
            "GTEST_SKIP();",
            '[Fact(Skip = "x")]',
            "expect(true).toBe(true)",
        ),
    ],
)
def test_lines_that_skip_tests(line: str) -> None:
    patch = modified("src/a.py", f"@@ -1 +1,2 @@\n old\n+{line}\n")
    assert kinds(patch)["tests_skipped"] == (b"src/a.py",)
    gone = modified("src/a.py", f"@@ -1,2 +1 @@\n old\n-{line}\n")
    assert "tests_skipped" not in kinds(gone)


@pytest.mark.parametrize(
    "line", ["x = skip", "# skip this", "limit = 3", "it('works', () => {", "git.skipped", "assert true_value"]
)
def test_lines_that_do_not(line: str) -> None:
    assert not rules.skips_a_test(line.encode())


def test_a_test_that_goes_from_a_file_that_stays() -> None:
    gone = modified("tests/a.py", "@@ -1,3 +1 @@\n-def test_x():\n-    assert 1\n old\n")
    assert "tests_deleted" in kinds(gone)
    renamed = modified("tests/a.py", "@@ -1 +1 @@\n-def test_x():\n+def test_y():\n")
    assert "tests_deleted" not in kinds(renamed)


@pytest.mark.parametrize("line", ["a\u202eb", "a\u200bb", "x\x1b[31m", "\u2066", "a\x00b", "y" * 3000])
def test_text_that_hides_something(line: str) -> None:
    assert "hidden_text" in kinds(modified("a.txt", f"@@ -1 +1,2 @@\n old\n+{line}\n"))
    assert "hidden_text" not in kinds(modified("a.txt", f"@@ -1,2 +1 @@\n old\n-{line}\n"))


@pytest.mark.parametrize("line", ["", "plain", "\ttab", "Gr\u00fc\u00dfe \u6f22\u5b57 \U0001f600", "x\r"])
def test_text_that_does_not(line: str) -> None:
    assert "hidden_text" not in kinds(modified("a.txt", f"@@ -1 +1,2 @@\n old\n+{line}\n"))


@pytest.mark.parametrize("path", ["-rf", "a/-x", "~user", "a ", "p\u0430ypal.py", "a\u200bb", "x."])
def test_names_that_are_odd(path: str) -> None:
    assert rules.is_odd_name(path.encode())


@pytest.mark.parametrize(
    "path", ["a b.txt", "\u043f\u0440\u0438\u0432\u0435\u0442.md", "na\u00efve.py", ".gitignore", "a/b-c_d.e"]
)
def test_names_that_are_not(path: str) -> None:
    assert not rules.is_odd_name(path.encode())


def test_kinds_of_files() -> None:
    link = added("l", "src", mode="120000")
    binary = (
        f"diff --git a/i.png b/i.png\nnew file mode 100644\nindex {ZERO}..{A}\nGIT binary patch\n"
        "literal 0\nHcmV?d00001\n\nliteral 0\nHcmV?d00001\n\n"
    )
    chmod = "diff --git a/run b/run\nold mode 100644\nnew mode 100755\n"
    found = kinds(link + binary + chmod + added("tool", mode="100755"))
    assert found == {
        "links": (b"l",),
        "new_binaries": (b"i.png",),
        "modes_changed": (b"run",),
        "new_executables": (b"tool",),
    }


def test_files_outside_the_usual() -> None:
    found = kinds(
        added("src/a") + added("elsewhere/a") + added("src/.hidden") + added("src/node_modules/x") + added("TOP")
    )
    assert found == {
        "new_places": (b"elsewhere/a",),
        "hidden_files": (b"src/.hidden",),
        "generated": (b"src/node_modules/x",),
    }


def test_much() -> None:
    large = "".join(f"+{number}\n" for number in range(2000))
    assert "large" in kinds(added("a").replace("@@ -0,0 +1,1 @@\n+x\n", f"@@ -0,0 +1,2000 @@\n{large}"))
    assert "many_deleted" in kinds("".join(deleted(f"f{number:02}") for number in range(20)))
    assert "many_deleted" not in kinds("".join(deleted(f"f{number:02}") for number in range(19)))


def test_lines_are_only_those_of_hunks() -> None:
    """A header is no content, and a line of content no header."""
    tricky = modified("a", "@@ -1,2 +1,2 @@\n --- @pytest.mark.skip\n-+++ b/x\n++++ @@ x\n")
    assert kinds(tricky) == {}
