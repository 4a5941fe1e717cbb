"""Manifests, indexes, configurations and platforms: what good ones become. Bad ones are in tests/hostile."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.fakes.images import DOCKER_LIST, Blob, FakeImage, encode, make_docker_image, make_image, make_index, make_tar

from banger.core.errors import BangerError, Failed, Invalid, Unsupported
from banger.image.config import ImageConfig, check_config, parse_config
from banger.image.documents import read_document
from banger.image.manifest import Index, Manifest, parse_manifest, select_manifest
from banger.image.platforms import Platform, parse_platform, platform_of_machine
from banger.image.run_config import RunConfig

LAYER = make_tar({"a": b"1"})
AMD64, ARM64 = Platform("linux", "amd64"), Platform("linux", "arm64")


def parse(blob: Blob) -> Manifest | Index:
    return parse_manifest(blob.content, media_type=blob.media_type, what="it")


@pytest.mark.parametrize("image", [make_image(LAYER, LAYER), make_docker_image(LAYER)], ids=["OCI", "Docker"])
def test_a_manifest(image: FakeImage) -> None:
    found = parse(image.manifest)
    assert isinstance(found, Manifest)
    assert found.media_type == image.manifest.media_type
    assert [(layer.digest, layer.size, layer.media_type) for layer in found.layers] == [
        (layer.digest, len(layer.content), layer.media_type) for layer in image.layers
    ]
    assert (found.config.digest, found.config.size) == (image.config.digest, len(image.config.content))
    config = parse_config(image.config.content, what="it")
    check_config(config, found, AMD64, what="it")


def test_a_document_tells_what_it_is_where_the_registry_does_not() -> None:
    image = make_image(LAYER, says_its_type=False)
    assert isinstance(parse_manifest(image.manifest.content, media_type=None, what="it"), Manifest)
    index = json.loads(make_index({"linux/amd64": image}).content)
    del index["mediaType"]
    assert isinstance(parse_manifest(encode(index), media_type=None, what="it"), Index)


IMAGES = {
    name: make_image(make_tar({name: b""}), architecture=name.split("/")[1])
    for name in ("linux/amd64", "linux/amd64/v2", "linux/arm64", "linux/arm64/v8", "linux/arm/v7", "linux/arm64/v9")
}


@pytest.mark.parametrize(
    ("there", "wanted", "chosen"),
    [
        (["linux/amd64", "linux/arm64"], AMD64, "linux/amd64"),
        (["linux/amd64", "linux/arm64"], ARM64, "linux/arm64"),
        (["linux/amd64/v2", "linux/amd64"], AMD64, "linux/amd64"),
        (["linux/arm/v7", "linux/arm64/v8"], ARM64, "linux/arm64/v8"),
        (["linux/arm64/v8", "linux/arm64"], ARM64, "linux/arm64"),
        (["linux/arm64/v9"], ARM64, None),
        (["linux/amd64/v2"], AMD64, None),
        (["linux/arm/v7"], ARM64, None),
    ],
)
def test_the_platform_that_is_chosen(there: list[str], wanted: Platform, chosen: str | None) -> None:
    for media_type in (None, DOCKER_LIST):
        made = make_index({name: IMAGES[name] for name in there}, **({"media_type": media_type} if media_type else {}))
        index = parse(made)
        assert isinstance(index, Index)
        if chosen is None:
            with pytest.raises(Unsupported, match=f"is not for {wanted}, but for {there[0]}") as caught:
                select_manifest(index, wanted, what="it")
            assert "--platform" in caught.value.hint
        else:
            assert select_manifest(index, wanted, what="it").digest == IMAGES[chosen].manifest.digest


@pytest.mark.parametrize(
    ("text", "platform"),
    [
        ("linux/amd64", AMD64),
        ("Linux/AMD64", AMD64),
        ("amd64", AMD64),
        ("x86_64", AMD64),
        ("linux/aarch64", ARM64),
        ("linux/arm64/v8", ARM64),
        ("arm64", ARM64),
    ],
)
def test_a_platform(text: str, platform: Platform) -> None:
    assert parse_platform(text) == platform
    assert parse_platform(str(platform)) == platform
    assert platform_of_machine(platform.machine) == platform


@pytest.mark.parametrize(
    "text", ["", "linux", "linux/", "windows/amd64", "linux/arm/v7", "linux/amd64/v3", "linux/amd64/v1/x", "a" * 999]
)
def test_no_platform(text: str) -> None:
    with pytest.raises(Invalid, match="platform"):
        parse_platform(text)


def test_a_configuration() -> None:
    content = encode(
        {
            "architecture": "arm64",
            "variant": "v8",
            "os": "linux",
            "created": "2024-01-01T00:00:00Z\x1b",
            "config": {
                "Env": ["A=1", "B=x=y", "A=2", "C="],
                "User": "www-data:100",
                "WorkingDir": "srv//app/../web",
                "Entrypoint": ["/bin/app"],
                "Cmd": ["--serve", "ä"],
                "StopSignal": "SIGRTMIN+3",
                "Labels": {"a": "b"},
                "ExposedPorts": {"80/tcp": {}},
                "Volumes": {"/data": {}},
            },
            "rootfs": {"type": "layers", "diff_ids": ["sha256:" + "a" * 64]},
            "history": [{"created_by": "x"}],
        }
    )
    config = parse_config(content, what="it")
    assert config.platform == Platform("linux", "arm64", "v8")
    assert config.environment == {"A": "2", "B": "x=y", "C": ""}
    assert config.run == RunConfig(
        entrypoint=("/bin/app",),
        command=("--serve", "ä"),
        user="www-data:100",
        working_dir="/srv/web",
        stop_signal=37,
    )
    assert (config.labels, config.created) == ({"a": "b"}, "2024-01-01T00:00:00Z\\x1b")
    assert ARM64.runs(config.platform)
    assert not AMD64.runs(config.platform)


@pytest.mark.parametrize("config", [{}, {"config": None}, {"config": {"Env": None, "Cmd": None, "Labels": None}}])
def test_a_configuration_that_says_nothing(config: dict[str, object]) -> None:
    document = {"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": []}, **config}
    found = parse_config(encode(document), what="it")
    assert (found.run, found.environment) == (RunConfig(), {})


@pytest.mark.parametrize("user", ["", "0", "root", "1000:1000", "4294967294", "a-b.c_d", "0:users", "user+x"])
def test_a_user(user: str) -> None:
    assert _configured(user).run.user == user


@pytest.mark.parametrize(
    "user", ["-1", "+1", "4294967295", "9" * 40, "1:4294967295", "a b", "a:b:c", ":", "a:", "²", "a\0"]
)
def test_no_user(user: str) -> None:
    with pytest.raises(Failed, match="malformed"):
        _configured(user)


def _configured(user: str) -> ImageConfig:
    document = {
        "architecture": "amd64",
        "os": "linux",
        "config": {"User": user},
        "rootfs": {"type": "layers", "diff_ids": []},
    }
    return parse_config(encode(document), what="it")


@given(st.binary(max_size=300) | st.text(max_size=100).map(str.encode))
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    for parse_one in (
        lambda: parse_manifest(content, media_type=None, what="it"),
        lambda: parse_config(content, what="it"),
        lambda: read_document(content, what="it"),
    ):
        try:
            parse_one()
        except BangerError as error:
            shown = error
        else:
            continue
        assert shown.summary.isprintable()
        assert shown.hint


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=True) | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
PATHS = [
    ("schemaVersion",), ("mediaType",), ("config",), ("config", "size"), ("config", "digest"), ("config", "mediaType"),
    ("layers",), ("layers", 0), ("layers", 0, "size"), ("layers", 0, "digest"), ("layers", 0, "mediaType"), ("manifests",),
]  # fmt: skip


@given(st.sampled_from(PATHS), JSON)
def test_any_value_anywhere_is_read_or_refused(path: tuple[str | int, ...], value: object) -> None:
    document = json.loads(make_image(LAYER).manifest.content)
    place = document
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    with suppress(BangerError):
        parse_manifest(json.dumps(document).encode(), media_type=None, what="it")


@given(st.sampled_from(["architecture", "os", "variant", "created", "config", "rootfs"]), JSON)
def test_any_value_in_a_configuration_is_read_or_refused(member: str, value: object) -> None:
    document = json.loads(make_image(LAYER).config.content)
    with suppress(BangerError):
        parse_config(json.dumps({**document, member: value}).encode(), what="it")
    members = ("User", "Env", "Entrypoint", "Cmd", "WorkingDir", "Labels", "StopSignal")
    for name in members:
        with suppress(BangerError):
            parse_config(json.dumps({**document, "config": {name: value}}).encode(), what="it")
