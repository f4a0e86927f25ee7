"""A burst at a server that is paused: stored to its bound, through kill -9, executed in order."""

import sqlite3
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from benchmarks.fleet import Say, generators, run_shared, soon
from benchmarks.generator.calls import QUEUE_FULL
from benchmarks.generator.jobs import Job, Tally, Work
from benchmarks.process import wait_for
from benchmarks.report import Report, counts, megabytes
from benchmarks.server import WriteServer

BURST_COMMANDS = 20_000
LIFE_COMMANDS = 4
CALLERS = 64
GENERATORS = 2
DRAIN_SECONDS_MAX = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What a store file says."""

    accepted: set[str]
    """Commands that are stored and not executed."""
    executed: set[str]
    events: int
    out_of_order: int
    """Commands that took effect before one of their order that was accepted earlier, or none."""


def kept_in(data_dir: Path) -> Kept:
    """Reads a store file."""
    path = data_dir / "write.db"
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        rows = connection.execute(
            "SELECT command_id, stage, stream_id, position FROM commands "
            "ORDER BY accept_sequence"
        ).fetchall()
        (events,) = connection.execute("SELECT count(*) FROM events").fetchone()
    accepted = {command_id for command_id, stage, *_ in rows if stage == "accepted"}
    newest: dict[bytes, int] = {}
    out_of_order = 0
    for command_id, stage, stream_id, position in rows:
        if command_id in accepted:
            continue
        out_of_order += stage != "committed" or position <= newest.get(stream_id, 0)
        newest[stream_id] = position
    executed = {command_id for command_id, *_ in rows} - accepted
    return Kept(
        accepted=accepted, executed=executed, events=events, out_of_order=out_of_order
    )


def measure_overflow(capacity: int, directory: Path, say: Say) -> Report:
    """Sends a burst to a paused server whose backlog holds so many commands, and lets it go on.

    Args:
        capacity: Of the backlog, in commands.
        directory: For the data.
        say: Is told how far it is.
    """
    flags = ("--full-policy", "overflow", "--backlog-capacity", str(capacity))
    memory: dict[str, int] = {}
    with WriteServer(directory, *flags) as server, generators(GENERATORS) as fleet:
        memory["at the start"] = server.resident_bytes()
        server.pause()
        say(f"{BURST_COMMANDS:,} commands at a paused server")
        job = Job(
            work=Work.LIVES,
            address=server.address,
            begin=soon(),
            callers=CALLERS,
            count=BURST_COMMANDS // LIFE_COMMANDS,
        )
        sent = run_shared(fleet, job)
        memory["with the backlog"] = server.resident_bytes()
        say("kill -9, and start")
        server.kill()
    killed = kept_in(directory)
    began = time.monotonic()
    with WriteServer(directory, *flags) as server:
        start_seconds = time.monotonic() - began
        memory["after kill -9"] = server.resident_bytes()
        found = server.status()
        say(f"{found.backlog:,} commands in the backlog: resume")
        began = time.monotonic()
        server.resume()
        wait_for(lambda: None if server.status().backlog else True, DRAIN_SECONDS_MAX)
        drain_seconds = time.monotonic() - began
        memory["when all is executed"] = server.resident_bytes()
        server.stop()
    return _report(
        capacity=capacity,
        sent=sent,
        killed=killed,
        paused=found.paused,
        recovered=found.backlog,
        ended=kept_in(directory),
        seconds=(start_seconds, drain_seconds),
        memory=memory,
    )


def _report(
    *,
    capacity: int,
    sent: Tally,
    killed: Kept,
    paused: bool,
    recovered: int,
    ended: Kept,
    seconds: tuple[float, float],
    memory: dict[str, int],
) -> Report:
    answered = set(sent.accepted)
    start_seconds, drain_seconds = seconds
    figures: dict[str, object] = {
        "backlog_capacity": capacity,
        "ended": sent.ended,
        "calls": sent.calls,
        "accept_seconds": sent.seconds,
        "lost": len(answered - killed.accepted),
        "stored_unasked": len(killed.accepted - answered),
        "executed_while_paused": len(killed.executed) + killed.events,
        "paused_after_kill": paused,
        "backlog_after_kill": recovered,
        "start_seconds": start_seconds,
        "drain_seconds": drain_seconds,
        "executed": len(ended.executed),
        "out_of_order": ended.out_of_order,
        "resident_bytes": memory,
    }
    full = sent.ended.get(QUEUE_FULL, 0)
    rows = [
        (
            "answers",
            (
                f"ACCEPTED {len(answered):,}, COMMAND_QUEUE_FULL {full:,}, of all: "
                f"{counts(sent.ended)}"
            ),
        ),
        ("accepting", f"{len(answered) / sent.seconds:,.0f} commands/s"),
        (
            "after kill -9",
            (
                f"{'still paused' if paused else 'NOT PAUSED'}, {recovered:,} in the backlog; "
                f"answered and not stored {len(answered - killed.accepted)}; stored and not "
                f"answered so {len(killed.accepted - answered)}; executed "
                f"{len(killed.executed)}; a start takes {start_seconds:.1f} s"
            ),
        ),
        (
            "after resume",
            (
                f"all {len(ended.executed):,} executed in {drain_seconds:.1f} s "
                f"({len(ended.executed) / drain_seconds:,.0f}/s); left over "
                f"{len(ended.accepted)}; out of order {ended.out_of_order}"
            ),
        ),
        ("memory", ", ".join(f"{megabytes(s)} {n}" for n, s in memory.items())),
    ]
    return Report(
        name=f"overflow_{capacity}",
        title=f"A burst of {BURST_COMMANDS:,}, paused, backlog of {capacity:,}",
        rows=rows,
        figures=figures,
    )
