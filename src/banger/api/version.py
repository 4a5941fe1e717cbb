"""The version of the API. Separate from the messages, because sending a request needs only this."""

from __future__ import annotations

from typing import Final

API_VERSION: Final = 4
VERSION_HEADER: Final = "banger-api"
