"""`banger vm show`."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING

from banger.cli import exits
from banger.cli.arguments import Parser, add_json, add_vms
from banger.cli.outcomes import failure_json, look, tell_failure
from banger.cli.render import Style, format_duration, format_time, render_fields, render_json
from banger.core.sizes import MIB, format_size

if TYPE_CHECKING:
    from banger.api.messages import VmDetail, WorkspaceView
    from banger.cli.context import Context

USAGE = "VM... [--json]"
DESCRIPTION = """\
Show everything about VMs: what was asked for, what is true now, and how long the last start took.

With --json one VM is an object. When several are named they are a list, in the order given, in which
one that could not be shown is an object with `ref` and `error`."""
EXAMPLES = (
    ("banger vm show box", ""),
    ("banger vm show box otter", "one after the other"),
    ("banger vm show box --json", "for programs"),
)


def declare(parser: Parser) -> None:
    add_vms(parser)
    add_json(parser)


def run(context: Context, options: Namespace) -> int:
    several = len(options.vm) > 1
    outcomes = look(context, options.vm, what="show", alone=not several)
    if options.json:
        documents = [outcome["vm"] if "vm" in outcome else failure_json(outcome) for outcome in outcomes]
        context.write(render_json(documents if several else documents[0]))
    status, blank = exits.DONE, ""
    for outcome in outcomes:
        if outcome["error"] is not None:
            failed = tell_failure(context, outcome["error"], outcome["ref"], quiet=options.json)
            status = status or failed
        elif not options.json:
            context.write(blank + render_vm(outcome["vm"], context.style))
            blank = "\n"
    return status


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
        ("architecture", vm["architecture"]),
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
