"""Images that nobody here designed: built out of Debian's packages by the tools that people build images with."""

from __future__ import annotations

import os
import shutil
import stat
import struct
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.images.tools import Layout, debian_file, mirror, mmdebstrap, run

CAP_NET_RAW = 13
# Directories above what `umoci insert` puts somewhere, which no layer has.
INSERTED = frozenset((b"", b"usr", b"usr/share"))


@dataclass(frozen=True)
class Maker:
    """How an image comes about. `build` makes it in a layout; `pushing` are options of skopeo for its way to the registry.

    `times_unknown`: directories to which umoci gives the time of its own work. `has_init`: systemd boots in it, and
    changes files as it does.
    """

    name: str
    says: str
    build: Callable[[Layout, Path], None]
    needs: tuple[str, ...] = ()
    pushing: tuple[str, ...] = ()
    times_unknown: frozenset[bytes] = frozenset()
    has_init: bool = False
    platform: str = "linux/amd64"

    @property
    def machine(self) -> str:
        return {"linux/amd64": "x86_64", "linux/arm64": "aarch64"}[self.platform]


def debian_minimal(layout: Layout, directory: Path) -> None:
    mmdebstrap(directory / "rootfs.tar", "--variant=minbase")
    layout.begin()
    layout.add_archive(directory / "rootfs.tar")
    layout.configure("--config.cmd", "/bin/bash", "--config.env", "PATH=/usr/sbin:/usr/bin:/sbin:/bin")


def debian_systemd(layout: Layout, directory: Path) -> None:
    mmdebstrap(directory / "rootfs.tar", "--variant=apt", "--include=systemd-sysv,dbus,udev,iproute2")
    layout.begin()
    layout.add_archive(directory / "rootfs.tar")


def debian_essential(layout: Layout, directory: Path) -> None:
    """Without apt, and with ping, sudo and what a hook adds: everything that a file system can say of a file."""
    mmdebstrap(
        directory / "rootfs.tar",
        "--variant=essential",
        "--include=libcap2-bin,iputils-ping,sudo,acl,attr",
        # What the package's own script does where it may, and here perhaps may not.
        '--customize-hook=chroot "$1" setcap cap_net_raw+ep /usr/bin/ping',
    )
    layout.begin()
    layout.add_archive(directory / "rootfs.tar")
    layout.change(add_attributes)


def debian_python(layout: Layout, directory: Path) -> None:
    mmdebstrap(directory / "rootfs.tar", "--variant=apt", "--include=python3-venv,git,perl,ca-certificates")
    layout.begin()
    layout.add_archive(directory / "rootfs.tar")
    layout.configure("--config.entrypoint", "/usr/bin/python3")


def debootstrapped(layout: Layout, directory: Path) -> None:
    root = directory / "debootstrap"
    run("debootstrap", "--variant=minbase", "bookworm", root, mirror())
    run("tar", "-C", root, "--xattrs", "--xattrs-include=*", "--numeric-owner", "-cf", directory / "rootfs.tar", ".")
    shutil.rmtree(root)
    layout.begin()
    layout.add_archive(directory / "rootfs.tar")


def busybox(layout: Layout, directory: Path) -> None:
    """As busybox installs itself: one file under some hundred names."""
    program = debian_file(directory, "busybox-static", "bin/busybox")

    def install(root: Path) -> None:
        for name in ("bin", "sbin", "usr/bin", "usr/sbin", "etc", "proc", "sys", "dev", "run"):
            (root / name).mkdir(parents=True)
        (root / "tmp").mkdir(mode=0o700)
        (root / "tmp").chmod(0o1777)
        shutil.copy2(program, root / "bin" / "busybox")
        run("chroot", root, "/bin/busybox", "--install")
        (root / "etc" / "passwd").write_text("root:x:0:0::/:/bin/sh\nme:x:1000:1000::/home/me:/bin/sh\n")
        (root / "etc" / "group").write_text("root:x:0:\nme:x:1000:\n")
        (root / "home" / "me").mkdir(parents=True)
        os.chown(root / "home" / "me", 1000, 1000)

    layout.begin()
    layout.change(install)
    layout.configure("--config.cmd", "/bin/sh", "--config.user", "me", "--config.workingdir", "/home/me")


