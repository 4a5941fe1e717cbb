"""Sphinx configuration: `make site` and `make man` build from docs/*.md and from the command line's own help."""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "src")]

import command_pages  # noqa: E402 - it lies beside this file

from banger import __version__  # noqa: E402 - found by the line above

project = "banger"
author = "the authors of banger"
project_copyright = author
release = version = __version__

extensions = ["myst_parser", "command_pages"]
exclude_patterns = ["reference/.*"]
nitpicky = True
smartquotes = False  # it makes a dash of the hyphens of `--rm`
myst_heading_anchors = 3
myst_enable_extensions = ["deflist"]

html_theme = "furo"
html_title = "banger"
html_show_copyright = False
html_show_sphinx = False

man_pages: list[tuple[str, str, str, list[str], int]] = [
    (f"{command_pages.DIRECTORY}/{page.name}", page.name, page.summary, [], 1) for page in command_pages.plan_pages()
]
man_show_urls = True
