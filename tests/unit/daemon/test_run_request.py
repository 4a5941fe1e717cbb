"""What `run` refuses before anything exists, whoever asks."""

from __future__ import annotations

import pytest

from banger.api.messages import RunRequest
from banger.core.commands import TOTAL_LIMIT_BYTES, check_command
from banger.core.errors import Invalid
from banger.daemon.operations.run import check_run
from banger.guest.frames import FRAME_LIMIT
from banger.guest.process import ExecRequest, PtySize, encode_exec


def asked(command: list[str] | None, environment: dict[str, str]) -> RunRequest:
    return {
        "name": None,
        "path": None,
        "image": None,
        "vcpu": None,
        "memory_mib": None,
        "disk_bytes": None,
        "nat": False,
        "ttl_s": None,
        "ephemeral": False,
        "detach": False,
        "command": command,
        "pty": None,
        "stdin": False,
        "environment": environment,
    }


@pytest.mark.parametrize(
    ("command", "environment"),
    [
        ([], {}),
        (["x" * 61_000], {}),
        (["\u00e9" * 30_001], {}),
        (["true"], {"A": "x" * 61_000}),
        (["x" * 31_000], {"A": "x" * 31_000}),
        (["x"] * 4097, {}),
        (["true"], {"": "x"}),
        (["true"], {"a=b": "x"}),
        (["true"], {"a": "\0"}),
        (["a\0b"], {}),
    ],
)
def test_commands_that_no_guest_takes(command: list[str], environment: dict[str, str]) -> None:
    with pytest.raises(Invalid) as raised:
        check_run(asked(command, environment))
    assert raised.value.hint


@pytest.mark.parametrize("size", [-1, 1 << 31, 1 << 64])
def test_sizes_that_no_terminal_has(size: int) -> None:
    for rows, columns in ((size, 80), (24, size)):
        with pytest.raises(Invalid):
            check_run({**asked(["true"], {}), "pty": {"rows": rows, "columns": columns}})


def test_the_largest_command_fits_into_one_frame_of_the_agent() -> None:
    argv, environment = ["sh", "x" * (TOTAL_LIMIT_BYTES - 10_010)], {"A": "\u00e9" * 4_990}
    check_command(argv, environment)
    request = ExecRequest(
        argv=argv, environment=environment, cwd="/" * 4095, user="u" * 127, pty=PtySize(rows=1, columns=1), stdin=True
    )
    assert TOTAL_LIMIT_BYTES < len(encode_exec(request)) <= FRAME_LIMIT