def musl(layout: Layout, directory: Path) -> None:
    """Laid out as Alpine is: musl's loader, busybox by symbolic links, and a program that needs the loader."""
    program = debian_file(directory, "busybox-static", "bin/busybox")
    loader = debian_file(directory, "musl", "lib/x86_64-linux-musl/libc.so")
    source = directory / "hello.c"
    source.write_text('#include <stdio.h>\nint main(void) { puts("hello from musl"); return 0; }\n')
    hello = directory / "hello"
    compiler = [sys.executable, "-m", "ziglang", "cc", "-target", "x86_64-linux-musl", "-dynamic"]
    run(*compiler, "-o", hello, source)

    def install(root: Path) -> None:
        for name in ("bin", "sbin", "lib", "usr/bin", "usr/sbin", "usr/lib", "etc/apk", "lib/apk/db", "root", "proc"):
            (root / name).mkdir(parents=True)
        shutil.copy2(program, root / "bin" / "busybox")
        for applet in run(program, "--list-full").decode().split():
            if applet != "bin/busybox":
                (root / applet).symlink_to("/bin/busybox")
        shutil.copy2(loader, root / "lib" / "ld-musl-x86_64.so.1")
        (root / "lib" / "libc.musl-x86_64.so.1").symlink_to("ld-musl-x86_64.so.1")
        shutil.copy2(hello, root / "usr" / "bin" / "hello")
        (root / "etc" / "os-release").symlink_to("../usr/lib/os-release")
        (root / "usr" / "lib" / "os-release").write_text('ID=musl\nNAME="musl and busybox"\n')
        (root / "etc" / "passwd").write_text("root:x:0:0:root:/root:/bin/ash\n")

    layout.begin()
    layout.change(install)
    layout.configure("--config.cmd", "/usr/bin/hello")


def static(layout: Layout, directory: Path, machine: str = "x86_64") -> None:
    """One program and what it needs: certificates, time zones, users."""
    source = directory / "server.c"
    source.write_text('#include <unistd.h>\nint main(void) { write(1, "alone\\n", 6); return 0; }\n')
    server = directory / "server"
    compiler = [sys.executable, "-m", "ziglang", "cc", "-target", f"{machine}-linux-musl", "-static", "-s"]
    run(*compiler, "-o", server, source)
    zones = debian_file(directory, "tzdata", "usr/share/zoneinfo")
    layout.begin()
    (directory / "etc").mkdir()
    (directory / "etc" / "passwd").write_text("nonroot:x:65532:65532::/home/nonroot:/sbin/nologin\n")
    for path, target in ((server, "/server"), (directory / "etc", "/etc"), (zones, "/usr/share/zoneinfo")):
        run("umoci", "insert", "--image", layout.image, path, target)
    layout.configure("--config.entrypoint", "/server", "--config.user", "65532:65532")


def static_arm64(layout: Layout, directory: Path) -> None:
    """The same for another processor."""
    static(layout, directory, "aarch64")
    layout.configure("--architecture", "arm64")


def rpm(layout: Layout, directory: Path) -> None:
    """Packages that rpmbuild makes, which rpm installs with its database, in the directories that Fedora has."""
    program = debian_file(directory, "busybox-static", "bin/busybox")
    top = directory / "rpm"
    (top / "SOURCES").mkdir(parents=True)
    shutil.copy2(program, top / "SOURCES" / "busybox")
    (top / "one.spec").write_text(RPM_SPEC)
    definitions = ("--define", f"_topdir {top}", "--define", "_build_id_links none", "--define", "__strip /bin/true")
    run("rpmbuild", "-bb", "--quiet", *definitions, "--target", "x86_64", top / "one.spec")
    packages = sorted(top.glob("RPMS/*/*.rpm"))

    def install(root: Path) -> None:
        run("rpm", "--root", root, "--initdb")
        run("rpm", "--root", root, "--nodeps", "--ignoreos", "--ignorearch", "-i", *packages)

    layout.begin()
    layout.change(install)
    layout.configure("--config.cmd", "/usr/bin/sh")


