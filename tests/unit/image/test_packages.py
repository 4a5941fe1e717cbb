"""Lists of packages: dpkg's, apk's and rpm's, and databases that somebody made to be read."""

from __future__ import annotations

import io
import sqlite3
import struct
import tracemalloc
from contextlib import closing
from pathlib import Path
from typing import BinaryIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.image.rpm_database import database, header

from banger.core.errors import Unsupported
from banger.image.packages import Package, Packages, find_packages, parse_packages
from banger.image.rpm.headers import parse_header
from banger.image.rpm.sqlite import Damaged, SqliteFile, Value, plan_local

RPMDB = "/usr/lib/sysimage/rpm/rpmdb.sqlite"
STATUS = (
    b"Package: less\nStatus: install ok installed\nVersion: 590-2.1\nDescription: pager\n more\n .\n Status: x\n\n"
    b"Package: gone\nStatus: deinstall ok config-files\nVersion: 1\n\n"
    b"Package: #odd\nStatus: install ok installed\nVersion: 1\n\n"
    b"Package: bash\nStatus: install ok installed\nVersion: 5.2-1\n"
)


class Root(dict[str, bytes]):
    """A root file system of a few files."""

    def open(self, path: str) -> BinaryIO | None:
        return io.BytesIO(self[path]) if path in self else None

    def files_in(self, directory: str, *, limit: int) -> list[str]:
        names = sorted(path.removeprefix(f"{directory}/") for path in self if path.startswith(f"{directory}/"))
        return [name for name in names[:limit] if "/" not in name]

    def read_start(self, path: str, size: int) -> bytes | None:
        return self[path][:size] if path in self else None


def found(**files: bytes) -> Packages:
    text = find_packages(Root({name.replace("__", "/"): content for name, content in files.items()}))
    assert text is not None
    return parse_packages(text)


def test_dpkg() -> None:
    root = Root({"/var/lib/dpkg/status": STATUS, "/etc/os-release": b'NAME="x"\nID=debian\nVERSION_ID="12"\n'})
    assert find_packages(root) == "# deb debian\nbash 5.2-1\nless 590-2.1\n"
    assert parse_packages(find_packages(root) or "") == Packages(
        (Package("bash", "5.2-1"), Package("less", "590-2.1")), format="deb", distribution="debian"
    )


def test_an_image_without_dpkg_has_a_file_for_each_package() -> None:
    root = Root(
        {
            "/var/lib/dpkg/status.d/base": b"Package: base-files\nVersion: 12.4\nDescription: x\n more\n\nPackage: no\n",
            "/var/lib/dpkg/status.d/base.md5sums": b"Package: sums\nVersion: 1\n",
            "/var/lib/dpkg/status.d/libc6": b"Package: libc6\nVersion: 2.36-9\n",
            "/var/lib/dpkg/status.d/odd": b"\xff",
        }
    )
    assert find_packages(root) == "# deb\nbase-files 12.4\nlibc6 2.36-9\n"


def test_apk() -> None:
    root = Root({"/lib/apk/db/installed": b"P:musl\nV:1.2.5-r0\nA:x86_64\n\nP:busybox\nV:1.36.1-r29\n"})
    assert find_packages(root) == "# apk\nbusybox 1.36.1-r29\nmusl 1.2.5-r0\n"


def test_nothing() -> None:
    assert find_packages(Root({"/etc/os-release": b"ID=../x\n"})) is None


def test_a_list_of_an_older_banger() -> None:
    assert parse_packages("bash 5.2\nno list\nodd line here\n") == Packages(
        (Package("bash", "5.2"), Package("no", "list"))
    )


@pytest.mark.parametrize("page_bytes", [512, 1024, 4096, 65536])
def test_rpm(tmp_path: Path, page_bytes: int) -> None:
    blobs = [header(f"p{number}", padding=number * 397) for number in range(200)]
    blobs += [header("bash", "5.2.26", "3.fc40"), header("shadow-utils", "4.15", "1", epoch=2)]
    blobs += [header("gpg-pubkey", "a15b79cc", "63d04c2c"), header("odd name"), header("large", padding=3 << 20)]
    root = Root({RPMDB: database(tmp_path / "db", blobs, page_bytes=page_bytes), "/etc/os-release": b"ID='fedora'\n"})
    packages = parse_packages(find_packages(root) or "")
    assert (packages.format, packages.distribution, len(packages.packages)) == ("rpm", "fedora", 203)
    assert {Package("bash", "5.2.26-3.fc40"), Package("shadow-utils", "2:4.15-1"), Package("p0", "1.0-1")} <= set(
        packages.packages
    )


