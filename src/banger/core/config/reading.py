"""Reading the input of `core.config`: the file, the environment, and this computer."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from banger.core.config.defaults import Defaults, Origin, derive_defaults
from banger.core.config.parsing import Configuration, parse_configuration, parse_log_level
from banger.core.errors import Invalid
from banger.core.untrusted import printable

LOG_LEVEL_VARIABLE: Final = "BANGER_LOG_LEVEL"
DEFAULT_LOG_LEVEL: Final = "info"
_SIZE_LIMIT_BYTES: Final = 1 << 20
_HINT: Final = "fix it or move it away; `banger config check` says whether it is good"


def find_home(environment: Mapping[str, str], *, uid: int) -> str:
    """What `~` means: `HOME`, else what the user database says. Raises `Invalid` for a relative one."""
    home = environment.get("HOME", "")
    if not home:
        import pwd

        try:
            home = pwd.getpwuid(uid).pw_dir
        except KeyError:
            home = ""
    if not home.startswith("/"):
        raise Invalid(f"HOME is {ascii(home)}, not an absolute path", hint="set HOME")
    return os.path.normpath(home)


def read_configuration(file: str | os.PathLike[str], *, home: str) -> Configuration:
    """Read and check the file; a missing one counts as empty. Raises `Invalid` with the file's name."""
    text = _read_text(os.fspath(file))
    if text is None:
        return Configuration()
    configuration = parse_configuration(text, file=os.fspath(file), home=home)
    if configuration.ssh_key_path is not None:
        _check_key(configuration.ssh_key_path, file=printable(os.fspath(file)))
    return configuration


def read_log_level(configuration: Configuration, environment: Mapping[str, str]) -> tuple[str, Origin]:
    """How much is logged: the environment wins over the file. Raises `Invalid`."""
    if value := environment.get(LOG_LEVEL_VARIABLE):
        try:
            return parse_log_level(value), "environment"
        except Invalid as error:
            raise Invalid(f"{LOG_LEVEL_VARIABLE}: {error.summary}", hint=error.hint) from error
    if configuration.log_level is not None:
        return configuration.log_level, "config"
    return DEFAULT_LOG_LEVEL, "built-in"


def read_host_memory_bytes() -> int:
    """How much memory this computer has."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def read_host_cpus() -> int:
    """How many processors of this computer we may use."""
    return len(os.sched_getaffinity(0))


def read_host_defaults() -> Defaults:
    """Defaults for this computer, before any configuration."""
    return derive_defaults(cpus=read_host_cpus(), memory_bytes=read_host_memory_bytes())


def _read_text(file: str) -> str | None:
    shown = printable(file)
    try:
        # O_NONBLOCK: opening a named pipe must not wait for a writer.
        descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError as error:
        if Path(file).is_symlink():
            raise Invalid(f"{shown} is a symbolic link to nothing", hint=_HINT) from error
        return None
    except OSError as error:
        raise Invalid(f"{shown} cannot be read: {error.strerror}", hint=_HINT) from error
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise Invalid(f"{shown} is not a regular file", hint=_HINT)
        content = b""
        while data := os.read(descriptor, 1 << 16):
            content += data
            if len(content) > _SIZE_LIMIT_BYTES:
                raise Invalid(f"{shown} is larger than 1 MiB", hint=_HINT)
        return content.decode()
    except OSError as error:
        raise Invalid(f"{shown} cannot be read: {error.strerror}", hint=_HINT) from error
    except UnicodeDecodeError as error:
        raise Invalid(f"{shown} is not valid UTF-8", hint=_HINT) from error
    finally:
        os.close(descriptor)


def _check_key(key: str, *, file: str) -> None:
    """Check that both halves of the ssh key exist and are readable. Raises `Invalid`."""
    public = f"{key}.pub"
    for path, hint in (
        (key, "name an existing private key, or leave ssh_key_path out: banger then makes one of its own"),
        (public, f"ssh-keygen -y -f {printable(key)} > {printable(public)}"),
    ):
        if not Path(path).is_file():
            raise Invalid(f"{file}: ssh_key_path: there is no file {printable(path)}", hint=hint)
        if not os.access(path, os.R_OK):
            raise Invalid(f"{file}: ssh_key_path: {printable(path)} may not be read", hint="fix its permissions")
