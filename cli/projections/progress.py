"""How far something is, shown while it goes on: a bar, or a plain line now and then."""

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console, RenderableType
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn
from rich.text import Text

from cli.output import console

LINE_SECONDS = 5.0
"""Between two lines where there is no terminal: a log is read later, by people."""


class Display(Protocol):
    """Shows how far something is, on stderr: stdout is for what comes of it."""

    out: Console
    """For what is told once, above what moves."""

    def show(self, percent: float, notes: Sequence[str]) -> None:
        """Shows how much of it is done, and what else there is to say of it now."""


@contextmanager
def displaying(name: str) -> Iterator[Display]:
    """A bar where people watch, plain lines everywhere else."""
    out = console(stderr=True)
    if out.is_terminal and not out.is_dumb_terminal:
        with _Bar(out) as bar:
            yield _Moving(out, bar, name)
    else:
        yield _Lines(out, name)


class _Bar(Progress):
    """A bar with its notes below it, where there is room for them."""

    def __init__(self, out: Console) -> None:
        self.notes = Text()  # First, because the library draws while it is made.
        super().__init__(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            TextColumn("{task.percentage:>3.0f} %"),
            console=out,
            expand=True,
        )

    def get_renderables(self) -> Iterable[RenderableType]:
        yield from super().get_renderables()
        if self.notes:
            yield self.notes


class _Moving:
    def __init__(self, out: Console, bar: _Bar, name: str) -> None:
        self.out = out
        self._bar = bar
        self._task = bar.add_task(escape(name), total=100)

    def show(self, percent: float, notes: Sequence[str]) -> None:
        self._bar.notes = Text("\n".join(f"  {note}" for note in notes), style="dim")
        self._bar.update(self._task, completed=percent)


class _Lines:
    def __init__(self, out: Console, name: str) -> None:
        self.out = out
        self._name = name
        self._due = 0.0

    def show(self, percent: float, notes: Sequence[str]) -> None:
        now = time.monotonic()
        if now < self._due:
            return
        self._due = now + LINE_SECONDS
        said = ", ".join([f"{percent:.0f} %", *notes])
        self.out.print(escape(f"{self._name}: {said}"))
