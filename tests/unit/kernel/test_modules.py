"""Which modules boot a guest, in which order."""

from __future__ import annotations

import pytest

from banger.core.errors import Unsupported
from banger.kernel.modules import REQUIRED, REQUIRED_OPTIONS, find_builtin, plan_boot_modules, read_dependencies

MODULES = {
    "virtio_mmio": b"\x7fELF\0depends=virtio_ring,virtio\0",
    "virtio_blk": b"name=virtio_blk\0depends=virtio\0",
    "virtio": b"\0depends=virtio_ring\0",
    "virtio_ring": b"\0depends=\0",
    "virtio_console": b"\0depends=virtio-ring\0",
    "erofs": b"\0depends=libcrc32c\0",
    "libcrc32c": b"",
    "overlay": b"\0depends=\0",
    "useless": b"\0depends=\0",
}
BUILTIN = frozenset({"ext4"})


def plan(modules: dict[str, bytes], builtin: frozenset[str] = BUILTIN) -> tuple[str, ...]:
    return plan_boot_modules(list(modules), builtin, read=lambda name: modules[name])


def test_each_comes_after_what_it_needs_and_nothing_else_comes() -> None:
    assert plan(MODULES) == (
        *("virtio_ring", "virtio", "virtio_mmio", "virtio_blk", "virtio_console", "libcrc32c", "erofs", "overlay"),
    )


def test_what_is_built_in_is_not_loaded() -> None:
    assert plan({}, REQUIRED) == ()
    without = {name: data for name, data in MODULES.items() if name != "libcrc32c"}
    assert "erofs" in plan(without, BUILTIN | {"libcrc32c"})


def test_a_circle_ends() -> None:
    assert set(plan({**MODULES, "virtio_ring": b"\0depends=virtio\0"})) >= REQUIRED - BUILTIN


@pytest.mark.parametrize("missing", sorted(REQUIRED - BUILTIN))
def test_a_kernel_without_a_required_driver_is_refused(missing: str) -> None:
    with pytest.raises(Unsupported, match=missing):
        plan({name: data for name, data in MODULES.items() if name != missing})


def test_a_missing_dependency_is_refused() -> None:
    with pytest.raises(Unsupported, match="libcrc32c"):
        plan({name: data for name, data in MODULES.items() if name != "libcrc32c"})


@pytest.mark.parametrize(
    ("module", "expected"),
    [
        (b"", ()),
        (b"\0depends=\0", ()),
        (b"\0depends=a,b-c\0depends=d\0", ("a", "b_c")),
        (b"\0xdepends=a\0", ()),
        (b"\0depends=a", ()),
    ],
)
def test_dependencies_are_read_from_the_module(module: bytes, expected: tuple[str, ...]) -> None:
    assert read_dependencies(module) == expected


@pytest.mark.parametrize(
    ("architecture", "option"),
    [("x86_64", "CONFIG_SERIAL_8250_CONSOLE"), ("aarch64", "CONFIG_SERIAL_AMBA_PL011_CONSOLE")],
)
def test_each_architecture_needs_the_driver_of_its_console(architecture: str, option: str) -> None:
    config = "".join(f"{name}=y\n" for name in (*REQUIRED_OPTIONS, "CONFIG_EXT4_FS"))
    with pytest.raises(Unsupported, match=f"built without {option}$"):
        find_builtin(config, architecture=architecture)
    assert find_builtin(f"{config}{option}=y\n", architecture=architecture) == {"ext4"}
    with pytest.raises(Unsupported, match=option):  # it is needed before any module can be loaded
        find_builtin(f"{config}{option}=m\n", architecture=architecture)
