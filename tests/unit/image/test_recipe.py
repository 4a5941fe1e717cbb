"""The recipe of the default image, and the page that shows it."""

from __future__ import annotations

from pathlib import Path

from banger.image.debian_dev import DEV_IMAGES, DEV_PACKAGES
from banger.image.recipe import (
    EMPTIED,
    IMAGES,
    PACKAGES,
    REMOVED,
    all_packages,
    fingerprint,
    masked_units,
    render_package_table,
)
from banger.image.recipe import plan_mmdebstrap as plan

X86_64, AARCH64 = IMAGES["x86_64"], IMAGES["aarch64"]
DOCUMENT = Path(__file__).parents[3] / "docs" / "images.md"
FILES = {"output": "/d/rootfs.tar", "sources": "/d/sources.list", "apt_conf": "/d/apt.conf"}
MMDEBSTRAP = [
    "mmdebstrap",
    "--mode=unshare",
    "--verbose",
    "--variant=apt",
    "--architectures=amd64",
    f"--include={','.join(all_packages(X86_64))}",
    "--aptopt=/d/apt.conf",
    "--dpkgopt=force-unsafe-io",
    "--dpkgopt=path-exclude=/usr/share/locale/*",
    "--dpkgopt=path-exclude=/usr/share/doc/*",
    "--dpkgopt=path-include=/usr/share/doc/*/copyright",
    "--format=tar",
    "bookworm",
    "/d/rootfs.tar",
    "/d/sources.list",
]


def test_the_argument_vector_of_an_ordinary_user() -> None:
    assert plan(X86_64, mode="unshare", contained=False, foreign=False, **FILES) == MMDEBSTRAP


def test_root_works_in_namespaces_of_its_own() -> None:
    argv = plan(X86_64, mode="root", contained=True, foreign=False, **FILES)
    assert argv[: argv.index("mmdebstrap")] == [
        *("setpriv", "--pdeathsig=KILL", "--"),
        *("unshare", "--mount", "--propagation=private", "--pid", "--mount-proc", "--fork", "--kill-child", "--"),
    ]
    assert argv[argv.index("mmdebstrap") :] == [word.replace("=unshare", "=root") for word in MMDEBSTRAP]
    assert plan(X86_64, mode="root", contained=False, foreign=False, **FILES)[0] == "mmdebstrap"


def test_another_architecture() -> None:
    argv = plan(AARCH64, mode="root", contained=False, foreign=True, **FILES)
    assert {"--architectures=arm64", "--skip=check/qemu"} < set(argv)


def test_the_fingerprint_tells_recipes_apart() -> None:
    assert fingerprint(X86_64) == fingerprint(X86_64)
    assert fingerprint(X86_64) != fingerprint(AARCH64)
    assert set(masked_units(X86_64)) - set(masked_units(AARCH64)) == {"serial-getty@ttyS0.service"}
    assert set(masked_units(AARCH64)) - set(masked_units(X86_64)) == {"serial-getty@ttyAMA0.service"}
    assert len(fingerprint(X86_64)) == 16


def test_each_package_is_asked_for_once() -> None:
    listed = [package for group in PACKAGES.values() for package in group]
    assert len(listed) == len(set(listed))
    assert all(list(group) == sorted(group) for name, group in PACKAGES.items() if name != "system")


def test_what_the_issue_promises_is_in_it() -> None:
    assert {"systemd", "openssh-server", "git", "ca-certificates", "curl", "jq", "less", "sudo"} <= set(
        all_packages(X86_64)
    )


def test_paths_are_relative_and_units_are_units() -> None:
    assert all(not path.startswith("/") and ".." not in path for path in (*REMOVED, *EMPTIED))
    assert all(
        unit.rpartition(".")[2] in {"service", "timer", "mount", "automount", "target"} for unit in masked_units(X86_64)
    )


def test_the_page_shows_the_recipe() -> None:
    assert render_package_table(PACKAGES) in DOCUMENT.read_text()
    assert render_package_table(DEV_PACKAGES) in DOCUMENT.read_text()


def test_the_image_for_developers_has_all_of_the_default_one() -> None:
    wanted = DEV_IMAGES["x86_64"]
    packages = all_packages(wanted)
    assert set(all_packages(X86_64)) < set(packages)
    assert len(packages) == len(set(packages))
    assert fingerprint(wanted) != fingerprint(X86_64)
    assert all(len(download.sha256) == 64 and download.size_bytes for download in wanted.downloads)
    assert all(not path.startswith("/") for download in wanted.downloads for _, path, _ in download.files)
