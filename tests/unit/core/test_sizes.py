import pytest
from hypothesis import given
from hypothesis import strategies as st

from banger.core.errors import Invalid
from banger.core.sizes import GIB, KIB, MIB, TIB, format_size, parse_size


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [
        ("4G", 4 * GIB),
        ("4GiB", 4 * GIB),
        ("4GB", 4 * GIB),
        ("4g", 4 * GIB),
        ("512M", 512 * MIB),
        ("512MiB", 512 * MIB),
        ("1.5G", 3 * GIB // 2),
        ("4KiB", 4 * KIB),
        ("2T", 2 * TIB),
        ("1024", GIB),
        ("0.5G", GIB // 2),
        ("1.2 GiB", 12 * GIB // 10),
        (" 8G ", 8 * GIB),
    ],
)
def test_what_people_type(text: str, size_bytes: int) -> None:
    assert parse_size(text) == size_bytes


@pytest.mark.parametrize(
    "text",
    [
        "",
        "G",
        "-1G",
        "1e9",
        "4 G B",
        "0",
        "0.0G",
        "1..5G",
        "4X",
        "4iB",
        "512B",
        "1,5G",
        "٤G",
        "1" * 16,
        "nan",
        "4G\n4G",
    ],
)
def test_nonsense_is_refused(text: str) -> None:
    with pytest.raises(Invalid):
        parse_size(text)


@given(st.integers(min_value=1, max_value=999), st.sampled_from(["KiB", "MiB", "GiB", "TiB"]))
def test_printed_sizes_are_read_back(number: int, unit: str) -> None:
    size_bytes = parse_size(f"{number}{unit}")
    assert parse_size(format_size(size_bytes)) == size_bytes


@given(st.integers(min_value=KIB, max_value=900 * TIB))
def test_what_was_printed_is_printed_again(size_bytes: int) -> None:
    printed = format_size(size_bytes)
    assert format_size(parse_size(printed)) == printed


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [
        (0, "0 B"),
        (17, "17 B"),
        (KIB - 1, "1023 B"),
        (KIB, "1 KiB"),
        (MIB - 1, "1 MiB"),
        (MIB - 60, "1023.9 KiB"),
        (GIB - 1, "1 GiB"),
        (GIB * 12 // 10, "1.2 GiB"),
        (512 * MIB, "512 MiB"),
        (20 * GIB + GIB // 2, "20.5 GiB"),
        (2048 * TIB, "2048 TiB"),
    ],
)
def test_what_is_printed(size_bytes: int, text: str) -> None:
    assert format_size(size_bytes) == text


@given(st.integers(min_value=KIB, max_value=900 * TIB))
def test_printing_is_close(size_bytes: int) -> None:
    assert abs(parse_size(format_size(size_bytes)) - size_bytes) <= size_bytes * 0.06
