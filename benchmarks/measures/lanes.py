"""Payments while bulk work takes all that it can get."""

from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from benchmarks.fleet import (
    LoadGenerator,
    Say,
    generators,
    merged,
    percentile,
    soon,
)
from benchmarks.generator.jobs import Job, Tally, Work
from benchmarks.report import Report, counts
from benchmarks.server import Watched, WriteServer, watched

ROUNDS = 5
IDLE_SHARE = 0.4
"""Of a round; the rest is under load."""

PAYMENTS_PER_SECOND = 100.0
BATCH_CALLERS = 12
"""Together they send more than the bulk lane holds."""

STREAMS = 4
BULK_LEAD_SECONDS = 1.0
"""The bulk lane is full before the payments begin."""


@dataclass(slots=True)
class _Found:
    idle: list[Tally] = field(default_factory=list)
    loaded: list[Tally] = field(default_factory=list)
    batches: list[Tally] = field(default_factory=list)
    streams: list[Tally] = field(default_factory=list)


class _Scene:
    """A server, a process that pays, and two that send bulk work."""

    def __init__(self, server: WriteServer, fleet: list[LoadGenerator]) -> None:
        self._server = server
        self._payer, self._batching, self._streaming = fleet

    def prepare(self, orders: int) -> None:
        """Places the orders that are going to be paid."""
        job = Job(
            work=Work.PREPARE, address=self._server.address, begin=0.0, count=orders
        )
        self._payer.start(job)
        self._payer.tally()

    def pay(self, begin: float, seconds: float) -> Tally:
        """Payments of that long."""
        self._payer.start(
            Job(
                work=Work.PAY,
                address=self._server.address,
                begin=begin,
                seconds=seconds,
                per_second=PAYMENTS_PER_SECOND,
            )
        )
        return self._payer.tally()

    def pay_under_load(self, seconds: float) -> tuple[Tally, Tally, Tally]:
        """The payments, the batches and the streams beside them."""
        begin = soon()
        for generator, work, callers in (
            (self._batching, Work.BATCHES, BATCH_CALLERS),
            (self._streaming, Work.STREAM, STREAMS),
        ):
            job = Job(
                work=work,
                address=self._server.address,
                begin=begin,
                callers=callers,
                seconds=seconds + 2 * BULK_LEAD_SECONDS,
            )
            generator.start(job)
        paid = self.pay(begin + BULK_LEAD_SECONDS, seconds)
        return paid, self._batching.tally(), self._streaming.tally()


def measure_lanes(seconds: float, directory: Path, say: Say) -> Report:
    """Pays with nobody else there, and with bulk work beside it, in turns.

    Args:
        seconds: How long payments are made, in all.
        directory: For the data.
        say: Is told how far it is.
    """
    found = _Found()
    with WriteServer(directory) as server, generators(3) as fleet:
        scene = _Scene(server, fleet)
        scene.prepare(int(seconds * PAYMENTS_PER_SECOND) + ROUNDS)
        idle_seconds = IDLE_SHARE * seconds / ROUNDS
        with watched(server) as seen:
            for number in range(ROUNDS):
                say(f"round {number + 1} of {ROUNDS}: idle")
                found.idle.append(scene.pay(soon(), idle_seconds))
                say(f"round {number + 1} of {ROUNDS}: beside bulk work")
                paid, batches, streams = scene.pay_under_load(
                    seconds / ROUNDS - idle_seconds
                )
                found.loaded.append(paid)
                found.batches.append(batches)
                found.streams.append(streams)
        server.stop()
    return _report(found, seen)


def _report(found: _Found, seen: Watched) -> Report:
    idle = _payments("idle", found.idle)
    loaded = _payments("beside bulk work", found.loaded)
    ratio = _p99(found.loaded) / _p99(found.idle)
    batches = _bulk("SubmitCommands", found.batches)
    streams = _bulk("StreamCommands", found.streams)
    deepest = {lane: seen.deepest(lane) for lane in seen.depths}
    depths = ", ".join(
        f"{lane} {depth} of {seen.capacities[lane]}" for lane, depth in deepest.items()
    )
    figures: dict[str, object] = {
        "ratio": ratio,
        "depth_max": deepest,
        "capacity": seen.capacities,
    }
    for part in (idle, loaded, batches, streams):
        figures |= part.figures
    return Report(
        name="lanes",
        title=f"Payments beside bulk work, {ROUNDS} rounds in turns, medians",
        rows=[
            *idle.rows,
            *loaded.rows,
            ("p99 beside bulk work / idle", f"{ratio:.1f}"),
            *batches.rows,
            *streams.rows,
            ("lanes, deepest seen", depths),
        ],
        figures=figures,
    )


def _payments(when: str, tallies: list[Tally]) -> Report:
    whole = merged(tallies)
    p50 = median(percentile(tally.latencies, 0.5) for tally in tallies)
    title = f"RecordPayment, {when}"
    latency = f"p50 {1000 * p50:.1f} ms, p99 {1000 * _p99(tallies):.1f} ms"
    return Report(
        name=title,
        title=title,
        rows=[(title, f"{latency}; {counts(whole.ended)}")],
        figures={
            title: {
                "p50_seconds": p50,
                "p99_seconds": [percentile(t.latencies, 0.99) for t in tallies],
                "ended": whole.ended,
                "calls": whole.calls,
            }
        },
    )


def _bulk(rpc: str, tallies: list[Tally]) -> Report:
    whole = merged(tallies)
    rate = median(tally.succeeded / tally.seconds for tally in tallies)
    title = f"bulk, {rpc}"
    return Report(
        name=title,
        title=title,
        rows=[
            (title, f"{rate:,.0f} commands/s: {counts(whole.ended)}"),
            ("  calls", counts(whole.calls)),
        ],
        figures={
            title: {
                "commands_per_second": rate,
                "ended": whole.ended,
                "calls": whole.calls,
            }
        },
    )


def _p99(tallies: list[Tally]) -> float:
    return median(percentile(tally.latencies, 0.99) for tally in tallies)
