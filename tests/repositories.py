"""Five repositories of the kinds that people have, made without a network and the same every time.

What is real in them is this checkout and the Python that runs the tests; the rest is made up after real ones.
"""

from __future__ import annotations

import os
import random
import shutil
import sysconfig
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.contract.workspace_world import commit_all, git, write

ROOT = Path(__file__).parents[1]

ODD_NAMES = (
    b"with space", b" leading", b"trailing ", b"line\nfeed", b"tab\tand \"quotes\" and 'more'", b"back\\slash\\", b"-dash",
    b"--", b"\xff\xfe raw", "größe/…/файл".encode(), "nfc-\u00e9".encode(), "nfd-e\u0301".encode(), b"Case", b"case",
    b"CASE/x", b"#hash", b"a/b/c/d/e/f/g/h/i/j/k", b"a.b", b"a-b", b"a/b.c", b"x" * 255, b":(glob)*", b"*", b"?", b"[a]",
    b"!not", b"~", b"~root", b"$HOME", b"`id`", b"$(id)", b"\x1b[31m", b".hidden/.deep", b"...", b"con", b"nul.txt",
    b"a:b", b"a|b", b"git~2", b".gitkeep", b"gitmodules", b"%s%n", b"emoji \xf0\x9f\xa6\xa6", b"rtl \xe2\x80\xae txt",
)  # fmt: skip


def large_history(path: Path) -> None:
    """4,000 commits on two branches with 200 merges, as git's fast-import takes them; names come and go."""
    _init(path)
    git(path, "fast-import", "--quiet", stdin=b"".join(_history(random.Random(1))))
    git(path, "reset", "-q", "--hard", "main")


def binary_assets(path: Path) -> None:
    """Images, archives and programs: content that is not a text, empty, huge for a repository, or a whole page of zeros."""
    chance = random.Random(2)
    _init(path)
    for number in range(60):
        write(path / f"assets/{number % 7}/{number}.png", chance.randbytes(chance.choice((0, 1, 4096, 50_000))))
    write(path / "assets/movie.bin", chance.randbytes(6 << 20))
    write(path / "assets/zeros", bytes(1 << 20))
    write(path / "bin/tool", b"\x7fELF" + bytes(range(256)) * 64, executable=True)
    write(path / "bin/crlf.bat", b"@echo off\r\nexit\r\n")
    write(path / ".gitattributes", "*.png binary\n*.bat text eol=crlf\n*.zip filter=lfs diff=lfs merge=lfs -text\n")
    write(path / "big.zip", "version https://git-lfs.github.com/spec/v1\noid sha256:" + "0" * 64 + "\nsize 12345\n")
    commit_all(path, "assets")
    write(path / "assets/movie.bin", chance.randbytes(6 << 20))
    commit_all(path, "another movie")


def many_links(path: Path) -> None:
    """More symbolic links than files: chains, loops, dangling, absolute, upwards, to directories, and long ones."""
    _init(path)
    for number in range(20):
        write(path / f"store/{number}/lib.so.1.{number}", f"library {number}\n", executable=number % 2 == 0)
        _link(path / f"store/{number}/lib.so.1", f"lib.so.1.{number}")
        _link(path / f"store/{number}/lib.so", "lib.so.1")
        _link(path / f"lib/{number}", f"../store/{number}")
        _link(path / f"current/{number}/deep/lib", f"../../../lib/{number}/lib.so")
    targets = {
        "dangling": "no/such",
        "absolute": "/etc/passwd",
        "up": "../../../../..",
        "self": "self",
        "here": ".",
        "a": "b",
    }
    for name, target in {**targets, "b": "a", "long": "x/" * 500 + "y", "odd": "line\nfeed", "space": " "}.items():
        _link(path / "odd" / name, target)
    commit_all(path, "links")


