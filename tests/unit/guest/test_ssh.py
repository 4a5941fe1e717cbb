"""ssh is told everything and reads nothing of the user's: checked with `ssh -G`, which prints what it understood."""

from __future__ import annotations

import stat
import subprocess
from pathlib import Path

import pytest

from banger.core.errors import Failed, Unsupported
from banger.guest.ssh import (
    ensure_known_hosts,
    ensure_user_key,
    make_host_key,
    plan_ssh_options,
    read_host_key,
)


def understood(options: list[str]) -> dict[str, str]:
    arguments = [part for option in options for part in ("-o", option)]
    done = subprocess.run(["ssh", "-G", "-F", "none", *arguments, "box"], capture_output=True, text=True, check=True)
    return dict(line.split(" ", 1) for line in done.stdout.splitlines() if " " in line)


@pytest.mark.parametrize("name", ["plain", "with space", "per%cent %h", 'quo"te', "back\\slash", "$HOME", "it's"])
def test_files_in_any_directory_are_understood(tmp_path: Path, name: str) -> None:
    home = tmp_path / name
    home.mkdir()
    shown = understood(plan_ssh_options(host_alias="box.banger", key=home / "key", known_hosts=home / "known"))
    assert shown["userknownhostsfile"] == str(home / "known")
    # Here the tokens are expanded only when the file is opened.
    assert shown["identityfile"] == str(home / "key").replace("%", "%%")


@pytest.mark.parametrize("name", ["${HOME}", "line\nbreak"])
def test_directories_that_ssh_cannot_be_told_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(Unsupported):
        plan_ssh_options(host_alias="box", key=tmp_path / name / "key", known_hosts=tmp_path / "known")


def test_nothing_is_learned_forwarded_or_borrowed(tmp_path: Path) -> None:
    shown = understood(plan_ssh_options(host_alias="box.banger", key=tmp_path / "key", known_hosts=tmp_path / "known"))
    assert shown["hostkeyalias"] == "box.banger"
    assert shown["stricthostkeychecking"] == "true"
    assert shown["globalknownhostsfile"] == "none"
    assert shown["identitiesonly"] == "yes"
    assert shown["identityagent"] == "none"
    assert shown["preferredauthentications"] == "publickey"
    for off in ("forwardagent", "forwardx11", "forwardx11trusted", "permitlocalcommand", "gssapiauthentication"):
        assert shown[off] == "no"
    assert shown["updatehostkeys"] == "false"
    assert shown["tunnel"] == "false"
    assert "sendenv" not in shown
    assert "controlpath" not in shown


async def test_keys_are_made_once_and_are_private(tmp_path: Path) -> None:
    key = tmp_path / "id_ed25519"
    await ensure_user_key(key)
    first = key.read_bytes()
    await ensure_user_key(key)
    assert key.read_bytes() == first
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    key.with_suffix(".pub").unlink()
    await ensure_user_key(key)
    assert key.with_suffix(".pub").read_bytes().startswith(b"ssh-ed25519 ")


async def test_a_host_key_is_known_under_its_alias(tmp_path: Path) -> None:
    key, known = tmp_path / "host", tmp_path / "known_hosts"
    await make_host_key(key)
    ensure_known_hosts(known, host_alias="box.banger", host_key=key)
    found = subprocess.run(["ssh-keygen", "-F", "box.banger", "-f", known], capture_output=True, check=True).stdout
    assert key.with_suffix(".pub").read_bytes().split()[1] in found
    await make_host_key(key)
    ensure_known_hosts(known, host_alias="box.banger", host_key=key)
    assert key.with_suffix(".pub").read_bytes().split()[1] in known.read_bytes()
    assert len(known.read_bytes().splitlines()) == 1


def test_a_host_key_that_was_lost_with_the_power_is_told(tmp_path: Path) -> None:
    key = tmp_path / "host"
    key.with_suffix(".pub").touch()
    with pytest.raises(Failed, match="damaged"):
        read_host_key(key)
