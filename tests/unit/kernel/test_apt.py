"""What is believed of what apt says about kernels."""

from __future__ import annotations

import pytest

from banger.core.errors import NotFound
from banger.kernel.apt import Candidate, find_dependency, parse_candidate


def test_the_kernel_is_what_the_meta_package_depends_on() -> None:
    control = "Package: linux-image-cloud-amd64\nDepends: linux-base, linux-image-6.1.0-56-cloud-amd64 (= 6.1.192-2)\n"
    assert find_dependency(control) == "linux-image-6.1.0-56-cloud-amd64"


@pytest.mark.parametrize("control", ["", "Depends:\n", "Depends: foo", "Depends: linux-image-../../x", "Depends: ,,"])
def test_a_meta_package_without_a_kernel(control: str) -> None:
    with pytest.raises(NotFound):
        find_dependency(control)


def test_a_candidate() -> None:
    control = "Package: linux-image-6.1.0-1-cloud-amd64\nVersion: 6.1.2-1+b1\nSize: 123\nDescription: x\n more: y\n"
    assert parse_candidate(control) == Candidate("linux-image-6.1.0-1-cloud-amd64", "6.1.2-1+b1", 123)


@pytest.mark.parametrize("field", ["Package: x", "Version: 1 -o Dpkg=x", "Size: big", "Size:"])
def test_a_candidate_that_is_not_believed(field: str) -> None:
    control = "Package: linux-image-6.1.0-1-cloud-amd64\nVersion: 6.1.2-1\nSize: 123\n" + field
    with pytest.raises(NotFound):
        parse_candidate(control)
