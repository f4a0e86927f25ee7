"""How the story is told: chapters, what was sent, what came back, and what holds."""

from dataclasses import dataclass
from textwrap import wrap

from rich.console import Console
from rich.markup import escape

from orderes.client.failure import Failure

STORY_WIDTH = 88
"""Columns of a paragraph: what reads well, also where the terminal is wider."""
INDENT = "  → "


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """Something that the demo says of OrderES, and whether it was so."""

    text: str
    holds: bool


class Telling:
    """Prints the story and keeps its claims."""

    def __init__(self, out: Console) -> None:
        self._out = out
        self._chapters = 0
        self.claims: list[Claim] = []

    def chapter(self, title: str) -> None:
        """Begins a chapter."""
        self._chapters += 1
        self._out.print(f"\n[bold]{self._chapters}. {escape(title)}[/bold]\n")

    def say(self, text: str) -> None:
        """A paragraph."""
        for line in wrap(text, STORY_WIDTH):
            self._out.print(escape(line))

    def go_on(self, text: str) -> None:
        """A paragraph within a chapter."""
        self._out.print()
        self.say(text)

    def sent(self, text: str) -> None:
        """What was sent."""
        self._marked("[cyan]→[/cyan]", text)

    def came(self, text: str) -> None:
        """What came back."""
        self._marked("[cyan]←[/cyan]", text)

    def note(self, text: str) -> None:
        """What the supervisor says meanwhile."""
        self._marked("[dim]·[/dim]", text)

    def refused(self, failure: Failure) -> None:
        """What came back, as a refusal."""
        parts = [failure.code.name, failure.reason, failure.rule]
        self.came(" · ".join(part for part in parts if part))
        self._marked(" ", failure.message)

    def claim(self, text: str, *, holds: bool) -> None:
        """Says what must be so now, and whether it is."""
        self.claims.append(Claim(text=text, holds=holds))
        if holds:
            self._marked("[green]✓[/green]", text)
        else:
            self._marked("[bold red]✗[/bold red]", f"does not hold: {text}")

    def summary(self, seconds: float) -> bool:
        """Ends the story; whether every claim held."""
        broken = [claim for claim in self.claims if not claim.holds]
        held = len(self.claims) - len(broken)
        total = f"{held} of {len(self.claims)} claims held, in {seconds:.0f} s"
        self._out.print(f"\n[bold]{total}.[/bold]")
        for claim in broken:
            self._out.print(f"  [bold red]✗[/bold red] {escape(claim.text)}")
        return not broken

    def _marked(self, mark: str, text: str) -> None:
        for line in wrap(text, STORY_WIDTH - len(INDENT)):
            self._out.print(f"  {mark} {escape(line)}")
            mark = " "
