"""What the daemon imports before anybody asks it for something."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import sys
import banger.daemon.app
print("\\n".join(name for name in ("httpcore2", "h11") if name in sys.modules))
"""


def test_the_http_library_waits_until_a_registry_is_spoken_to() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, timeout=60, check=True)
    assert done.stdout.split() == []
