"""TOML documents that may be anybody's."""

from __future__ import annotations

import re
from typing import Any, Final

KEY_PARTS_LIMIT: Final = 32
_PART: Final = r"""(?:[A-Za-z0-9_-]++|"(?:[^"\\\n]|\\.)*+"|'[^'\n]*+')"""
# Between dots anywhere, in texts too: a text with so many words between dots is none of ours.
_LONG_KEY: Final = re.compile(rf"(?<![A-Za-z0-9_-]){_PART}(?:[ \t]*+\.[ \t]*+{_PART}){{{KEY_PARTS_LIMIT},}}")


def parse_toml(text: str) -> dict[str, Any]:
    """Read a document. Raises `ValueError`, also for keys of so many parts that nobody means them.

    The standard library remembers every beginning of a key such as `a.a.a.a`, and needs 4 GB for 64 KiB of that.
    """
    import tomllib

    if _LONG_KEY.search(text) is not None:
        raise ValueError(f"it has more than {KEY_PARTS_LIMIT} words between dots")
    try:
        return tomllib.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deep") from error
