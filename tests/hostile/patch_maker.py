"""Patches at random, by a grammar that lies in every place where a patch can lie. A seed gives the same ones again."""

from __future__ import annotations

import base64
import random
import zlib

ZERO = "0" * 40
EMPTY = "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"
# What the tree of `tests.hostile.patch_host` has, with the ids that git gives it.
GOOD_NAMES = [
    "x",
    "d/y",
    "bin",
    "tool",
    "link",
    "new",
    "new/z",
    "d/new",
    "deep/er/file",
    ".github/workflows/ci.yml",
    "d",
    "a b",
    "\u00e9",
]
BAD_NAMES = [
    *(
        "../x",
        "../../precious",
        "/etc/passwd",
        "a/../../x",
        "..",
        ".",
        "",
        "a//b",
        "./x",
        "d/",
        "d/..",
        "~/.ssh/config",
        "d/./y",
    ),
    *(
        ".git/config",
        ".git/hooks/pre-commit",
        ".GIT/config",
        ".git",
        "sub/.git/config",
        ".git /x",
        ".git./x",
        "git~1/config",
    ),
    *(
        ".g\u200cit/config",
        ".git::$INDEX_ALLOCATION/x",
        ".git\\hooks\\x",
        ".gitmodules",
        "GITMOD~1",
        "..\\x",
        "C:x",
        "\\\\server\\x",
    ),
    *(
        "/dev/null",
        "d/y/../../../x",
        "link/x",
        "up/x",
        "bare/HEAD",
        "bare/config",
        "bare/refs/x",
        "bare/objects/x",
        "\ufeff.git/x",
    ),
]
TARGETS = [
    "x",
    "d/y",
    "../x",
    "/etc/passwd",
    "..",
    ".git",
    ".git/hooks",
    "d/../..",
    "./x",
    "",
    "../outside",
    "a" * 5000,
    "C:\\x",
]
MODES = ["100644", "100755", "120000", "160000", "040000", "100666", "104755", "000000", "060644", "", "abc", "0100644"]
SPLICES = [
    *(
        "../",
        "/",
        ".git/",
        "\\",
        '"',
        "120000",
        "160000",
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
        "\r\n",
    ),
    *(
        "diff --git a/x b/../x\n",
        "rename from x\n",
        "copy to ../x\n",
        "similarity index 100%\n",
        "--- a/x\n",
        "+++ b/.git/config\n",
    ),
    *(
        "GIT binary patch\n",
        "\\ No newline at end of file\n",
        "Binary files a/x and b/y differ\n",
        "index ",
        "\0",
        "\x1b[2J",
        "new file mode 120000\n",
    ),
]


