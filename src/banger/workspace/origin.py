"""The address of a repository's origin, as a guest may see it. Pure."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import urlsplit, urlunsplit

_WEB: Final = ("http", "https")
_NAMED: Final = ("ssh", "git", "git+ssh", "ssh+git")
_SCP_LIKE: Final = re.compile(r"(?:[A-Za-z0-9._-]+@)?[A-Za-z0-9.-]+:(?![:/]{2})[^:\s][^\s]*")


def strip_credentials(url: str) -> str:
    """The address without user names, passwords and tokens; empty for one that has a meaning on the host only.

    An ssh user name such as `git@` stays: it is a part of the address and no secret.
    """
    if "://" not in url:
        return url if _SCP_LIKE.fullmatch(url) and "::" not in url else ""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return ""
    if not host or parts.scheme not in (*_WEB, *_NAMED):
        return ""
    place = f"[{host}]" if ":" in host else host
    if port is not None:
        place += f":{port}"
    if parts.scheme not in _WEB and parts.username:
        place = f"{parts.username}@{place}"
    # What follows a question mark may be a token.
    return urlunsplit((parts.scheme, place, parts.path, "", ""))
