"""What was seen of each catalogue, in a file each, so that an older one is recognised later."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import msgspec

from banger.catalogue.trust import Memory
from banger.core.errors import Failed
from banger.core.files import make_private_directory, write_durably


class Memories:
    """Below one directory."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def read(self, name: str, *, what: str) -> Memory:
        """What is remembered of a catalogue; nothing at first.

        Raises `Failed` for a file that is damaged: somebody who could damage it could else bring back an old catalogue.
        """
        path = self._root / f"{name}.json"
        try:
            return msgspec.json.decode(path.read_bytes(), type=Memory)
        except FileNotFoundError:
            return Memory()
        except (OSError, msgspec.MsgspecError, ValueError, RecursionError) as error:
            raise Failed(
                f"what was seen of {what} before cannot be read",
                hint=f"remove {path} if you know why; the next catalogue is then treated as the first one",
            ) from error

    def write(self, name: str, memory: Memory) -> None:
        """Write it durably."""
        make_private_directory(self._root)
        write_durably(self._root / f"{name}.json", json.dumps(asdict(memory)).encode())
