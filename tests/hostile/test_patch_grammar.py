"""Every rule of the grammar that a guest's patch must keep, broken once; and what git writes, kept."""

from __future__ import annotations

import base64
import io
import tracemalloc
import zlib
from collections.abc import Callable

import pytest

from banger.core.errors import Denied
from banger.workspace.paths import find_path_problem
from banger.workspace.verdict import PatchVerdict, judge_patch

A = "a" * 40
B = "b" * 40
ZERO = "0" * 40
EMPTY = "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"


def judge(patch: bytes) -> PatchVerdict:
    return judge_patch(io.BytesIO(patch), size_bytes=len(patch))


def modify(name: str = "x", *, mode: str = "100644", hunks: str = "@@ -1 +1 @@\n-old\n+new\n") -> str:
    return f"diff --git a/{name} b/{name}\nindex {A}..{B} {mode}\n--- a/{name}\n+++ b/{name}\n{hunks}"


def add(name: str = "x", *, mode: str = "100644", hunks: str = "@@ -0,0 +1 @@\n+new\n") -> str:
    return (
        f"diff --git a/{name} b/{name}\nnew file mode {mode}\nindex {ZERO}..{B}\n--- /dev/null\n+++ b/{name}\n{hunks}"
    )


def delete(name: str = "x", *, mode: str = "100644") -> str:
    return (
        f"diff --git a/{name} b/{name}\ndeleted file mode {mode}\nindex {A}..{ZERO}\n"
        f"--- a/{name}\n+++ /dev/null\n@@ -1 +0,0 @@\n-old\n"
    )


def link(name: str, target: str) -> str:
    hunks = f"@@ -0,0 +1 @@\n+{target}\n\\ No newline at end of file\n"
    return add(name, mode="120000", hunks=hunks)


def quoted(name: str) -> str:
    """A file whose name is already in git's quotes, without them."""
    return (
        f'diff --git "a/{name}" "b/{name}"\nnew file mode 100644\nindex {ZERO}..{B}\n--- /dev/null\n+++ "b/{name}"\n'
        "@@ -0,0 +1 @@\n+new\n"
    )


def encode_lines(data: bytes) -> str:
    lines = []
    for start in range(0, len(data), 52):
        part = data[start : start + 52]
        letter = chr(ord("A") + len(part) - 1) if len(part) <= 26 else chr(ord("a") + len(part) - 27)
        lines.append(letter + base64.b85encode(part, pad=True).decode() + "\n")
    return "".join(lines)


def hunk(kind: str, content: bytes, *, size: int | None = None) -> str:
    return f"{kind} {len(content) if size is None else size}\n{encode_lines(zlib.compress(content))}\n"


def binary(*hunks: str, header: str = f"index {A}..{B} 100644\n") -> str:
    return f"diff --git a/x b/x\n{header}GIT binary patch\n" + "".join(hunks)


def encode_size(size: int) -> bytes:
    """A size as a delta begins with it."""
    rest = size >> 7
    return bytes([size & 0x7F | (0x80 if rest else 0)]) + (encode_size(rest) if rest else b"")


NEW = f"new file mode 100644\nindex {ZERO}..{B}\n"
# Delta instructions: sizes of source and result, then copies (0x80 and above) and insertions.
COPY_FOUR = b"\x04\x04\x90\x04"

