"""Every setting with the value in force, and where that comes from. Pure."""

from __future__ import annotations

from typing import NamedTuple

from banger.core.config.defaults import Defaults, Origin
from banger.core.config.file_sync import FileSync
from banger.core.config.parsing import Configuration
from banger.core.config.registries import Registry
from banger.core.durations import format_period
from banger.core.sizes import MIB, format_size


class Setting(NamedTuple):
    """A key of the file, its value for JSON, the same as text for people, and where it comes from."""

    key: str
    value: object
    text: str
    origin: Origin


def list_settings(
    configuration: Configuration, defaults: Defaults, *, log_level: tuple[str, Origin], own_key: str
) -> tuple[Setting, ...]:
    """All settings in the order of the documentation. `own_key` is the ssh key that banger makes for itself."""
    key_origin: Origin = "built-in" if configuration.ssh_key_path is None else "config"
    key = configuration.ssh_key_path or own_key
    stale_s, ttl_s = defaults.auto_stop_stale_after_s, defaults.ttl_s

    def default(key: str, field: str, value: object, text: str) -> Setting:
        return Setting(key, value, text, defaults.origin(field))

    return (
        Setting("log_level", log_level[0], log_level[0], log_level[1]),
        Setting("ssh_key_path", key, key, key_origin),
        default("default_image", "image", defaults.image, defaults.image),
        default("default_kernel", "kernel", defaults.kernel, defaults.kernel),
        default("auto_stop_stale_after", "auto_stop_stale_after_s", _duration(stale_s), _or_never(stale_s)),
        default("vm_defaults.vcpu", "vcpu", defaults.vcpu, str(defaults.vcpu)),
        default("vm_defaults.memory", "memory_mib", defaults.memory_mib, format_size(defaults.memory_mib * MIB)),
        default("vm_defaults.disk", "disk_bytes", defaults.disk_bytes // MIB, format_size(defaults.disk_bytes)),
        default("vm_defaults.nat", "nat", defaults.nat, "yes" if defaults.nat else "no"),
        default("vm_defaults.ttl", "ttl_s", _duration(ttl_s), _or_never(ttl_s)),
        Setting(
            "file_sync",
            [_entry(entry) for entry in configuration.file_sync or ()],
            "\n".join(map(_entry_text, configuration.file_sync or ())),
            "built-in" if configuration.file_sync is None else "config",
        ),
        Setting(
            "registries",
            {registry.host: _registry(registry) for registry in (configuration.registries or {}).values()},
            "\n".join(map(_registry_text, (configuration.registries or {}).values())),
            "built-in" if configuration.registries is None else "config",
        ),
        Setting(
            "catalogues",
            [{"place": source.place, "keys": list(source.keys)} for source in configuration.catalogues or ()],
            "\n".join(source.place for source in configuration.catalogues or ()),
            "built-in" if configuration.catalogues is None else "config",
        ),
    )


def _duration(seconds: float | None) -> str:
    return format_period(int(seconds or 0))


def _or_never(seconds: float | None) -> str:
    return _duration(seconds) if seconds else "never"


def _entry(entry: FileSync) -> dict[str, str | None]:
    mode = None if entry.mode is None else f"{entry.mode:04o}"
    return {"host": entry.shown_host, "guest": entry.shown_guest, "mode": mode}


def _entry_text(entry: FileSync) -> str:
    mode = "" if entry.mode is None else f" ({entry.mode:04o})"
    return f"{entry.shown_host} to {entry.shown_guest}{mode}"


def _registry(registry: Registry) -> dict[str, object]:
    return {"mirrors": list(map(str, registry.mirrors)), "plain_http": registry.plain_http}


def _registry_text(registry: Registry) -> str:
    said = [f"mirrors {', '.join(map(str, registry.mirrors))}"] if registry.mirrors else []
    return f"{registry.host}: {', '.join([*said, *(['plain HTTP'] if registry.plain_http else [])]) or 'nothing'}"
