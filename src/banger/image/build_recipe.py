"""A user's recipe for `image build`: what is added to which image, read strictly. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Annotated, Final

import msgspec

from banger.core.commands import check_command
from banger.core.errors import Invalid
from banger.core.sizes import MIB, parse_size
from banger.core.toml import parse_toml
from banger.core.untrusted import printable
from banger.image.pinned import Pinned
from banger.image.run_config import RunConfig, parse_stop_signal

SIZE_LIMIT_BYTES: Final = 1 << 20
DOWNLOAD_LIMIT_BYTES: Final = 16 << 30
_COUNT_LIMIT: Final = 1000
_HINT: Final = "docs/images.md shows what a recipe may say"
_DEFAULT_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

_Name = Annotated[str, msgspec.Meta(min_length=1, max_length=500, pattern=r"\A[\x21-\x7e]+\Z")]
_Package = Annotated[str, msgspec.Meta(pattern=r"\A[a-z0-9][a-z0-9+.-]{1,100}(=[0-9][0-9A-Za-z.+:~-]{0,200})?\Z")]
_Sha256 = Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{64}\Z")]
_Digest = Annotated[str, msgspec.Meta(pattern=r"\Asha256:[0-9a-f]{64}\Z")]
_Address = Annotated[str, msgspec.Meta(max_length=4000, pattern=r"\Ahttps?://[\x21-\x7e]+\Z")]
_Size = Annotated[int, msgspec.Meta(ge=1, le=DOWNLOAD_LIMIT_BYTES)]
_HostPath = Annotated[str, msgspec.Meta(min_length=1, max_length=4000)]
_GuestPath = Annotated[str, msgspec.Meta(max_length=4000, pattern=r"\A/[^\x00]+\Z")]
_Mode = Annotated[str, msgspec.Meta(pattern=r"\A0?[0-7]{3}\Z")]
_Word = Annotated[str, msgspec.Meta(max_length=50_000)]


class _Strict(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Nothing in it is ignored."""


class RecipeFile(_Strict, frozen=True):
    """A file or directory beside the recipe, and its place in the image. `mode` is for a file, in octal digits."""

    source: _HostPath
    path: _GuestPath
    mode: _Mode | None = None

    @property
    def mode_bits(self) -> int | None:
        return int(self.mode, 8) if self.mode is not None else None


class RecipeDownload(_Strict, frozen=True):
    """A file to download, by digest and size, and its place in the image. A build can do without an `optional` one."""

    url: _Address
    sha256: _Sha256
    size: _Size
    path: _GuestPath
    mode: _Mode = "0644"
    optional: bool = False

    @property
    def mode_bits(self) -> int:
        return int(self.mode, 8)

    @property
    def pinned(self) -> Pinned:
        return Pinned(url=self.url, sha256=self.sha256, size_bytes=self.size, optional=self.optional)


class RecipeRun(_Strict, frozen=True):
    """How the image is to be run; None leaves a value as in the base."""

    entrypoint: tuple[_Word, ...] | None = None
    command: tuple[_Word, ...] | None = None
    user: _Word | None = None
    working_dir: _Word | None = None
    stop_signal: _Word | None = None


class Recipe(_Strict, frozen=True):
    """A parsed recipe. A command that is a string is run by `/bin/sh -e -c`, and a package may have a version."""

    base: _Name
    base_digest: _Digest | None = None
    packages: tuple[_Package, ...] = ()
    files: tuple[RecipeFile, ...] = ()
    downloads: tuple[RecipeDownload, ...] = ()
    environment: dict[str, str] = msgspec.field(default_factory=dict)
    network: bool = False
    commands: tuple[_Word | tuple[_Word, ...], ...] = ()
    run: RecipeRun = msgspec.field(default_factory=RecipeRun)
    vcpu: int | None = None
    memory: str | None = None
    disk: str | None = None

    @property
    def memory_mib(self) -> int | None:
        return parse_size(self.memory) // MIB if self.memory is not None else None

    @property
    def disk_bytes(self) -> int | None:
        return parse_size(self.disk) if self.disk is not None else None

    @property
    def argvs(self) -> tuple[tuple[str, ...], ...]:
        """The commands as they are run."""
        return tuple(("/bin/sh", "-e", "-c", each) if isinstance(each, str) else each for each in self.commands)


