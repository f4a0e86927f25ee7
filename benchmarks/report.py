"""What a measure found: rows for people, figures for programs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

WIDTH = 78


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The findings of one measure."""

    name: str
    """As it is called in the JSON file."""
    title: str
    rows: Sequence[tuple[str, str]]
    """What, and how much of it, with its unit."""
    figures: Mapping[str, object]
    """The same, and more of it, for a JSON file."""


def table(title: str, rows: Sequence[tuple[str, str]]) -> str:
    """The rows under their title, in two columns."""
    width = max(len(label) for label, _ in rows)
    lines = [f"  {label:<{width}}  {value}" for label, value in rows]
    return "\n".join([title, "-" * WIDTH, *lines])


def megabytes(size: float) -> str:
    """A size in bytes, as one reads it."""
    return f"{size / 2**20:.0f} MB"


def counts(ended: Mapping[str, int]) -> str:
    """How often each thing happened, most frequent first."""
    ordered = sorted(ended.items(), key=lambda pair: -pair[1])
    return ", ".join(f"{name} {count:,}" for name, count in ordered) or "none"