@pytest.mark.parametrize(
    ("files", "why"),
    [
        ({"/var/lib/rpm/Packages": b"x"}, "Berkeley DB"),
        ({"/usr/lib/sysimage/rpm/Packages.db": b"RpmP"}, "ndb"),
        ({RPMDB: b""}, "not an SQLite database"),
        ({RPMDB: b"x" * 200}, "not an SQLite database"),
        ({RPMDB: b"SQLite format 3\0" + bytes(84)}, "no possible size"),
        ({RPMDB: b"SQLite format 3\0\2\0" + bytes(38) + b"\0\0\0\2" + bytes(600)}, "not UTF-8"),
        ({RPMDB: b"SQLite format 3\0\2\0" + bytes(600)}, "not a page of a table"),
        ({RPMDB: b"SQLite format 3\0\2\0" + bytes(100)}, "no page 1"),
        ({RPMDB: b"", f"{RPMDB}-wal": b"x"}, "changes beside it"),
    ],
)
def test_what_is_not_read_says_why(files: dict[str, bytes], why: str) -> None:
    text = find_packages(Root(files))
    assert text is not None
    packages = parse_packages(text)
    assert packages.packages == ()
    assert why in packages.unknown
    assert "rpm" in packages.unknown


def test_a_view_is_no_table(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "db")) as opened:
        opened.execute(
            "CREATE VIEW Packages AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)"
            " SELECT i, zeroblob(1000000000) FROM n"
        )
        opened.commit()
    text = find_packages(Root({RPMDB: (tmp_path / "db").read_bytes()}))
    assert "no table Packages" in (text or "")


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(-(2**63), 2**63 - 1), st.binary(max_size=3000), st.text(max_size=9), st.booleans()),
        max_size=40,
    ),
    st.sampled_from([512, 1024, 4096]),
)
def test_any_table_is_read_as_sqlite_reads_it(rows: list[tuple[int, bytes, str, bool]], page_bytes: int) -> None:
    with closing(sqlite3.connect(":memory:")) as opened:
        opened.execute(f"PRAGMA page_size = {page_bytes}")
        opened.execute("CREATE TABLE other (x)")
        opened.execute("CREATE TABLE t (n, b, s, o)")
        opened.executemany("INSERT INTO t VALUES (?, ?, ?, ?)", rows)
        opened.commit()
        data = opened.serialize()
    expected = [(number, blob, text.encode(), int(flag)) for number, blob, text, flag in rows]
    assert list(read(data, "t")) == expected


def read(data: bytes, table: str) -> list[tuple[Value, ...]]:
    return list(SqliteFile(io.BytesIO(data), len(data)).rows(table))


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_any_damage_ends(sound: bytes, data: st.DataObject) -> None:
    damaged = bytearray(sound)
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(damaged) - 1) | st.integers(100, 140) | st.integers(1024, 1100))
        junk = data.draw(st.binary(min_size=1, max_size=4) | st.sampled_from([b"\xff" * 9, b"\5", b"\r\0\0\xff\xff"]))
        damaged[at : at + len(junk)] = junk
    damaged = damaged[: data.draw(st.integers(0, len(damaged)) | st.just(len(damaged)))]
    text = find_packages(Root({RPMDB: bytes(damaged)}))
    assert text is not None
    assert text.replace("\n", "").isprintable()


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("rpm") / "db"
    return database(path, [header(f"p{number}", padding=number * 97) for number in range(60)], page_bytes=1024)


@pytest.mark.parametrize(
    "blob",
    [
        b"",
        bytes(7),
        struct.pack(">II", 1, 0),
        struct.pack(">II", 0xFFFFFFFF, 0),
        struct.pack(">II", 0x10000, 0) + bytes(0x100000),
        struct.pack(">II", 0, 5) + bytes(4),
        struct.pack(">IIiiii", 1, 4, 1000, 6, 4, 1) + b"abc\0",
        struct.pack(">IIiiii", 1, 4, 1000, 6, -1, 1) + b"abc\0",
        struct.pack(">IIiiii", 1, 4, 1000, 4, 0, 1) + b"abc\0",
    ],
)
def test_headers_that_are_none(blob: bytes) -> None:
    with pytest.raises(Damaged):
        parse_header(blob)


def test_a_text_without_an_end_is_short() -> None:
    blob = struct.pack(">IIiiii", 1, 100_000, 1000, 6, 0, 1) + b"a" * 100_000
    name, version = parse_header(blob) or ("", "")
    assert (len(name), version) == (256, "-")


