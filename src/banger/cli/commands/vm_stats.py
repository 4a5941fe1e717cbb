"""`banger vm stats`."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING

from banger.cli.arguments import Parser, add_json, add_vms
from banger.cli.observations import observe
from banger.cli.render import Style, format_duration, render_table
from banger.core.sizes import format_size
from banger.core.untrusted import printable

if TYPE_CHECKING:
    from banger.api.messages import GuestStats, Observation, VmStats
    from banger.cli.context import Context

USAGE = "[VM...] [--json]"
DESCRIPTION = """\
Show what VMs cost this computer (CPU: seconds of processor time since the start, RSS: memory of the VMM
and its network process, DISK: what its own disk takes), what the guests sent and received since then
(TX and RX, counted here), and what they say of themselves. Without VM it is all of them."""
EXAMPLES = (("banger vm stats", "all"), ("banger vm stats box --json", "for programs"))
_HEADER = ("NAME", "STATE", "CPU", "RSS", "TX", "RX", "DISK", "LOAD", "MEMORY", "ROOT", "PROCS", "UPTIME")


def declare(parser: Parser) -> None:
    add_vms(parser, none_is_all=True)
    add_json(parser)


def run(context: Context, options: Namespace) -> int:
    status, outcomes = observe(context, options, what="stats", show=lambda seen: render_stats(seen, context.style))
    if not outcomes and not options.json:
        context.tell("There is no VM. `banger vm run` makes one.")
    return status


def render_stats(seen: list[Observation], style: Style) -> str:
    """The table, and below it who did not answer."""
    with_stats = [(outcome["name"] or "", outcome["stats"]) for outcome in seen if "stats" in outcome]
    rows = [(name, *_host_cells(stats), *_guest_cells(stats["guest"])) for name, stats in with_stats]
    problems = [f"{printable(name)}: {printable(stats['problem'])}\n" for name, stats in with_stats if stats["problem"]]
    return render_table(_HEADER, rows, style) + "".join(style.odd(line) for line in problems)


def _host_cells(stats: VmStats) -> tuple[str, ...]:
    memory_bytes = None if stats["rss_bytes"] is None else stats["rss_bytes"] + (stats["network_rss_bytes"] or 0)
    return (
        stats["state"],
        format_duration(stats["cpu_s"]) if stats["cpu_s"] is not None else "",
        _size(memory_bytes),
        _size(stats["network_sent_bytes"]),
        _size(stats["network_received_bytes"]),
        f"{format_size(stats['disk_used_bytes'])} of {format_size(stats['disk_bytes'])}",
    )


def _guest_cells(guest: GuestStats | None) -> tuple[str, ...]:
    if guest is None:
        return ("", "", "", "", "")
    return (
        f"{guest['load'][0]:.2f}" if guest["load"] else "",
        _of(guest["memory_total_bytes"] - guest["memory_available_bytes"], guest["memory_total_bytes"]),
        _of(guest["root_total_bytes"] - guest["root_free_bytes"], guest["root_total_bytes"]),
        str(guest["processes"]),
        format_duration(guest["uptime_s"]),
    )


def _size(size_bytes: int | None) -> str:
    return "" if size_bytes is None else format_size(size_bytes)


def _of(used: int, total: int) -> str:
    return f"{format_size(max(0, used))} of {format_size(total)}" if total else ""
