"""The image `debian-dev`: Debian with Docker, compilers, and what installs packages of the common languages. Pure."""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

from banger.image.recipe import IMAGES, PACKAGES, DebianImage, Download

# docs/images.md shows this table, and a test compares the two.
DEV_PACKAGES: Final[dict[str, tuple[str, ...]]] = {
    "containers": ("apparmor", "docker.io", "iptables"),
    "building": ("autoconf", "automake", "build-essential", "cmake", "gdb", "libtool", "ninja-build", "pkg-config"),
    "libraries": ("libffi-dev", "libsqlite3-dev", "libssl-dev", "zlib1g-dev"),
    "Python": ("pipx", "python3-dev", "python3-pip"),
    "JavaScript": ("nodejs", "npm"),
    "Rust": ("cargo",),
    "Go": ("golang-go",),
    "Ruby": ("bundler", "ruby-dev"),
    "databases": ("sqlite3",),
}

# Docker starts when somebody first speaks to its socket: where the processor is emulated, its start takes seconds. It
# loads its containers' AppArmor profile itself, and for anything else there are no profiles that would be of use here.
_DISABLED: Final = (
    "multi-user.target.wants/containerd.service",
    "multi-user.target.wants/docker.service",
    "sysinit.target.wants/apparmor.service",
)

# Debian has no mise: its maker's own package of the npm registry, of one version, by its digest. Everything else is of
# Debian's archive, and where only that can be reached, the image is made without it.
_PROFILE: Final = """\
# Set by banger: the tools that mise installed, where a project or the user asks for them.
if [ -n "${BASH_VERSION-}" ] && [ -n "${PS1-}" ]; then
    eval "$(mise activate bash)"
fi
"""
_MISE: Final = Download(
    url="https://registry.npmjs.org/@jdxcode/mise-linux-x64/-/mise-linux-x64-2026.9.15.tgz",
    sha256="b51f2463bc4fcdc3b0959b1454792f64be3612e73d856cbca4a062e39e070e74",
    size_bytes=52_298_098,
    files=(
        ("package/bin/mise", "usr/local/bin/mise", 0o755),
        ("package/LICENSE", "usr/local/share/doc/mise/copyright", 0o644),
    ),
    profiles=(("mise", _PROFILE),),
    optional=True,
)
_DOWNLOADS: Final = MappingProxyType({"x86_64": (_MISE,)})

DEV_IMAGES: Final = MappingProxyType(
    {
        architecture: DebianImage(
            architecture=architecture,
            debian_architecture=base.debian_architecture,
            packages=MappingProxyType({**PACKAGES, **DEV_PACKAGES}),
            disabled=_DISABLED,
            downloads=_DOWNLOADS[architecture],
            build_bytes=6 << 30,
        )
        for architecture, base in IMAGES.items()
        if architecture in _DOWNLOADS
    }
)
