"""Every file and directory name that banger uses on the host. No other module spells one out.

Directories follow the XDG base directory specification; `BANGER_HOME` puts all of them under one directory.
Written out rather than taken from a library, and without dataclasses, because most commands need it and those imports
would cost more than it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from banger.core.roots import find_roots

# Where an ordinary user builds images: a user of a namespace cannot enter the directories of a home, so the work
# is done where everybody may go (file-hierarchy(7)). Names there are random, and begin with the owner's uid.
BUILDS = Path("/var/tmp")  # noqa: S108 - see above
BUILD_BELOW_DRAFT = "tmp"  # where root builds


def build_prefix(uid: int) -> str:
    """The prefix of the names of a user's build directories."""
    return f"banger-image-{uid}-"


class VmLayout(NamedTuple):
    """The files of one VM. `state` lives as long as the VM, `run` as long as it is started."""

    state: Path
    run: Path

    @property
    def manifest(self) -> Path:
        """Recovery copy of the VM's row."""
        return self.state / "vm.json"

    @property
    def data_disk(self) -> Path:
        return self.state / "data.ext4"

    @property
    def workspaces(self) -> Path:
        """A record of what was last sent to each workspace."""
        return self.state / "workspaces"

    @property
    def host_key(self) -> Path:
        """The guest's ssh host key (private half); `.pub` beside it."""
        return self.state / "ssh_host_ed25519_key"

    @property
    def known_hosts(self) -> Path:
        return self.state / "known_hosts"

    @property
    def console(self) -> Path:
        """What the guest's console printed; bounded."""
        return self.state / "console.log"

    @property
    def vmm_log(self) -> Path:
        return self.state / "vmm.log"

    @property
    def vmm_pipe(self) -> Path:
        """Where the VMM writes what goes into its log."""
        return self.run / "vmm.pipe"

    @property
    def process(self) -> Path:
        """Identity of the VMM process, written right after it was started."""
        return self.run / "vmm.json"

    @property
    def network_process(self) -> Path:
        """Identity of the network process."""
        return self.run / "network.json"

    @property
    def network_log(self) -> Path:
        return self.state / "network.log"

    @property
    def initramfs(self) -> Path:
        return self.run / "initramfs"

    @property
    def control(self) -> Path:
        """The VMM's control socket (QMP)."""
        return self.run / "control.sock"

    @property
    def channel(self) -> Path:
        """The host's end of the channel to the agent."""
        return self.run / "channel.sock"

    @property
    def console_socket(self) -> Path:
        """Where the VMM sends what the guest's console prints."""
        return self.run / "console.sock"

    @property
    def network_traffic(self) -> Path:
        """What the network process has counted."""
        return self.run / "network.traffic"

    @property
    def network(self) -> Path:
        """Where the VMM and the network process exchange Ethernet frames."""
        return self.run / "network.sock"


class Layout(NamedTuple):
    """The four roots and everything below them."""

    config: Path
    state: Path
    cache: Path
    run: Path

    @property
    def config_file(self) -> Path:
        return self.config / "config.toml"

    @property
    def database(self) -> Path:
        return self.state / "banger.db"

    @property
    def vms(self) -> Path:
        return self.state / "vms"

    @property
    def trash(self) -> Path:
        """Directories being removed: renamed here first, so that a half-removed VM never looks like a VM."""
        return self.state / "trash"

    @property
    def exports(self) -> Path:
        """Patches saved for `apply`, as they came from guests."""
        return self.state / "exports"

    @property
    def applies(self) -> Path:
        """By operation, what is needed to undo a change of a work tree that is in progress."""
        return self.state / "applies"

    @property
    def scratch(self) -> Path:
        """Work files of requests. What a daemon finds here when it starts is left over."""
        return self.run / "scratch"

    @property
    def images(self) -> Path:
        return self.cache / "images"

    @property
    def kernels(self) -> Path:
        return self.cache / "kernels"

    @property
    def blobs(self) -> Path:
        """What was downloaded from registries."""
        return self.cache / "blobs"

    @property
    def layers(self) -> Path:
        """Unpacked layers, kept for images that share them."""
        return self.cache / "layers"

    @property
    def catalogue_memories(self) -> Path:
        """What is remembered of each configured catalogue."""
        return self.state / "catalogues"

    @property
    def catalogue_copies(self) -> Path:
        """The last seen copy of each catalogue, for when it cannot be reached."""
        return self.cache / "catalogues"

    @property
    def templates(self) -> Path:
        """Empty data disks by size."""
        return self.cache / "templates"

    @property
    def bases(self) -> Path:
        """The part of the initramfs that is the same for all VMs, by kernel and agent."""
        return self.cache / "initramfs"

    @property
    def probes(self) -> Path:
        """Remembered outcomes of trying each VMM."""
        return self.cache / "probes.json"

    @property
    def user_key(self) -> Path:
        """The ssh key that guests accept."""
        return self.state / "id_ed25519"

    @property
    def daemon_socket(self) -> Path:
        return self.run / "daemon.sock"

    @property
    def daemon_lock(self) -> Path:
        return self.run / "daemon.lock"

    @property
    def state_lock(self) -> Path:
        """Held by the daemon that has the VMs, wherever its sockets are."""
        return self.state / "daemon.lock"

    @property
    def start_lock(self) -> Path:
        """Held by a client while it starts the daemon."""
        return self.run / "start.lock"

    @property
    def daemon_log(self) -> Path:
        return self.state / "daemon.log"

    def vm(self, vm_id: str) -> VmLayout:
        return VmLayout(state=self.vms / vm_id, run=self.run / "vms" / vm_id)


def layout_from_environment(environment: Mapping[str, str], *, uid: int) -> Layout:
    """The layout below the roots from the environment. Raises `Invalid` as `find_roots` does."""
    return Layout(*map(Path, find_roots(environment, uid=uid)))
