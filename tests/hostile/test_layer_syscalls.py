"""What the kernel is asked for while hostile layers become an image: watched from outside, with strace."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.hostile.archives import (
    block,
    directory,
    file,
    gzipped,
    hard_link,
    long_name,
    make_layer,
    padded,
    pax,
    record,
    symlink,
)
from tests.world import REPOSITORY

pytestmark = pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")

MAGIC = b"MaGiCnAmE"
CHANGING = (
    "mknod|mknodat|link|linkat|symlink|symlinkat|rename|renameat|renameat2|mkdir|mkdirat|chmod|chown|lchown|fchownat"
)
CHANGING += "|utimensat|utime|utimes|setxattr|lsetxattr|fsetxattr|mount|chroot|execve|connect|bind"
LOWER = (
    directory(MAGIC),
    file(MAGIC + b"/f", b"content"),
    file(b"etc/passwd", b"x"),
    symlink(b"l-" + MAGIC, b"/tmp/" + MAGIC),
    symlink(b"out", b"../../../../../../../../tmp/" + MAGIC),
    block(b"null-" + MAGIC, kind=b"3", device=b"0000001\x000000003\0"),
    block(b"fifo-" + MAGIC, kind=b"6"),
    block(b"su-" + MAGIC, mode=b"0006755\0"),
    long_name(b"/tmp/" + MAGIC + b"n" * 200 + b"\0") + block(b"short"),
    pax(record(b"path", b"p/" + MAGIC), record(b"SCHILY.xattr.user." + MAGIC, MAGIC)) + block(b"x"),
    pax(
        record(b"GNU.sparse.size", b"8192"),
        record(b"GNU.sparse.numblocks", b"1"),
        record(b"GNU.sparse.map", b"4096,3"),
        record(b"GNU.sparse.name", b"sparse-" + MAGIC),
    )
    + block(b"x", size=3)
    + padded(b"abc"),
)
UPPER = (
    file(b"out/through-" + MAGIC, b"1"),
    hard_link(b"hard-" + MAGIC, MAGIC + b"/f"),
    file(b".wh.l-" + MAGIC),
    file(MAGIC + b"/.wh..wh..opq"),
    file(MAGIC + b"/sbin/init", b"2"),
)
BAD = {
    "handled": (),
    "refused": (file(b"../../tmp/" + MAGIC),),
    "cut": (block(b"/tmp/" + MAGIC, size=5000)[:512],),
    "linked out": (hard_link(b"h", b"../../../../tmp/" + MAGIC),),
}
WORK = """
import sys
from pathlib import Path
from banger.core.errors import Invalid
from banger.core.layers import Layer
from banger.disk.rootfs import LayerTree

scratch = Path(sys.argv[1])
layers = []
for text in sys.argv[2:]:
    number, digest, size = text.split(",")
    layers.append(Layer(lambda number=number: open(scratch / number, "rb"), "", digest, int(size), None))
print("begin", flush=True)
try:
    tree = LayerTree(layers, scratch=scratch, report=lambda done, whole: None)
    tree.find_init()
    tree.read_start("/sbin/init", 10)
    tree.write_image(scratch / "image", lambda done: None)
    tree.close()
except Invalid as error:
    assert error.summary.isprintable()
print("end", flush=True)
"""


@pytest.mark.parametrize("case", BAD)
def test_no_name_of_a_member_reaches_the_kernel(case: str, tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    arguments = []
    for number, members in enumerate((LOWER, (*UPPER, *BAD[case]))):
        layer = make_layer(*members, compress=gzipped)
        (scratch / str(number)).write_bytes(layer.open().read())
        arguments.append(f"{number},{layer.digest},{layer.size}")
    trace = tmp_path / "trace"
    watched = "trace=!read,pread64,lseek"
    command = [
        "strace",
        "-f",
        "-y",
        "-s",
        "200",
        "-e",
        watched,
        "-o",
        str(trace),
        sys.executable,
        "-c",
        WORK,
        str(scratch),
    ]
    subprocess.run(
        [*command, *arguments], cwd=REPOSITORY, env={"PYTHONPATH": "src"}, check=True, stdout=subprocess.PIPE
    )
    lines = trace.read_text(errors="backslashreplace").splitlines()
    begin, end = (next(n for n, line in enumerate(lines) if f'"{word}\\n"' in line) for word in ("begin", "end"))
    calls = [re.sub(r"^\d+ +", "", line) for line in lines[begin + 1 : end]]
    assert len(calls) > 10
    bodies = re.compile(rf"p?write(64)?\(\d+<{re.escape(str(scratch))}/")
    named = [call for call in calls if MAGIC.decode() in call and not bodies.match(call)]
    assert named == []
    assert [call for call in calls if re.match(rf"({CHANGING})\(", call)] == []
    opened = [
        call
        for call in calls
        if re.match(r"(open|openat|creat)\(", call) and re.search("O_WRONLY|O_RDWR|O_CREAT", call)
    ]
    assert opened
    for call in opened:
        assert f'"{scratch}' in call
    written = [call for call in calls if re.match(r"p?write", call)]
    assert all(bodies.match(call) or "write(1<" in call for call in written)
    assert sorted(path.name for path in scratch.iterdir()) == (["0", "1", "image"] if case == "handled" else ["0", "1"])