def parse_recipe(text: bytes, *, file: str) -> Recipe:
    """Read a recipe. `file` is its name in errors. Raises `Invalid`."""
    shown = printable(file, limit=200)
    if len(text) > SIZE_LIMIT_BYTES:
        raise Invalid(f"{shown} is larger than a recipe may be", hint=_HINT)
    try:
        document = parse_toml(text.decode())
    except ValueError as error:
        raise Invalid(f"{shown} is not a TOML document: {printable(str(error), limit=200)}", hint=_HINT) from error
    _check_keys(document, shown)
    try:
        recipe = msgspec.convert(document, Recipe)
    except msgspec.ValidationError as error:
        raise Invalid(f"{shown}: {printable(str(error), limit=300)}", hint=_HINT) from error
    try:
        check_recipe(recipe)
    except Invalid as error:
        raise Invalid(f"{shown}: {error.summary}", hint=error.hint or _HINT) from error
    return recipe


def _check_keys(document: Mapping[str, object], shown: str) -> None:
    """Raise `Invalid` for an unknown key, with the nearest known one at that place."""
    import difflib

    tables: list[tuple[str, object, tuple[str, ...]]] = [
        ("", document, Recipe.__struct_fields__),
        ("run.", document.get("run"), RecipeRun.__struct_fields__),
    ]
    for place, known in (("files", RecipeFile.__struct_fields__), ("downloads", RecipeDownload.__struct_fields__)):
        several = document.get(place)
        each = several[:_COUNT_LIMIT] if isinstance(several, list) else ()
        tables += [(f"{place}[{number}].", table, known) for number, table in enumerate(each)]
    for place, table, known in tables:
        for key in table if isinstance(table, dict) else ():
            if key not in known:
                near = difflib.get_close_matches(key, known, n=1)
                hint = f"did you mean `{near[0]}`?" if near else f"the keys here are {', '.join(known)}"
                raise Invalid(f"{shown}: there is no key {printable(place + key, limit=200)}", hint=hint)


def check_recipe(recipe: Recipe) -> None:
    """Raise `Invalid` for what no single type can check."""
    counted = (recipe.packages, recipe.files, recipe.downloads, recipe.commands, recipe.environment)
    if max(map(len, counted)) > _COUNT_LIMIT:
        raise Invalid(f"there are more than {_COUNT_LIMIT} of one thing", hint="make several recipes of it")
    for file in recipe.files:
        check_source(file.source)
    for path in [file.path for file in recipe.files] + [download.path for download in recipe.downloads]:
        if ".." in path.split("/") or path.endswith("/"):
            raise Invalid(f"{printable(path, limit=200)} is not a place for a file", hint="write the whole path")
    check_command(None, recipe.environment)
    for argv in recipe.argvs:
        check_command(argv, recipe.environment)
    if recipe.run.working_dir and not recipe.run.working_dir.startswith("/"):
        raise Invalid("the working directory is not absolute", hint="begin it with a slash")
    parse_stop_signal(recipe.run.stop_signal or "")
    _ = recipe.memory_mib, recipe.disk_bytes


def check_source(source: str) -> None:
    """Raise `Invalid` for a path that is not plainly inside the recipe's directory."""
    parts = source.split("/")
    if source.startswith("/") or ".." in parts or "" in parts or "." in parts or "\0" in source:
        raise Invalid(
            f"{printable(source, limit=200)} is not a path inside the recipe's directory",
            hint="write it from that directory on, without dots: files/motd",
        )


def plan_run(recipe: Recipe, base: RunConfig) -> RunConfig:
    """How the new image is run. A new entrypoint drops the command that was for the old one."""
    said = recipe.run
    command = base.command if said.entrypoint is None else ()
    return RunConfig(
        entrypoint=base.entrypoint if said.entrypoint is None else said.entrypoint,
        command=command if said.command is None else said.command,
        user=base.user if said.user is None else said.user,
        working_dir=base.working_dir if said.working_dir is None else said.working_dir,
        stop_signal=base.stop_signal if said.stop_signal is None else parse_stop_signal(said.stop_signal),
    )


def plan_build_environment(
    base: Mapping[str, str], asked: Mapping[str, str], *, more: Mapping[str, str] = MappingProxyType({})
) -> dict[str, str]:
    """The environment of a command of the recipe. `more` is for the build alone, and has the lowest priority."""
    return {"PATH": _DEFAULT_PATH, "LANG": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive", **more, **base, **asked}


def digest_recipe(text: bytes, files: Sequence[tuple[str, str, int | None]]) -> str:
    """The digest of a recipe: of its text, and of each file's place, `sha256:...` and mode."""
    digest = hashlib.sha256(text)
    for path, content, mode in files:
        digest.update(f"\0{path}\0{content}\0{mode}".encode("utf-8", "surrogateescape"))
    return f"sha256:{digest.hexdigest()}"
