"""What hides what."""

from __future__ import annotations

from tests.hostile.archives import directory, file, hard_link, make_layer, symlink
from tests.hostile.layer_case import BASE, BASE_TREE, PASSWD, Handled, Refused, one, over

WHITEOUTS: dict[str, Handled | Refused] = {
    "bare whiteout": Refused(over(file(b"etc/.wh.")), "member etc/.wh. is not a whiteout of anything"),
    "whiteout of a whiteout": Refused(over(file(b".wh..wh.x")), "member .wh..wh.x is not a whiteout of anything"),
    "aufs link directory": Refused(
        over(directory(b".wh..wh.plnk")), "member .wh..wh.plnk is not a whiteout of anything"
    ),
    "opaque with a name like it": Refused(over(file(b".wh..wh..opqx")), ".wh..wh..opqx is not a whiteout of anything"),
    "whiteout of a file": Handled(over(file(b"etc/.wh.passwd")), "etc/"),
    "whiteout of a directory": Handled(over(file(b".wh.etc"), file(b"new")), "new="),
    "whiteout of nothing there": Handled(over(file(b"etc/.wh.missing")), BASE_TREE),
    "whiteout below nothing there": Handled(over(file(b"a/b/c/.wh.missing")), BASE_TREE),
    "whiteout below a file": Handled(over(file(b"etc/passwd/.wh.missing")), BASE_TREE),
    "whiteout below a loop": Handled(
        over(file(b"loop/.wh.x"), base=PASSWD + symlink(b"loop", b"loop")), BASE_TREE + " loop>loop"
    ),
    "whiteout in the same layer before": Handled(one(file(b".wh.a"), file(b"a", b"1")), "a=1"),
    "whiteout in the same layer after": Handled(one(file(b"a", b"1"), file(b".wh.a")), "a=1"),
    "whiteout of a replaced file after it": Handled(
        over(file(b"etc/passwd", b"new"), file(b"etc/.wh.passwd")), "etc/ etc/passwd=new"
    ),
    "whiteout of a directory after a file in it": Handled(
        over(file(b"etc/new", b"1"), file(b".wh.etc")), "etc/ etc/new=1"
    ),
    "whiteout of a directory before a file in it": Handled(
        over(file(b".wh.etc"), file(b"etc/new", b"1")), "etc/ etc/new=1"
    ),
    "a directory passed through begins anew": Handled(
        over(file(b"etc/new", b"1"), file(b".wh.etc"), base=directory(b"etc", mode=b"0000700\0")), "etc/ etc/new=1"
    ),
    "a directory of the layer keeps its attributes": Handled(
        over(directory(b"etc", mode=b"0000700\0"), file(b"etc/new", b"1"), file(b".wh.etc")), "etc/700 etc/new=1"
    ),
    "whiteout of what the layer has not": Handled(
        over(file(b"d/e/new", b"1"), file(b".wh.d"), base=file(b"d/e/old") + file(b"d/f/old")), "d/ d/e/ d/e/new=1"
    ),
    "whiteout that is a directory": Handled(over(directory(b"etc/.wh.passwd/")), "etc/"),
    "whiteout that is a symbolic link": Handled(over(symlink(b"etc/.wh.passwd", b"/dev/null")), "etc/"),
    "whiteout that is a hard link": Handled(over(hard_link(b"etc/.wh.passwd", b".wh..wh.aufs")), "etc/"),
    "whiteout with a content": Handled(over(file(b"etc/.wh.passwd", b"ignored")), "etc/"),
    "whiteout of an empty name through a link": Refused(
        over(file(b"l/.wh."), base=PASSWD + symlink(b"l", b"etc")), "member l/.wh. is not a whiteout of anything"
    ),
    "whiteout with a newline": Handled(over(file(b".wh.a\nb"), base=PASSWD + file(b"a\nb")), BASE_TREE),
    "whiteout of a hard link's other name": Handled(
        over(file(b".wh.second"), base=PASSWD + hard_link(b"second", b"etc/passwd")), BASE_TREE
    ),
    "whiteout of a linked file after it was linked": Handled(
        over(hard_link(b"kept", b"etc/passwd"), file(b"etc/.wh.passwd")), "etc/ kept=inside"
    ),
    "whiteout of a linked file before it is linked": Refused(
        over(file(b"etc/.wh.passwd"), hard_link(b"kept", b"etc/passwd")),
        "kept is a hard link to etc/passwd, which is nothing that can be linked",
    ),
    "whiteout of a link that was gone through": Refused(
        over(file(b"l/new"), file(b".wh.l"), base=PASSWD + symlink(b"l", b"etc")),
        "member .wh.l hides a symbolic link that an earlier entry of the layer goes through",
    ),
    "whiteout above a link that was gone through": Refused(
        over(file(b"d/l/new"), file(b".wh.d"), base=PASSWD + symlink(b"d/l", b"/etc")),
        "member .wh.d hides a symbolic link that an earlier entry of the layer goes through",
    ),
    "whiteout of a link before going through its place": Handled(
        over(file(b".wh.l"), file(b"l/new", b"1"), base=PASSWD + symlink(b"l", b"etc")), BASE_TREE + " l/ l/new=1"
    ),
    "opaque directory": Handled(over(file(b"etc/.wh..wh..opq")), "etc/"),
    "opaque after content": Handled(over(file(b"etc/new", b"1"), file(b"etc/.wh..wh..opq")), "etc/ etc/new=1"),
    "opaque before content": Handled(over(file(b"etc/.wh..wh..opq"), file(b"etc/new", b"1")), "etc/ etc/new=1"),
    "opaque and the same file again": Handled(
        over(file(b"etc/passwd", b"new"), file(b"etc/.wh..wh..opq")), "etc/ etc/passwd=new"
    ),
    "opaque hides what is below": Handled(
        over(file(b"d/e/new", b"1"), file(b"d/.wh..wh..opq"), base=file(b"d/e/old") + file(b"d/f/old")),
        "d/ d/e/ d/e/new=1",
    ),
    "opaque root": Handled(over(file(b".wh..wh..opq"), file(b"new", b"1")), "new=1"),
    "opaque of nothing there": Handled(over(file(b"missing/.wh..wh..opq")), BASE_TREE),
    "opaque of a file": Handled(over(file(b"etc/passwd/.wh..wh..opq")), BASE_TREE),
    "opaque through a link": Handled(over(file(b"l/.wh..wh..opq"), base=PASSWD + symlink(b"l", b"etc")), "etc/ l>etc"),
    "opaque twice": Handled(
        over(file(b"etc/.wh..wh..opq"), file(b"etc/new", b"1"), file(b"etc/.wh..wh..opq")), "etc/ etc/new=1"
    ),
    "opaque in the lowest layer": Handled(one(file(b"a/b", b"1"), file(b"a/.wh..wh..opq")), "a/ a/b=1"),
    "hidden and there again in a third layer": Handled(
        [BASE, make_layer(file(b".wh.etc")), make_layer(file(b"etc/passwd", b"third"))], "etc/ etc/passwd=third"
    ),
    "a third layer hides what the second put": Handled(
        [BASE, make_layer(file(b"etc/passwd", b"second")), make_layer(file(b"etc/.wh.passwd"))], "etc/"
    ),
    "all is hidden": Refused(over(file(b".wh.etc")), "the image is empty"),
}
