"""The owner of a workspace: root, or the user that commands in that VM run as."""

from __future__ import annotations

from typing import Final

from banger.core.errors import Failed
from banger.core.untrusted import printable
from banger.daemon.operations.commands import GUEST_PATH
from banger.guest.channel import Channel
from banger.guest.process import ExecRequest
from banger.guest.streams import within
from banger.store.records import VmRecord

_DEADLINE_S: Final = 300.0


async def give_to_user(channel: Channel, record: VmRecord, guest_path: str) -> None:
    """Give all of a workspace to the user that the VM's commands run as, if that is not root.

    Raises `Failed`, `TimedOut`.
    """
    user = record.spec.user
    if not user:
        return
    request = ExecRequest(
        argv=("chown", "-Rh", f"{user}:", guest_path), environment={"PATH": GUEST_PATH, "LC_ALL": "C"}
    )
    said = bytearray()
    async with within(_DEADLINE_S, "give the workspace to its user"), channel.exec(request) as process:
        while (chunk := await process.read()) is not None:
            said += chunk.data[: 4096 - len(said)]
        ended = await process.wait()
    if ended.code != 0:
        raise Failed(
            f"the workspace cannot be given to the user {user}: {printable(bytes(said).strip(), limit=200)}",
            hint="does the image have that user? --no-bootstrap ignores devcontainer.json",
        )
