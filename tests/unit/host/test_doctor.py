"""The doctor's judgement, line by line, on facts that no test machine has to have."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from banger.core.errors import Unavailable
from banger.core.platforms import ARCHITECTURES, host_architecture
from banger.core.sizes import GIB
from banger.host.doctor import CheckResult, Outcome, Question, examine, judge, parse_version
from banger.host.facts import PROGRAMS, Directory, Facts, Places, Program, agents_in, read_facts, subordinate_ids
from banger.host.packages import Family, find_family

GOOD = Facts(
    python=(3, 11, 2),
    architecture="x86_64",
    uid=1000,
    user="dev",
    programs={
        **{name: Program(path=f"/usr/bin/{name}") for name in PROGRAMS},
        "qemu": Program(path="/usr/bin/qemu-system-x86_64", version="QEMU emulator version 7.2.22 (Debian 1:7.2)"),
        "qemu for aarch64": Program(path="/usr/bin/qemu-system-aarch64"),
        "git": Program(path="/usr/bin/git", version="git version 2.39.5"),
    },
    kvm="present",
    user_namespaces=30000,
    unprivileged_user_namespaces=True,
    subuids=65536,
    free_bytes=100 * GIB,
    directories=(
        Directory(path="/home/dev/.cache/banger", uid=1000, mode=0o700),
        Directory(path="/home/dev/.config/banger", uid=None, mode=None),
    ),
    agents=("aarch64", "x86_64"),
    family=Family.DEBIAN,
)


def result(facts: Facts, check: str) -> CheckResult:
    (found,) = (one for one in judge(facts) if one.id == check)
    return found


def without(*names: str) -> Facts:
    return replace(GOOD, programs={**GOOD.programs, **dict.fromkeys(names)})


def saying(name: str, version: str) -> Facts:
    return replace(GOOD, programs={**GOOD.programs, name: Program(path=f"/bin/{name}", version=version)})


def test_a_good_host_line_by_line() -> None:
    lines = [f"{one.outcome} {one.id}: {one.title}: {one.detail}{one.fix}" for one in judge(GOOD)]
    assert lines == [
        "pass python: Python: 3.11.2",
        "pass architecture: processor: x86_64",
        "pass agent: guest agent: built for aarch64, x86_64",
        "pass qemu: QEMU: 7.2.22 at /usr/bin/qemu-system-x86_64",
        "pass foreign: guests for other processors: emulated: aarch64",
        "pass kvm: /dev/kvm: /dev/kvm can be opened",
        "pass git: git: 2.39.5 at /usr/bin/git",
        "pass ssh: OpenSSH client: ssh, ssh-keygen",
        "pass mke2fs: file system tools: mke2fs",
        "pass image: Debian image builder: mmdebstrap, apt-get, dpkg-deb",
        "pass kernel: kernel module tools: depmod",
        "pass namespaces: user namespaces: 65536 subordinate ids",
        "pass passt: network for --nat: passt, prlimit",
        "pass space: disk space: 100 GiB free",
        "pass directories: own directories: private",
    ]


@pytest.mark.parametrize(
    ("facts", "check", "expected", "fix"),
    [
        (replace(GOOD, python=(3, 10, 9)), "python", "fail 3.10.9", "install Python 3.11 or newer and make .venv anew"),
        (
            replace(GOOD, architecture="riscv64"),
            "architecture",
            "fail riscv64",
            "use another computer: x86_64 or aarch64",
        ),
        (replace(GOOD, architecture="aarch64"), "architecture", "pass aarch64", ""),
        (without("qemu for aarch64"), "foreign", "warn no QEMU for aarch64", "sudo apt-get install -y qemu-system-arm"),
        (
            replace(GOOD, architecture="aarch64"),
            "foreign",
            "warn no QEMU for x86_64",
            "sudo apt-get install -y qemu-system-x86",
        ),
        (
            replace(GOOD, agents=()),
            "agent",
            "fail not built",
            "pip install --force-reinstall . (in a checkout: make run)",
        ),
        (without("qemu"), "qemu", "fail not installed", "sudo apt-get install -y qemu-system-x86"),
        (
            saying("qemu", "QEMU emulator version 5.2.0"),
            "qemu",
            "fail 5.2.0 at /bin/qemu",
            "7.2 or newer is needed: sudo apt-get install -y qemu-system-x86",
        ),
        (saying("qemu", "QEMU emulator version 10.0.0"), "qemu", "pass 10.0.0 at /bin/qemu", ""),
        (
            saying("git", "no idea"),
            "git",
            "warn /bin/git does not say its version",
            "run it with --version; 2.39 or newer is needed",
        ),
        (
            replace(GOOD, kvm="denied"),
            "kvm",
            "warn /dev/kvm may not be opened: guests run under software emulation",
            "sudo usermod -aG kvm dev, then log in again",
        ),
        (
            replace(GOOD, kvm="missing"),
            "kvm",
            "warn /dev/kvm is not there: guests run under software emulation",
            "load the module kvm_intel or kvm_amd",
        ),
        (without("passt"), "passt", "warn passt not installed", "sudo apt-get install -y passt"),
        (
            without("mmdebstrap", "dpkg-deb"),
            "image",
            "fail mmdebstrap, dpkg-deb not installed",
            "sudo apt-get install -y mmdebstrap apt dpkg",
        ),
        (without("ssh-keygen"), "ssh", "fail ssh-keygen not installed", "sudo apt-get install -y openssh-client"),
        (without("depmod"), "kernel", "fail depmod not installed", "sudo apt-get install -y kmod"),
        (without("mke2fs"), "mke2fs", "fail mke2fs not installed", "sudo apt-get install -y e2fsprogs"),
        (
            replace(GOOD, user_namespaces=0),
            "namespaces",
            "fail switched off for ordinary users: the default image cannot be built",
            "sysctl kernel.unprivileged_userns_clone=1 (Ubuntu: kernel.apparmor_restrict_unprivileged_userns=0)",
        ),
        (
            without("newuidmap"),
            "namespaces",
            "fail newuidmap not installed: the default image cannot be built",
            "sudo apt-get install -y uidmap",
        ),
        (
            replace(GOOD, subuids=0),
            "namespaces",
            "fail 0 subordinate user ids, 65536 are needed to build the default image",
            "sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 dev",
        ),
        (replace(GOOD, uid=0, subuids=0, directories=()), "namespaces", "pass not needed as root", ""),
        (
            replace(GOOD, free_bytes=9 * GIB),
            "space",
            "warn 9 GiB free",
            "free some: 10 GiB is a comfortable start",
        ),
        (replace(GOOD, free_bytes=GIB), "space", "fail 1 GiB free", "free some: 10 GiB is a comfortable start"),
        (
            replace(GOOD, directories=(Directory(path="/d", uid=0, mode=0o700),)),
            "directories",
            "fail /d belongs to user 0",
            "sudo chown -R 1000 /d",
        ),
        (
            replace(GOOD, directories=(Directory(path="/d", uid=1000, mode=0o755),)),
            "directories",
            "fail /d is open to others (mode 0755)",
            "chmod 0700 /d",
        ),
    ],
)
def test_what_is_wrong_is_said_with_what_mends_it(facts: Facts, check: str, expected: str, fix: str) -> None:
    found = result(facts, check)
    assert f"{found.outcome} {found.detail}" == expected
    assert found.fix == fix


def test_every_line_that_does_not_pass_says_what_to_do() -> None:
    bad = replace(
        GOOD,
        python=(3, 9, 0),
        architecture="sparc",
        programs={},
        kvm="missing",
        user_namespaces=0,
        free_bytes=0,
        agents=(),
        directories=(Directory(path="/d", uid=5, mode=0o777),),
    )
    results = judge(bad)
    assert [one.id for one in results] == [one.id for one in judge(GOOD)]
    assert all(one.fix and one.outcome is not Outcome.PASS for one in results)


def test_what_a_command_mends_has_that_command_and_what_is_somebodys_to_decide_has_none() -> None:
    assert result(without("passt"), "passt").commands == (("sudo", "apt-get", "install", "-y", "passt"),)
    assert result(replace(without("passt"), uid=0), "passt").commands == (("apt-get", "install", "-y", "passt"),)
    assert result(without("qemu for aarch64"), "foreign").commands == ()
    assert result(replace(GOOD, user_namespaces=0), "namespaces").commands == ()
    assert all(one.commands == () for one in judge(GOOD))


@pytest.mark.parametrize(
    ("family", "commands"),
    [
        (Family.FEDORA, {"dnf install -y openssh-clients", "dnf install -y shadow-utils", "dnf install -y qemu-system-x86"}),
        (Family.ARCH, {"pacman -S --needed --noconfirm openssh", "pacman -S --needed --noconfirm shadow"}),
        (Family.SUSE, {"zypper --non-interactive install qemu-x86", "zypper --non-interactive install openssh-clients"}),
        (Family.UNKNOWN, {"install kmod (as Debian calls it) with your package manager"}),
    ],
)  # fmt: skip
def test_each_family_of_distributions_has_its_own_words(family: Family, commands: set[str]) -> None:
    bare = replace(GOOD, programs={}, family=family)
    said = {one.fix.removeprefix("sudo ") for one in judge(bare)}
    assert commands <= said
    assert not any("apt-get" in text for text in said)


@pytest.mark.parametrize(
    ("os_release", "family"),
    [
        ('PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nID=debian\n', Family.DEBIAN),
        ("ID=linuxmint\nID_LIKE='ubuntu debian'\n", Family.DEBIAN),
        ('ID="rocky"\nID_LIKE="rhel centos fedora"\n', Family.FEDORA),
        ("ID=fedora\n", Family.FEDORA),
        ("ID=manjaro\nID_LIKE=arch\n", Family.ARCH),
        ('ID="opensuse-leap"\nID_LIKE="suse opensuse"\n', Family.SUSE),
        ("ID=alpine\n", Family.UNKNOWN),
        ("", Family.UNKNOWN),
        ('ID="debian\n', Family.UNKNOWN),
        ("#ID=debian\nNAME=debian\n", Family.UNKNOWN),
    ],
)
def test_the_family_is_found_in_os_release(os_release: str, family: Family) -> None:
    assert find_family(os_release) is family


@given(st.text())
def test_nothing_in_os_release_is_an_error(text: str) -> None:
    assert find_family(text) in Family


async def test_other_rooms_answer_after_the_facts() -> None:
    def says(text: str) -> Callable[[], Awaitable[str]]:
        async def answer() -> str:
            return text

        return answer

    async def no_daemon() -> str:
        raise Unavailable("the daemon does not answer", hint="banger daemon status")

    questions = (
        Question(id="vmm", title="VMM", ask=says("QEMU runs a guest\x1b[0m")),
        Question(id="daemon", title="daemon", ask=no_daemon, otherwise=Outcome.WARN),
    )
    *_, vmm, daemon = await examine(GOOD, questions)
    assert vmm == CheckResult(id="vmm", title="VMM", outcome=Outcome.PASS, detail="QEMU runs a guest\\x1b[0m")
    assert daemon == CheckResult(
        id="daemon",
        title="daemon",
        outcome=Outcome.WARN,
        detail="the daemon does not answer",
        fix="banger daemon status",
    )


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("git version 2.39.5", (2, 39, 5)),
        ("QEMU emulator version 8.2.2 (Debian 1:8.2.2+ds-0ubuntu1)", (8, 2, 2)),
        ("git version 2.45.GIT", (2, 45)),
        ("git version 2", None),
        ("", None),
        ("9" * 500 + ".1", None),
    ],
)
def test_versions(text: str, version: tuple[int, ...] | None) -> None:
    assert parse_version(text) == version


@given(st.text(max_size=200))
def test_no_text_breaks_the_parsers(text: str) -> None:
    version = parse_version(text)
    assert version is None or all(part >= 0 for part in version)
    assert subordinate_ids(text, user="dev", uid=1000) >= 0


def test_subordinate_ids_are_added_up() -> None:
    text = "root:1:5\ndev:100000:65536\n1000:200000:10\ndev:x:y\ndev:1\n"
    assert subordinate_ids(text, user="dev", uid=1000) == 65546


async def test_facts_of_this_host_can_be_read_and_reading_changes_nothing(tmp_path: Path) -> None:
    agents = tmp_path / "agents"
    agents.mkdir()
    for name in ("agent-x86_64", "agent-aarch64", "fingerprint"):
        (agents / name).touch()
    own = tmp_path / "own"
    own.mkdir(mode=0o750)
    own.chmod(0o750)
    (tmp_path / "subuid").write_text("")
    before = sorted(path.name for path in tmp_path.rglob("*"))
    facts = await read_facts(
        Places(
            data=tmp_path / "not/there/yet",
            directories=(own, tmp_path / "absent"),
            agents=agents,
            kvm=tmp_path / "kvm",
            subuid=tmp_path / "subuid",
        )
    )
    assert facts.kvm == "missing"
    assert facts.subuids == 0
    assert facts.agents == ("aarch64", "x86_64")
    assert facts.free_bytes > 0
    assert [(d.uid is None, d.mode) for d in facts.directories] == [(False, 0o750), (True, None)]
    assert set(facts.programs) == {
        *PROGRAMS,
        "qemu",
        *(f"qemu for {other}" for other in set(ARCHITECTURES) - {host_architecture()}),
    }
    assert sorted(path.name for path in tmp_path.rglob("*")) == before
    assert len(judge(facts)) == 15


def test_agents_where_there_is_no_directory(tmp_path: Path) -> None:
    assert agents_in(tmp_path / "absent") == ()