def page(kind: int, cells: list[bytes], *, right: int = 0, start: int = 0, size: int = 512) -> bytes:
    """A page of a table; cells that are equal are stored once."""
    head = struct.pack(">BHHHB", kind, 0, len(cells), 0, 0) + (struct.pack(">I", right) if kind == 5 else b"")
    places: dict[bytes, int] = {}
    end = size
    for cell in cells:
        if cell not in places:
            end -= len(cell)
            places[cell] = end
    pointers = b"".join(struct.pack(">H", places[cell]) for cell in cells)
    body = bytearray(size)
    body[start : start + len(head) + len(pointers)] = head + pointers
    for cell, place in places.items():
        body[place : place + len(cell)] = cell
    return bytes(body)


SCHEMA = b"\x1c\1" + b"\6\x17\x1d\x1d\1\x0d" + b"table" + b"Packages" * 2 + b"\2"
ROW = b"\x6c\1" + b"\4\0\x81\x5c" + header("bash", padding=37)  # 108 bytes, of them a blob of 104


def hostile(*pages: bytes) -> bytes:
    first = bytearray(page(13, [SCHEMA], start=100, size=len(pages[0])))
    size = len(pages[0])
    first[:100] = b"SQLite format 3\0" + struct.pack(">H", size if size < 65536 else 1) + bytes(82)
    return bytes(first) + b"".join(pages)


HOSTILE = {
    "a page that is its own child": (hostile(page(5, [b"\0\0\0\2\1"] * 40, right=2)), "used twice"),
    "two pages that are each other's children": (
        hostile(page(5, [b"\0\0\0\3\1"], right=3), page(5, [], right=2)),
        "used twice",
    ),
    "children that are not there": (hostile(page(5, [b"\xff\xff\xff\xff\1"], right=9)), "no page 4294967295"),
    "many children again and again": (
        hostile(*(page(5, [struct.pack(">IB", number, 1) for number in range(3, 60)], right=3) for _ in range(500))),
        "not a page of a table",
    ),
    "very many children": (
        hostile(
            *(
                page(5, [struct.pack(">IB", number % 40 + 3, 1) for number in range(12000)], right=3, size=65536)
                for number in range(40)
            )
        ),
        "too many pages",
    ),
    "cells that are one and the same": (hostile(page(13, [ROW] * 150)), "longer than it is"),
    "empty cells that are one and the same": (hostile(page(13, [b"\0\1"] * 240)), "a number is cut"),
    "a row longer than the file": (hostile(page(13, [b"\xa0\0\1" + bytes(300)])), "longer than it is"),
    "a row longer than all": (hostile(page(13, [b"\xff" * 9 + b"\1"])), "more than 16 MiB"),
    "a row that follows itself": (
        hostile(
            page(13, [b"\xab\x7c\1" + bytes(40) + b"\0\0\0\3" + bytes(300)]), b"\0\0\0\3" + bytes(508), bytes(4096)
        ),
        "used twice",
    ),
    "a row that ends too early": (
        hostile(page(13, [b"\xa0\0\1" + bytes(39) + b"\0\0\0\0" + bytes(300)]), bytes(4096)),
        "a row is cut",
    ),
    "values without an end": (hostile(page(13, [b"\x81\x40\1\x81\x40" + bytes(190)])), "a row is cut"),
    "a value of no kind": (hostile(page(13, [b"\3\1\2\x0a\0" + bytes(9)])), "of no kind"),
    "cells beyond the page": (hostile(b"\r\0\0\xff\xff" + bytes(507)), "too many cells"),
    "a cell beyond the page": (hostile(b"\r\0\0\0\1\0\0\0\xff\xff" + bytes(502)), "a number is cut"),
}


def test_the_sound_one_among_them() -> None:
    (row,) = read(hostile(page(13, [ROW])), "Packages")
    assert isinstance(row[1], bytes)
    assert parse_header(row[1]) == ("bash", "1.0-1")


@pytest.mark.parametrize("name", HOSTILE)
def test_databases_that_want_memory_or_time(name: str) -> None:
    data, why = HOSTILE[name]
    tracemalloc.start()
    try:
        with pytest.raises((Damaged, Unsupported), match=why):
            read(data, "Packages")
        assert tracemalloc.get_traced_memory()[1] < 32 << 20
    finally:
        tracemalloc.stop()


def test_a_file_larger_than_any_is_not_read() -> None:
    with pytest.raises(Unsupported, match="256 MiB"):
        SqliteFile(io.BytesIO(HOSTILE["children that are not there"][0]), (256 << 20) + 1)


def test_where_a_row_goes_on() -> None:
    assert [plan_local(size, 4096) for size in (0, 4061, 4062, 8000, 9000)] == [0, 4061, 489, 3908, 816]
