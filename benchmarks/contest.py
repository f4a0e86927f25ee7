"""Several things measured against each other, in turns: what the machine does hits all of them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

from benchmarks.fleet import LoadGenerator, Say, percentile, run_shared
from benchmarks.generator.jobs import Job, Tally
from benchmarks.process import ServerProcess


@dataclass(frozen=True, slots=True, kw_only=True)
class Entrant:
    """What is measured, on a server that runs."""

    server: ServerProcess
    job: Callable[[float], Job]
    """The load, for so many seconds."""


@dataclass(slots=True)
class Standing:
    """What was found of an entrant, round by round."""

    rates: list[float] = field(default_factory=list)
    """Items per second."""
    cpu_seconds: list[float] = field(default_factory=list)
    """Of the server, per item."""
    latencies: list[float] = field(default_factory=list)
    """Of all calls, in seconds."""
    ended: dict[str, int] = field(default_factory=dict)
    """Calls by status."""

    def add(self, tally: Tally, cpu_seconds: float) -> None:
        """Takes in a round."""
        items = max(tally.succeeded, 1)
        self.rates.append(tally.succeeded / tally.seconds)
        self.cpu_seconds.append(cpu_seconds / items)
        self.latencies += tally.latencies
        for status, count in tally.calls.items():
            self.ended[status] = self.ended.get(status, 0) + count

    @property
    def rate(self) -> float:
        return median(self.rates)

    @property
    def cpu(self) -> float:
        return median(self.cpu_seconds)

    def latency(self, share: float) -> float:
        """What that share of the calls did not exceed, in seconds."""
        return percentile(self.latencies, share)


def ratios(these: Sequence[float], those: Sequence[float]) -> list[float]:
    """Round by round: what the machine did in one of them is in both."""
    return [one / other for one, other in zip(these, those, strict=True)]


def compete(
    entrants: Mapping[str, Entrant],
    fleet: Sequence[LoadGenerator],
    *,
    rounds: int,
    seconds: float,
    say: Say,
) -> dict[str, Standing]:
    """Runs all entrants in each round, one after the other.

    Args:
        entrants: By name.
        fleet: What sends their load.
        rounds: How many.
        seconds: How long each has in each of them.
        say: Is told how far it is.
    """
    standings = {name: Standing() for name in entrants}
    for number in range(rounds):
        say(f"round {number + 1} of {rounds}")
        # Every other round goes backwards, so that nobody always comes after the same one.
        order = list(entrants)[:: -1 if number % 2 else 1]
        for name in order:
            entrant = entrants[name]
            used = entrant.server.cpu_seconds()
            tally = run_shared(fleet, entrant.job(seconds))
            standings[name].add(tally, entrant.server.cpu_seconds() - used)
    return standings