REFUSED: dict[str, str] = {
    # Paths outside the tree
    "parent": add("../x"),
    "parent in the middle": add("a/../../x"),
    "parent at the end": add("a/.."),
    "harmless parent": add("a/../x"),
    "absolute": add("/etc/passwd"),
    "on a drive": add("c:x"),
    "dot": add("./x"),
    "dot in the middle": add("a/./x"),
    "empty component": add("a//x"),
    "trailing slash": add("a/"),
    "no name at all": add(""),
    "parent with a backslash": quoted("a\\\\..\\\\..\\\\x"),
    "parent in quotes": quoted("\\056\\056/x"),
    "NUL in quotes": quoted("x\\000y"),
    "NUL": add("x\0y"),
    "long component": add("x" * 256),
    "long path": add("/".join(["x" * 200] * 21)),
    "line longer than any header": add("x" * 70_000),
    # Spellings of .git
    "hook": add(".git/hooks/post-checkout"),
    "config": modify(".git/config"),
    "git itself": add(".git"),
    "capitals": add(".GIT/config"),
    "mixed case": add(".gIt/config"),
    "below": add("sub/.git/config"),
    "trailing dot": add(".git./config"),
    "trailing space": modify(".git /config").replace("a/.git /config\n+", "a/.git /config\t\n+"),
    "trailing space and dots": add(".git. ./config").replace("/config\n@", "/config\t\n@"),
    "stream": add(".git::$INDEX_ALLOCATION/config"),
    "stream of a file": add(".git:x"),
    "short name": add("git~1/config"),
    "short name, other number": add("GIT~12/config"),
    "zero width non-joiner": quoted(".g\\342\\200\\214it/config"),
    "byte order mark": quoted("\\357\\273\\277.git/config"),
    "right-to-left mark": quoted(".git\\342\\200\\217/config"),
    "inhibit symmetric swapping": quoted(".gi\\342\\201\\252t/config"),
    "backslash before": quoted("a\\\\.git\\\\config"),
    "backslash after": quoted(".git\\\\config"),
    "ignorable and dot": quoted(".G\\342\\200\\215IT ./config"),
    "modules": add(".gitmodules"),
    "modules in capitals": add(".GITMODULES"),
    "modules below": modify("sub/.gitmodules"),
    "modules, short": add("gitmod~1"),
    "modules, hashed short": add("gi7eba~1"),
    "deletion in .git": delete(".git/index"),
    # Modes
    "submodule": add("sub", mode="160000", hunks="@@ -0,0 +1 @@\n+Subproject commit " + A + "\n"),
    "submodule moved on": modify("sub", mode="160000"),
    "block device": add(mode="060644"),
    "character device": add(mode="020666"),
    "fifo": add(mode="010644"),
    "socket": add(mode="140755"),
    "directory": add(mode="040000"),
    "setuid": add(mode="104755"),
    "group writable": add(mode="100664"),
    "mode with a sign": add(mode="+100644"),
    "short mode": add(mode="0644"),
    "file becomes a link by mode": f"diff --git a/x b/x\nold mode 100644\nnew mode 120000\nindex {A}..{B}\n"
    "--- a/x\n+++ b/x\n@@ -1 +1 @@\n-old\n+/etc/passwd\n\\ No newline at end of file\n",
    "link becomes a file by mode": "diff --git a/x b/x\nold mode 120000\nnew mode 100644\n",
    "same mode twice": "diff --git a/x b/x\nold mode 100644\nnew mode 100644\n",
    "half a change of mode": "diff --git a/x b/x\nold mode 100644\n",
    "mode missing": f"diff --git a/x b/x\nindex {A}..{B}\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n-old\n+new\n",
    "mode twice": f"diff --git a/x b/x\nold mode 100644\nnew mode 100755\nindex {A}..{B} 100644\n"
    "--- a/x\n+++ b/x\n@@ -1 +1 @@\n-old\n+new\n",
    # Links
    "link to an absolute path": link("x", "/etc/passwd"),
    "link out of the tree": link("x", "../outside"),
    "link far out of the tree": link("a/b/x", "../../../outside"),
    "link down and out": link("x", "a/../../outside"),
    "link down and up, through what may be a link": link("a/x", "b/../c"),
    "link into .git": link("x", ".git/hooks"),
    "link into .git, spelled": link("a/x", "../.Git/config"),
    "link to the home": link("x", "\\\\server\\share"),
    "link to a drive": link("x", "C:/x"),
    "link with a NUL": link("x", "a\0b"),
    "link to nothing": add("x", mode="120000", hunks="@@ -0,0 +1 @@\n+\n\\ No newline at end of file\n"),
    "link without content": f"diff --git a/x b/x\nnew file mode 120000\nindex {ZERO}..{EMPTY}\n",
    "link with a line feed at its end": add("x", mode="120000", hunks="@@ -0,0 +1 @@\n+/etc\n"),
    "long link": link("x", "y" * 4096),
    "link longer than a line": link("x", "y" * 70_000),
    "link changed to leave": modify(
        "x", mode="120000", hunks="@@ -1 +1 @@\n-y\n\\ No newline at end of file\n+../z\n\\ No newline at end of file\n"
    ),
    "link changed beyond its first lines": modify(
        "x", mode="120000", hunks="@@ -2,2 +2,2 @@\n b\n-c\n+d\n\\ No newline at end of file\n"
    ),
    "link changed in two places": modify(
        "x", mode="120000", hunks="@@ -1 +1 @@\n-a\n+b\n@@ -9 +9 @@\n-c\n+d\n\\ No newline at end of file\n"
    ),
    "binary link": f"diff --git a/x b/x\nnew file mode 120000\nindex {ZERO}..{B}\nGIT binary patch\n"
    + hunk("literal", b"/etc/passwd")
    + hunk("literal", b""),
    "written through a new link": link("a", "b") + add("a/x"),
    "written through a new link, earlier": add("a/x") + link("a", "b"),
    "written through a changed link": modify(
        "a", mode="120000", hunks="@@ -1 +1 @@\n-y\n\\ No newline at end of file\n+z\n\\ No newline at end of file\n"
    )
    + add("a/x"),
    "changed below a new link": link("a", "b") + modify("a/b/x"),
    "below a new file": add("a") + add("a/x"),
    "below a changed file": modify("a") + add("a/x"),
    "deleted below a changed file": modify("a") + delete("a/x"),
    "deleted below a deleted file": delete("a") + delete("a/x"),
    # Names that contradict each other
    "two names": modify().replace("b/x\nindex", "b/y\nindex"),
    "other old name": modify().replace("--- a/x", "--- a/y"),
    "other new name": modify().replace("+++ b/x", "+++ b/.git/config"),
    "swapped prefixes": modify().replace("a/x b/x", "b/x a/x"),
    "no prefix": modify().replace("a/x b/x", "x x"),
    "quotes on one side": modify().replace("a/x b/x", '"a/x" b/x'),
    "needless quotes": modify().replace("a/x b/x", '"a/x" "b/x"'),
    "needless escape": quoted("\\170\\n"),
    "half a quote": modify().replace("a/x b/x", '"a/x "b/x'),
    "malformed escape": quoted("\\9\\n"),
    "escape cut off": quoted("x\\1"),
    "line feed not quoted": add("x\ny"),
    "bytes half quoted": quoted("\\n\u00e9\\303\\251"),
    "carriage return": modify().replace("a/x b/x\n", "a/x b/x\r\n"),
    "new file with an old name": add().replace("--- /dev/null", "--- a/x"),
    "deleted file with a new name": delete().replace("+++ /dev/null", "+++ b/x"),
    "changed file without an old name": modify().replace("--- a/x", "--- /dev/null"),
    "time after the name": modify().replace("--- a/x\n", "--- a/x\t2026-01-01\n"),
    "names in the wrong order": modify().replace("--- a/x\n+++ b/x\n", "+++ b/x\n--- a/x\n"),
    # Renames and copies
    "rename": "diff --git a/x b/y\nsimilarity index 100%\nrename from x\nrename to y\n",
    "rename of the same name": "diff --git a/x b/x\nsimilarity index 100%\nrename from x\nrename to x\n",
    "copy of a secret": "diff --git a/p b/p\nsimilarity index 100%\ncopy from .env\ncopy to p\n",
    "copy without similarity": "diff --git a/p b/p\ncopy from .env\ncopy to p\n",
    "rename without similarity": "diff --git a/p b/p\nrename from .env\nrename to p\n",
    "rewrite": modify().replace("index", "dissimilarity index 90%\nindex"),
    "rename behind the ids": modify().replace("--- a/x", "rename from .env\nrename to x\n--- a/x"),
    # Index lines
    "no index line": "diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n-old\n+new\n",
    "abbreviated ids": modify().replace(A, A[:7]).replace(B, B[:7]),
    "ids of two kinds": modify().replace(B, "b" * 64),
    "same ids": modify().replace(B, A),
    "capital ids": modify().replace(A, "A" * 40),
    "new file that was there": add().replace(ZERO, A),
    "deleted file that stays": delete().replace(ZERO, B),
    "changed file that was not there": modify().replace(A, ZERO),
    "index line twice": modify().replace("--- a/x", f"index {A}..{B} 100644\n--- a/x"),
    "index line alone": f"diff --git a/x b/x\nindex {A}..{B} 100644\n",
    "new file without content": f"diff --git a/x b/x\nnew file mode 100644\nindex {ZERO}..{B}\n",
    "deleted file without content": f"diff --git a/x b/x\ndeleted file mode 100644\nindex {A}..{ZERO}\n",
    "new and deleted": add().replace("index", "deleted file mode 100644\nindex"),
    "header alone": "diff --git a/x b/x\n",
    "unknown header": add().replace("index", "colour blue\nindex"),
    # Hunks
    "no hunk": modify(hunks=""),
    "too many lines": modify(hunks="@@ -1 +1 @@\n-old\n+new\n+more\n"),
    "too few lines": modify(hunks="@@ -1,2 +1 @@\n-old\n+new\n"),
    "header inside a hunk": modify(hunks="@@ -1,9 +1,9 @@\n-old\n+new\n") + add("y"),
    "hunk inside a hunk": modify(hunks="@@ -1,2 +1,2 @@\n-old\n@@ -5 +5 @@\n-old\n+new\n"),
    "cut off": modify(hunks="@@ -1,2 +1 @@\n-old\n"),
    "last line without an end": modify()[:-1],
    "empty context line": modify(hunks="@@ -1,2 +1,2 @@\n\n-old\n+new\n"),
    "negative start": modify(hunks="@@ --1 +1 @@\n-old\n+new\n"),
    "huge start": modify(hunks="@@ -99999999999999999999 +1 @@\n-old\n+new\n"),
    "count of nothing": modify(hunks="@@ -1,0 +1,0 @@\n"),
    "combined diff": modify(hunks="@@@ -1 -1 +1 @@@\n--old\n++new\n"),
    "hunks out of order": modify(hunks="@@ -9 +9 @@\n-old\n+new\n@@ -1 +1 @@\n-old\n+new\n"),
    "hunks that overlap": modify(hunks="@@ -1,2 +1,2 @@\n a\n-b\n+c\n@@ -2 +2 @@\n-c\n+d\n"),
    "hunk at another place on the new side": modify(hunks="@@ -1 +5 @@\n-old\n+new\n"),
    "second hunk forgets the first": modify(hunks="@@ -1 +1,2 @@\n-a\n+b\n+c\n@@ -9 +9 @@\n-d\n+e\n"),
    "new file with context": add(hunks="@@ -1 +1,2 @@\n old\n+new\n"),
    "new file in two hunks": add(hunks="@@ -0,0 +1 @@\n+a\n@@ -0,0 +2 @@\n+b\n"),
    "new file with a deletion": add(hunks="@@ -1 +1 @@\n-old\n+new\n"),
    "deleted file with an addition": delete().replace("@@ -1 +0,0 @@\n", "@@ -1 +1 @@\n+new\n"),
    "no line feed, in the middle": modify(hunks="@@ -1,2 +1,2 @@\n a\n\\ No newline at end of file\n-b\n+c\n"),
    "no line feed, before another hunk": modify(
        hunks="@@ -1 +1 @@\n-a\n+b\n\\ No newline at end of file\n@@ -9 +9 @@\n-c\n+d\n"
    ),
    "no line feed, in other words": modify(hunks="@@ -1 +1 @@\n-a\n+b\n\\ No newline\n"),
    "no line feed, first": modify(hunks="@@ -1 +1 @@\n\\ No newline at end of file\n-a\n+b\n"),
    "no line feed, twice": modify(
        hunks="@@ -1 +1 @@\n-a\n+b\n\\ No newline at end of file\n\\ No newline at end of file\n"
    ),
    # Text that belongs to nothing
    "text before": "From guest\n" + modify(),
    "text after": modify() + "-- \n2.39\n",
    "text between": modify("x") + "hello\n" + modify("y"),
    "empty line": "\n",
    "patch of another kind": "--- a/x\n+++ b/x\n@@ -1 +1 @@\n-old\n+new\n",
    "patch of another kind after one of ours": modify() + "--- a/.git/config\n+++ b/.git/config\n@@ -1 +1 @@\n-o\n+n\n",
    "combined header": f"diff --cc x\nindex {A},{A}..{B}\n",
    "escape sequence": "\x1b]0;owned\x07\n" + modify(),
    # The same path
    "twice": modify() + modify(),
    "added twice": add() + add(),
    "deleted and added as the same": delete() + add(),
    "deleted and, later, a link": delete("x") + add("y") + link("x", "y"),
    "link and then deleted": link("x", "y") + delete("x"),
    # Binary content
    "only said to differ": f"diff --git a/x b/x\nindex {A}..{B} 100644\nBinary files a/x and b/x differ\n",
    "no content": binary(),
    "one direction only": binary(hunk("literal", b"new")),
    "third direction": binary(hunk("literal", b"new"), hunk("literal", b"old"), hunk("literal", b"x")),
    "shorter than it says": binary(hunk("literal", b"new", size=4), hunk("literal", b"old")),
    "longer than it says": binary(hunk("literal", b"new", size=2), hunk("literal", b"old")),
    "bomb": binary(hunk("literal", bytes(10_000_000), size=100), hunk("literal", b"old")),
    "larger than allowed": binary(hunk("literal", b"", size=1 << 31), hunk("literal", b"old")),
    "unknown kind": binary(hunk("figurative", b"new"), hunk("literal", b"old")),
    "size with a zero before": binary(hunk("literal", b"new").replace(" 3", " 03"), hunk("literal", b"old")),
    "no deflate": binary(f"literal 3\n{encode_lines(b'nothing')}\n", hunk("literal", b"old")),
    "deflate cut off": binary(f"literal 3\n{encode_lines(zlib.compress(b'new')[:-2])}\n", hunk("literal", b"old")),
    "bytes after deflate": binary(
        f"literal 3\n{encode_lines(zlib.compress(b'new') + b'more')}\n", hunk("literal", b"old")
    ),
    "line after deflate": binary(
        f"literal 3\n{encode_lines(zlib.compress(b'new'))}{encode_lines(b'x')}\n", hunk("literal", b"old")
    ),
    "line of a wrong length": binary("literal 3\nCabcd\n\n", hunk("literal", b"old")),
    "line with a wrong letter": binary("literal 3\n!abcde\n\n", hunk("literal", b"old")),
    "line outside of base 85": binary('literal 3\nC"""""\n\n', hunk("literal", b"old")),
    "base 85 beyond 32 bits": binary("literal 3\nD~~~~~\n\n", hunk("literal", b"old")),
    "bits beyond the last byte": binary("literal 3\nA~~000\n\n", hunk("literal", b"old")),
    "new file out of a delta": binary(hunk("delta", COPY_FOUR), hunk("literal", b""), header=NEW),
    "new file that had content": binary(hunk("literal", b"new"), hunk("literal", b"old"), header=NEW),
    "delta from another size": binary(hunk("delta", COPY_FOUR), hunk("literal", b"12345")),
    "delta copies from outside": binary(hunk("delta", b"\x04\x05\x90\x05"), hunk("literal", b"1234")),
    "delta copies from far outside": binary(hunk("delta", b"\x04\x04\x9f\xff\xff\xff\xff\x04"), hunk("literal", b"1234")),
    "delta makes too much": binary(hunk("delta", b"\x04\x04\x90\x04\x90\x04"), hunk("literal", b"1234")),
    "delta makes too little": binary(hunk("delta", b"\x04\x08\x90\x04"), hunk("literal", b"1234")),
    "delta bomb": binary(
        hunk("delta", b"\x80\x80\x80\x08\x80\x80\x80\x80\x10" + b"\xf0\xff\xff\xff" * 300),
        hunk("literal", b"1234"),
    ),
    "delta with the reserved instruction": binary(hunk("delta", b"\x04\x04\x00"), hunk("literal", b"1234")),
    "delta cut off in an insertion": binary(hunk("delta", b"\x04\x04\x04ab"), hunk("literal", b"1234")),
    "delta cut off in a copy": binary(hunk("delta", b"\x04\x04\x90"), hunk("literal", b"1234")),
    "delta without sizes": binary(hunk("delta", b""), hunk("literal", b"1234")),
    "delta with an endless size": binary(hunk("delta", b"\xff" * 20), hunk("literal", b"1234")),
    "binary with a text hunk": binary(hunk("literal", b"new"), hunk("literal", b"old")) + "@@ -1 +1 @@\n-old\n+new\n",
}  # fmt: skip


