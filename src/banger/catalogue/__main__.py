"""`python -m banger.catalogue`: what the maintainer of a catalogue needs. docs/images.md tells how it is used."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from banger.catalogue.keys import parse_keys
from banger.catalogue.signing import make_key, read_key, sign_catalogue, sign_rotation
from banger.catalogue.trust import Memory, judge
from banger.core.errors import BangerError


def main(argv: Sequence[str]) -> int:
    """Run one of the commands; its output is the document."""
    options = _parser().parse_args(argv)
    try:
        output = options.act(options)
    except BangerError as error:
        sys.stderr.write(f"{error.summary}\n" + (f"  {error.hint}\n" if error.hint else ""))
        return 1
    except OSError as error:
        sys.stderr.write(f"{error.filename}: {error.strerror}\n")
        return 1
    sys.stdout.buffer.write(output)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m banger.catalogue", description="Make and sign catalogues.")
    commands = parser.add_subparsers(required=True)
    new_key = commands.add_parser("new-key", help="make a private key; print the public one")
    new_key.add_argument("file", type=Path)
    new_key.set_defaults(act=_new_key)
    sign = commands.add_parser("sign", help="check a catalogue and print it signed")
    sign.add_argument("file", type=Path)
    sign.add_argument("--key", type=Path, action="append", required=True, help="a private key; may be given twice")
    sign.add_argument("--rotation", type=Path, action="append", default=[], help="each change of keys, oldest first")
    sign.set_defaults(act=_sign)
    rotate = commands.add_parser("rotate", help="print a statement that other keys sign from now on")
    rotate.add_argument("--catalogue", required=True, help="its name")
    rotate.add_argument("--number", type=int, required=True, help="1 for the first change, and so on")
    rotate.add_argument("--new-key", action="append", required=True, metavar="ed25519:...", help="a public key")
    rotate.add_argument("--key", type=Path, action="append", required=True, help="a private key from before")
    rotate.set_defaults(act=_rotate)
    check = commands.add_parser("check", help="say whether a signed catalogue is believed")
    check.add_argument("file", type=Path)
    check.add_argument("--key", action="append", required=True, metavar="ed25519:...", help="a public key")
    check.set_defaults(act=_check)
    return parser


def _new_key(options: argparse.Namespace) -> bytes:
    return f"{make_key(options.file)}\n".encode()


def _sign(options: argparse.Namespace) -> bytes:
    rotations = [path.read_bytes() for path in options.rotation]
    return sign_catalogue(options.file.read_bytes(), [read_key(path) for path in options.key], rotations=rotations)


def _rotate(options: argparse.Namespace) -> bytes:
    keys = [read_key(path) for path in options.key]
    return sign_rotation(options.catalogue, options.number, options.new_key, keys)


def _check(options: argparse.Namespace) -> bytes:
    verdict = judge(
        options.file.read_bytes(),
        place=str(options.file),
        keys=parse_keys(options.key),
        memory=Memory(),
        now=datetime.now(UTC),
    )
    catalogue = verdict.catalogue
    return (
        f"{catalogue.name}, version {catalogue.version}, {len(catalogue.entries)} entries,"
        f" signed by {verdict.signer.id}, good until {catalogue.expires:%Y-%m-%d}\n"
    ).encode()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
