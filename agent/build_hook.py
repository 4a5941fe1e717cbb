"""Builds the guest agent with zig's C compiler for both architectures.

A hatchling build hook, and a program of its own for development: `python agent/build_hook.py`. Nothing is compiled
when the binaries were made from the same sources by the same compiler.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import subprocess
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ARCHITECTURES = ("x86_64", "aarch64")
FLAGS = (
    "-std=c11 -D_GNU_SOURCE -Os -static -s -fno-sanitize=all -ffunction-sections -fdata-sections -Wl,--gc-sections"
    " -Wall -Wextra -Werror"
).split()


def fingerprint(sources: list[Path]) -> str:
    """What the binaries depend on."""
    digest = hashlib.sha256(importlib.metadata.version("ziglang").encode() + " ".join(FLAGS).encode())
    for path in sources:
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def build(root: Path) -> None:
    """Compile what is out of date into src/banger/guest/agents."""
    sources = sorted((root / "agent" / "src").glob("*.[ch]"))
    target = root / "src" / "banger" / "guest" / "agents"
    record = target / "fingerprint"
    wanted = fingerprint(sources)
    binaries = [target / f"agent-{architecture}" for architecture in ARCHITECTURES]
    if record.exists() and record.read_text() == wanted and all(binary.exists() for binary in binaries):
        return
    target.mkdir(parents=True, exist_ok=True)
    record.unlink(missing_ok=True)
    for architecture, binary in zip(ARCHITECTURES, binaries, strict=True):
        print(f"compiling the guest agent for {architecture}", file=sys.stderr)
        command = [sys.executable, "-m", "ziglang", "cc", f"--target={architecture}-linux-musl", *FLAGS]
        command += [f'-DBUILD_ID="{wanted[:12]}"', *(path.name for path in sources if path.suffix == ".c")]
        subprocess.run([*command, "-o", str(binary)], cwd=root / "agent" / "src", check=True)
        binary.chmod(0o755)
    record.write_text(wanted)


class AgentBuildHook(BuildHookInterface[Any]):
    """Runs `build` before a wheel or an editable install is made."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called by hatchling."""
        del version, build_data
        build(Path(self.root))


if __name__ == "__main__":
    build(Path(__file__).resolve().parent.parent)