@pytest.mark.parametrize("patch", REFUSED.values(), ids=REFUSED.keys())
def test_hostile_patches_are_refused_with_a_printable_reason(patch: str) -> None:
    with pytest.raises(Denied) as caught:
        judge(patch.encode())
    assert caught.value.summary.startswith("the patch from the guest is refused")
    assert caught.value.summary.isprintable()
    assert len(caught.value.summary) < 1000


def test_a_refusal_behind_good_files_refuses_everything() -> None:
    with pytest.raises(Denied, match=r"at \.git/config"):
        judge((modify("a") + add("b") + modify(".git/config")).encode())


def test_many_bombs_are_one() -> None:
    """A kilobyte, of which git would make three gigabytes on the disk: none of the files is larger than allowed."""
    small, large = encode_size(0xFFFFFF), encode_size(25 * 0xFFFFFF)  # 16 MiB is what one instruction copies
    copy = b"\xf0\xff\xff\xff"
    part = binary(hunk("delta", small + large + copy * 25), hunk("delta", large + small + copy))
    assert judge(part.encode()).files[0].binary
    with pytest.raises(Denied, match="2 GiB in all"):
        judge("".join(part.replace("/x", f"/x{number}") for number in range(8)).encode())


def test_deltas_that_take_long_are_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """A byte for each operation, a thousand of which are a byte in the patch: minutes of work for 33 KB."""
    for module in ("binary_hunk", "verdict"):
        monkeypatch.setattr(f"banger.workspace.{module}.OPERATIONS_LIMIT", 40_000)
    size = encode_size(1)
    endless = binary(hunk("delta", size + size + b"\x90\x01" * 50_000), hunk("literal", b"x"))
    with pytest.raises(Denied, match="longer than any that git makes"):
        judge(endless.encode())
    length = 30_000
    long = binary(
        hunk("delta", size + encode_size(length) + b"\x90\x01" * length),
        hunk("delta", encode_size(length) + size + b"\x90\x01"),
    )
    assert judge(long.encode()).files
    with pytest.raises(Denied, match="longer than any that git makes"):
        judge((long + long.replace("/x", "/y")).encode())


