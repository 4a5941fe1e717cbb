from __future__ import annotations

import shlex
import sys

from tests.fakes.daemon import VM_ID, view_vm

from banger.api.messages import SshPlan
from banger.cli.commands.vm_ssh import plan_ssh, render_config
from banger.cli.ssh_client import plan_proxy

PLAN: SshPlan = {
    "vm": view_vm(),  # type: ignore[typeddict-item]  # a plain dictionary
    "user": "root",
    "host_alias": "box.banger",
    "host_key": "ssh-ed25519 AAAA",
    "options": ["HostKeyAlias=box.banger", 'IdentityFile="/a b/%%h/key"'],
}


def test_the_arguments_of_ssh() -> None:
    argv = plan_ssh(PLAN, command=None, tty=False)
    assert argv[:3] == ["ssh", "-F", "none"]
    assert argv[3:7] == ["-o", "HostKeyAlias=box.banger", "-o", 'IdentityFile="/a b/%%h/key"']
    assert argv[7] == "-o"
    assert argv[8] == f"ProxyCommand={shlex.quote(sys.executable)} -P -m banger internal-connect {VM_ID} 22"
    assert argv[9:] == ["-l", "root", "--", "box.banger"]


def test_words_of_a_command_survive_the_remote_shell() -> None:
    words = ["sh", "-c", "exit 42; echo 'x'", "", "*"]
    argv = plan_ssh(PLAN, command=words, tty=True)
    after = argv[argv.index("box.banger") + 1 :]
    assert shlex.split(" ".join(after)) == words
    assert argv[argv.index("-l") - 2 : argv.index("-l")] == ["-t", "-t"]


def test_the_proxy_command_carries_the_world_and_escapes_tokens() -> None:
    proxy = plan_proxy("id", environment={"BANGER_HOME": "/a b/100%", "HOME": "/root", "XDG_STATE_HOME": ""})
    assert "%%" in proxy
    words = shlex.split(proxy.replace("%%", "%"))
    assert words == [
        "/usr/bin/env",
        "BANGER_HOME=/a b/100%",
        sys.executable,
        "-P",
        "-m",
        "banger",
        "internal-connect",
        "id",
        "22",
    ]


def test_a_printed_configuration() -> None:
    lines = render_config(PLAN, environment={}).splitlines()
    assert lines[0] == "Host box.banger"
    assert lines[1:4] == ["  HostKeyAlias box.banger", '  IdentityFile "/a b/%%h/key"', "  User root"]
    assert lines[4].startswith("  ProxyCommand /usr/bin/env ")
    assert len(lines) == 5
