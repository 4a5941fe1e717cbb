"""Credentials out of real files, and from real helpers."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from banger.core.errors import BangerError, Denied, Invalid
from banger.image.registry.auth_files import (
    Credential,
    list_auth_files,
    list_keys,
    parse_auth_file,
    parse_helper_answer,
)
from banger.image.registry.credentials import Lookup, UserCredentials

HOST, REPOSITORY = "registry.example.com:5000", "team/app"
SECRET = "secret-canary"
ME = Credential("me", password=SECRET)


def encode(username: str = "me", password: str = SECRET) -> str:
    return base64.b64encode(f"{username}:{password}".encode()).decode()


class Home:
    """A user's home, with programs of its own."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.environment = {"HOME": str(root), "PATH": f"{root}/bin:{os.environ['PATH']}"}
        (root / "bin").mkdir()

    def write(self, document: object, path: str = ".docker/config.json") -> Path:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(document if isinstance(document, str) else json.dumps(document))
        return file

    def helper(self, name: str, script: str) -> None:
        program = self.root / "bin" / f"docker-credential-{name}"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)

    async def find(self, host: str = HOST, repository: str = REPOSITORY, *, deadline_s: float = 60) -> Lookup:
        return await UserCredentials(self.environment, helper_deadline_s=deadline_s).find(host, repository)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def test_where_they_are() -> None:
    home = {"HOME": "/home/me"}
    assert list(map(str, list_auth_files(home))) == [
        "/home/me/.config/containers/auth.json",
        "/home/me/.docker/config.json",
    ]
    everything = {
        **home,
        "REGISTRY_AUTH_FILE": "/a.json",
        "XDG_RUNTIME_DIR": "/run/user/1",
        "XDG_CONFIG_HOME": "/c",
        "DOCKER_CONFIG": "/d",
    }
    assert list(map(str, list_auth_files(everything))) == [
        "/a.json",
        "/run/user/1/containers/auth.json",
        "/c/containers/auth.json",
        "/d/config.json",
    ]
    assert list_auth_files({"HOME": "", "REGISTRY_AUTH_FILE": "relative"}) == ()


def test_the_most_exact_key_counts() -> None:
    assert list_keys("a", "b/c/d") == ["a/b/c/d", "a/b/c", "a/b", "a"]


@pytest.mark.parametrize(
    ("key", "entry", "credential"),
    [
        (HOST, {"auth": encode()}, ME),
        (f"https://{HOST}", {"auth": encode()}, ME),
        (f"https://{HOST}/v1/", {"auth": encode()}, ME),
        (f"http://{HOST}/v2/", {"auth": encode()}, ME),
        (HOST.upper(), {"auth": encode()}, ME),
        (f"{HOST}/team", {"auth": encode()}, ME),
        (f"{HOST}/team/app", {"auth": encode()}, ME),
        (f"{HOST}/team/", {"auth": encode()}, ME),
        (f"{HOST}/other", {"auth": encode()}, None),
        (f"{HOST}/tea", {"auth": encode()}, None),
        ("registry.example.com", {"auth": encode()}, None),
        (HOST, {"username": "me", "password": SECRET}, ME),
        (HOST, {"auth": encode(password="a:b:c")}, Credential("me", password="a:b:c")),
        (HOST, {"auth": encode(), "identitytoken": "t"}, Credential(identity_token="t")),
        (HOST, {"registrytoken": "t"}, Credential(registry_token="t")),
        (HOST, {}, None),
        (HOST, {"auth": ""}, None),
    ],
)
async def test_an_entry(home: Home, key: str, entry: Mapping[str, str], credential: Credential | None) -> None:
    home.write({"auths": {key: entry}, "HttpHeaders": {"X": "y"}, "detachKeys": "ctrl-q"})
    assert (await home.find()).credential == credential


@pytest.mark.parametrize("key", ["https://index.docker.io/v1/", "docker.io", "index.docker.io", "registry-1.docker.io"])
async def test_docker_hub_has_many_names(home: Home, key: str) -> None:
    home.write({"auths": {key: {"auth": encode()}}})
    assert (await home.find("docker.io", "library/debian")).credential == ME


async def test_the_first_file_that_has_something_decides(home: Home) -> None:
    home.write({"auths": {HOST: {"auth": encode("docker")}}})
    assert await _user(home) == "docker"
    home.write({"auths": {"other.example": {"auth": encode("other")}}}, ".config/containers/auth.json")
    assert await _user(home) == "docker"
    home.write({"auths": {HOST: {"auth": encode("podman")}}}, ".config/containers/auth.json")
    assert await _user(home) == "podman"
    home.environment["REGISTRY_AUTH_FILE"] = str(home.write({"auths": {HOST: {"auth": encode("said")}}}, "said.json"))
    assert await _user(home) == "said"


async def _user(home: Home) -> str:
    found = (await home.find()).credential
    assert found is not None
    return found.username


