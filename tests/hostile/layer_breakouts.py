"""Containerd's list of ways out of a root (`TestBreakouts`), under its names."""

from __future__ import annotations

from tests.hostile.archives import directory, file, hard_link, symlink
from tests.hostile.layer_case import BASE_TREE, PASSWD, Handled, Refused, one, over

BREAKOUTS: dict[str, Handled | Refused] = {
    "SymlinkAbsolute": Handled(
        one(directory(b"etc"), symlink(b"localetc", b"/etc"), file(b"/localetc/unbroken", b"u")),
        "etc/ etc/unbroken=u localetc>/etc",
    ),
    "SymlinkUpAndOut": Handled(
        one(
            directory(b"etc"), directory(b"dummy"), symlink(b"localetc", b"/dummy/../etc"), file(b"/localetc/new", b"u")
        ),
        "dummy/ etc/ etc/new=u localetc>/dummy/../etc",
    ),
    "SymlinkMultipleAbsolute": Handled(
        one(
            directory(b"etc"),
            directory(b"dummy"),
            symlink(b"/dummy/etc", b"/etc"),
            symlink(b"localetc", b"/dummy/etc"),
            file(b"/dummy/etc/unbroken", b"u"),
        ),
        "dummy/ dummy/etc>/etc etc/ etc/unbroken=u localetc>/dummy/etc",
    ),
    "SymlinkMultipleRelative": Handled(
        one(
            directory(b"etc"),
            directory(b"dummy"),
            symlink(b"/dummy/etc", b"/etc"),
            symlink(b"localetc", b"./dummy/etc"),
            file(b"/localetc/unbroken", b"u"),
        ),
        "dummy/ dummy/etc>/etc etc/ etc/unbroken=u localetc>./dummy/etc",
    ),
    "SymlinkEmptyFile": Handled(
        one(
            directory(b"etc"),
            file(b"etc/emptied", b"notempty"),
            symlink(b"localetc", b"/etc"),
            file(b"/localetc/emptied"),
        ),
        "etc/ etc/emptied= localetc>/etc",
    ),
    "HardlinkRelative": Handled(
        one(
            PASSWD,
            directory(b"breakouts"),
            symlink(b"breakouts/d1", b"../../etc"),
            hard_link(b"breakouts/mypasswd", b"/breakouts/d1/passwd"),
        ),
        "breakouts/ breakouts/d1>../../etc breakouts/mypasswd=inside etc/ etc/passwd==breakouts/mypasswd",
    ),
    "HardlinkDownAndOut": Handled(
        one(
            PASSWD,
            directory(b"breakouts"),
            directory(b"downandout"),
            symlink(b"breakouts/d1", b"../downandout/../../etc"),
            hard_link(b"breakouts/mypasswd", b"/breakouts/d1/passwd"),
        ),
        "breakouts/ breakouts/d1>../downandout/../../etc breakouts/mypasswd=inside downandout/ etc/ "
        "etc/passwd==breakouts/mypasswd",
    ),
    "HardlinkAbsolute": Handled(
        one(PASSWD, symlink(b"localetc", b"/etc"), hard_link(b"localpasswd", b"/localetc/passwd")),
        "etc/ etc/passwd=inside localetc>/etc localpasswd==etc/passwd",
    ),
    "HardlinkRelativeLong": Handled(
        one(PASSWD, symlink(b"localetc", b"../../../../../../../etc"), hard_link(b"localpasswd", b"/localetc/passwd")),
        "etc/ etc/passwd=inside localetc>../../../../../../../etc localpasswd==etc/passwd",
    ),
    "HardlinkRelativeUpAndOut": Handled(
        one(PASSWD, symlink(b"localetc", b"upandout/../../../etc"), hard_link(b"localpasswd", b"/localetc/passwd")),
        "etc/ etc/passwd=inside localetc>upandout/../../../etc localpasswd==etc/passwd",
    ),
    "HardlinkDirectRelative": Refused(
        one(PASSWD, hard_link(b"localpasswd", b"../../../../../etc/passwd")),
        "localpasswd is a hard link to ../../../../../etc/passwd, which leaves the root",
    ),
    "HardlinkDirectAbsolute": Handled(
        one(PASSWD, hard_link(b"localpasswd", b"/etc/passwd")), "etc/ etc/passwd=inside localpasswd==etc/passwd"
    ),
    "SymlinkParentDirectory": Refused(
        one(PASSWD, symlink(b"..", b"/etc/"), hard_link(b"localpasswd", b"/etc/passwd")), "member .. leaves the root"
    ),
    "SymlinkEmptyFilename": Refused(one(PASSWD, symlink(b"", b"/etc/")), "member without a name has no name"),
    "SymlinkParentRelative": Refused(
        one(PASSWD, symlink(b"localetc/sub/..", b"/etc/")), "member localetc/sub/.. leaves the root"
    ),
    "SymlinkSlashEnded": Handled(
        one(PASSWD, directory(b"localetc/"), hard_link(b"/localetc/localpasswd", b"/etc/passwd")),
        "etc/ etc/passwd=inside localetc/ localetc/localpasswd==etc/passwd",
    ),
    "SymlinkOverrideDirectory": Handled(
        over(
            symlink(b"localetc", b"/etc"),
            hard_link(b"/localetc/localpasswd", b"/etc/passwd"),
            base=PASSWD + directory(b"localetc/"),
        ),
        "etc/ etc/localpasswd=inside etc/passwd==etc/localpasswd localetc>/etc",
    ),
    "SymlinkOverrideDirectoryRelative": Handled(
        over(
            symlink(b"localetc", b"../../etc"),
            hard_link(b"/localetc/localpasswd", b"/etc/passwd"),
            base=PASSWD + directory(b"localetc/"),
        ),
        "etc/ etc/localpasswd=inside etc/passwd==etc/localpasswd localetc>../../etc",
    ),
    "DirectoryOverrideSymlink": Handled(
        over(
            directory(b"/localetc/"),
            hard_link(b"/localetc/localpasswd", b"/etc/passwd"),
            base=PASSWD + symlink(b"localetc", b"/etc"),
        ),
        "etc/ etc/passwd=inside localetc/ localetc/localpasswd==etc/passwd",
    ),
    "DirectoryOverrideSymlinkAndHardlink": Handled(
        over(
            directory(b"/localetc/"),
            file(b"/localetc/localpasswd", b"different"),
            base=PASSWD + symlink(b"localetc", b"etc") + hard_link(b"/localetc/localpasswd", b"/etc/passwd"),
        ),
        "etc/ etc/localpasswd=inside etc/passwd==etc/localpasswd localetc/ localetc/localpasswd=different",
    ),
    "WhiteoutRootParent": Refused(over(file(b".wh...")), "member .wh... is not a whiteout of anything"),
    "WhiteoutParent": Refused(over(file(b"etc/.wh...")), "member etc/.wh... is not a whiteout of anything"),
    "WhiteoutRoot": Refused(over(file(b".wh..")), "member .wh.. is not a whiteout of anything"),
    "WhiteoutCurrentDirectory": Refused(over(file(b"etc/.wh..")), "member etc/.wh.. is not a whiteout of anything"),
    "WhiteoutSymlink": Handled(over(file(b".wh.localetc"), base=PASSWD + symlink(b"localetc", b"/etc")), BASE_TREE),
    "WhiteoutSymlinkPath": Handled(
        over(
            file(b"localetc/.wh.whitedout"),
            base=PASSWD + file(b"etc/whitedout", b"!") + symlink(b"localetc", b"/etc"),
        ),
        BASE_TREE + " localetc>/etc",
    ),
    "WhiteoutDirectoryName": Refused(
        over(file(b".wh.etc/somefile", b"non-empty")), "member .wh.etc/somefile lies below the name of a whiteout"
    ),
    "WhiteoutDeadSymlinkParent": Handled(
        over(file(b"localetc/.wh.etc"), base=PASSWD + symlink(b"localetc", b"/dne")), BASE_TREE + " localetc>/dne"
    ),
    "WhiteoutRelativePath": Refused(over(file(b"dne/../.wh.etc")), "member dne/../.wh.etc leaves the root"),
    "SymlinkOverridePath": Handled(
        over(symlink(b"a", b"b"), file(b"a/c", b"2"), base=file(b"a/c", b"1")), "a>b b/ b/c=2"
    ),
    "HardlinkSymlinkBeforeCreateTarget": Handled(
        one(
            directory(b"etc"),
            symlink(b"localpasswd", b"/etc/passwd"),
            hard_link(b"localpasswd-dup", b"localpasswd"),
            file(b"/etc/passwd", b"after"),
        ),
        "etc/ etc/passwd=after localpasswd>/etc/passwd localpasswd-dup==localpasswd",
    ),
    "HardlinkSymlinkRelative": Handled(
        one(PASSWD, symlink(b"passwdlink", b"../../../../../etc/passwd"), hard_link(b"localpasswd", b"/passwdlink")),
        "etc/ etc/passwd=inside localpasswd>../../../../../etc/passwd passwdlink==localpasswd",
    ),
    "HardlinkSymlinkAbsolute": Handled(
        one(PASSWD, symlink(b"passwdlink", b"/etc/passwd"), hard_link(b"localpasswd", b"/passwdlink")),
        "etc/ etc/passwd=inside localpasswd>/etc/passwd passwdlink==localpasswd",
    ),
    "HardlinkSymlinkChmod": Handled(
        one(symlink(b"outside/exists", b"/outside/perm400"), hard_link(b"sketchylink", b"outside/exists")),
        "outside/ outside/exists>/outside/perm400 sketchylink==outside/exists",
    ),
}
