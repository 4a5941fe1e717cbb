"""Records as clients see them."""

from __future__ import annotations

from banger.api.messages import ReadinessView, VmDetail, VmView
from banger.core.layout import Layout
from banger.core.vm import State
from banger.daemon.supervisor import Supervisor
from banger.guest.readiness import CheckOutcome, outcomes_of_start
from banger.store.records import VmRecord


def view_vm(record: VmRecord, supervisor: Supervisor) -> VmView:
    """One VM for `list`; the record says what is remembered, the supervisor what is true now."""
    live = supervisor.find(record.id)
    problem = record.problem
    if live is not None and record.state is State.RUNNING and live.is_silent:
        problem = live.refusal.summary if live.refusal is not None else "the guest does not answer"
    return {
        "id": record.id,
        "name": record.name,
        "state": record.state.value,
        "problem": problem,
        "image": record.spec.image,
        "kernel": record.spec.kernel,
        "vcpu": record.spec.vcpu,
        "memory_mib": record.spec.memory_mib,
        "disk_bytes": record.spec.disk_bytes,
        "nat": record.spec.nat,
        "architecture": record.spec.architecture,
        "ephemeral": record.ephemeral,
        "created_at_s": record.created_at_s,
        "started_at_s": record.started_at_s,
        "workspaces": [
            {
                "guest_path": workspace.guest_path,
                "source": workspace.source,
                "commit": workspace.head,
                "branch": workspace.branch,
            }
            for workspace in record.workspaces
        ],
        "accelerator": record.accelerator,
        "pid": live.machine.identity.pid if live is not None else None,
        "restart_needed": find_pending(record),
        "ttl_left_s": record.lifetime.left_s if record.lifetime is not None else None,
        "timings_s": {name: round(seconds, 4) for name, seconds in record.timings_s.items()},
        "checks": [view_check(check) for check in outcomes_of_start(record.timings_s)],
    }


def view_check(check: CheckOutcome) -> ReadinessView:
    """One check of a guest's readiness."""
    return {
        "name": check.name,
        "state": check.outcome.value,
        "elapsed_s": None if check.elapsed_s is None else round(check.elapsed_s, 4),
        "hint": check.hint,
    }


def find_pending(record: VmRecord) -> list[str]:
    """What was changed since the VM was started, and is so from its next start on: `vcpu`, `memory`, `disk`, `nat`."""
    running, wanted = record.running_spec, record.spec
    if running is None:
        return []
    parts = {
        "vcpu": running.vcpu != wanted.vcpu,
        "memory": running.memory_mib != wanted.memory_mib,
        "disk": running.disk_bytes != wanted.disk_bytes,
        "nat": running.nat != wanted.nat,
    }
    return [name for name, differs in parts.items() if differs]


def view_detail(record: VmRecord, supervisor: Supervisor, layout: Layout) -> VmDetail:
    """One VM for `show`."""
    directory = layout.vm(record.id).state
    try:
        used_bytes = layout.vm(record.id).data_disk.stat().st_blocks * 512
    except OSError:
        used_bytes = 0
    return {
        **view_vm(record, supervisor),
        "origins": dict(record.spec.origins),
        "image_digest": record.spec.image_digest,
        "kernel_digest": record.spec.kernel_digest,
        "directory": str(directory),
        "disk_used_bytes": used_bytes,
        "boot_id": record.boot_id,
    }
