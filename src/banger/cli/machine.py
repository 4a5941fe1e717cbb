"""What a command that makes a VM lets you choose about the machine, and what you get when you choose nothing."""

from __future__ import annotations

import os
from argparse import Namespace
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from banger.cli.arguments import Parser
from banger.core.durations import format_period, parse_duration
from banger.core.errors import BangerError, Invalid
from banger.core.limits import DISK_BYTES_LIMITS, MEMORY_BYTES_LIMITS, VCPU_LIMIT
from banger.core.names import parse_image_name
from banger.core.platforms import name_platform, parse_platform
from banger.core.sizes import MIB, format_size, parse_size

_FIELDS: Final = ("image", "kernel", "vcpu", "memory_mib", "disk_bytes", "nat", "ttl_s")
NO_CHANGE: Final[Mapping[str, object]] = MappingProxyType(
    {"name": None, "vcpu": None, "memory_mib": None, "disk_bytes": None, "nat": None, "ttl_s": None}
)


def declare_machine(parser: Parser) -> None:
    """The options; what is not given is None, and the daemon's default. Their help says what that would be."""
    parser.explain(describe_defaults)
    parser.add_argument("--image", metavar="IMAGE", type=parse_image, help="image to boot (default: {image})")
    add_platform(parser, "which one of the image's, such as linux/arm64 (default: this computer's own)")
    parser.add_argument("--kernel", metavar="KERNEL", type=parse_image_name, help="kernel to boot (default: {kernel})")
    parser.add_argument("--vcpu", metavar="N", type=parse_vcpu, help="virtual processors (default: {vcpu})")
    parser.add_argument(
        "--memory", metavar="SIZE", type=parse_memory, help="memory, such as 4G (default: {memory_mib})"
    )
    parser.add_argument("--disk", metavar="SIZE", type=parse_disk, help="size of its own disk (default: {disk_bytes})")
    parser.add_argument(
        "--nat",
        action="store_const",
        const=True,
        help="give it access to the internet, but not to this computer (default: {nat})",
    )
    parser.add_argument("--no-nat", dest="nat", action="store_const", const=False, help="give it no network")
    parser.add_argument(
        "--ttl", metavar="TIME", type=parse_duration, help="delete it after this time, such as 2h (default: {ttl_s})"
    )


def add_platform(parser: Parser, description: str) -> None:
    """`--platform`, the same for every command that has it; None when it is not given."""
    parser.add_argument("--platform", metavar="PLATFORM", type=parse_platform_name, help=description)


def declare_sizes(parser: Parser) -> None:
    """The same for a VM that there is: what is not given is None, and stays."""
    parser.add_argument("--vcpu", metavar="N", type=parse_vcpu, help="virtual processors")
    parser.add_argument("--memory", metavar="SIZE", type=parse_memory, help="memory, such as 4G")
    parser.add_argument("--disk", metavar="SIZE", type=parse_disk, help="size of its own disk, which can only grow")
    parser.add_argument(
        "--nat", action="store_const", const=True, help="give it access to the internet, but not to this computer"
    )
    parser.add_argument("--no-nat", dest="nat", action="store_const", const=False, help="take its network away")
    parser.add_argument(
        "--ttl", metavar="TIME", type=parse_duration, help="delete it after this time, such as 2h; 0: never"
    )


def describe_defaults(environment: Mapping[str, str]) -> dict[str, str]:
    """Each default with who said it, as the help shows it. A configuration with an error spoils no help page."""
    from banger.core.config.defaults import apply_configuration
    from banger.core.config.reading import find_home, read_configuration, read_host_defaults
    from banger.core.layout import layout_from_environment

    try:
        file = layout_from_environment(environment, uid=os.getuid()).config_file
        home = find_home(environment, uid=os.getuid())
        defaults = apply_configuration(read_host_defaults(), read_configuration(file, home=home))
    except BangerError:
        return dict.fromkeys(_FIELDS, "unknown, see `banger config check`")
    shown = {
        "image": defaults.image,
        "kernel": defaults.kernel,
        "vcpu": str(defaults.vcpu),
        "memory_mib": format_size(defaults.memory_mib * MIB),
        "disk_bytes": format_size(defaults.disk_bytes),
        "nat": "yes" if defaults.nat else "no",
        "ttl_s": "never" if not defaults.ttl_s else format_period(int(defaults.ttl_s)),
    }
    return {field: f"{value}, {defaults.origin(field)}" for field, value in shown.items()}


def chosen(options: Namespace) -> dict[str, str]:
    """What a request says of `--platform` and `--kernel`: nothing for what is not given."""
    given = {"platform": options.platform, "kernel": options.kernel}
    return {name: value for name, value in given.items() if value is not None}


def parse_platform_name(text: str) -> str:
    """A platform in the words that the daemon takes; raises `Invalid`."""
    return name_platform(parse_platform(text))


def parse_image(text: str) -> str:
    """The name of an image; raises `Invalid` for none."""
    if not text:
        raise Invalid("the name of the image is empty", hint="`banger image list` shows what is here")
    return text


def parse_vcpu(text: str) -> int:
    """A number of virtual processors; raises `Invalid`."""
    if not (text.isascii() and text.isdecimal()) or len(text) > 9 or not 1 <= int(text) <= VCPU_LIMIT:
        raise Invalid(f"--vcpu: {ascii(text)} is not possible", hint=f"give a number from 1 to {VCPU_LIMIT}")
    return int(text)


def parse_memory(text: str) -> int:
    """MiB of memory; raises `Invalid`."""
    size_bytes = _parse_within("--memory", text, MEMORY_BYTES_LIMITS)
    if size_bytes % MIB:
        raise Invalid(f"--memory: {ascii(text)} is not a whole number of MiB", hint="write 512M or 4G")
    return size_bytes // MIB


def parse_disk(text: str) -> int:
    """Bytes of a disk; raises `Invalid`."""
    return _parse_within("--disk", text, DISK_BYTES_LIMITS)


def _parse_within(option: str, text: str, limits: tuple[int, int]) -> int:
    size_bytes = parse_size(text)
    if not limits[0] <= size_bytes <= limits[1]:
        hint = f"give a size from {format_size(limits[0])} to {format_size(limits[1])}"
        raise Invalid(f"{option}: {format_size(size_bytes)} is not possible", hint=hint)
    return size_bytes
