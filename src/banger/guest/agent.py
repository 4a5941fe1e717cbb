"""Where the agent's binaries are."""

from __future__ import annotations

from pathlib import Path

from banger.core.errors import Unsupported


def agent_directory() -> Path:
    """Where the binaries are, if they were built."""
    return Path(__file__).parent / "agents"


def find_agent(architecture: str) -> Path:
    """The static agent for `x86_64` or `aarch64`, which is part of the package. Raises `Unsupported`."""
    path = agent_directory() / f"agent-{architecture}"
    if not path.is_file():
        raise Unsupported(
            f"this installation has no guest agent for {ascii(architecture)}",
            hint="in a checkout run `python agent/build_hook.py`; otherwise install banger again",
        )
    return path