RPM_SPEC = """\
Name: one
Version: 1
Release: 1
Summary: Directories and a shell
License: MIT

%description
Directories and a shell.

%package server
Summary: A server with files of its own

%description server
With owners, capabilities and a state that is not packaged.

%prep
%build
%install
mkdir -p %{buildroot}/usr/bin %{buildroot}/usr/lib64 %{buildroot}/usr/sbin %{buildroot}/etc/sysconfig
mkdir -p %{buildroot}/var/lib/one %{buildroot}/var/log/one %{buildroot}/boot %{buildroot}/proc
cp %{_sourcedir}/busybox %{buildroot}/usr/bin/busybox
for name in sh ls cat id stat; do ln -s busybox %{buildroot}/usr/bin/$name; done
for name in bin lib64 sbin; do ln -s usr/$name %{buildroot}/$name; done
ln %{buildroot}/usr/bin/busybox %{buildroot}/usr/sbin/onectl
echo 'OPTIONS=""' >%{buildroot}/etc/sysconfig/one
echo 'NAME="rpm"' >%{buildroot}/etc/os-release
touch %{buildroot}/var/log/one/log

%files
/bin
/lib64
/sbin
/proc
/usr/bin/*
/usr/lib64
/etc/os-release
%attr(0555,root,root) %dir /boot

%files server
%caps(cap_net_bind_service=ep) /usr/sbin/onectl
%attr(0640,root,ftp) %config(noreplace) /etc/sysconfig/one
%attr(2770,daemon,daemon) %dir /var/lib/one
%attr(0750,daemon,adm) %dir /var/log/one
%ghost /var/log/one/log
"""


def umoci_layers(layout: Layout, directory: Path) -> None:
    """Six layers over busybox: what is removed, replaced by something of another type, hidden and come back."""
    busybox(layout, directory)
    layout.change(add_attributes)

    def remove(root: Path) -> None:
        shutil.rmtree(root / "srv" / "lists")
        (root / "bin" / "vi").unlink()
        (root / "home" / "me" / "sparse").unlink()
        (root / "home" / "me" / "sparse").mkdir()
        (root / "home" / "me" / "sparse" / "now a directory").write_text("1")

    def replace(root: Path) -> None:
        shutil.rmtree(root / "usr" / "sbin")
        (root / "usr" / "sbin").symlink_to("../sbin")
        (root / "srv" / "lists").mkdir(mode=0o751)
        (root / "srv" / "lists" / "new").write_text("after all")
        os.chown(root / "srv" / "device", 7, 8)
        os.link(root / "bin" / "busybox", root / "bin" / "another name")

    layout.change(remove)
    layout.change(replace)
    (directory / "opaque").mkdir()
    (directory / "opaque" / "alone").write_text("alone")
    run("umoci", "insert", "--opaque", "--image", layout.image, directory / "opaque", "/srv/tree")
    run("umoci", "insert", "--whiteout", "--image", layout.image, "/home/me/sparse")
    layout.configure("--config.cmd", "/bin/sh", "--config.label", "made.by=umoci")


def buildah_layers(layout: Layout, directory: Path) -> None:
    """From nothing, by the steps of a Containerfile, each a layer."""
    program = debian_file(directory, "busybox-static", "bin/busybox")
    context = directory / "context"
    (context / "tree" / "old").mkdir(parents=True)
    shutil.copy2(program, context / "busybox")
    for number in range(300):
        (context / "tree" / f"file{number:03d}").write_text(f"{number}\n" * number)
    (context / "tree" / "old" / "gone").write_text("gone")
    (context / "Containerfile").write_text(CONTAINERFILE)
    storage = ["--root", directory / "storage", "--runroot", directory / "runroot", "--storage-driver", "vfs"]
    try:
        run("buildah", *storage, "bud", "--layers", "--isolation", "chroot", "-t", "built", context)
        target = f"oci:{layout.image}"
        run("buildah", *storage, "push", "--quiet", "--format", "oci", "built", target)
    finally:
        run("buildah", *storage, "rm", "--all")
        shutil.rmtree(directory / "storage", ignore_errors=True)


CONTAINERFILE = """\
FROM scratch
COPY busybox /bin/busybox
RUN ["/bin/busybox", "--install", "-s", "/bin"]
COPY --chown=33:33 --chmod=2750 tree /var/www
RUN rm -r /var/www/old && mkdir /var/www/old && echo new >/var/www/old/kept
RUN mkfifo /var/fifo; ln /var/www/file007 /var/linked; chmod u+s /bin/busybox; touch -d @1 /var/www/file008
RUN rm /var/www/file1*
ENV GREETING="hello there" LANG=C.UTF-8
USER 33:33
WORKDIR /var/www
ENTRYPOINT ["/bin/sh", "-c"]
CMD ["echo $GREETING"]
"""