@pytest.mark.parametrize(
    "document",
    [
        "", "[]", "{", "null", '{"auths": []}', '{"auths": {"a": 1}}', {"auths": {"a": {"auth": "!"}}},
        {"auths": {"a": {"auth": base64.b64encode(b"no colon").decode()}}}, {"auths": {"a": {"auth": base64.b64encode(b"\xff:x").decode()}}},
        {"auths": {"a": {"auth": encode(password="a\nX-Evil: 1")}}}, {"auths": {"a": {"identitytoken": "a\r\nb"}}},
        {"credHelpers": {"a": "../../bin/sh"}}, {"credHelpers": {"a": ""}}, {"credHelpers": {"a": "x y"}}, {"credHelpers": {"a": 1}},
        {"credsStore": "/bin/sh"}, {"credsStore": "-x"}, {"credsStore": "a;b"}, {"credsStore": "a" * 65}, '{"auths":' * 9999,
    ],
)  # fmt: skip
async def test_a_file_that_is_none(home: Home, document: Any) -> None:
    path = home.write(document)
    with pytest.raises(Invalid, match=r"config.json is not a file of credentials") as caught:
        await home.find()
    assert str(path) in caught.value.summary
    assert SECRET not in caught.value.summary
    assert caught.value.summary.isprintable()


async def test_files_that_are_no_files(home: Home) -> None:
    (home.root / ".docker").mkdir()
    os.mkfifo(home.root / ".docker" / "config.json")
    with pytest.raises(Invalid, match="is not a regular file"):
        await home.find()
    (home.root / ".docker" / "config.json").unlink()
    home.write(" " * (2 << 20))
    with pytest.raises(Invalid, match="larger than 1 MiB"):
        await home.find()


async def test_a_file_that_may_not_be_read(home: Home) -> None:
    path = home.write({})
    path.unlink()
    path.symlink_to(path)  # a circle: nobody, not even root, can open it
    with pytest.raises(Denied, match="cannot be read"):
        await home.find()


async def test_no_file_at_all(home: Home) -> None:
    assert await home.find() == Lookup(None)


ANSWER = json.dumps({"ServerURL": HOST, "Username": "me", "Secret": SECRET})


async def test_a_helper_is_asked_for_the_host(home: Home) -> None:
    home.write({"credHelpers": {HOST: "x"}})
    home.helper("x", f"""[ "$1" = get ] && [ "$(cat)" = {HOST} ] && echo '{ANSWER}'""")
    assert await home.find() == Lookup(ME)


async def test_a_helper_is_asked_for_docker_hub_by_its_old_name(home: Home) -> None:
    home.write({"credsStore": "x", "auths": {"https://index.docker.io/v1/": {}}})
    home.helper("x", f"""[ "$(cat)" = https://index.docker.io/v1/ ] && echo '{ANSWER}'""")
    assert await home.find("docker.io") == Lookup(ME)


async def test_a_helper_may_have_an_identity_token(home: Home) -> None:
    home.write({"credsStore": "x"})
    home.helper("x", """echo '{"Username":"<token>","Secret":"abc"}'""")
    assert await home.find() == Lookup(Credential(identity_token="abc"))


async def test_a_helper_that_has_nothing(home: Home) -> None:
    home.write({"credsStore": "x"})
    home.helper("x", "echo 'credentials not found in native keychain'; exit 1")
    assert await home.find() == Lookup(None)
    home.write({"auths": {HOST: {"auth": encode()}}, "credsStore": "x"})
    assert await home.find() == Lookup(ME)


@pytest.mark.parametrize(
    ("script", "trouble"),
    [
        ("echo boom >&2; exit 3", "status 3: boom"),
        ("echo boom; exit 3", "status 3: boom"),
        ("echo '{}'", "printed no user name and secret"),
        ("echo nonsense", "printed no JSON object"),
        (f"""echo '{{"Username":"a","Secret":"{SECRET}\\\\n"}}'""", "control characters"),
        ("""echo '{"Username":"a","Secret":""}'""", "no user name and secret"),
        ("kill -9 $$", "was killed by SIGKILL|status -9"),
        ("exec sleep 600", "did not end within"),
    ],
)
async def test_a_helper_that_fails_is_noted_and_the_file_counts(home: Home, script: str, trouble: str) -> None:
    home.write({"auths": {HOST: {"auth": encode("file")}}, "credsStore": "x"})
    home.helper("x", script)
    found = await home.find(deadline_s=1 if "sleep" in script else 60)
    assert found.credential == Credential("file", password=SECRET)
    (said,) = found.troubles
    assert said.startswith("docker-credential-x could not be asked: ")
    assert any(part in said for part in trouble.split("|")), said
    assert SECRET not in said
    assert said.isprintable()


async def test_a_helper_that_is_not_there(home: Home) -> None:
    home.write({"credsStore": "desktop"})
    found = await home.find()
    assert found.credential is None
    assert "cannot run docker-credential-desktop" in found.troubles[0]


@given(st.binary(max_size=200))
def test_any_answer_of_a_helper_is_read_or_refused(content: bytes) -> None:
    try:
        parse_helper_answer(content)
    except ValueError as error:
        shown = str(error)
    else:
        return
    assert shown.isprintable()


@given(
    st.dictionaries(
        st.text(max_size=20), st.dictionaries(st.sampled_from(["auth", "identitytoken", "x"]), st.text(max_size=20))
    )
)
def test_any_entries_are_read_or_refused(entries: dict[str, dict[str, str]]) -> None:
    try:
        parse_auth_file(json.dumps({"auths": entries}).encode(), Path("/x"))
    except BangerError as error:
        shown = error.summary
    else:
        return
    assert shown.isprintable()


def test_secrets_are_not_shown() -> None:
    for credential in (ME, Credential(identity_token=SECRET), Credential(registry_token=SECRET)):
        assert SECRET not in repr(credential)
        assert SECRET not in repr(Lookup(credential))
