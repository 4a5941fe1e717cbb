"""`banger internal-complete`: what the shells' completion asks. Not for people, so not in any help page."""

from __future__ import annotations

import shlex
from argparse import Namespace
from typing import TYPE_CHECKING, Final

from banger.cli.arguments import Parser
from banger.cli.completing import Answer, complete
from banger.cli.known_names import KnownNames
from banger.cli.main import load
from banger.core.errors import BangerError
from banger.core.untrusted import printable

if TYPE_CHECKING:
    from banger.cli.context import Context
    from banger.cli.table import Command

USAGE = "SHELL -- WORDS..."
DESCRIPTION = """\
Print what may stand where the last word is: `:` and which files may stand there too, then a candidate a line.
For bash, WORDS are its command line up to the cursor, and the characters at which it breaks words;
fish leaves the last word as it was typed."""
EXAMPLES = (("banger internal-complete fish -- vm exec b", "names of VMs that begin with b"),)
_MEANING_LIMIT: Final = 80


def declare(parser: Parser) -> None:
    parser.add_argument("shell", metavar="SHELL", choices=("bash", "zsh", "fish"), help="whose form it has")
    parser.take_command()


def run(context: Context, options: Namespace) -> int:
    words = options.command or [""]
    breaks = ""
    if options.shell == "bash":
        line, breaks = words[0], "".join(words[1:2])
        words = split_line(line)[1:] or [""]
    elif options.shell == "fish":
        words = [*words[:-1], "".join(split_line(words[-1])[:1])]  # as it was typed, with an open quotation
    try:
        answer = complete(words, names=KnownNames(context.environment), load=parser_of)
    except BangerError:
        answer = Answer()  # words that are no sentence have no end either
    context.write(render(answer, shell=options.shell, current=words[-1], breaks=breaks))
    return 0


def parser_of(command: Command) -> Parser:
    """A parser that knows what a command takes."""
    parser = Parser(command.words)
    load(command).declare(parser)
    return parser


def split_line(line: str) -> list[str]:
    """The words of an unfinished command line; the last one is empty when a space was typed after the one before."""
    for end in ("", "\\", "'", '"'):
        lexer = shlex.shlex(line + end, posix=True, punctuation_chars=False)
        lexer.whitespace_split = True
        lexer.commenters = ""
        try:
            words = list(lexer)
        except ValueError:  # an open quotation or escape: the closing character ends the word
            continue
        if not end and line[-1:].isspace() and line[-2:-1] != "\\":
            words.append("")
        return words
    return []


def render(answer: Answer, *, shell: str, current: str, breaks: str) -> str:
    """What the script of a shell reads. bash wants what follows the last break in a word, and no meanings."""
    cut = max((current.rfind(mark) + 1 for mark in "=:" if mark in breaks), default=0)
    lines = [f":{answer.files}"]
    for word, meaning in answer.candidates:
        shown = printable(meaning, limit=_MEANING_LIMIT)
        if shell == "bash":
            lines.append(word[cut:])
        elif shell == "zsh":
            lines.append(word.replace(":", "\\:") + (f":{shown}" if shown else ""))
        else:
            lines.append(f"{word}\t{shown}" if shown else word)
    return "".join(f"{line}\n" for line in lines)