class PatchMaker:
    """Makes patches. `ids` are git's ids of the files that are there, by name."""

    def __init__(self, seed: int, ids: dict[str, str]) -> None:
        self._chance = random.Random(seed)
        self._ids = ids

    def make(self) -> bytes:
        """A patch of one to four files, sometimes damaged afterwards."""
        patch = "".join(self._file() for _ in range(self._chance.choice((1, 1, 1, 2, 2, 3, 4)))).encode(
            "utf-8", "surrogateescape"
        )
        for _ in range(self._chance.choice((0, 0, 0, 1, 1, 2, 5))):
            patch = self._damage(patch)
        return patch

    def _lies(self, one_in: int = 12) -> bool:
        return self._chance.randrange(one_in) == 0

    def _name(self) -> str:
        return self._chance.choice(BAD_NAMES if self._lies(6) else GOOD_NAMES)

    def _mode(self, right: str) -> str:
        return self._chance.choice(MODES) if self._lies() else right

    def _file(self) -> str:
        kind = self._chance.choice(
            ("add", "add", "modify", "modify", "delete", "chmod", "link", "binary", "empty", "rename")
        )
        return getattr(self, f"_{kind}")(self._name())  # type: ignore[no-any-return]

    def _head(self, name: str) -> str:
        other = self._name() if self._lies(20) else name
        return f"diff --git {self._quoted('a/' + name)} {self._quoted('b/' + other)}\n"

    def _names(self, name: str, *, old: bool, new: bool) -> str:
        other = self._name() if self._lies(20) else name
        minus = self._quoted("a/" + other) if old != self._lies(30) else "/dev/null"
        plus = self._quoted("b/" + name) if new != self._lies(30) else "/dev/null"
        end = "\t" if " " in name and not self._lies(3) else ""
        return f"--- {minus}{end if minus != '/dev/null' else ''}\n+++ {plus}{end if plus != '/dev/null' else ''}\n"

    def _quoted(self, name: str) -> str:
        raw = name.encode("utf-8", "surrogateescape")
        if self._lies(15) or any(byte < 0x20 or byte > 0x7E or byte in b'"\\' for byte in raw):
            return (
                '"'
                + "".join(chr(byte) if 0x20 <= byte < 0x7F and byte not in b'"\\' else f"\\{byte:03o}" for byte in raw)
                + '"'
            )
        return name

    def _old_id(self, name: str) -> str:
        return self._chance.choice((ZERO, "f" * 40, "abc", EMPTY)) if self._lies() else self._ids.get(name, "a" * 40)

    def _new_id(self) -> str:
        return f"{self._chance.getrandbits(160):040x}" if not self._lies(30) else self._chance.choice((ZERO, "123"))

    def _lines(self, sign: str, count: int) -> str:
        return "".join(
            f"{sign}{self._chance.choice(('one', 'two', '', 'diff --git a/q b/q', '--- a/q'))}\n" for _ in range(count)
        )

    def _add(self, name: str) -> str:
        count = self._chance.randrange(1, 4)
        said = count + (self._chance.choice((-1, 1, 7)) if self._lies() else 0)
        return (
            f"{self._head(name)}new file mode {self._mode(self._chance.choice(('100644', '100755')))}\n"
            f"index {ZERO if not self._lies() else 'a' * 40}..{self._new_id()}\n{self._names(name, old=False, new=True)}"
            f"@@ -0,0 +1,{said} @@\n{self._lines('+', count)}"
        )

    def _modify(self, name: str) -> str:
        body = {"x": "@@ -1 +1 @@\n-a\n+b\n", "d/y": "@@ -1,3 +1,4 @@\n 1\n 2\n+new\n 3\n"}.get(
            name, "@@ -1 +1 @@\n-a\n+b\n"
        )
        if self._lies():
            body = f"@@ -{self._chance.randrange(9)},{self._chance.randrange(5)} +{self._chance.randrange(9)},{self._chance.randrange(5)} @@\n-a\n+b\n"
        mode = self._mode("100755" if name == "tool" else "100644")
        return f"{self._head(name)}index {self._old_id(name)}..{self._new_id()} {mode}\n{self._names(name, old=True, new=True)}{body}"

    def _delete(self, name: str) -> str:
        body = {"x": "@@ -1 +0,0 @@\n-a\n", "d/y": "@@ -1,3 +0,0 @@\n-1\n-2\n-3\n"}.get(name, "@@ -1 +0,0 @@\n-a\n")
        return (
            f"{self._head(name)}deleted file mode {self._mode('100644')}\nindex {self._old_id(name)}..{ZERO}\n"
            f"{self._names(name, old=True, new=False)}{body}"
        )

    def _chmod(self, name: str) -> str:
        old, new = ("100755", "100644") if name == "tool" else ("100644", "100755")
        return f"{self._head(name)}old mode {self._mode(old)}\nnew mode {self._mode(new)}\n"

    def _link(self, name: str) -> str:
        target = self._chance.choice(TARGETS)
        end = "" if self._lies() else "\\ No newline at end of file\n"
        gone = self._delete(name) if self._lies(2) else ""
        return (
            f"{gone}{self._head(name)}new file mode {self._mode('120000')}\nindex {ZERO}..{self._new_id()}\n"
            f"{self._names(name, old=False, new=True)}@@ -0,0 +1 @@\n+{target}\n{end}"
        )

    def _binary(self, name: str) -> str:
        content = bytes(self._chance.randrange(256) for _ in range(self._chance.randrange(60)))
        said = len(content) + (self._chance.choice((-1, 1, 1 << 40)) if self._lies() else 0)
        hunk = f"literal {said}\n{self._base85(zlib.compress(content))}\n"
        none = f"literal 0\n{self._base85(zlib.compress(b''))}\n"
        return f"{self._head(name)}new file mode {self._mode('100644')}\nindex {ZERO}..{self._new_id()}\nGIT binary patch\n{hunk}{none}"

    def _empty(self, name: str) -> str:
        return f"{self._head(name)}new file mode {self._mode('100644')}\nindex {ZERO}..{EMPTY}\n"

    def _rename(self, name: str) -> str:
        word = self._chance.choice(("rename", "copy"))
        return f"{self._head(name)}similarity index 100%\n{word} from {name}\n{word} to {self._name()}\n"

    def _base85(self, data: bytes) -> str:
        lines = []
        for start in range(0, len(data), 52):
            part = data[start : start + 52]
            letter = chr(ord("A") + len(part) - 1) if len(part) <= 26 else chr(ord("a") + len(part) - 27)
            lines.append(letter + base64.b85encode(part, pad=True).decode() + "\n")
        return "".join(lines)

    def _damage(self, patch: bytes) -> bytes:
        at = self._chance.randrange(len(patch) + 1)
        how = self._chance.randrange(5)
        if how == 0:
            piece = self._chance.choice(SPLICES).encode("utf-8", "surrogateescape")
            return patch[:at] + piece + patch[at + self._chance.choice((0, len(piece))) :]
        if how == 1:
            return patch[:at] + bytes([self._chance.randrange(256)]) + patch[at + 1 :]
        lines = patch.splitlines(keepends=True)
        where = self._chance.randrange(len(lines)) if lines else 0
        if how == 2:
            return b"".join(lines[:where] + lines[where + 1 :])
        if how == 3:
            return b"".join([*lines[:where], lines[where] if lines else b"", *lines[where:]])
        return patch[:at]
