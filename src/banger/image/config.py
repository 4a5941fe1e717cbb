"""The configuration of an image: its platform, how its program is started, the digests of its layers. Pure.

Source: OCI image specification 1.1, config.md; Docker's own is the same with more members. Every text in it is the
image's, and may become an argument or a variable of a guest's program, never of one on the host.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Final

import msgspec

from banger.core.errors import BangerError, Failed
from banger.core.untrusted import printable
from banger.image.digests import parse_digest
from banger.image.documents import convert_document, read_document
from banger.image.manifest import LAYERS_LIMIT, Manifest, wrong_platform
from banger.image.platforms import Platform
from banger.image.run_config import RunConfig, parse_stop_signal

_UID_LIMIT: Final = (1 << 32) - 2  # the last one means "nobody said" (chown(2))
_USER: Final = re.compile(r"[^:\s\x00-\x1f\x7f]{0,256}(?::[^:\s\x00-\x1f\x7f]{1,256})?")
_CREATED_LIMIT: Final = 64
_WORDS_LIMIT: Final = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageConfig:
    """An image's description of itself. `diff_ids` are the digests of the unpacked layers, the lowest first."""

    platform: Platform
    environment: Mapping[str, str]
    run: RunConfig
    labels: Mapping[str, str]
    created: str | None
    diff_ids: tuple[str, ...]


class _Execution(msgspec.Struct, frozen=True, rename="pascal"):
    user: str | None = None
    env: Annotated[list[str], msgspec.Meta(max_length=_WORDS_LIMIT)] | None = None
    entrypoint: Annotated[list[str], msgspec.Meta(max_length=_WORDS_LIMIT)] | None = None
    cmd: Annotated[list[str], msgspec.Meta(max_length=_WORDS_LIMIT)] | None = None
    working_dir: str | None = None
    labels: dict[str, str] | None = None
    stop_signal: str | None = None


class _Rootfs(msgspec.Struct, frozen=True):
    type: str
    diff_ids: Annotated[list[str], msgspec.Meta(max_length=LAYERS_LIMIT)]


class _Config(msgspec.Struct, frozen=True):
    architecture: str
    os: str
    rootfs: _Rootfs
    variant: str | None = None
    created: str | None = None
    config: _Execution | None = None


def parse_config(content: bytes, *, what: str) -> ImageConfig:
    """Read a configuration. `what` is its name in errors. Raises `Failed` for what cannot be one."""
    found = convert_document(read_document(content, what=what), _Config, what=what)
    try:
        if found.rootfs.type != "layers":
            raise ValueError("its root file system is not made of layers")
        execution = found.config or _Execution()
        return ImageConfig(
            platform=Platform(_text(found.os), _text(found.architecture), _text(found.variant or "")),
            environment=_environment(execution.env or ()),
            run=_run_config(execution),
            labels={_text(name): _text(value) for name, value in (execution.labels or {}).items()},
            created=printable(found.created, limit=_CREATED_LIMIT) if found.created else None,
            diff_ids=tuple(map(parse_digest, found.rootfs.diff_ids)),
        )
    except (ValueError, BangerError) as error:
        raise Failed(
            f"{what} is malformed: {printable(str(error), limit=200)}",
            hint="the image was made by a broken tool; choose another image or tag",
        ) from error


def check_config(config: ImageConfig, manifest: Manifest, wanted: Platform, *, what: str) -> None:
    """Check that a configuration fits its manifest and the wanted platform. Raises `Failed`, `Unsupported`."""
    if len(config.diff_ids) != len(manifest.layers):
        raise Failed(
            f"{what} has {len(manifest.layers)} layers, but its configuration lists {len(config.diff_ids)}",
            hint="the image was made by a broken tool; choose another image or tag",
        )
    if not wanted.runs(config.platform):
        raise wrong_platform(what, wanted, [config.platform])


def _run_config(execution: _Execution) -> RunConfig:
    directory = _text(execution.working_dir or "")
    return RunConfig(
        entrypoint=tuple(map(_text, execution.entrypoint or ())),
        command=tuple(map(_text, execution.cmd or ())),
        user=_user(execution.user or ""),
        working_dir=posixpath.normpath("/" + directory.lstrip("/")) if directory else "",
        stop_signal=parse_stop_signal(execution.stop_signal or ""),
    )


def _text(text: str) -> str:
    """Return a string that can be an argument of a program. Raises `ValueError` for one that cannot."""
    if "\0" in text:
        raise ValueError(f"{ascii(text[:40])} has a NUL")
    text.encode("utf-8")  # a lone surrogate stands for no character
    return text


def _environment(variables: Sequence[str]) -> Mapping[str, str]:
    """The variables; if one is set twice the last value counts, as in Docker."""
    found: dict[str, str] = {}
    for variable in map(_text, variables):
        name, equals, value = variable.partition("=")
        if not name or not equals:
            raise ValueError(f"{ascii(variable[:40])} is not a variable of an environment")
        found[name] = value
    return found


def _user(text: str) -> str:
    if _USER.fullmatch(text) is None:
        raise ValueError(f"{ascii(text[:40])} is not a user")
    for part in text.split(":"):
        # Other programs let such a number wrap round to root's (CVE-2024-40635).
        if part.lstrip("+-").isdigit() and not (part.isascii() and part.isdigit() and int(part[:20]) <= _UID_LIMIT):
            raise ValueError(f"{ascii(part[:40])} is not a number of a user")
    return _text(text)
