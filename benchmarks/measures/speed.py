"""Commands and queries beside the least that a gRPC server in Python can do."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks.contest import Entrant, Standing, compete, ratios
from benchmarks.fleet import LoadGenerator, Say, generators, run_shared, soon
from benchmarks.generator.jobs import Job, Work
from benchmarks.process import ServerProcess, wait_for
from benchmarks.read_side import Projector, ReadServer
from benchmarks.report import Report, counts
from benchmarks.server import WriteServer

GENERATORS = 2
WARM_UP_ORDERS = 2_000
CATCH_UP_SECONDS_MAX = 120.0
ECHO_ADDRESSES = ("--echo-address",)
BATCH_CALLERS = 4
STREAM_CALLERS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """What a row of the table has to reach, as a ratio to the echo of the same callers."""

    row: str
    echo: str
    rate_min: float
    """Of the target."""
    rate_floor: float
    """Below it something is broken."""
    cpu_max: float | None = None
    cpu_ceiling: float | None = None


BOUNDS = (
    Bound(
        row="PlaceOrder, 64 callers",
        echo="echo, 64 callers",
        rate_min=0.70,
        rate_floor=0.50,
        cpu_max=1.40,
        cpu_ceiling=1.8,
    ),
    Bound(
        row="PlaceOrder, 256 callers",
        echo="echo, 256 callers",
        rate_min=0.75,
        rate_floor=0.50,
    ),
    Bound(
        row="PlaceOrder, 16 callers",
        echo="echo, 16 callers",
        rate_min=0.55,
        rate_floor=0.38,
    ),
    Bound(
        row="PlaceOrder, 1 caller",
        echo="echo, 1 caller",
        rate_min=0.45,
        rate_floor=0.30,
    ),
    Bound(
        row="SubmitCommands, batches of 100",
        echo="echo, 64 callers",
        rate_min=4.5,
        rate_floor=2.5,
        cpu_max=0.16,
        cpu_ceiling=0.3,
    ),
    Bound(
        row="StreamCommands",
        echo="echo, 64 callers",
        rate_min=2.0,
        rate_floor=1.2,
    ),
    Bound(
        row="GetOrder, 64 callers",
        echo="echo, 64 callers",
        rate_min=0.88,
        rate_floor=0.65,
    ),
    Bound(
        row="GetOrder with min_position, 64 callers",
        echo="echo, 64 callers",
        rate_min=0.85,
        rate_floor=0.65,
    ),
)


def measure_speed(rounds: int, seconds: float, data_dir: Path, say: Say) -> Report:
    """Runs every row in turns with the echo.

    Args:
        rounds: How many.
        seconds: How long each row has in each of them.
        data_dir: For the data.
        say: Is told how far it is.
    """
    with ExitStack() as stack:
        echo = stack.enter_context(
            ServerProcess("benchmarks.echo", data_dir, ECHO_ADDRESSES)
        )
        writer = stack.enter_context(WriteServer(data_dir))
        projector = stack.enter_context(Projector(data_dir))
        reader = stack.enter_context(ReadServer(data_dir))
        fleet = stack.enter_context(generators(GENERATORS))
        say("warming up")
        position = _warm_up(writer, projector, fleet)
        standings = compete(
            _entrants(echo, writer, reader, position),
            fleet,
            rounds=rounds,
            seconds=seconds,
            say=say,
        )
    return _report(standings, rounds, seconds)


def _warm_up(
    writer: WriteServer, projector: Projector, fleet: Sequence[LoadGenerator]
) -> int:
    """Places the orders that are asked for later; up to which position they go."""
    job = Job(
        work=Work.PREPARE, address=writer.address, begin=0.0, count=WARM_UP_ORDERS
    )
    run_shared(fleet, job)
    wait_for(lambda: projector.is_at(WARM_UP_ORDERS), CATCH_UP_SECONDS_MAX)
    return WARM_UP_ORDERS


def _entrants(
    echo: ServerProcess, writer: ServerProcess, reader: ServerProcess, position: int
) -> dict[str, Entrant]:
    def load(
        work: Work, server: ServerProcess, callers: int, *, min_position: int = 0
    ) -> Entrant:
        def job(seconds: float) -> Job:
            return Job(
                work=work,
                address=server.address,
                begin=soon(),
                callers=callers,
                seconds=seconds,
                min_position=min_position,
            )

        return Entrant(server=server, job=job)

    entrants: dict[str, Entrant] = {}
    for callers in (64, 256, 16, 1):
        of = f"{callers} caller{'s'[: callers > 1]}"
        entrants[f"echo, {of}"] = load(Work.ECHO, echo, callers)
        entrants[f"PlaceOrder, {of}"] = load(Work.PLACE, writer, callers)
    return entrants | {
        "SubmitCommands, batches of 100": load(Work.BATCHES, writer, BATCH_CALLERS),
        "StreamCommands": load(Work.STREAM, writer, STREAM_CALLERS),
        "GetOrder, 64 callers": load(Work.GET, reader, 64),
        "GetOrder with min_position, 64 callers": load(
            Work.GET, reader, 64, min_position=position
        ),
    }


def _report(standings: dict[str, Standing], rounds: int, seconds: float) -> Report:
    rows: list[tuple[str, str]] = []
    figures: dict[str, object] = {}
    for name, standing in standings.items():
        rows.append((name, _text(standing)))
        figures[name] = {
            "per_second": standing.rates,
            "server_cpu_seconds_each": standing.cpu_seconds,
            "p50_seconds": standing.latency(0.5) if standing.latencies else None,
            "p99_seconds": standing.latency(0.99) if standing.latencies else None,
            "calls": standing.ended,
        }
    short: list[str] = []
    for bound in BOUNDS:
        row, echo = standings[bound.row], standings[bound.echo]
        found = ratios(row.rates, echo.rates)
        rate, cpu = median(found), row.cpu / echo.cpu
        figures[f"{bound.row} / {bound.echo}"] = {"rates": found, "cpu": cpu}
        rows.append((f"{bound.row} / echo", _ratio_text(bound, found, cpu)))
        if rate < bound.rate_floor:
            short.append(f"{bound.row}: rate {rate:.2f} of the echo's")
        if bound.cpu_ceiling is not None and cpu > bound.cpu_ceiling:
            short.append(f"{bound.row}: CPU {cpu:.2f} of the echo's")
    figures["below_the_floor"] = short
    rows.append(("below the floor", ", ".join(short) or "nothing"))
    return Report(
        name="speed",
        title=(
            f"Beside an empty RPC on the same machine: {rounds} rounds in turns, "
            f"{seconds:g} s each, medians; load from {GENERATORS} Python processes"
        ),
        rows=rows,
        figures=figures,
    )


def _text(standing: Standing) -> str:
    rates = f"{min(standing.rates):,.0f} to {max(standing.rates):,.0f}"
    text = f"{standing.rate:,.0f}/s ({rates}), CPU {1e6 * standing.cpu:.0f} µs"
    if standing.latencies:
        p50, p99 = (1e3 * standing.latency(share) for share in (0.5, 0.99))
        text = f"{text}; p50 {p50:.1f} ms, p99 {p99:.1f} ms"
    return f"{text}; {counts(standing.ended)}"


def _ratio_text(bound: Bound, found: Sequence[float], cpu: float) -> str:
    text = (
        f"rate {median(found):.2f} ({min(found):.2f} to {max(found):.2f}), target "
        f"{bound.rate_min:.2f}; CPU {cpu:.2f}"
    )
    return text if bound.cpu_max is None else f"{text}, target {bound.cpu_max:.2f}"