def unusual_names(path: Path) -> None:
    """Every kind of name that git takes, as files, in directories, and as links."""
    _init(path)
    for number, name in enumerate(ODD_NAMES):
        write(os.fsencode(path) + b"/names/" + name, f"content {number}\n", executable=number % 5 == 0)
    for name in ODD_NAMES[::3]:
        os.makedirs(os.fsencode(path) + b"/links", exist_ok=True)
        os.symlink(b"../names/" + name, os.fsencode(path) + b"/links/" + name.replace(b"/", b"_")[:250])
    for depth in range(1, 30):
        write(path.joinpath(*(["deep"] * depth), "file"), f"{depth}\n")
    commit_all(path, "names")


def monorepo(path: Path) -> None:
    """Services and libraries beside each other: this checkout's files, twice, and a good part of Python's library."""
    _init(path)
    listed = git(ROOT, "ls-files", "-z", check=False).split(b"\0")[:-1] if (ROOT / ".git").exists() else []
    names = [os.fsdecode(name) for name in listed] or [
        str(file.relative_to(ROOT)) for top in ("src", "tests", "docs") for file in sorted((ROOT / top).rglob("*.py"))
    ]
    for service in ("services/web", "services/worker"):
        for name in names:
            if (ROOT / name).is_file():
                (path / service / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, path / service / name)
    library = Path(sysconfig.get_path("stdlib"))
    for package in ("asyncio", "email", "encodings", "json", "xml", "unittest", "logging", "importlib"):
        shutil.copytree(library / package, path / "libraries" / package, ignore=shutil.ignore_patterns("__pycache__"))
    for number in range(1000):
        write(path / f"packages/p{number % 50}/module_{number}.py", f'"""Module {number}."""\n\nVALUE = {number}\n')
        write(path / f"packages/p{number % 50}/tests/test_{number}.py", f"def test_{number}() -> None:\n    pass\n")
    write(path / "packages/p0/run", "#!/bin/sh\n", executable=True)
    commit_all(path, "everything")


KINDS: dict[str, Callable[[Path], None]] = {
    "large history": large_history,
    "binary assets": binary_assets,
    "symlink-heavy": many_links,
    "unusual names": unusual_names,
    "monorepo": monorepo,
}


def listed_tree(directory: Path) -> dict[bytes, tuple[str, bytes]]:
    """What `git ls-files` lists, with mode and content as they are in the directory."""
    found: dict[bytes, tuple[str, bytes]] = {}
    for name in git(directory, "ls-files", "-z").split(b"\0")[:-1]:
        path = os.path.join(os.fsencode(directory), name)
        if os.path.islink(path):
            found[name] = ("120000", os.readlink(path))
        else:
            with open(path, "rb") as file:
                found[name] = ("100755" if os.access(path, os.X_OK) else "100644", file.read())
    return found


def _init(path: Path) -> None:
    path.mkdir(parents=True)
    git(path, "init", "-q", "-b", "main")
    git(path, "config", "core.autocrlf", "false")


def _link(path: Path, target: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(target)


def _history(chance: random.Random) -> Iterator[bytes]:
    """A stream for git-fast-import(1)."""
    names = [f"src/part{number % 9}/file{number}.c" for number in range(150)]
    for number in range(4000):
        side = number % 20 in range(10, 15)
        yield b"commit refs/heads/%s\n" % (b"side" if side else b"main")
        yield b"mark :%d\ncommitter Somebody <x@example.org> %d +0000\n" % (number + 1, 1_600_000_000 + number * 600)
        message = b"change %d" % number
        yield b"data %d\n%s\n" % (len(message), message)
        if number % 20 == 10:
            yield b"from :%d\n" % number
        if number % 20 == 15:
            yield b"from :%d\nmerge :%d\n" % (number - 5, number)
        for name in chance.sample(names, 3):
            if chance.random() < 0.1:
                yield b"D %s\n" % name.encode()
            else:
                content = b"".join(b"line %d of %d\n" % (line, number) for line in range(chance.randrange(40)))
                yield b"M %s inline %s\ndata %d\n%s\n" % (
                    chance.choice((b"100644", b"100644", b"100755")), name.encode(), len(content), content
                )  # fmt: skip
