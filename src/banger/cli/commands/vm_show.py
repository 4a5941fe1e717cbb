"""`banger vm show`."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING

from banger.cli.arguments import Parser, add_json, add_vm
from banger.cli.context import vm_path
from banger.cli.render import Style, format_duration, format_time, render_fields, render_json
from banger.core.sizes import MIB, format_size

if TYPE_CHECKING:
    from banger.api.messages import VmDetail, WorkspaceView
    from banger.cli.context import Context

USAGE = "VM [--json]"
DESCRIPTION = "Show everything about one VM: what was asked for, what is true now, and how long its last start took."
EXAMPLES = (("banger vm show box", ""), ("banger vm show box --json", "for programs"))


def declare(parser: Parser) -> None:
    add_vm(parser)
    add_json(parser)


def run(context: Context, options: Namespace) -> int:
    with context.open() as daemon:
        vm: VmDetail = daemon.get(vm_path(options.vm))
    context.write(render_json(vm) if options.json else render_vm(vm, context.style))
    return 0


def render_vm(vm: VmDetail, style: Style) -> str:
    """Names and values."""

    def said(field: str) -> str:
        origin = vm["origins"].get(field)
        return f" ({origin})" if origin else ""

    used = f", {format_size(vm['disk_used_bytes'])} used on this computer"
    fields = [
        ("name", vm["name"]),
        ("id", vm["id"]),
        ("state", vm["state"] + (" (deleted when its command ends)" if vm["ephemeral"] else "")),
        ("problem", vm["problem"]),
        ("image", f"{vm['image']}{said('image')}, {vm['image_digest']}"),
        ("kernel", f"{vm['kernel']}{said('kernel')}, {vm['kernel_digest']}"),
        ("vcpu", str(vm["vcpu"]) + said("vcpu")),
        ("memory", format_size(vm["memory_mib"] * MIB) + said("memory_mib")),
        ("disk", format_size(vm["disk_bytes"]) + said("disk_bytes") + used),
        ("network", ("outbound" if vm["nat"] else "none") + said("nat")),
        ("workspaces", "\n".join(map(_workspace, vm["workspaces"]))),
        ("after restart", ", ".join(vm["restart_needed"])),
        ("deleted in", format_duration(vm["ttl_left_s"]) if vm["ttl_left_s"] is not None else ""),
        ("created", format_time(vm["created_at_s"])),
        ("started", format_time(vm["started_at_s"]) if vm["started_at_s"] is not None else ""),
        ("accelerator", vm["accelerator"]),
        ("vmm pid", str(vm["pid"]) if vm["pid"] is not None else ""),
        ("boot id", vm["boot_id"]),
        ("directory", vm["directory"]),
        ("last start", "\n".join(f"{name}: {format_duration(s)}" for name, s in vm["timings_s"].items())),
        ("ready", ", ".join(check["name"] for check in vm["checks"] if check["state"] == "pass")),
    ]
    return render_fields([field for field in fields if field[1]], style)


def _workspace(workspace: WorkspaceView) -> str:
    at = f" at {workspace['commit'][:12]}" if workspace["commit"] else ""
    on = f" on {workspace['branch']}" if workspace["branch"] else ""
    return f"{workspace['guest_path']} from {workspace['source']}{at}{on}"
