"""What replaces what, what lies below what, and what an entry may say."""

from __future__ import annotations

from tests.hostile.archives import block, directory, file, hard_link, long_name, make_layer, pax, record, symlink
from tests.hostile.layer_case import BASE, BASE_TREE, PASSWD, Handled, Refused, one, over

ENTRIES: dict[str, Handled | Refused] = {
    "file twice in a layer": Handled(one(file(b"a", b"1"), file(b"a", b"2")), "a=2"),
    "directory twice in a layer": Handled(
        one(directory(b"a"), file(b"a/b"), directory(b"a", b"0000700\0")), "a/700 a/b="
    ),
    "file becomes a directory": Handled(
        over(directory(b"etc/passwd"), file(b"etc/passwd/x")), "etc/ etc/passwd/ etc/passwd/x="
    ),
    "directory becomes a file": Handled(over(file(b"etc", b"1")), "etc=1"),
    "directory becomes a symbolic link": Handled(over(symlink(b"etc", b"/x")), "etc>/x"),
    "symbolic link becomes a file": Handled(
        over(file(b"l", b"1"), base=PASSWD + symlink(b"l", b"etc/passwd")), BASE_TREE + " l=1"
    ),
    "symbolic link becomes a directory": Handled(
        over(file(b"l/x", b"1"), directory(b"l"), base=PASSWD + symlink(b"l", b"etc")),
        "etc/ etc/passwd=inside etc/x=1 l/",
    ),
    "type flips in one layer": Handled(
        one(
            file(b"a", b"1"),
            directory(b"a"),
            file(b"a/b"),
            symlink(b"a", b"c"),
            file(b"a/d", b"2"),
            block(b"a", kind=b"6"),
        ),
        "a|fifo c/ c/d=2",
    ),
    "below a file": Refused(over(file(b"etc/passwd/x")), "etc/passwd/x lies below something that is not a directory"),
    "below a device": Refused(
        one(block(b"null", kind=b"3", device=b"0000001\x000000003\0"), file(b"null/x")),
        "null/x lies below something that is not a directory",
    ),
    "below a link to a file": Refused(
        over(file(b"l/x"), base=PASSWD + symlink(b"l", b"etc/passwd")),
        "l/x lies below something that is not a directory",
    ),
    "below a loop of links": Refused(
        one(symlink(b"a", b"b"), symlink(b"b", b"a"), file(b"a/x")), "a/x lies below more than 40 symbolic links"
    ),
    "below a link to itself and on": Refused(
        one(symlink(b"a", b"a/a/a/a"), file(b"a/x")), "a/x lies below more than 40 symbolic links"
    ),
    "below a link to nothing": Handled(
        one(symlink(b"l", b"/not/there"), file(b"l/x", b"1")), "l>/not/there not/ not/there/ not/there/x=1"
    ),
    "below a link to the root": Handled(one(symlink(b"l", b"/"), file(b"l/x", b"1")), "l>/ x=1"),
    "below a link that climbs": Handled(one(symlink(b"l", b"../../../.."), file(b"l/x", b"1")), "l>../../../.. x=1"),
    "below a link to a name that is too long": Refused(
        one(symlink(b"l", b"n" * 256), file(b"l/x")), "l/x lies below a symbolic link to a name that no file can have"
    ),
    "links that make a path too deep": Refused(
        one(symlink(b"l", b"d/" * 200), symlink(b"m", b"l/" + b"d/" * 100), file(b"m/x")), "member m/x lies too deep"
    ),
    "dot symlink over the root": Refused(
        one(PASSWD, symlink(b"/.", b"/etc")), "member /. replaces the root with something that is not a directory"
    ),
    "the root as a file": Refused(
        one(file(b".", b"x")), "member . replaces the root with something that is not a directory"
    ),
    "the root as a hard link": Refused(
        one(PASSWD, hard_link(b"./", b"etc/passwd")),
        "member ./ is a hard link to etc/passwd, which is nothing that can be linked",
    ),
    "the root's attributes": Handled(one(directory(b"./", b"0000700\0"), file(b"a")), "/700 a="),
    "absolute and relative names": Handled(one(file(b"/a", b"1"), file(b"./a", b"2"), file(b".//a", b"3")), "a=3"),
    "parent in the middle": Refused(one(file(b"a/../b")), "member a/../b leaves the root"),
    "hard link before its target": Refused(
        one(hard_link(b"a", b"b"), file(b"b")), "member a is a hard link to b, which is nothing that can be linked"
    ),
    "hard link to a directory": Refused(
        over(hard_link(b"a", b"etc")), "member a is a hard link to etc, which is nothing that can be linked"
    ),
    "hard link to itself": Refused(
        over(hard_link(b"etc/passwd", b"/etc/passwd")), "etc/passwd is a hard link to itself"
    ),
    "hard link to itself through a link": Refused(
        over(hard_link(b"l/passwd", b"etc/passwd"), base=PASSWD + symlink(b"l", b"etc")),
        "l/passwd is a hard link to itself",
    ),
    "hard link twice": Handled(
        over(hard_link(b"a", b"etc/passwd"), hard_link(b"a", b"etc/passwd")), "a=inside etc/ etc/passwd==a"
    ),
    "hard link over the directory of its target": Refused(
        over(hard_link(b"etc", b"etc/passwd")),
        "member etc is a hard link to etc/passwd, which is nothing that can be linked",
    ),
    "hard link across layers": Handled(over(hard_link(b"a", b"etc/passwd")), "a=inside etc/ etc/passwd==a"),
    "a link's file replaced above": Handled(
        [BASE, make_layer(hard_link(b"a", b"etc/passwd")), make_layer(file(b"a", b"own"))],
        "a=own etc/ etc/passwd=inside",
    ),
    "hard link to a device": Handled(
        one(block(b"null", kind=b"3", device=b"0000001\x000000003\0"), hard_link(b"zero", b"null")),
        "null|char1:3 zero==null",
    ),
    "hard link to a NUL": Refused(
        one(pax(record(b"linkpath", b"a\0b")) + block(b"a", kind=b"1")),
        "an extended header of the archive is malformed",
    ),
    "hard link whose target is in pax": Handled(
        one(PASSWD, pax(record(b"linkpath", b"etc/passwd")), block(b"a", kind=b"1", target=b"../../host")),
        "a=inside etc/ etc/passwd==a",
    ),
    "implied directories": Handled(one(file(b"a/b/c", b"1")), "a/ a/b/ a/b/c=1"),
    "devices, fifo, setuid": Handled(
        one(
            block(b"block", kind=b"4", device=b"0000010\x000000001\0"),
            block(b"fifo", kind=b"6"),
            block(b"su", mode=b"0006755\0"),
        ),
        "block|block8:1 fifo|fifo su6755=",
    ),
    "a device with impossible numbers": Refused(
        one(block(b"dev", kind=b"3", device=b"7777777\x007777777\0")), "member dev is a device with impossible numbers"
    ),
    "a symbolic link's mode is the one of all": Handled(
        one(block(b"l", kind=b"2", target=b"x", mode=b"0004000\0")), "l>x"
    ),
    "names of any bytes": Handled(
        one(file(b"\xff\xfe", b"1"), file(b"a\nb", b"2"), file(b"\x1b[2J", b"3")), "\\x1b[2J=3 a\\x0ab=2 \\xff\\xfe=1"
    ),
    "names that look alike": Handled(
        one(file(b"A"), file(b"a"), file("\u00e9".encode()), file("e\u0301".encode()), file(b"a "), file(b"a.")),
        "A= a= a\\x20= a.= e\\xcc\\x81= \\xc3\\xa9=",
    ),
    "ESC in the name of a refused member": Refused(
        one(block(b"\x1b[2J", kind=b"Z")), r"member \x1b[2J has the unknown type 'Z'"
    ),
    "newline in the name of a refused member": Refused(
        one(block(b"a\nb", kind=b"Z")), r"member a\nb has the unknown type 'Z'"
    ),
    "bytes in the name of a refused member": Refused(
        one(block(b"\xff", kind=b"Z")), r"member \xff has the unknown type 'Z'"
    ),
    "name of 4096 bytes": Refused(one(long_name(b"a/" * 2048), block(b"x")), "a/a/a|has a name that no file can have"),
    "attributes of users, capabilities": Handled(
        one(
            pax(record(b"SCHILY.xattr.user.a", b"1"), record(b"SCHILY.xattr.security.capability", b"\1\0")), block(b"a")
        ),
        "a{security.capability=0100,user.a=31}=",
    ),
    "an SELinux label": Handled(one(pax(record(b"SCHILY.xattr.security.selinux", b"x")), block(b"a")), "a="),
    "overlay's own attributes": Handled(
        one(
            pax(
                record(b"SCHILY.xattr.trusted.overlay.redirect", b"/etc"),
                record(b"SCHILY.xattr.user.overlay.opaque", b"y"),
            ),
            block(b"a"),
        ),
        "a=",
    ),
    "attributes of another system": Handled(
        one(pax(record(b"SCHILY.xattr.com.apple.quarantine", b"x")), block(b"a")), "a="
    ),
    "an attribute of 64 KiB": Refused(
        one(pax(record(b"SCHILY.xattr.user.a", b"x" * 65536)), block(b"a")),
        "member a has more than 3968 bytes of extended attributes",
    ),
    "an attribute with an empty value": Handled(
        one(pax(record(b"SCHILY.xattr.user.a", b"")), block(b"a")), "a{user.a=}="
    ),
    "a directory again without its attributes": Handled(
        over(directory(b"d"), base=pax(record(b"SCHILY.xattr.user.a", b"1")) + directory(b"d")), "d/"
    ),
    "time before all times": Refused(
        one(block(b"a", mtime=b"\xff" + b"\x80" + bytes(10))), "member a has an impossible time"
    ),
    "owner of 2^31": Handled(one(pax(record(b"uid", b"2147483648")), block(b"a")), "a(2147483648:0)="),
    "owner of 2^32 - 1": Refused(
        one(pax(record(b"uid", b"4294967295")), block(b"a")), "member a belongs to an impossible user or group"
    ),
    "owner of 2^32": Refused(
        one(pax(record(b"gid", b"4294967296")), block(b"a")), "member a belongs to an impossible user or group"
    ),
    "negative owner": Refused(one(block(b"a", uid=b"\xff" * 8)), "member a has a negative number in its header"),
}
