"""What is believed of what apt says about kernels."""

from __future__ import annotations

import asyncio

import pytest

from banger.core.errors import BangerError, Denied, NotFound
from banger.core.provenance import Provenance
from banger.kernel.apt import Candidate, KernelApt, find_dependency, parse_candidate, parse_versions
from banger.kernel.debian import find_again, render_source

CONTROL = f"Package: linux-image-6.1.0-1-cloud-amd64\nVersion: 6.1.2-1+b1\nSize: 123\nSHA256: {'a' * 64}\n"
CANDIDATE = Candidate("linux-image-6.1.0-1-cloud-amd64", "6.1.2-1+b1", 123, "sha256:" + "a" * 64)


def test_the_kernel_is_what_the_meta_package_depends_on() -> None:
    control = "Package: linux-image-cloud-amd64\nDepends: linux-base, linux-image-6.1.0-56-cloud-amd64 (= 6.1.192-2)\n"
    assert find_dependency(control) == "linux-image-6.1.0-56-cloud-amd64"


@pytest.mark.parametrize("control", ["", "Depends:\n", "Depends: foo", "Depends: linux-image-../../x", "Depends: ,,"])
def test_a_meta_package_without_a_kernel(control: str) -> None:
    with pytest.raises(NotFound):
        find_dependency(control)


def test_a_candidate() -> None:
    assert parse_candidate(CONTROL + "Description: x\n more: y\n") == CANDIDATE


@pytest.mark.parametrize("field", ["Package: x", "Version: 1 -o Dpkg=x", "Size: big", "Size:", "SHA256: x"])
def test_a_candidate_that_is_not_believed(field: str) -> None:
    with pytest.raises(NotFound):
        parse_candidate(CONTROL + field)


def test_the_versions_of_a_package() -> None:
    table = """\
 linux-image-x | 6.1.9-2 | http://security.example/debian bookworm-security/main amd64 Packages
 linux-image-x | 6.1.8-1 | http://mirror.example/debian bookworm/main amd64 Packages
 linux-image-x | 6.1.9-2 | http://other.example/debian bookworm/main amd64 Packages
N: odd
 a | -o x | y
"""
    assert parse_versions(table) == ("6.1.9-2", "6.1.8-1")


class FakeApt(KernelApt):
    """An archive with one package."""

    def __init__(self) -> None:
        pass

    async def run(self, *argv: str) -> str:
        name = CANDIDATE.name
        if argv == ("apt-cache", "show", f"{name}={CANDIDATE.version}"):
            return CONTROL
        assert argv[:2] == ("apt-cache", "madison")
        return f" {name} | {CANDIDATE.version} | http://mirror.example\n" if argv[2] == name else ""


def came(reference: str, digest: str = CANDIDATE.digest) -> Provenance:
    return Provenance(kind="distribution", reference=reference, digest=digest)


def test_a_pinned_package_is_found_again() -> None:
    assert asyncio.run(find_again(FakeApt(), came(render_source("bookworm", CANDIDATE)))) == CANDIDATE


@pytest.mark.parametrize(
    ("pinned", "error"),
    [
        (came("Debian bookworm, linux-image-6.1.0-1-cloud-amd64 6.1.2-2"), NotFound),
        (came("Debian bookworm, linux-image-6.1.0-2-cloud-amd64 6.1.2-1+b1"), NotFound),
        (came("Debian bookworm, bash 6.1.2-1+b1"), NotFound),
        (came("Debian bookworm, linux-image-6.1.0-1-cloud-amd64 -oDir=/"), NotFound),
        (came("Debian bookworm, --version 6.1.2-1+b1"), NotFound),
        (came("6.1.2-1+b1"), Denied),
        (came(""), Denied),
        (came(render_source("bookworm", CANDIDATE), "sha256:" + "b" * 64), Denied),
        (came(render_source("bookworm", CANDIDATE), ""), Denied),
    ],
)
def test_a_pin_that_is_not_followed(pinned: Provenance, error: type[BangerError]) -> None:
    with pytest.raises(error):
        asyncio.run(find_again(FakeApt(), pinned))
