"""The sections of docs/performance.md, and what is said below their tables."""

from __future__ import annotations

from bench.page import Section

RUN = Section(
    "run",
    "A machine for one command",
    """
- The floor has the same kernel, initramfs, image and size, and no daemon, journal, workspace or command line.
""",
)
COMMANDS = Section(
    "commands",
    "Commands",
    """
- `vm exec` begins with the start of a Python, and ends with a process in the guest; its floor has only the latter.
""",
)
MEMORY = Section(
    "memory",
    "Memory",
    """
- Memory is the proportional set size. Of a VM the guest's RAM is left out, so what is left is QEMU itself, whose cache
  of translated code is most of it under emulation; it differs from boot to boot.
""",
)
CROWD = Section(
    "crowd",
    "Memory with many machines",
    """
- As above; and each VM is given its share of what the daemon has grown by.
""",
)
FILES = Section(
    "files",
    "A repository into the guest",
    """
- The repository is packed with its history, checked and written by the agent; the floor is one `tar` into another,
  through a virtio-serial port without agent, frames or windows.
- Ten files once more: from the request to the last file in its place and on the guest's disk. Both sides look at all
  files, and what moves is ten.
""",
)
MANY_FILES = Section(
    "many-files",
    "A repository of 100,000 files",
    """
- As above, once.
""",
)
IMAGES = Section(
    "images",
    "Images of registries",
    """
- The image has 300 MB of the default image's files in three layers that are compressed by gzip, and a layer of 10 MB
  that the second image has another of. The registry is Debian's `docker-registry`, on the same computer.
- Both begin with an empty store and end with a file system image that a machine can boot; what was fetched or unpacked
  for the first image may be used for the second. banger's image is on the disk (fsync) when it says so.
- Memory is the peak of what the daemon grew by and of the command together; of the others it is that of the largest.
""",
)
SECTIONS = (RUN, COMMANDS, MEMORY, CROWD, FILES, MANY_FILES, IMAGES)
