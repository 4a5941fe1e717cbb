"""The catalogue that comes with banger. It has no signature: whoever could change it could change banger itself."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from banger.catalogue.document import Catalogue, parse_catalogue


@cache
def read_embedded() -> Catalogue:
    """The package's own catalogue."""
    return parse_catalogue((files(__package__) / "embedded.json").read_bytes(), place="banger's own catalogue")
