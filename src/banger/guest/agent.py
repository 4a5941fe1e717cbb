"""Where the agent's binaries are."""

from __future__ import annotations

from pathlib import Path

from banger.core.errors import Unsupported


def find_agent(architecture: str) -> Path:
    """The static binary for `x86_64` or `aarch64`, which is part of the package. Raises `Unsupported`."""
    path = Path(__file__).parent / "agents" / f"agent-{architecture}"
    if not path.is_file():
        raise Unsupported(
            f"this installation has no guest agent for {ascii(architecture)}",
            hint="in a checkout run `python agent/build_hook.py`; otherwise install banger again",
        )
    return path
