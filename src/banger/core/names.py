"""Names of VMs: parsed once, trusted afterwards, never rewritten.

A VM name is a DNS label (RFC 1123 section 2.1, lower case only): it becomes a host name, a file name and part of a
kernel command line.
"""

from __future__ import annotations

from typing import Final

from banger.core.errors import Invalid

_LETTERS_AND_DIGITS: Final = frozenset("abcdefghijklmnopqrstuvwxyz0123456789")
NAME_LIMIT: Final = 63

_ADJECTIVES: Final = tuple(
    "amber bold brave brisk calm clever cosy crisp dapper eager early fair fleet fresh gentle glad golden happy "
    "hardy honest humble jolly keen kind lively lucky mellow merry mild neat nimble plucky polite proud quick quiet "
    "ready rosy shiny silent sleek smart snug solid spry steady sunny swift tidy trusty vivid warm wise witty".split()
)
_NOUNS: Final = tuple(
    "acorn badger beaver birch bison brook canyon cedar cloud comet coral crane creek delta dune ember falcon fern "
    "finch fjord fox gecko glade grove harbor hazel heron ibis island juniper kestrel lagoon lark lynx maple marten "
    "meadow mesa minnow moss newt oak orchid osprey otter panda pebble pine plover puffin quail raven reef ridge "
    "robin sparrow spruce swan thistle tundra walnut willow wren".split()
)


def parse_vm_name(text: str) -> str:
    """Return `text` if it is a DNS label of 1 to 63 lower-case letters, digits and inner hyphens.

    Raises `Invalid` with the first thing that is wrong.
    """
    return _parse_label(text, "VM name")


def parse_image_name(text: str) -> str:
    """The same rule for what the user calls an image."""
    return _parse_label(text, "image name")


def _parse_label(text: str, what: str) -> str:
    hint = "use 1 to 63 lower-case letters, digits and hyphens, for example `my-box`"
    if not text:
        raise Invalid(f"the {what} cannot be empty", hint=hint)
    if len(text) > NAME_LIMIT:
        raise Invalid(f"the {what} is {len(text)} characters long; {NAME_LIMIT} are allowed", hint=hint)
    if text.startswith("-") or text.endswith("-"):
        raise Invalid(f"the {what} {ascii(text)} cannot start or end with a hyphen", hint=hint)
    for character in text:
        if character not in _LETTERS_AND_DIGITS and character != "-":
            raise Invalid(f"the {what} {ascii(text)} cannot contain {ascii(character)}", hint=hint)
    return text


def propose_vm_name(number: int) -> str:
    """Derive a readable name from a random `number` (at least 32 bits are used); always a valid VM name."""
    number, adjective = divmod(number, len(_ADJECTIVES))
    number, noun = divmod(number, len(_NOUNS))
    return f"{_ADJECTIVES[adjective]}-{_NOUNS[noun]}-{number % 1000:03d}"