def add_attributes(root: Path) -> None:
    """A directory with what archives have trouble with."""
    top = root / "srv" / "tree"
    top.mkdir(parents=True)
    (root / "srv" / "lists").mkdir()
    for name in ("plain", "with user attributes", "with capabilities", "with a list"):
        (root / "srv" / "lists" / name).write_text(name)
    os.setxattr(root / "srv" / "lists" / "with user attributes", "user.one", b"1\0\xff")
    os.setxattr(root / "srv" / "lists" / "with user attributes", "trusted.two", b"2")
    # struct vfs_cap_data of linux/capability.h, revision 2, effective
    capabilities = struct.pack("<IIIII", 0x02000001, 1 << CAP_NET_RAW, 0, 0, 0)
    os.setxattr(root / "srv" / "lists" / "with capabilities", "security.capability", capabilities)
    entries = ((0x01, 6, -1), (0x02, 7, 1234), (0x04, 4, -1), (0x10, 7, -1), (0x20, 4, -1))
    listed = struct.pack("<I", 2) + b"".join(struct.pack("<HHi", *entry) for entry in entries)
    os.setxattr(root / "srv" / "lists" / "with a list", "system.posix_acl_access", listed)
    os.setxattr(root / "srv" / "lists", "system.posix_acl_default", listed)
    os.mknod(root / "srv" / "device", stat.S_IFCHR | 0o640, os.makedev(250, 70_000))
    os.mknod(root / "srv" / "block", stat.S_IFBLK | 0o600, os.makedev(7, 1))
    os.mkfifo(root / "srv" / "fifo", 0o622)
    long_name = "n" * 255
    deep = top
    for number in range(8):
        deep /= f"{number}" * 60
    deep.mkdir(parents=True)
    (deep / long_name).write_text("deep")
    os.link(deep / long_name, top / "short")
    (top / "link").symlink_to("/nowhere/" + "x" * 1000)
    os.lchown(top / "link", 4_000_000_000, 65_534)
    with open(os.fsencode(top) + b"/\xff\xfe name\n", "w") as file:
        file.write("not UTF-8")
    (top / "setuid").write_text("")
    os.chown(top / "setuid", 1, 2)
    (top / "setuid").chmod(0o6711)
    home = root / "home" / "me"
    home.mkdir(parents=True, exist_ok=True)
    with (home / "sparse").open("wb") as file:
        file.seek(3 << 20)
        file.write(b"end")
        file.truncate(5 << 20)
    os.utime(home / "sparse", ns=(1, 1_000_000_000_123_456_789))
    os.utime(top / "short", ns=(1, 999_999_999))


MAKERS = (
    Maker("debian-minimal", "`mmdebstrap --variant=minbase`", debian_minimal, ("mmdebstrap",)),
    Maker("debian-systemd", "`mmdebstrap` with systemd, dbus and udev", debian_systemd, ("mmdebstrap",), has_init=True),
    Maker(
        "debian-essential",
        "`mmdebstrap --variant=essential` with file capabilities, setuid, ACLs, devices, sparse files; repacked by umoci",
        debian_essential,
        ("mmdebstrap",),
    ),
    Maker("debian-python", "`mmdebstrap` with Python, git and Perl", debian_python, ("mmdebstrap",)),
    Maker(
        "debootstrap",
        "`debootstrap --variant=minbase`, GNU tar, Docker's manifest",
        debootstrapped,
        ("debootstrap",),
        ("--format", "v2s2"),
    ),
    Maker("busybox", "busybox as it installs itself, by hard links", busybox),
    Maker("musl", "laid out as Alpine: musl's loader, busybox by symbolic links", musl),
    Maker(
        "static",
        "one static program, time zones, no shell; layers of `umoci insert`",
        static,
        times_unknown=INSERTED,
    ),
    Maker(
        "static-arm64",
        "the same for `linux/arm64`, in an emulated guest",
        static_arm64,
        times_unknown=INSERTED,
        platform="linux/arm64",
    ),
    Maker("rpm", "packages of `rpmbuild`, installed by `rpm --root`", rpm, ("rpm", "rpmbuild")),
    Maker("umoci-layers", "whiteouts, opaque directories and changes of type, by `umoci repack`", umoci_layers),
    Maker(
        "buildah-layers",
        "a Containerfile of twelve steps by `buildah bud`, layers with zstd",
        buildah_layers,
        ("buildah",),
        ("--dest-compress-format", "zstd"),
    ),
)
