"""The configuration file, read strictly: anything unknown or malformed is refused, never ignored. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple, TypeVar

from banger.core.config.catalogues import CATALOGUES_LIMIT, CatalogueSource, parse_catalogue_source
from banger.core.config.file_sync import FileSync, parse_file_sync
from banger.core.config.registries import REGISTRIES_LIMIT, Registry, index_registries, parse_registry
from banger.core.durations import parse_duration
from banger.core.errors import Invalid
from banger.core.limits import DISK_BYTES_LIMITS, MEMORY_BYTES_LIMITS, VCPU_LIMIT
from banger.core.sizes import MIB, format_size, parse_size
from banger.core.toml import parse_toml
from banger.core.untrusted import printable

Value = TypeVar("Value")

LOG_LEVELS: Final = ("debug", "info", "warning", "error")
FILE_SYNC_LIMIT: Final = 256
_SECTIONS: Final[Mapping[str, tuple[str, ...]]] = {
    "": (
        "log_level",
        "ssh_key_path",
        "default_image",
        "default_kernel",
        "auto_stop_stale_after",
        "vm_defaults",
        "file_sync",
        "registries",
        "catalogues",
    ),
    "vm_defaults": ("vcpu", "memory", "disk", "nat", "ttl"),
    "file_sync": ("host", "guest", "mode"),
    'registries."HOST"': ("mirrors", "plain_http"),
    "catalogues": ("url", "path", "key"),
}


class Configuration(NamedTuple):
    """What the file says; None where it says nothing. A duration of 0 switches its feature off."""

    log_level: str | None = None
    ssh_key_path: str | None = None
    default_image: str | None = None
    default_kernel: str | None = None
    auto_stop_stale_after_s: float | None = None
    vcpu: int | None = None
    memory_mib: int | None = None
    disk_bytes: int | None = None
    nat: bool | None = None
    ttl_s: float | None = None
    file_sync: tuple[FileSync, ...] | None = None
    registries: Mapping[str, Registry] | None = None
    """By host, as `parse_registry_host` spells it."""
    catalogues: tuple[CatalogueSource, ...] | None = None


def parse_configuration(text: str, *, file: str, home: str) -> Configuration:
    """Read the text of a configuration file. `file` is its name in errors; `home` is what `~` means.

    Raises `Invalid` with the file, the key and the allowed values.
    """
    try:
        document = parse_toml(text)
    except ValueError as error:
        raise Invalid(
            f"{printable(file)} is not a TOML document: {printable(str(error), limit=200)}",
            hint="fix that line; `banger config check` says whether it is good",
        ) from error
    top = _Section(document, name="", place="", file=file)
    vm = _Section(top.take("vm_defaults", _table) or {}, name="vm_defaults", place="vm_defaults.", file=file)
    return Configuration(
        log_level=top.take("log_level", parse_log_level),
        ssh_key_path=top.take("ssh_key_path", lambda value: _parse_path(value, home)),
        default_image=top.take("default_image", _parse_name),
        default_kernel=top.take("default_kernel", _parse_name),
        auto_stop_stale_after_s=top.take("auto_stop_stale_after", _parse_duration),
        vcpu=vm.take("vcpu", _parse_vcpu),
        memory_mib=vm.take("memory", _parse_memory_mib),
        disk_bytes=vm.take("disk", _parse_disk_bytes),
        nat=vm.take("nat", _parse_flag),
        ttl_s=vm.take("ttl", _parse_duration),
        file_sync=top.take("file_sync", lambda value: _parse_file_sync(value, home)),
        registries=top.take("registries", _parse_registries),
        catalogues=top.take("catalogues", lambda value: _parse_catalogues(value, home)),
    )


def parse_log_level(value: object) -> str:
    """One of `LOG_LEVELS`, in any case. Raises `Invalid`."""
    level = value.lower() if isinstance(value, str) else ""
    if level not in LOG_LEVELS:
        raise Invalid(f"{_shown(value)} is not a log level", hint=f"write one of {', '.join(LOG_LEVELS)}")
    return level


class _Section:
    """One table of the document. Unknown keys are refused."""

    def __init__(self, values: Mapping[str, object], *, name: str, place: str, file: str) -> None:
        self._values = values
        self._place = place
        self._file = printable(file)
        self._naming("", lambda: _check_keys(values, name, place))

    def take(self, key: str, read: Callable[[object], Value]) -> Value | None:
        """The checked value of `key`; None when it is not there."""
        if key not in self._values:
            return None
        return self._naming(f"{self._place}{key}: ", lambda: read(self._values[key]))

    def _naming(self, place: str, act: Callable[[], Value]) -> Value:
        """Call `act`; an error gets the file and the place in front."""
        try:
            return act()
        except Invalid as error:
            raise Invalid(f"{self._file}: {place}{error.summary}", hint=error.hint) from error


def _check_keys(values: Mapping[str, object], section: str, place: str) -> None:
    for key in values:
        if key not in _SECTIONS[section]:
            raise Invalid(f"there is no key {ascii(place + key)}", hint=_meant(key, section))


def _meant(key: str, section: str) -> str:
    """A hint for an unknown key: the nearest one here, else the section it belongs to, else all keys."""
    import difflib

    here = _SECTIONS[section]
    if near := difflib.get_close_matches(key, here, n=1):
        return f"did you mean `{near[0]}`?"
    for other, keys in _SECTIONS.items():
        if other != section and key in keys:
            return f"`{key}` belongs {f'below [{other}]' if other else 'above the first [section]'}"
    return f"the keys here are {', '.join(here)}"


def _shown(value: object) -> str:
    """A value, quoted for an error."""
    text = str(value).lower() if isinstance(value, bool) else ascii(value)
    return text if len(text) <= 80 else text[:77] + "..."


def _table(value: object) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise Invalid(f"{_shown(value)} is not a section", hint="write [vm_defaults] on a line of its own")
    return value


def _parse_name(value: object) -> str:
    if not isinstance(value, str) or not value or len(value) > 255 or printable(value) != value:
        raise Invalid(f"{_shown(value)} is not a name", hint="`banger image list` and `banger kernel list` show names")
    return value


def _parse_path(value: object, home: str) -> str:
    if not isinstance(value, str) or not value.startswith(("/", "~/")) or "\0" in value:
        raise Invalid(f"{_shown(value)} is not an absolute path", hint="begin it with / or ~/")
    return home.rstrip("/") + value[1:] if value.startswith("~/") else value


def _parse_duration(value: object) -> float:
    if isinstance(value, bool) or not (isinstance(value, str) or value == 0):
        raise Invalid(f"{_shown(value)} is not a duration", hint='write it as a string, such as "2h"; "0" means never')
    return float(parse_duration(str(value)))


def _parse_flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise Invalid(f"{_shown(value)} is neither true nor false", hint="write true or false, without quotes")
    return value


def _parse_vcpu(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= VCPU_LIMIT:
        raise Invalid(f"{_shown(value)} is not possible", hint=f"write a whole number from 1 to {VCPU_LIMIT}")
    return value


def _parse_memory_mib(value: object) -> int:
    size_bytes = _parse_size(value, MEMORY_BYTES_LIMITS)
    if size_bytes % MIB:
        raise Invalid(f"{_shown(value)} is not a whole number of MiB", hint='write "512M" or "4G"')
    return size_bytes // MIB


def _parse_disk_bytes(value: object) -> int:
    return _parse_size(value, DISK_BYTES_LIMITS)


def _parse_size(value: object, limits: tuple[int, int]) -> int:
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise Invalid(f"{_shown(value)} is not a size", hint='write a string such as "4G", or a number of MiB')
    size_bytes = parse_size(str(value))
    if not limits[0] <= size_bytes <= limits[1]:
        hint = f"write a size from {format_size(limits[0])} to {format_size(limits[1])}"
        raise Invalid(f"{format_size(size_bytes)} is not possible", hint=hint)
    return size_bytes


def _parse_file_sync(value: object, home: str) -> tuple[FileSync, ...]:
    """The entries; errors name them by their number, from 1."""
    if not isinstance(value, list):
        raise Invalid("it is not a list of sections", hint="write [[file_sync]], with two brackets, for each file")
    if len(value) > FILE_SYNC_LIMIT:
        raise Invalid(f"{len(value)} entries are too many", hint=f"{FILE_SYNC_LIMIT} are allowed; name directories")
    entries: list[FileSync] = []
    for number, values in enumerate(value, start=1):
        if not isinstance(values, dict):
            raise Invalid(f"entry {number} is not a section", hint="write [[file_sync]] for each file")
        try:
            _check_keys(values, "file_sync", "")
            entry = parse_file_sync(
                host=values.get("host"), guest=values.get("guest"), mode=values.get("mode"), home=home
            )
        except Invalid as error:
            raise Invalid(f"entry {number}: {error.summary}", hint=error.hint) from error
        for earlier, other in enumerate(entries, start=1):
            if other.guest == entry.guest:
                raise Invalid(
                    f"entry {number}: guest: {entry.shown_guest} is also where entry {earlier} goes",
                    hint="remove one of them, or give it another place",
                )
        entries.append(entry)
    return tuple(entries)


def _parse_registries(value: object) -> Mapping[str, Registry]:
    """The sections by host; errors name the host."""
    hint = 'write [registries."HOST"] for each registry'
    if not isinstance(value, dict):
        raise Invalid(f"{_shown(value)} is not a section", hint=hint)
    if len(value) > REGISTRIES_LIMIT:
        raise Invalid(f"{len(value)} registries are too many", hint=f"{REGISTRIES_LIMIT} are allowed")
    registries: list[Registry] = []
    for host, values in value.items():
        try:
            if not isinstance(values, dict):
                raise Invalid("it is not a section", hint=hint)
            _check_keys(values, 'registries."HOST"', "")
            registries.append(parse_registry(host, mirrors=values.get("mirrors"), plain_http=values.get("plain_http")))
        except Invalid as error:
            raise Invalid(f"{_shown(host)}: {error.summary}", hint=error.hint) from error
    return index_registries(tuple(registries))


def _parse_catalogues(value: object, home: str) -> tuple[CatalogueSource, ...]:
    """The entries; errors name them by their number, from 1."""
    if not isinstance(value, list):
        raise Invalid("it is not a list of sections", hint="write [[catalogues]], with two brackets, for each of them")
    if len(value) > CATALOGUES_LIMIT:
        raise Invalid(f"{len(value)} entries are too many", hint=f"{CATALOGUES_LIMIT} are allowed")
    sources: list[CatalogueSource] = []
    for number, values in enumerate(value, start=1):
        try:
            if not isinstance(values, dict):
                raise Invalid("it is not a section", hint="write [[catalogues]] for each catalogue")
            _check_keys(values, "catalogues", "")
            source = parse_catalogue_source(
                url=values.get("url"), path=values.get("path"), key=values.get("key"), home=home
            )
            if any(other.place == source.place for other in sources):
                raise Invalid("it is listed already", hint="give all its keys in one entry: key = [..., ...]")
        except Invalid as error:
            raise Invalid(f"entry {number}: {error.summary}", hint=error.hint) from error
        sources.append(source)
    return tuple(sources)
