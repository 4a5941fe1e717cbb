"""`banger config show`."""

from __future__ import annotations

import os
from argparse import Namespace
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from banger.api.client import Connection
from banger.cli.arguments import Parser, add_json
from banger.cli.render import render_json, render_table
from banger.core.config.defaults import apply_configuration
from banger.core.config.effective import Setting, list_settings
from banger.core.config.reading import find_home, read_configuration, read_host_defaults, read_log_level
from banger.core.errors import BangerError

if TYPE_CHECKING:
    from banger.cli.context import Context

USAGE = "[--json]"
DESCRIPTION = """\
Show every setting with its value and where that comes from: the configuration file, the environment,
this computer (host), or banger itself (built-in). Flags of a command win over all of them."""
EXAMPLES = (("banger config show", ""), ("banger config show --json", "for programs"))
_CELL_LIMIT: Final = 200


def declare(parser: Parser) -> None:
    add_json(parser)


def run(context: Context, options: Namespace) -> int:
    file = context.layout.config_file
    configuration = read_configuration(file, home=find_home(context.environment, uid=os.getuid()))
    settings = list_settings(
        configuration,
        apply_configuration(read_host_defaults(), configuration),
        log_level=read_log_level(configuration, context.environment),
        own_key=str(context.layout.user_key),
    )
    exists = file.exists()
    if options.json:
        document = {setting.key: {"value": setting.value, "origin": setting.origin} for setting in settings}
        context.write(render_json({"file": str(file), "exists": exists, "settings": document}))
        return 0
    rows = [row for setting in settings for row in _rows(setting)]
    context.write(render_table(("KEY", "VALUE", "FROM"), rows, context.style, limit=_CELL_LIMIT))
    if not exists:
        context.tell(f"There is no file {file}; nothing needs one.")
    elif _is_news_to_the_daemon(context):
        context.tell("The daemon started before the file was changed: `banger daemon restart` applies it.")
    return 0


def _rows(setting: Setting) -> list[tuple[str, str, str]]:
    return [(setting.key, text, setting.origin) for text in setting.text.split("\n")]


def _is_news_to_the_daemon(context: Context) -> bool:
    """Does a daemon run that started before the file was written? It reads it once."""
    with suppress(BangerError, OSError):
        connected = context.daemon.connect_running()
        if connected is not None:
            with Connection(connected) as daemon:
                started_at_s = float(daemon.get("/v1/ping")["started_at_s"])
            return context.layout.config_file.stat().st_mtime > started_at_s
    return False
