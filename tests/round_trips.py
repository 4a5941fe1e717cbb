"""Repositories of five kinds, and scripts of random edits for a guest, made of a seed.

A script is a POSIX shell's, so that it runs in any guest. It only uses what it knows to be there: a small model of the
tree is kept while it is written.
"""

from __future__ import annotations

import os
import random
import shlex
from collections.abc import Callable
from pathlib import Path

from tests.world import commit_all, git

KINDS = ("history", "binaries", "links", "names", "monorepo")
IDENTITY = "git config user.name guest; git config user.email guest@example.org"
WORDS = (
    "alpha",
    "beta",
    "gamma",
    "delta",
    "\u00e9t\u00e9",
    "diff --git a/x b/x",
    "--- a/x",
    "+++ b/x",
    "@@ -1 +1 @@",
    "",
    "\t tab",
    "\\n",
)
NAMES = (
    *(
        "plain",
        "with space",
        'quo"te',
        "back\\slash-not",
        "\u00fcml\u00e4ut",
        "tab\there",
        "new\nline",
        "-dash",
        "dollar$HOME",
        "semi;colon",
    ),
    *(
        "star*",
        "question?",
        "brack[et]",
        "hash#",
        "pipe|",
        "amp&",
        "tick`",
        "apo'strophe",
        "a.b.c",
        "trailing.txt",
        "emoji\U0001f600",
    ),
)


def make_repository(path: Path, kind: str, *, seed: int) -> None:
    """A repository with something committed, of one kind."""
    chance = random.Random(seed)
    path.mkdir(parents=True)
    git(path, "init", "-q", "-b", "main")
    git(path, "config", "user.name", "Somebody")
    git(path, "config", "user.email", "somebody@example.org")
    (path / ".gitignore").write_text("*.log\nignored/\n")
    (path / "README.md").write_text("hello\n" * 20)
    {
        "history": _make_history,
        "binaries": _make_binaries,
        "links": _make_links,
        "names": _make_names,
        "monorepo": _make_monorepo,
    }[kind](path, chance)
    commit_all(path, "the last one")


def _make_history(path: Path, chance: random.Random) -> None:
    for number in range(59):
        _write(path / f"src/file{number % 12}.c", "".join(f"{chance.choice(WORDS)} {number}\n" for _ in range(40)))
        commit_all(path, f"number {number}")
    _write(path / "src/last.c", "last\n")


def _make_binaries(path: Path, chance: random.Random) -> None:
    for number in range(20):
        (path / "assets").mkdir(exist_ok=True)
        (path / f"assets/{number}.bin").write_bytes(chance.randbytes(chance.randrange(20_000)))


def _make_links(path: Path, chance: random.Random) -> None:
    for number in range(30):
        _write(path / f"real/{number}/file", f"{number}\n")
        link = path / f"links/{number}"
        link.parent.mkdir(exist_ok=True)
        link.symlink_to(
            chance.choice((f"../real/{number}", f"../real/{number}/file", "nowhere", f"{max(0, number - 1)}"))
        )


def _make_names(path: Path, chance: random.Random) -> None:
    for name in NAMES:
        _write(path / f"odd/{name}", f"{name}\n" * chance.randrange(1, 5))
    (path / "odd" / "latin1-\udce9").write_text("bytes\n")


def _make_monorepo(path: Path, chance: random.Random) -> None:
    for package in range(12):
        for module in range(15):
            _write(path / f"packages/p{package}/src/m{module}/index.ts", f"export const x = {chance.random()}\n" * 10)
        _write(path / f"packages/p{package}/build.sh", "#!/bin/sh\n")
        (path / f"packages/p{package}/build.sh").chmod(0o755)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


