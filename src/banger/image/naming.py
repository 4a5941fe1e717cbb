"""The default name of an image from a registry. Pure."""

from __future__ import annotations

import re
from typing import Final

from banger.core.errors import Invalid
from banger.core.names import parse_image_name
from banger.image.digests import shorten
from banger.image.reference import DEFAULT_TAG, Reference

_NAME_LIMIT: Final = 63
_NOT_IN_NAMES: Final = re.compile(r"[^a-z0-9]+")


def looks_like_reference(text: str) -> bool:
    """Whether a text can only mean an image of a registry, because names here have another form."""
    return any(character in text for character in "/:@")


def name_reference(reference: Reference) -> str:
    """The last part of the repository, with the tag or the digest where it says something: `alpine-3-20`.

    Raises `Invalid` for what makes no name.
    """
    base = reference.repository.rpartition("/")[2]
    version = reference.tag if reference.tag not in (None, DEFAULT_TAG) else None
    if reference.tag is None and reference.digest is not None:
        version = shorten(reference.digest)
    whole = f"{base}-{version}" if version else base
    name = _NOT_IN_NAMES.sub("-", whole.lower())[:_NAME_LIMIT].strip("-")
    try:
        return parse_image_name(name)
    except Invalid as error:
        raise Invalid(
            f"{reference.familiar} cannot be turned into an image name", hint="choose one with --name"
        ) from error
