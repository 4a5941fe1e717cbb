"""The maps of sparse files: GNU tar's four formats, each checked and converted into one. Pure.

Old GNU: member type `S`, the map in the header and in blocks after it. Pax 0.0: pairs of records. Pax 0.1: one record.
Pax 1.0: decimal numbers before the data. GNU tar manual, "Storing Sparse Files". A map that is unsorted, that overlaps,
or that disagrees with the size of the data is refused: programs read such maps in different ways.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from banger.disk.tar_header import BLOCK, parse_decimal, parse_number
from banger.disk.tree import Unusable

PREFIX: Final = b"GNU.sparse."
PIECES_LIMIT: Final = 1 << 16
OFFSET, NUMBYTES = b"GNU.sparse.offset", b"GNU.sparse.numbytes"
_HEADER_ENTRIES: Final = 4
_BLOCK_ENTRIES: Final = 21
_ENTRY: Final = 24
_DIGITS_LIMIT: Final = 20


@dataclass(frozen=True, slots=True)
class SparseMap:
    """The size of the file, and start and length of each piece of data in turn."""

    length: int
    pieces: array[int]


def read_old_map(raw: bytes, read: Callable[[int], bytes]) -> tuple[SparseMap, int]:
    """The map of a member of type `S`, and how many bytes after the header it took. `read` reads that many bytes."""
    numbers = _entries(raw[386:482], _HEADER_ENTRIES)
    extended, taken = raw[482] != 0, 0
    while extended:
        block = read(BLOCK)
        taken += BLOCK
        more = _entries(block, _BLOCK_ENTRIES)
        extended = block[504] != 0
        if not more or len(numbers) + len(more) > 2 * PIECES_LIMIT:
            raise Unusable("is a sparse file with a malformed map")
        numbers += more
    return SparseMap(parse_number(raw[483:495]), _pack(numbers)), taken


def read_pax_map(
    values: Mapping[bytes, bytes], pairs: Sequence[int], size: int, read: Callable[[int], bytes]
) -> tuple[SparseMap, int]:
    """The map that the records of an extended header say or announce, and how many bytes of the member it took.

    `pairs` are the numbers of format 0.0, whose records repeat each other's names; `size` is the member's.
    """
    version = values.get(b"GNU.sparse.major", b"0"), values.get(b"GNU.sparse.minor", b"0")
    if version == (b"1", b"0"):
        if pairs or b"GNU.sparse.map" in values:
            raise Unusable("is a sparse file with two maps")
        numbers, taken = _read_numbers(size, read)
        return SparseMap(parse_decimal(values.get(b"GNU.sparse.realsize", b"")), _pack(numbers)), taken
    if version not in ((b"0", b"0"), (b"0", b"1")):
        raise Unusable("is a sparse file of a format that is not known")
    texts = values.get(b"GNU.sparse.map", b"")
    if pairs and texts:
        raise Unusable("is a sparse file with two maps")
    numbers = [parse_decimal(text) for text in texts.split(b",")] if texts else list(pairs)
    count = parse_decimal(values.get(b"GNU.sparse.numblocks", b""))
    if len(numbers) != 2 * count:
        raise Unusable("is a sparse file with a malformed map")
    return SparseMap(parse_decimal(values.get(b"GNU.sparse.size", b"")), _pack(numbers)), 0


def check_map(sparse: SparseMap, data_bytes: int) -> None:
    """Refuse a map that is not ascending, that exceeds the file, or that does not match the amount of data."""
    end = 0
    for start, size in zip(sparse.pieces[::2], sparse.pieces[1::2], strict=True):
        if start < end:
            raise Unusable("is a sparse file whose pieces overlap or are not in order")
        end = start + size
    if end > sparse.length:
        raise Unusable("is a sparse file with data beyond its end")
    if sum(sparse.pieces[1::2]) != data_bytes:
        raise Unusable("is a sparse file with more or less data than its map says")


def _entries(field: bytes, count: int) -> list[int]:
    """Pairs of numbers until one that is empty."""
    numbers = []
    for at in range(0, count * _ENTRY, _ENTRY):
        if not field[at] or not field[at + 12]:
            break
        numbers += [parse_number(field[at : at + 12]), parse_number(field[at + 12 : at + _ENTRY])]
    return numbers


def _read_numbers(size: int, read: Callable[[int], bytes]) -> tuple[list[int], int]:
    """The numbers before the data, one a line, the first their count of pairs; padded to whole blocks."""
    text, taken = b"", 0
    wanted, numbers = 1, list[int]()
    while len(numbers) < wanted:
        if taken + BLOCK > size:
            raise Unusable("is a sparse file with a malformed map")
        text += read(BLOCK)
        taken += BLOCK
        *lines, text = text.split(b"\n")
        for line in lines:
            if len(numbers) == wanted:
                break
            numbers.append(parse_decimal(line))
            if len(numbers) == 1:
                wanted = 1 + 2 * numbers[0]
                if numbers[0] > PIECES_LIMIT:
                    raise Unusable(f"is a sparse file of more than {PIECES_LIMIT} pieces")
        if len(text) > _DIGITS_LIMIT and len(numbers) < wanted:
            raise Unusable("is a sparse file with a malformed map")
    return numbers[1:], taken


def _pack(numbers: Sequence[int]) -> array[int]:
    """Pieces without those that have no data."""
    if len(numbers) > 2 * PIECES_LIMIT:
        raise Unusable(f"is a sparse file of more than {PIECES_LIMIT} pieces")
    if any(number >= 1 << 62 for number in numbers):
        raise Unusable("is a sparse file with an impossible map")
    return array("Q", [number for pair in zip(numbers[::2], numbers[1::2], strict=True) if pair[1] for number in pair])