class EditScript:
    """Writes `count` random edits of a tree as a script."""

    def __init__(self, tree: Path, *, seed: int) -> None:
        self._chance = random.Random(seed)
        self._seed = seed
        self._lines = ["set -e", IDENTITY]
        listed = git(tree, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
        names = set(listed.decode("utf-8", "surrogateescape").split("\0")[:-1])
        present = [name for name in names if (tree / name).is_symlink() or (tree / name).is_file()]
        # Names that are no UTF-8 stay as they are: a command line of ours would not take them.
        self._links = {name for name in present if (tree / name).is_symlink() and name.isprintable()}
        self._files = {name for name in present if name not in self._links and _is_text(name)} - {".gitignore"}
        self._fixed = set(present) - self._links - self._files
        self._made = 0

    def write(self, count: int) -> str:
        """The script."""
        edits: tuple[tuple[int, Callable[[], None]], ...] = (
            (8, self._append),
            (4, self._insert),
            (4, self._overwrite),
            (8, self._add),
            (3, self._add_binary),
            (6, self._delete),
            (1, self._delete_directory),
            (8, self._rename),
            (1, self._rename_directory),
            (5, self._chmod),
            (4, self._link),
            (3, self._become_link),
            (2, self._become_directory),
            (2, self._become_file),
            (2, self._ignored),
            (5, self._commit),
            (1, self._branch),
            (1, self._amend),
        )
        acts = [act for weight, act in edits for _ in range(weight)]
        for _ in range(count):
            self._chance.choice(acts)()
        return "\n".join(self._lines) + "\n"

    def _say(self, *words: str) -> None:
        self._lines.append(" ".join(words))

    def _some(self, names: set[str]) -> str | None:
        return self._chance.choice(sorted(names)) if names else None

    def _everything(self) -> set[str]:
        return self._files | self._links | self._fixed

    def _directories(self) -> set[str]:
        return {place for name in self._everything() for place in _above(name)}

    def _text(self) -> str:
        return shlex.quote(f"{self._chance.choice(WORDS)} {self._chance.randrange(1000)}")

    def _new_name(self) -> str:
        """A name that is free, in a directory that is there or a new one."""
        self._made += 1
        places = sorted(self._directories() - self._links) or ["made"]
        place = self._chance.choice((*places, f"made/{self._made % 7}", f"made/deep/{self._made % 5}/er"))
        while any(part in self._files | self._links for part in (place, *_above(place))):
            place = f"fresh{self._made}"
        return f"{place}/{self._chance.choice(NAMES)}-{self._made}"

    def _make_place(self, name: str) -> None:
        self._say("mkdir -p --", shlex.quote(f"./{os.path.dirname(name)}"))

    def _append(self) -> None:
        if name := self._some(self._files):
            self._say("printf '%s\\n'", self._text(), ">>", _quoted(name))

    def _insert(self) -> None:
        if name := self._some(self._files):
            self._say(
                f"{{ printf '%s\\n' {self._text()}; cat {_quoted(name)}; }} >/tmp/edit.$$; cat /tmp/edit.$$ >{_quoted(name)}; rm /tmp/edit.$$"
            )

    def _overwrite(self) -> None:
        if name := self._some(self._files):
            ends = self._chance.choice(("\\n", "", "\\r\\n"))
            self._say(f"printf '%s{ends}'", self._text(), self._text(), ">", _quoted(name))

    def _add(self) -> None:
        name = self._new_name()
        self._make_place(name)
        self._say(self._chance.choice((":", "printf '%s\\n' 1 2 3", "seq 2000", "printf 'no end'")), ">", _quoted(name))
        self._files.add(name)

    def _add_binary(self) -> None:
        name = self._new_name()
        self._make_place(name)
        self._say(f"head -c {self._chance.randrange(1, 5000)} /dev/urandom >", _quoted(name))
        self._files.add(name)

    def _delete(self) -> None:
        if name := self._some(self._files | self._links):
            self._say(
                self._chance.choice(("rm -f --", "git rm -qrf --cached --ignore-unmatch --", "rm --")), _quoted(name)
            )
            if "cached" in self._lines[-1]:
                self._say("rm --", _quoted(name))
            self._forget(name)

    def _delete_directory(self) -> None:
        place = self._some(self._directories())
        if place and not any(name.startswith(place + "/") for name in self._fixed) and self._chance.random() < 0.5:
            self._say("rm -r --", _quoted(place))
            for name in list(self._files | self._links):
                if name.startswith(place + "/"):
                    self._forget(name)

    def _rename(self) -> None:
        if name := self._some(self._files):  # a link that is moved may point out of the tree
            new = self._new_name()
            self._make_place(new)
            self._say("mv --", _quoted(name), _quoted(new))
            self._files.add(new)
            self._forget(name)

    def _rename_directory(self) -> None:
        place = self._some({place for place in self._directories() if "/" not in place})
        if place and not any(name.startswith(place + "/") for name in self._fixed | self._links):
            self._made += 1
            new = f"moved{self._made}"
            self._say("mv --", _quoted(place), _quoted(new))
            for name in [name for name in self._files if name.startswith(place + "/")]:
                self._files.discard(name)
                self._files.add(new + name[len(place) :])

    def _chmod(self) -> None:
        if name := self._some(self._files):
            self._say("chmod", self._chance.choice(("+x", "-x")), _quoted(name))

    def _link(self) -> None:
        name = self._new_name()
        self._make_place(name)
        self._say("ln -s --", shlex.quote(self._target(name)), _quoted(name))
        self._links.add(name)

    def _target(self, name: str) -> str:
        other = self._some(self._files) or "nowhere"
        return self._chance.choice(("sibling", "../" * name.count("/") + other))

    def _become_link(self) -> None:
        if name := self._some(self._files):
            self._say("rm --", _quoted(name), "; ln -s --", shlex.quote(self._target(name)), _quoted(name))
            self._files.discard(name)
            self._links.add(name)

    def _become_directory(self) -> None:
        if name := self._some(self._files | self._links):
            self._say("rm --", _quoted(name), "; mkdir --", _quoted(name), "; echo inside >", _quoted(f"{name}/inside"))
            self._forget(name)
            self._files.add(f"{name}/inside")

    def _become_file(self) -> None:
        place = self._some({place for place in self._directories() if place.startswith(("made", "fresh", "moved"))})
        if place:
            self._say("rm -r --", _quoted(place), "; echo file >", _quoted(place))
            for name in [name for name in self._files | self._links if name.startswith(place + "/")]:
                self._forget(name)
            self._files.add(place)

    def _ignored(self) -> None:
        self._say("mkdir -p ignored; echo secret >ignored/x; echo secret >x.log")

    def _commit(self) -> None:
        self._say(f"git add -A; git commit -q --allow-empty -m {self._text()}")

    def _branch(self) -> None:
        self._made += 1
        self._say(f"git checkout -q -b topic{self._seed}-{self._made}")

    def _amend(self) -> None:
        self._say("git commit -q --allow-empty --amend --no-edit")

    def _forget(self, name: str) -> None:
        self._files.discard(name)
        self._links.discard(name)


def _quoted(name: str) -> str:
    return shlex.quote(f"./{name}")


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _above(name: str) -> list[str]:
    parts = name.split("/")[:-1]
    return ["/".join(parts[:end]) for end in range(1, len(parts) + 1)]
