"""Names in directories: a table in flat arrays that costs about thirty bytes plus the name for each entry.

A million small Python objects would take more memory than a hostile archive may use. Entries and directories are
numbers; the order of a directory's entries is that in which they came, until `sort` gives the order of their bytes.
"""

from __future__ import annotations

import heapq
from array import array
from collections.abc import Iterator
from typing import Final

NOTHING: Final = 0  # no entry
_FIRST_BUCKETS: Final = 1 << 10
_SORT_AT_ONCE: Final = 1 << 16


class Entries:
    """Which name in which directory is which inode. Owners may change the `inode` and `mark` of an entry."""

    def __init__(self) -> None:
        self.directory = array("I", (0,))
        self.inode = array("I", (0,))
        self.mark = array("I", (0,))
        self.count = 0
        self.name_bytes = 0
        self._names = bytearray()
        self._name_at = array("I", (0,))
        self._name_length = array("B", (0,))  # 0 for an entry that is free
        self._next = array("I", (0,))
        self._previous = array("I", (0,))
        self._chain = array("I", (0,))
        self._first = array("I", (0,))  # by directory
        self._buckets = array("I", bytes(4 * _FIRST_BUCKETS))
        self._free = array("I")

    def find(self, directory: int, name: bytes) -> int:
        """The entry, or `NOTHING`."""
        entry = self._buckets[hash((directory, name)) & len(self._buckets) - 1]
        while entry and not (
            self.directory[entry] == directory
            and self._name_length[entry] == len(name)
            and self._names.startswith(name, self._name_at[entry])
        ):
            entry = self._chain[entry]
        return entry

    def add(self, directory: int, name: bytes, inode: int) -> int:
        """A new entry; the directory must not have the name yet. Names have 1 to 255 bytes."""
        if self.count >= len(self._buckets):
            self._grow()
        first = self._first
        if directory >= len(first):
            first.frombytes(bytes(4 * (directory + 1 - len(first))))
        following, bucket = first[directory], hash((directory, name)) & len(self._buckets) - 1
        if self._free:
            entry = self._free.pop()
            self.directory[entry], self.inode[entry], self.mark[entry] = directory, inode, 0
            self._name_at[entry], self._name_length[entry] = len(self._names), len(name)
            self._next[entry], self._previous[entry], self._chain[entry] = following, 0, self._buckets[bucket]
        else:
            entry = len(self.directory)
            self.directory.append(directory)
            self.inode.append(inode)
            self.mark.append(0)
            self._name_at.append(len(self._names))
            self._name_length.append(len(name))
            self._next.append(following)
            self._previous.append(0)
            self._chain.append(self._buckets[bucket])
        self._names += name
        self.name_bytes = len(self._names)
        self._buckets[bucket] = first[directory] = entry
        if following:
            self._previous[following] = entry
        self.count += 1
        return entry

    def remove(self, entry: int) -> None:
        """Take an entry out; its number will be used again."""
        directory, following, previous = self.directory[entry], self._next[entry], self._previous[entry]
        if previous:
            self._next[previous] = following
        else:
            self._first[directory] = following
        if following:
            self._previous[following] = previous
        bucket = hash((directory, self.name(entry))) & len(self._buckets) - 1
        chained = self._buckets[bucket]
        if chained == entry:
            self._buckets[bucket] = self._chain[entry]
        else:
            while self._chain[chained] != entry:
                chained = self._chain[chained]
            self._chain[chained] = self._chain[entry]
        self._name_length[entry] = 0
        self._free.append(entry)
        self.count -= 1

    def name(self, entry: int) -> bytes:
        start = self._name_at[entry]
        return bytes(self._names[start : start + self._name_length[entry]])

    def children(self, directory: int) -> Iterator[int]:
        """The entries of a directory, the latest first; the one that was just given may be removed meanwhile."""
        entry = self._first[directory] if directory < len(self._first) else 0
        while entry:
            following = self._next[entry]
            yield entry
            entry = following

    def sort(self, directory: int) -> Iterator[int]:
        """The entries of a directory in the order of their names' bytes. A huge directory is sorted in parts."""
        entries = array("I", self.children(directory))
        if len(entries) <= _SORT_AT_ONCE:
            return iter(sorted(entries, key=self.name))
        starts = range(0, len(entries), _SORT_AT_ONCE)
        parts = [array("I", sorted(entries[start : start + _SORT_AT_ONCE], key=self.name)) for start in starts]
        return heapq.merge(*parts, key=self.name)

    def _grow(self) -> None:
        buckets = array("I", bytes(8 * len(self._buckets)))
        mask = len(buckets) - 1
        for entry in range(1, len(self.directory)):
            if self._name_length[entry]:
                bucket = hash((self.directory[entry], self.name(entry))) & mask
                self._chain[entry] = buckets[bucket]
                buckets[bucket] = entry
        self._buckets = buckets
