"""The processes that send load, as the process that measures sees them."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace

import msgspec

from benchmarks.generator.jobs import Job, Tally

LEAD_SECONDS = 0.3
"""From handing jobs out to their beginning: by then every generator is connected."""


class LoadGenerator:
    """A process that does jobs."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.generator"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def start(self, job: Job) -> None:
        """Has it do a job; `tally` waits for its end."""
        assert self._process.stdin is not None
        self._process.stdin.write(msgspec.json.encode(job).decode() + "\n")
        self._process.stdin.flush()

    def tally(self) -> Tally:
        """How the job ended.

        Raises:
            RuntimeError: the process has ended instead; it has said why on stderr.
        """
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("a load generator has ended before its job did")
        return msgspec.json.decode(line, type=Tally)

    def close(self) -> None:
        """Ends the process."""
        self._process.kill()
        self._process.communicate()


@contextmanager
def generators(count: int) -> Iterator[list[LoadGenerator]]:
    """That many processes."""
    with ExitStack() as stack:
        fleet: list[LoadGenerator] = []
        for _ in range(count):
            fleet.append(LoadGenerator())
            stack.callback(fleet[-1].close)
        yield fleet


def soon() -> float:
    """When a job can begin that is handed out now."""
    return time.monotonic() + LEAD_SECONDS


def run_shared(fleet: Sequence[LoadGenerator], job: Job) -> Tally:
    """Does a job with all generators: its callers and its count are shared among them."""
    share = replace(
        job, callers=job.callers // len(fleet) or 1, count=job.count // len(fleet)
    )
    for generator in fleet:
        generator.start(share)
    return merged([generator.tally() for generator in fleet])


def merged(tallies: Sequence[Tally]) -> Tally:
    """Tallies of jobs that were done side by side, as one."""
    whole = Tally(seconds=max(tally.seconds for tally in tallies))
    for tally in tallies:
        whole.succeeded += tally.succeeded
        whole.latencies += tally.latencies
        whole.accepted += tally.accepted
        add_counts(whole.ended, tally.ended)
        add_counts(whole.calls, tally.calls)
    return whole


def add_counts(total: dict[str, int], more: dict[str, int]) -> None:
    """Adds counts to those that are there."""
    for name, count in more.items():
        total[name] = total.get(name, 0) + count


def percentile(values: Sequence[float], share: float) -> float:
    """The value that this share of them does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


Say = Callable[[str], None]
"""Tells people how far it is."""
