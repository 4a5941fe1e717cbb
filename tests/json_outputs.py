"""Documents that commands print with `--json`, compared with what is promised of them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from jsonschema import Draft202012Validator

from banger.api.outputs import OUTPUTS, schema
from banger.cli.table import ALIASES


def check_output(words: Sequence[str], document: object) -> None:
    """Fail unless the document is what the command that these words call promises, and nothing beyond that."""
    words = [*ALIASES.get(tuple(words[:1]), words[:1]), *words[1:]]
    command = next(" ".join(words[:count]) for count in (3, 2, 1) if " ".join(words[:count]) in OUTPUTS)
    _validator(command).validate(document)


def check_failure(document: object) -> None:
    """Fail unless it is what a command prints that fails."""
    _validator(None).validate(document)


@cache
def _validator(command: str | None) -> Draft202012Validator:
    whole = schema()
    for definition in whole["$defs"].values():
        if "properties" in definition:
            definition["additionalProperties"] = False
    root = whole["failure"] if command is None else whole["commands"][command]
    document: dict[str, Any] = {"$defs": whole["$defs"], **root}
    Draft202012Validator.check_schema(document)
    return Draft202012Validator(document)
