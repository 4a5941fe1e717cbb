"""Which contract is spoken. Apart from the messages, because a command line that only sends one needs just this."""

from __future__ import annotations

from typing import Final

API_VERSION: Final = 4
VERSION_HEADER: Final = "banger-api"
