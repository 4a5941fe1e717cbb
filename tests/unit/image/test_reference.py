"""References to images: every proper one is read and printed as the same, everything else is refused."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from banger.core.errors import Invalid
from banger.image.reference import Reference, parse_reference

HEX = "0123456789abcdef" * 4
DIGEST = f"sha256:{HEX}"


def make(host: str, repository: str, tag: str | None = "latest", digest: str | None = None) -> Reference:
    return Reference(host=host, repository=repository, tag=tag, digest=digest)


@pytest.mark.parametrize(
    ("text", "reference", "familiar"),
    [
        ("debian", make("docker.io", "library/debian"), "debian:latest"),
        ("debian:bookworm", make("docker.io", "library/debian", "bookworm"), "debian:bookworm"),
        ("me/app", make("docker.io", "me/app"), "me/app:latest"),
        ("docker.io/debian", make("docker.io", "library/debian"), "debian:latest"),
        ("index.docker.io/me/app:1", make("docker.io", "me/app", "1"), "me/app:1"),
        (f"debian@{DIGEST}", make("docker.io", "library/debian", None, DIGEST), f"debian@{DIGEST}"),
        (f"debian:1@{DIGEST}", make("docker.io", "library/debian", "1", DIGEST), f"debian:1@{DIGEST}"),
        (f"a@sha512:{HEX * 2}", make("docker.io", "library/a", None, f"sha512:{HEX * 2}"), f"a@sha512:{HEX * 2}"),
        ("localhost/app", make("localhost", "app"), "localhost/app:latest"),
        ("localhost:5000/app:v1", make("localhost:5000", "app", "v1"), "localhost:5000/app:v1"),
        ("127.0.0.1:5000/a/b/c:1.0", make("127.0.0.1:5000", "a/b/c", "1.0"), "127.0.0.1:5000/a/b/c:1.0"),
        ("[::1]:5000/a", make("[::1]:5000", "a"), "[::1]:5000/a:latest"),
        ("quay.io/a/b", make("quay.io", "a/b"), "quay.io/a/b:latest"),
        ("LocalHost/a", make("localhost", "a"), "localhost/a:latest"),
        ("localhost:5000", make("docker.io", "library/localhost", "5000"), "localhost:5000"),
        ("a/b:_x-Y.z", make("docker.io", "a/b", "_x-Y.z"), "a/b:_x-Y.z"),
        (f"a:{'t' * 128}", make("docker.io", "library/a", "t" * 128), f"a:{'t' * 128}"),
        ("a/b/c/d", make("docker.io", "a/b/c/d"), "a/b/c/d:latest"),
        ("library/debian", make("docker.io", "library/debian"), "debian:latest"),
    ],
)
def test_a_reference(text: str, reference: Reference, familiar: str) -> None:
    assert parse_reference(text) == reference
    assert parse_reference(str(reference)) == reference
    assert reference.familiar == familiar
    assert parse_reference(familiar) == reference


@pytest.mark.parametrize(
    ("text", "summary"),
    [
        ("", "cannot be empty"),
        ("docker://debian", "is a URL"),
        ("https://registry.example.com/a", "is a URL"),
        ("Debian", "is not the name of a repository"),
        ("a:", "is not a tag"),
        ("a:.b", "is not a tag"),
        ("a:-b", "is not a tag"),
        ("a:b:c", "is not the name"),
        (f"a:{'t' * 129}", "is not a tag"),
        ("a@", "is not a digest"),
        ("a@sha256:abc", "is not a digest"),
        (f"a@sha256:{HEX.upper()}", "is not a digest"),
        (f"a@{DIGEST}@{DIGEST}", "is not a digest"),
        ("a@md5:d41d8cd98f00b204e9800998ecf8427e", "made by md5"),
        (HEX, "are the id of an image"),
        ("Example/a", "is not the name of a repository"),
        ("/a", "is not the name"),
        ("a/", "is not the name"),
        ("a//b", "is not the name"),
        ("a/../b", "is not the name"),
        ("../a", "is not the name"),
        ("./a", "is not the name"),
        ("localhost:/a", "no usable port"),
        ("localhost:99999/a", "no usable port"),
        ("user:pw@host.example/a", "is not a digest"),
        ("a b", "is not the reference"),
        (" a", "is not the reference"),
        ("a\n", "is not the reference"),
        ("a\x1b[2J", "is not the reference"),
        ("é", "is not the reference"),
        ("\uff41", "is not the reference"),
        ("a" * 256, "255 are allowed"),
        (f"registry.example.com/{'a' * 240}", "more than 255 characters"),
        ("a" * 9999, "is not the reference"),
        ("registry.example.com/", "is not the name"),
        ("-x", "is not the name"),
        ("a?b", "is not the name"),
        ("a#b", "is not the name"),
        ("a%2fb", "is not the name"),
        ("a\\b", "is not the name"),
    ],
)
def test_no_reference(text: str, summary: str) -> None:
    with pytest.raises(Invalid, match=summary) as caught:
        parse_reference(text)
    assert caught.value.hint
    assert caught.value.summary.isprintable()


COMPONENTS = st.from_regex(r"\A[a-z0-9]+(?:(?:\.|_|__|-{1,3})[a-z0-9]+){0,2}\Z").filter(lambda text: len(text) < 40)
HOSTS = st.sampled_from(
    ["docker.io", "localhost", "localhost:5000", "a.example", "10.0.0.1:80", "[::1]:5000", "quay.io"]
)


@given(
    HOSTS,
    st.lists(COMPONENTS, min_size=1, max_size=4),
    st.none() | st.from_regex(r"\A[A-Za-z0-9_][A-Za-z0-9_.-]{0,20}\Z"),
    st.none() | st.just(DIGEST),
)
def test_what_is_printed_is_read_as_the_same(host: str, parts: list[str], tag: str | None, digest: str | None) -> None:
    text = f"{host}/{'/'.join(parts)}" + (f":{tag}" if tag else "") + (f"@{digest}" if digest else "")
    with suppress(Invalid):  # 64 hexadecimal digits
        reference = parse_reference(text)
        assert parse_reference(str(reference)) == parse_reference(reference.familiar) == reference
        assert reference.wanted == (digest or tag or "latest")
        assert reference.at(DIGEST).wanted == DIGEST


@given(st.text(max_size=400) | st.text(alphabet="ab.:/@-_[]A0", max_size=30))
def test_any_text_is_a_reference_or_is_refused(text: str) -> None:
    with suppress(Invalid):
        reference = parse_reference(text)
        assert parse_reference(str(reference)) == reference
        # What becomes a URL or the name of a file needs no quoting.
        assert not set(str(reference)) & set(" %?#\\\n")
        assert ".." not in reference.repository