def test_judging_can_be_given_up() -> None:
    class GivenUpError(Exception):
        pass

    def give_up() -> None:
        raise GivenUpError

    patch = add(hunks="@@ -0,0 +1,5000 @@\n" + "+\n" * 5000).encode()
    with pytest.raises(GivenUpError):
        judge_patch(io.BytesIO(patch), size_bytes=len(patch), check=give_up)


def test_deep_names_do_not_fill_the_memory() -> None:
    """Each of these had all directories above it remembered, by their whole names."""
    directories = "d/" * 100 + ("x" * 250 + "/") * 14
    names = [f"{number:06}/{directories}name" for number in range(600)]
    patch = "".join(f"diff --git a/{n} b/{n}\nnew file mode 100644\nindex {'0' * 40}..{EMPTY}\n" for n in names)
    data = patch.encode()
    tracemalloc.start()
    try:
        verdict = judge_patch(io.BytesIO(data), size_bytes=len(data))
        assert tracemalloc.get_traced_memory()[1] < 10 << 20
    finally:
        tracemalloc.stop()
    assert len(verdict.files) == len(names)


def test_nested_too_deep() -> None:
    for name, good in (("d/" * 127 + "x", True), ("d/" * 128 + "x", False)):
        assert (find_path_problem(name.encode()) is None) == good


