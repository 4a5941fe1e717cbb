"""Types a session into a real shell on a terminal, with real machines, and draws what it showed as `docs/session.svg`.

The terminal is pyte's, so that lines that were drawn over look as they did in the end; rich draws it. Nothing is
edited: a command that fails ends the recording.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from itertools import groupby
from pathlib import Path
from typing import Final

import pexpect
import pyte
from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.style import Style
from rich.terminal_theme import MONOKAI
from rich.text import Text

HERE: Final = Path(__file__).parent
COLUMNS: Final = 110
LINES: Final = 400
TIMEOUT_S: Final = 600
PROMPT: Final = "$ "
NAME: Final = "notebook"
COMMANDS: Final = (
    "banger vm run --rm . -- make test",
    "banger vm run -d --name box .",
    "banger vm exec box -- sh -c 'uname -r; echo fixed >> notes.txt'",
    "banger vm list",
    "banger vm workspace export box > fix.patch && git apply --stat fix.patch",
    "banger vm delete box",
)
# Fonts come from whoever looks at the picture, and not from the network.
_FORMAT: Final = re.sub(r"@font-face \{\{.*?\}\}\s*", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)


def record(directory: Path, banger: Path) -> pyte.Screen:
    """Run the commands one after the other in a repository made for them; the terminal as it was left."""
    project = make_project(directory / NAME)
    screen = pyte.Screen(COLUMNS, LINES)
    stream = pyte.Stream(screen)
    environment = {
        "PATH": f"{banger.parent}:{os.environ['PATH']}",
        "HOME": str(directory),
        "XDG_CACHE_HOME": os.environ.get("BANGER_TEST_CACHE") or str(Path.home() / ".cache"),
        "XDG_RUNTIME_DIR": str(directory),
        "LANG": "C.UTF-8",
        "TERM": "xterm-256color",
        "PS1": PROMPT,
    }
    shell = pexpect.spawn(
        "bash",
        ["--norc", "--noprofile"],
        cwd=project,
        env=environment,
        dimensions=(LINES, COLUMNS),
        encoding="utf-8",
        timeout=TIMEOUT_S,
    )
    try:
        shell.sendline("bind 'set enable-bracketed-paste off'")
        shell.expect("off'\r\n")
        shell.expect_exact(PROMPT)
        stream.feed(PROMPT)
        for command in COMMANDS:
            shell.sendline(command)
            shell.expect_exact(f"\n{PROMPT}")
            stream.feed(f"{shell.before}\n")
            shell.sendline("echo status=$?")
            shell.expect(r"status=(\d+)\r\n")
            status = shell.match.group(1) if isinstance(shell.match, re.Match) else ""
            shell.expect_exact(PROMPT)
            if status != "0":
                sys.exit(f"`{command}` ended with {status}: {shell.before}")
            stream.feed(PROMPT)
    finally:
        shell.close(force=True)
        subprocess.run([banger, "daemon", "stop"], env=environment, check=False, capture_output=True)
    return screen


def make_project(path: Path) -> Path:
    """A small git repository with a test."""
    path.mkdir()
    (path / "notes.txt").write_text("broken\n")
    (path / "Makefile").write_text("test:\n\t@grep -q broken notes.txt && echo '1 test passed'\n")
    for words in (
        ("init", "-q", "-b", "main"),
        ("add", "."),
        ("-c", "user.name=A", "-c", "user.email=a@example.com", "commit", "-qm", "first"),
    ):
        subprocess.run(["git", *words], cwd=path, check=True)
    return path


def draw(screen: pyte.Screen) -> str:
    """The lines of the terminal that have something on them, as SVG."""
    lines = [_line(screen, number) for number in range(LINES)]
    while lines and not lines[-1].plain.strip(f"{PROMPT} "):
        lines.pop()
    with Path(os.devnull).open("w") as nowhere:
        console = Console(record=True, width=COLUMNS, file=nowhere, force_terminal=True, color_system="truecolor")
        for line in lines:
            console.print(line, soft_wrap=True)
        return console.export_svg(title="banger", theme=MONOKAI, code_format=_FORMAT, unique_id="session")


def _line(screen: pyte.Screen, number: int) -> Text:
    text = Text()
    cells = (screen.buffer[number][column] for column in range(COLUMNS))
    for (color, bold, reverse), same in groupby(cells, key=lambda cell: (cell.fg, cell.bold, cell.reverse)):
        name = None if color == "default" else color.replace("bright", "bright_").replace("brown", "yellow")
        text.append("".join(cell.data for cell in same), Style(color=name, bold=bold, reverse=reverse))
    text.rstrip()
    return text


def main() -> None:
    """Record and write."""
    with tempfile.TemporaryDirectory(prefix="session-") as directory:
        screen = record(Path(directory), Path(sys.executable).parent / "banger")
    (HERE / "session.svg").write_text(draw(screen))
    sys.stdout.write("\n".join(line.rstrip() for line in screen.display if line.strip()) + "\n")


if __name__ == "__main__":
    main()
