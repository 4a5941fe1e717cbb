import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from banger.core.errors import Invalid
from banger.core.names import parse_vm_name, propose_vm_name


@pytest.mark.parametrize("name", ["a", "0", "box", "a-b", "x" * 63, "1-2-3"])
def test_labels_are_kept_as_they_are(name: str) -> None:
    assert parse_vm_name(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        "-a",
        "a-",
        "A",
        "a_b",
        "a.b",
        "a b",
        "a\n",
        "é",
        "x" * 64,
        "a/b",
        "..",
        "a\0",
        "a;b",
        "$(a)",
        "a%h",
        "\u0430",
    ],
)
def test_everything_else_is_refused_with_a_hint(name: str) -> None:
    with pytest.raises(Invalid) as caught:
        parse_vm_name(name)
    assert caught.value.hint
    assert caught.value.summary.isascii()


@given(st.text(max_size=80))
def test_what_is_accepted_has_only_the_alphabet_of_a_label(text: str) -> None:
    try:
        name = parse_vm_name(text)
    except Invalid:
        return
    assert set(name) <= set(string.ascii_lowercase + string.digits + "-")
    assert 1 <= len(name) <= 63


@given(st.integers(min_value=0, max_value=2**64 - 1))
def test_proposed_names_are_names(number: int) -> None:
    assert parse_vm_name(propose_vm_name(number))
