"""How this banger was installed, and the commands that put another version in its place."""

from __future__ import annotations

import json
import sys
import sysconfig
from collections.abc import Mapping, Sequence
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Final, NamedTuple

from banger.core.errors import Failed, NotFound, Unsupported
from banger.core.processes import read_here
from banger.core.untrusted import printable

PACKAGE: Final = "banger"
_DOWNLOAD_TIMEOUT_S: Final = 900.0


class Installation(NamedTuple):
    """An environment of Python's in which pip may put another version: its own, or one that pipx made."""

    python: str
    pipx: bool

    def plan_install(self, version: str) -> list[str]:
        """The command that installs exactly `version`."""
        wanted = f"{PACKAGE}=={version}"
        if self.pipx:  # which remembers what it installed
            return ["pipx", "install", "--force", wanted]
        return [*self.pip, "install", "--quiet", wanted]

    def plan_lookup(self, version: str | None) -> list[str]:
        """The command that says which version would be installed, and installs nothing."""
        wanted = PACKAGE if version is None else f"{PACKAGE}=={version}"
        return [*self.pip, "install", "--quiet", "--dry-run", "--ignore-installed", "--no-deps", "--report=-", wanted]

    @property
    def pip(self) -> list[str]:
        return [self.python, "-P", "-m", "pip", "--disable-pip-version-check", "--no-input"]


def find_installation() -> Installation:
    """Look at what Python says of this very package. Raises `Unsupported` where pip is not who changes it."""
    try:
        origin = metadata.distribution(PACKAGE).read_text("direct_url.json")
    except metadata.PackageNotFoundError:
        origin = '{"dir_info": {"editable": true}}'
    outside = sys.prefix == sys.base_prefix
    managed = outside and (Path(sysconfig.get_path("stdlib")) / "EXTERNALLY-MANAGED").exists()
    has_pip = find_spec("pip") is not None
    return judge_installation(prefix=Path(sys.prefix), origin=origin, managed=managed, has_pip=has_pip)


def judge_installation(*, prefix: Path, origin: str | None, managed: bool, has_pip: bool) -> Installation:
    """`origin`: the package's direct_url.json (PEP 610); `managed`: by the distribution (PEP 668)."""
    if origin is not None and json.loads(origin).get("dir_info", {}).get("editable"):
        raise Unsupported(
            "this banger runs from a checkout", hint="`git pull` there, then `make run` and `banger daemon restart`"
        )
    if (prefix / "uv-receipt.toml").exists():
        raise Unsupported("uv installed this banger", hint="`uv tool upgrade banger`, then `banger daemon restart`")
    if managed or not has_pip:
        raise Unsupported("pip may not change this banger", hint="update it with the tool that installed it")
    return Installation(sys.executable, (prefix / "pipx_metadata.json").exists())


def find_version(installation: Installation, version: str | None, *, environment: Mapping[str, str]) -> str:
    """The version that the package index has: the newest, or that very one. Raises `NotFound`, `Failed`."""
    done = read_here(installation.plan_lookup(version), environment=environment, timeout_s=_DOWNLOAD_TIMEOUT_S)
    if done.returncode:
        said = tail(done.stderr)
        if b"No matching distribution" in done.stderr:
            what = PACKAGE if version is None else f"{PACKAGE} {printable(version)}"
            raise NotFound(f"the package index has no {what}", hint="PIP_INDEX_URL or pip's configuration says which")
        raise Failed(f"pip cannot look for versions: {said}", hint="is there a network?")
    try:
        found = json.loads(done.stdout)["install"][0]["metadata"]["version"]
    except (ValueError, LookupError, TypeError) as error:
        raise Failed("pip says nothing about versions that can be understood", hint="is it older than 23.0?") from error
    return printable(str(found), limit=100)


def install(argv: Sequence[str], *, environment: Mapping[str, str]) -> None:
    """Run an installer. Raises `Failed` with the last that it said."""
    done = read_here(argv, environment=environment, timeout_s=_DOWNLOAD_TIMEOUT_S)
    if done.returncode:
        raise Failed(f"{printable(argv[0])} ended with status {done.returncode}: {tail(done.stderr)}")


def tail(said: bytes) -> str:
    """The last line, printable."""
    lines = said.strip().splitlines()
    return printable(lines[-1] if lines else b"", limit=300)


def is_older(version: str, than: str) -> bool:
    """By the numbers at their beginnings, which is all that our own versions have."""
    return _numbers(version) < _numbers(than)


def _numbers(version: str) -> list[int]:
    numbers: list[int] = []
    for part in version.split("."):
        digits = "".join(char for char in part if char.isdecimal() and char.isascii())
        if not digits:
            break
        numbers.append(int(digits))
    return numbers
