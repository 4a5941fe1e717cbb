"""devcontainer.json: what counts of it, what is refused and why, and files that are hostile."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.world import git

from banger.core.errors import BangerError, Invalid, Unsupported
from banger.core.untrusted import printable
from banger.workspace.devcontainer import (
    SIZE_LIMIT_BYTES,
    DevContainer,
    find_devcontainer,
    join_commands,
    parse_devcontainer,
    strip_comments,
)

PLACE = "/workspaces/project"


def parse(document: Any) -> DevContainer:
    text = document if isinstance(document, bytes) else json.dumps(document).encode()
    return parse_devcontainer(text, file=".devcontainer.json", usual=PLACE)


def outcome(document: Any) -> DevContainer | None:
    """What is read, or None for what is refused with a sentence that a terminal can show."""
    try:
        return parse(document)
    except BangerError as error:
        refusal = error
    assert printable(refusal.summary) == refusal.summary
    return None


def test_what_counts() -> None:
    found = parse(
        b"""\xef\xbb\xbf{
        // For editors.
        "name": "ours", /* twice "quoted" // */
        "image": "ghcr.io/example/dev:1", // "image": "other"
        "remoteUser": "dev",
        "containerEnv": {"A": "1", "B": "http://x/*y*/", "C": "${containerWorkspaceFolder}/bin:${PATH}", "D": ""},
        "onCreateCommand": ["echo", "a b", "${containerWorkspaceFolderBasename}"],
        "postCreateCommand": "npm ci && echo ${HOME}",
        "updateContentCommand": {"one": "make one", "two": ["make", "two"]},
        "forwardPorts": [3000, "db:5432", 3000, 8080,],
        "customizations": {"vscode": {"extensions": ["x"]}},
        "postStartCommand": "x",
        }"""
    )
    assert (found.image, found.user, found.ports) == ("ghcr.io/example/dev:1", "dev", (3000, 8080))
    assert found.environment == {"A": "1", "B": "http://x/*y*/", "C": f"{PLACE}/bin:${{PATH}}", "D": ""}
    assert found.commands == (
        ("echo", "a b", "project"),
        ("sh", "-c", "make one"),
        ("make", "two"),
        ("sh", "-c", "npm ci && echo ${HOME}"),
    )
    assert found.ignored == ("customizations", "postStartCommand")
    folder = parse(
        {
            "workspaceFolder": "/srv/${localWorkspaceFolderBasename}",
            "postCreateCommand": "cd ${containerWorkspaceFolder}",
        }
    )
    text = json.dumps({"workspaceFolder": "/srv/x", "postCreateCommand": "cd ${containerWorkspaceFolder}"}).encode()
    chosen = parse_devcontainer(text, file="x", usual=PLACE, chosen="/root/y")
    assert (chosen.guest_path, chosen.commands) == ("/root/y", (("sh", "-c", "cd /root/y"),))
    assert (folder.guest_path, folder.commands) == ("/srv/project", (("sh", "-c", "cd /srv/project"),))
    assert parse({}) == DevContainer(file=".devcontainer.json", guest_path=PLACE)
    assert parse({"remoteUser": "root", "features": {}, "build": None}) == DevContainer(
        file=".devcontainer.json", guest_path=PLACE
    )


@pytest.mark.parametrize(
    ("document", "word"),
    [
        ({"features": {"ghcr.io/devcontainers/features/node:1": {}}}, "features"),
        ({"build": {"dockerfile": "Dockerfile"}}, "Dockerfile"),
        ({"dockerFile": "Dockerfile"}, "Dockerfile"),
        ({"dockerComposeFile": "compose.yml", "service": "x"}, "dockerComposeFile"),
        ({"containerEnv": {"TOKEN": "${localEnv:GITHUB_TOKEN}"}}, "localEnv:GITHUB_TOKEN"),
        ({"containerEnv": {"TOKEN": "${localEnv:X:fallback}"}}, "localEnv:X:fallback"),
        ({"containerEnv": {"TOKEN": "${env:X}"}}, "env:X"),
        ({"containerEnv": {"P": "${containerEnv:PATH}"}}, "containerEnv:PATH"),
        ({"postCreateCommand": "cp ${localWorkspaceFolder}/x ."}, "localWorkspaceFolder"),
        ({"postCreateCommand": ["x", "${localEnv:HOME}"]}, "localEnv:HOME"),
        ({"image": "x:${localEnv:TAG}"}, "localEnv:TAG"),
        ({"remoteUser": "${localEnv:USER}"}, "localEnv:USER"),
        ({"onCreateCommand": "echo ${devcontainerId}"}, "devcontainerId"),
    ],
)
def test_what_a_vm_cannot_be_given_is_refused_by_name(document: Any, word: str) -> None:
    with pytest.raises(Unsupported) as caught:
        parse(document)
    assert word in caught.value.summary
    assert "--no-bootstrap" in caught.value.hint


@pytest.mark.parametrize(
    "document",
    [
        b"", b"[]", b"null", b"{", b'{"a":', b"\xff", b'{"a": NaN}', b"{} {}", b'{"a": 1 "b": 2}', b"{'a': 1}", b'{"a": ' + b"9" * 5000 + b"}",
        b"[" * SIZE_LIMIT_BYTES, b'{"a":' * 50_000, b"/*", b'{"image": "x', b'{"image": "\\ud800"}',
        {"workspaceFolder": "srv"}, {"workspaceFolder": "/"}, {"workspaceFolder": "/a/../b"}, {"workspaceFolder": "/a b"}, {"workspaceFolder": "/.x"},
        {"image": 3}, {"image": "a\nb"}, {"image": "x" * 10_000}, {"remoteUser": "a b"}, {"remoteUser": "-x"}, {"remoteUser": "root:root"},
        {"remoteUser": ["x"]}, {"containerEnv": []}, {"containerEnv": {"A": 1}}, {"containerEnv": {"A=B": "1"}}, {"containerEnv": {"": "1"}},
        {"containerEnv": {"A": "x\0y"}}, {"containerEnv": {"A": "\ud800"}}, {"containerEnv": {f"A{n}": "" for n in range(300)}},
        {"forwardPorts": 3000}, {"forwardPorts": [0]}, {"forwardPorts": [65536]}, {"forwardPorts": [True]}, {"forwardPorts": [1.5]},
        {"forwardPorts": [[]]}, {"forwardPorts": list(range(1, 999))}, {"postCreateCommand": 3}, {"postCreateCommand": ["x", 3]},
        {"postCreateCommand": {"a": {"b": "c"}}}, {"postCreateCommand": ["x\0"]}, {"postCreateCommand": "x" * 10_000},
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused(document: Any) -> None:
    with pytest.raises(Invalid) as caught:
        parse(document)
    assert printable(caught.value.summary) == caught.value.summary
    assert "--no-bootstrap" in caught.value.hint


@pytest.mark.parametrize(
    "piece", [b"/*", b"//", b'"', b'"\\"', b"\\", b",", b", ", b"{", b'"\\', b"/", b"${", b"${localEnv:"]
)
def test_the_time_is_in_proportion_to_the_text(piece: bytes) -> None:
    with pytest.raises(Invalid):
        parse((piece * SIZE_LIMIT_BYTES)[:SIZE_LIMIT_BYTES])  # what reads it again and again takes minutes
    text = "${localEnv:" * 700
    commands = {f"{number}": text for number in range(30)}
    assert parse({"postCreateCommand": commands}).commands == (("sh", "-c", text),) * 30


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(JSON)
def test_what_is_json_stays_as_it_is(document: Any) -> None:
    for text in (json.dumps(document), json.dumps(document, ensure_ascii=False, indent=1)):
        assert json.loads(strip_comments(text)) == document
        commented = text.replace("\n", ' // " , ] \n /* " */ ') if "\n" in text else text
        assert json.loads(strip_comments(commented)) == document


@given(st.binary() | st.text().map(str.encode))
def test_anything_may_be_in_the_file(text: bytes) -> None:
    outcome(text)


@given(
    st.dictionaries(
        st.sampled_from(["image", "remoteUser", "containerEnv", "forwardPorts", "postCreateCommand", "features", "x"]),
        JSON,
    )
)
def test_any_member_may_be_anything(document: Any) -> None:
    found = outcome(document)
    assert found is None or all(isinstance(word, str) for command in found.commands for word in command)


def test_several_commands_stop_at_the_first_that_fails() -> None:
    joined = join_commands((("sh", "-c", "exit 0"), ("echo", "it's"), ("sh", "-c", "exit 3"), ("echo", "never")))
    ran = subprocess.run(joined, capture_output=True, check=False)
    assert (ran.returncode, ran.stdout) == (3, b"it's\n")


async def test_only_a_tracked_regular_file_is_read(tmp_path: Path) -> None:
    top, secret = tmp_path / "project", tmp_path / "secret.json"
    (top / ".devcontainer").mkdir(parents=True)
    git(top, "init", "-q")
    secret.write_text('{"image": "secret"}')
    file, other = top / ".devcontainer" / "devcontainer.json", top / ".devcontainer.json"
    file.write_text('{"image": "one"}')
    other.write_text('{"image": "two"}')
    assert await find_devcontainer(top, usual=PLACE) is None
    untracked = await find_devcontainer(top, usual=PLACE, include_untracked=True)
    assert untracked is not None
    assert untracked.image == "one"
    git(top, "add", ".devcontainer.json")
    assert (await find_devcontainer(top, usual=PLACE) or parse({})).image == "two"
    git(top, "add", "-A")
    assert (await find_devcontainer(top, usual=PLACE) or parse({})).image == "one"
    file.unlink()
    file.symlink_to(secret)
    with pytest.raises(Invalid, match="symbolic link"):
        await find_devcontainer(top, usual=PLACE)
    file.unlink()
    file.parent.rmdir()
    file.parent.symlink_to(tmp_path)
    (tmp_path / "devcontainer.json").write_text('{"image": "secret"}')
    with pytest.raises(Invalid, match="symbolic link"):
        await find_devcontainer(top, usual=PLACE)
    file.parent.unlink()
    assert (await find_devcontainer(top, usual=PLACE) or parse({})).image == "two"
    other.write_bytes(b" " * (SIZE_LIMIT_BYTES + 1))
    with pytest.raises(Invalid, match="larger"):
        await find_devcontainer(top, usual=PLACE)
