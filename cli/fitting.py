"""What is fitted to the width of a terminal: prose, and lines to type."""

import re
from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.text import Text

from cli.program import own_command

TYPED_INDENT = 4
CONTINUED_INDENT = 8
"""Of what follows when a line to type is broken."""

_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]")


def printable(text: str) -> str:
    """Text from elsewhere without what would steer a terminal; lines stay lines."""
    return _CONTROL.sub(" ", text)


def print_prose(out: Console, text: str, *, indent: int = 0, style: str = "") -> None:
    """Shows text that comes from elsewhere, broken at words, each line indented."""
    for line in Text(printable(text)).wrap(out, max(out.width - indent, 1)):
        shown = escape(line.plain.rstrip())
        out.print(" " * indent + (f"[{style}]{shown}[/{style}]" if style else shown))


def print_typed(out: Console, parts: Sequence[str]) -> None:
    """Shows a line of this program to type, on lines of its own.

    Where the terminal is too narrow for it, it is broken between its parts, in the way
    that a shell puts together again.

    Args:
        out: Where to.
        parts: What stands behind the program, each part unbroken; empty ones are left
            out.
    """
    first, *others = [part for part in parts if part]
    lines = [f"{' ' * TYPED_INDENT}{own_command()} {first}"]
    for part in others:
        # Two columns are kept for the mark of a line that goes on.
        if len(lines[-1]) + 1 + len(part) <= out.width - 2:
            lines[-1] += f" {part}"
        else:
            lines.append(f"{' ' * CONTINUED_INDENT}{part}")
    for line in lines[:-1]:
        out.print(f"{escape(line)} \\")
    out.print(escape(lines[-1]))