def test_an_announced_size_must_be_right() -> None:
    patch = modify().encode()
    for size_bytes in (len(patch) - 1, len(patch) + 1):
        with pytest.raises(Denied, match="size"):
            judge_patch(io.BytesIO(patch), size_bytes=size_bytes)


ACCEPTED: dict[str, tuple[str, Callable[[PatchVerdict], bool]]] = {
    "nothing": ("", lambda verdict: verdict.files == ()),
    "modified": (modify(), lambda verdict: (verdict.additions, verdict.deletions) == (1, 1)),
    "added": (add(), lambda verdict: verdict.files[0].new_mode == "100644"),
    "added executable": (add(mode="100755"), lambda verdict: verdict.files[0].new_mode == "100755"),
    "added, empty": (
        f"diff --git a/x b/x\nnew file mode 100644\nindex {ZERO}..{EMPTY}\n",
        lambda verdict: verdict.files[0].change == "added",
    ),
    "deleted": (delete(), lambda verdict: verdict.files[0].old_mode == "100644"),
    "change of mode": (
        "diff --git a/x b/x\nold mode 100644\nnew mode 100755\n",
        lambda verdict: verdict.files[0].new_mode == "100755",
    ),
    "link": (link("a/x", "../b/c"), lambda verdict: verdict.files[0].link_target == b"../b/c"),
    "link to the same directory": (link("x", "."), lambda verdict: verdict.files[0].link_target == b"."),
    "file becomes a link": (
        delete() + link("x", "y"),
        lambda verdict: [file.change for file in verdict.files] == ["deleted", "added"],
    ),
    "directory becomes a link": (link("a", "b") + delete("a/x"), lambda verdict: len(verdict.files) == 2),
    "file becomes a directory": (delete("a") + add("a/x"), lambda verdict: len(verdict.files) == 2),
    "lines that look like headers": (
        modify(hunks="@@ -1,2 +1,2 @@\n--- a/.git/config\n-diff --git a/y b/y\n+++ b/.git/config\n+@@ -1 +1 @@\n"),
        lambda verdict: len(verdict.files) == 1,
    ),
    "a very long line": (
        modify(hunks=f"@@ -1 +1 @@\n-{'o' * 300_000}\n+{'n' * 200_000}\n"),
        lambda verdict: verdict.additions == 1,
    ),
    "spaces": (
        modify("a b/c  d").replace("a/a b/c  d\n+", "a/a b/c  d\t\n+").replace("d\n@", "d\t\n@"),
        lambda verdict: verdict.files[0].path == b"a b/c  d",
    ),
    "quoted": (quoted('\\303\\251 \\"\\n\\\\').replace('\\\\"\n@', '\\\\"\t\n@'),
        lambda verdict: verdict.files[0].path == 'é "\n\\'.encode()),
    "bytes as with core.quotePath=false": (
        add("\u00e9") + quoted("\\n\u00e9"),
        lambda verdict: [file.path for file in verdict.files] == ["\u00e9".encode(), "\n\u00e9".encode()],
    ),
    "names that only look like git": (
        add(".gitignore") + add(".github/x") + add("git") + add("x.git/y") + add(".gitattributes"),
        lambda verdict: len(verdict.files) == 5,
    ),
    "binary": (
        binary(hunk("literal", b"\0new" * 100), hunk("literal", b"\0old")),
        lambda verdict: verdict.files[0].binary,
    ),
    "binary delta": (
        binary(hunk("delta", b"\x04\x08\x90\x04\x90\x04"), hunk("delta", b"\x08\x04\x90\x04")),
        lambda verdict: verdict.files[0].binary,
    ),
}  # fmt: skip


@pytest.mark.parametrize(("patch", "holds"), ACCEPTED.values(), ids=ACCEPTED.keys())
def test_what_git_writes_is_accepted(patch: str, holds: Callable[[PatchVerdict], bool]) -> None:
    assert holds(judge(patch.encode()))
