"""The one table of commands. Nothing is imported here: `--help` and completion read it."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final


class Command:
    """A command: the words that call it, the module that has it, and what it does in one line."""

    __slots__ = ("hidden", "module", "summary", "words")

    def __init__(self, words: str, module: str, summary: str, *, hidden: bool = False) -> None:
        self.words = tuple(words.split())
        self.module = module
        self.summary = summary
        self.hidden = hidden


class Group:
    """A word that only has commands below it: what they are for, what to try first and what comes next."""

    __slots__ = ("page", "purpose", "summary", "words")

    def __init__(self, words: str, summary: str, *, purpose: str, page: tuple[tuple[str, str], ...]) -> None:
        self.words = tuple(words.split())
        self.summary = summary
        self.purpose = purpose
        self.page = page


COMMANDS: Final = (
    Command("vm run", "vm_run", "make a VM, put a repository in, and run a command or a shell"),
    Command("vm exec", "vm_exec", "run a command, or a shell, in a running VM"),
    Command("vm jobs list", "vm_jobs_list", "list the jobs of a VM, running and ended"),
    Command("vm jobs logs", "vm_jobs_logs", "print a job's output, and follow it if asked"),
    Command("vm jobs wait", "vm_jobs_wait", "wait for jobs to end, and exit with their status"),
    Command("vm jobs kill", "vm_jobs_kill", "send a signal to a job"),
    Command("vm ssh", "vm_ssh", "reach a running VM with the system's ssh"),
    Command("vm list", "vm_list", "list all VMs"),
    Command("vm show", "vm_show", "show everything about one VM"),
    Command("vm stats", "vm_stats", "show what VMs cost this computer, and what their guests say"),
    Command("vm ports", "vm_ports", "list what listens in running VMs, with URLs of web servers"),
    Command("vm health", "vm_health", "check running VMs now: kernel, agent, disks, network, ssh"),
    Command("vm ping", "vm_ping", "measure how long a VM's agent takes to answer"),
    Command("vm cp", "vm_cp", "copy files and directories into a running VM, or out of it"),
    Command("vm forward", "vm_forward", "reach ports of a running VM on 127.0.0.1"),
    Command("vm logs", "vm_logs", "print a VM's console output, and follow it if asked"),
    Command("vm create", "vm_create", "make a VM that stays, without a repository"),
    Command("vm start", "vm_start", "start stopped VMs"),
    Command("vm stop", "vm_stop", "shut VMs down cleanly; their disks stay"),
    Command("vm restart", "vm_restart", "stop VMs and start them again"),
    Command("vm kill", "vm_kill", "end VMs that do not stop, without asking their guests"),
    Command("vm pause", "vm_pause", "stop the processors of running VMs"),
    Command("vm resume", "vm_resume", "resume paused VMs"),
    Command("vm set", "vm_set", "change processors, memory, disk, network or time to live"),
    Command("vm rename", "vm_rename", "give a VM another name"),
    Command("vm prune", "vm_prune", "delete all VMs that do not run"),
    Command("vm delete", "vm_delete", "stop VMs and remove their disks, for good"),
    Command("vm workspace prepare", "workspace_prepare", "put a repository into a VM, or bring it up to date there"),
    Command("vm workspace status", "workspace_status", "show what was done in the guest's copy, and here meanwhile"),
    Command("vm workspace diff", "workspace_diff", "show what was done line by line"),
    Command("vm workspace apply", "workspace_apply", "apply it to the working tree here, reviewed, all or nothing"),
    Command("vm workspace fetch", "workspace_fetch", "get the guest's commits as branches of the repository here"),
    Command("vm workspace export", "workspace_export", "print a patch of everything done in the guest's copy"),
    Command("image list", "image_list", "list the images that are here, or that can be pulled"),
    Command("image pull", "image_pull", "make an image, and the kernel for it, ready for use"),
    Command("image import", "image_import", "make an image from a root file system archive"),
    Command("image register", "image_register", "use a file system image where it lies"),
    Command("image promote", "image_promote", "copy a registered image into the store"),
    Command("image build", "image_build", "make an image from another image and a recipe"),
    Command("image save", "image_save", "make an image from a stopped VM"),
    Command("image export", "image_export", "write an image as an archive that other tools read"),
    Command("image show", "image_show", "show everything about one image, and what is installed in it"),
    Command("image delete", "image_delete", "remove images that no VM uses"),
    Command("image cache prune", "image_cache_prune", "remove downloads and leftovers that nothing needs"),
    Command("kernel list", "kernel_list", "list the kernels that are here, or that can be pulled"),
    Command("kernel pull", "kernel_pull", "get a kernel that a catalogue has"),
    Command("kernel import", "kernel_import", "make a kernel from a bzImage, vmlinux or Image, and its modules"),
    Command("kernel show", "kernel_show", "show everything about one kernel"),
    Command("kernel rm", "kernel_rm", "remove kernels that no VM uses"),
    Command("lock", "lock", "pin the image and the kernel that a repository's VMs boot"),
    Command("config show", "config_show", "show every setting and where its value comes from"),
    Command("config check", "config_check", "check the configuration file"),
    Command("config path", "config_path", "print where the configuration file is"),
    Command("system df", "system_df", "show what images, kernels and VMs take on the disk"),
    Command("system status", "system_status", "show the daemon, its service, and where banger keeps things"),
    Command("system install", "system_install", "make the daemon a service that starts with the computer"),
    Command("system restart", "system_restart", "restart the daemon and wait until it answers"),
    Command("system uninstall", "system_uninstall", "remove what banger installed; with --purge, everything"),
    Command("doctor", "doctor", "check what this computer can do, and how to fix the rest"),
    Command("daemon status", "daemon_status", "say whether the daemon runs, and where its log is"),
    Command("daemon stop", "daemon_stop", "stop the daemon; VMs keep running"),
    Command("daemon restart", "daemon_restart", "restart the daemon; VMs keep running"),
    Command("ssh-config", "ssh_config", "let `ssh NAME.vm`, scp, rsync and editors reach VMs"),
    Command("completion bash", "completion_bash", "print the completion script for bash"),
    Command("completion zsh", "completion_zsh", "print the completion script for zsh"),
    Command("completion fish", "completion_fish", "print the completion script for fish"),
    Command("completion install", "completion_install", "install the script where your shell finds it"),
    Command("completion uninstall", "completion_uninstall", "remove it"),
    Command("update", "update", "update banger to a newer version"),
    Command("version", "version", "print versions"),
    Command("internal-connect", "internal_connect", "join standard input and output to a guest's port", hidden=True),
    Command("internal-known-hosts", "internal_known_hosts", "tell ssh the key that a guest must show", hidden=True),
    Command("internal-complete", "internal_complete", "what shells ask when Tab is pressed", hidden=True),
)

# Other words that call the same, for hands that are used to them.
ALIASES: Final = {
    ("ps",): ("vm", "list"),
    ("vm", "ps"): ("vm", "list"),
    ("vm", "ls"): ("vm", "list"),
    ("vm", "rm"): ("vm", "delete"),
    ("vm", "jobs", "ls"): ("vm", "jobs", "list"),
    ("image", "ls"): ("image", "list"),
    ("image", "rm"): ("image", "delete"),
    ("kernel", "ls"): ("kernel", "list"),
    ("kernel", "delete"): ("kernel", "rm"),
}

GROUPS: Final = (
    Group(
        "vm",
        "make and use virtual machines",
        purpose="A VM is a disposable Linux machine with its own kernel. What runs in it cannot touch this computer.",
        page=(
            ("In a git repository, most of the time:", ""),
            ("banger vm run", "a shell in a new VM with the repository in it"),
            ("banger vm run --rm . -- make test", "one command, its exit status, and nothing left"),
            ("With a VM that stays:", ""),
            ("banger vm run -d --name box .", "ready in the background"),
            ("banger vm exec box -- make test", "in the workspace"),
            ("banger vm workspace apply box", "the edits, reviewed, into the working tree"),
            ("banger vm delete box", "when it has served"),
        ),
    ),
    Group(
        "vm jobs",
        "commands that run in the background of a VM",
        purpose="A job is a command in a VM that outlives the client. The guest keeps its output and its status.",
        page=(
            ("Begin one, and look at it later:", ""),
            ("banger vm exec box --detach -- make all", "prints its number"),
            ("banger vm jobs list box", "what runs, and how the others ended"),
            ("banger vm jobs logs box 1 -f", "what it says, until it ends"),
            ("banger vm jobs wait box 1", "ends with its status"),
            ("banger vm jobs kill box 1", ""),
        ),
    ),
    Group(
        "vm workspace",
        "put repositories into a VM, and bring work back",
        purpose="A workspace is the copy of a repository in a VM. What was done there comes back as a reviewed patch.",
        page=(
            ("Most of the time:", ""),
            ("banger vm workspace diff box --stat", "what was done?"),
            ("banger vm workspace apply box", "shows what is worth a look, asks, and brings it here"),
            ("Bring it up to date, or put in another repository:", ""),
            ("banger vm workspace prepare box", "moves only what changed"),
            ("As a file instead:", ""),
            ("banger vm workspace export box --output fix.patch", "write the patch"),
            ("git apply --check fix.patch", "does it fit?"),
            ("git apply fix.patch", ""),
        ),
    ),
    Group(
        "image",
        "root file systems that VMs start from",
        purpose="An image is a read-only root file system. All VMs share it; each has a disk of its own on top.",
        page=(
            ("The first `vm run` makes the default image by itself. To do it beforehand:", ""),
            ("banger image pull", "debian-bookworm and its kernel"),
            ("banger image list --available", "what else can be had by name"),
            ("With a root file system of your own:", ""),
            ("banger image import rootfs.tar --name tiny", "any tar of a root directory"),
            ("banger vm run --image tiny --rm --no-workspace -- uname -a", "use it"),
        ),
    ),
    Group(
        "image cache",
        "what was downloaded for images",
        purpose="Downloads are kept, so that shared layers are downloaded once, and interrupted pulls resume.",
        page=(
            ("When space is short:", ""),
            ("banger image cache prune --dry-run", "how much would that be?"),
            ("banger image cache prune", "remove what nothing needs"),
        ),
    ),
    Group(
        "kernel",
        "kernels that VMs boot",
        purpose="Kernels are kept apart from images, so that any image boots. The default one comes by itself.",
        page=(
            ("What is here, and what can be had:", ""),
            ("banger kernel list", "names, releases and sizes"),
            ("banger kernel list --available", "what catalogues have"),
            ("With a kernel of your own:", ""),
            ("banger kernel import bzImage --name mine --modules modules/lib/modules/6.1.0", "check it, keep it"),
            ("banger vm run --kernel mine --rm --no-workspace -- uname -r", "boot it"),
        ),
    ),
    Group(
        "config",
        "what you can set once",
        purpose="Defaults for new VMs, files that go into each of them, and more, in one optional file.",
        page=(
            ("What is in force:", ""),
            ("banger config show", "every setting, and who said it"),
            ("After a change:", ""),
            ("banger config check", "is it good?"),
            ("banger daemon restart", "make it count"),
        ),
    ),
    Group(
        "system",
        "what banger has on this computer as a whole",
        purpose="Images, kernels and templates are shared by all VMs. Each VM has a disk and logs of its own.",
        page=(
            ("Where did the space go?", ""),
            ("banger system df", "by image, kernel, template and VM"),
            ("Is anything left over?", ""),
            ("banger doctor --leaks", "nothing, normally"),
            ("From the first boot on, or no more:", ""),
            ("banger system install", "a service of your systemd; nothing needs it"),
            ("banger system uninstall --purge", "every VM, image, kernel and log goes"),
        ),
    ),
    Group(
        "daemon",
        "the background process that looks after VMs",
        purpose="Each user has one daemon. Commands start it when they need it; VMs survive its end.",
        page=(
            ("When something looks wrong:", ""),
            ("banger daemon status", "is it there, and where is its log?"),
            ("banger daemon restart", "after banger was updated"),
        ),
    ),
    Group(
        "completion",
        "let your shell complete banger's words",
        purpose="Tab then knows commands, options, and names of VMs, images and kernels. It never starts a daemon.",
        page=(
            ("Once, for your shell:", ""),
            ("banger completion install", "put it where the shell finds it"),
            ("In this bash or fish only:", ""),
            ("source <(banger completion bash)", ""),
            ("banger completion fish | source", ""),
        ),
    ),
)

# Top-level words in the order in which help shows them.
TOP: Final = (
    "vm",
    "image",
    "kernel",
    "lock",
    "system",
    "config",
    "doctor",
    "daemon",
    "ssh-config",
    "completion",
    "update",
    "version",
)


def find_command(words: tuple[str, ...]) -> Command | None:
    """The command that `words` call exactly."""
    words = ALIASES.get(words, words)
    return next((command for command in COMMANDS if command.words == words), None)


def find_group(words: tuple[str, ...]) -> Group | None:
    """The group that `words` name exactly."""
    return next((group for group in GROUPS if group.words == words), None)


def commands_below(words: tuple[str, ...]) -> list[Command]:
    """Shown commands whose words begin with `words`."""
    return [command for command in COMMANDS if command.words[: len(words)] == words and not command.hidden]
