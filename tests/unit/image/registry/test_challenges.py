"""WWW-Authenticate, as the grammar has it and not otherwise."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from banger.image.registry.challenges import Challenge, parse_challenges


@pytest.mark.parametrize(
    ("headers", "challenges"),
    [
        ([], []),
        ([""], []),
        (["Basic"], [("basic", {})]),
        (['Basic realm="x"'], [("basic", {"realm": "x"})]),
        (['BEARER Realm="https://a/t",service="s", scope="repository:a/b:pull,push"'],
         [("bearer", {"realm": "https://a/t", "service": "s", "scope": "repository:a/b:pull,push"})]),
        (["Bearer realm=x , error=insufficient_scope"], [("bearer", {"realm": "x", "error": "insufficient_scope"})]),
        (['Bearer realm="a\\"b\\\\c"'], [("bearer", {"realm": 'a"b\\c'})]),
        (['Basic realm="x", Bearer realm="y",service="z"'], [("basic", {"realm": "x"}), ("bearer", {"realm": "y", "service": "z"})]),
        (["Negotiate, Basic realm=x"], [("negotiate", {}), ("basic", {"realm": "x"})]),
        (["Negotiate YII==, Basic realm=x"], [("negotiate", {}), ("basic", {"realm": "x"})]),
        (["Basic realm=x", "Bearer realm=y"], [("basic", {"realm": "x"}), ("bearer", {"realm": "y"})]),
        ([" , Basic realm=x , , "], [("basic", {"realm": "x"})]),
        (['Bearer realm = "x"'], [("bearer", {"realm": "x"})]),
        (['Bearer realm=""'], [("bearer", {"realm": ""})]),
    ],
)  # fmt: skip
def test_challenges(headers: list[str], challenges: list[tuple[str, dict[str, str]]]) -> None:
    assert parse_challenges(headers) == tuple(Challenge(scheme, parameters) for scheme, parameters in challenges)


@pytest.mark.parametrize(
    "header",
    [
        'realm="x"x', '"', "=", 'Bearer realm="x', 'Bearer realm="x" service="y"', 'Bearer realm="a",realm="b"',
        "Bearer (x)", 'Bearer realm="a\nb"', "Basic\x00", "Bearer realm=a/b", ", ".join("S a=b" for _ in range(17)), "x" * 20_000,
    ],
)  # fmt: skip
def test_nonsense(header: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        parse_challenges([header])
    assert str(caught.value).isprintable()


@given(st.lists(st.text(max_size=60) | st.text(alphabet='Basic,= "\\\t', max_size=40), max_size=3))
def test_any_text_is_read_or_refused(headers: list[str]) -> None:
    with suppress(ValueError):
        for challenge in parse_challenges(headers):
            assert challenge.scheme == challenge.scheme.lower()
