"""`[[catalogues]]`: more lists of images and kernels, each with the keys that may sign it. Pure."""

from __future__ import annotations

import binascii
from typing import Final, NamedTuple

from banger.core.errors import Invalid

KEY_PREFIX: Final = "ed25519:"
CATALOGUES_LIMIT: Final = 16
KEYS_LIMIT: Final = 8
_KEY_BYTES: Final = 32
_ADDRESS_LIMIT: Final = 2000
_KEY_HINT: Final = 'write it as its maintainer tells it: key = "ed25519:..."'


class CatalogueSource(NamedTuple):
    """Where a catalogue is, an address or an absolute path, and the keys that are trusted for it, as written."""

    place: str
    keys: tuple[str, ...]

    @property
    def is_url(self) -> bool:
        return not self.place.startswith("/")


def parse_catalogue_source(*, url: object, path: object, key: object, home: str) -> CatalogueSource:
    """Check one entry, with values as TOML gives them and None for a missing one. Raises `Invalid`."""
    if (url is None) == (path is None):
        raise Invalid("it needs either url or path", hint='write url = "https://..." or path = "~/..."')
    place = _parse_path(path, home) if url is None else _parse_url(url)
    return CatalogueSource(place, _parse_keys(key))


def parse_catalogue_key(text: str) -> bytes:
    """The 32 bytes of `ed25519:BASE64`. Raises `Invalid`."""
    try:
        raw = binascii.a2b_base64(text.removeprefix(KEY_PREFIX).encode("ascii"), strict_mode=True)
    except (ValueError, UnicodeEncodeError):
        raw = b""
    if not text.startswith(KEY_PREFIX) or len(raw) != _KEY_BYTES:
        raise Invalid(f"key: {ascii(text[:80])} is not a key", hint=_KEY_HINT)
    return raw


def _parse_keys(value: object) -> tuple[str, ...]:
    """One key or a list of them: any of them is enough."""
    keys = [value] if isinstance(value, str) else value
    if not isinstance(keys, list) or not keys or not all(isinstance(key, str) for key in keys):
        wrong = "missing" if value is None else "not a key or a list of keys"
        raise Invalid(f"key: it is {wrong}", hint=_KEY_HINT)
    if len(keys) > KEYS_LIMIT:
        raise Invalid(f"key: {len(keys)} keys are too many", hint=f"{KEYS_LIMIT} are allowed")
    for key in keys:
        parse_catalogue_key(key)
    return tuple(dict.fromkeys(keys))


def _parse_url(value: object) -> str:
    from urllib.parse import urlsplit

    good = isinstance(value, str) and len(value) <= _ADDRESS_LIMIT and value.startswith(("https://", "http://"))
    if good:
        assert isinstance(value, str)
        try:
            parts = urlsplit(value)
            good = bool(parts.hostname) and parts.username is None and not parts.fragment and parts.port != 0
        except ValueError:
            good = False
        good = good and all(0x21 <= ord(character) <= 0x7E for character in value)
        if good:
            return value
    raise Invalid(f"url: {ascii(value)[:80]} is not a usable address", hint='write url = "https://HOST/PATH"')


def _parse_path(value: object, home: str) -> str:
    if not isinstance(value, str) or not value.startswith(("/", "~/")) or "\0" in value or len(value) > _ADDRESS_LIMIT:
        raise Invalid(f"path: {ascii(value)[:80]} is not an absolute path", hint="begin it with / or ~/")
    return home.rstrip("/") + value[1:] if value.startswith("~/") else value
