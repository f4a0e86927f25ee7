"""When a write can be read, and what it costs to be ready for it."""

import time

import grpc

from benchmarks.fleet import Say
from benchmarks.generator import requests
from benchmarks.ground import Ground
from benchmarks.process import wait_for
from benchmarks.read_side import (
    CALL_SECONDS_MAX,
    Projector,
    ReadServer,
    milliseconds,
    spread,
)
from benchmarks.report import Report
from benchmarks.server import WriteServer
from orderes.v1 import query_service_pb2 as pb2
from orderes.v1.command_service_pb2_grpc import CommandServiceStub
from orderes.v1.consistency_pb2 import Consistency

WRITES = 500
PAUSE_SECONDS = 0.02
"""Between two writes: nothing is under way when one comes."""
IDLE_SECONDS = 30.0
START_SECONDS_MAX = 600.0


def measure_visibility(ground: Ground, say: Say) -> Report:
    """Writes, and reads with the receipt's position; then does nothing, and looks.

    Args:
        ground: What is written to.
        say: Is told how far it is.
    """
    ground.prepare(say)
    with (
        WriteServer(ground.data_dir) as writer,
        Projector(ground.data_dir) as projector,
        ReadServer(ground.data_dir) as reader,
        grpc.insecure_channel(writer.address) as channel,
    ):
        wait_for(lambda: projector.is_at(ground.events), START_SECONDS_MAX)
        say(f"{WRITES} writes, each read back")
        visible, plain = _write_and_read(CommandServiceStub(channel), reader)
        say(f"nothing, for {IDLE_SECONDS:.0f} s")
        processes = {"projector": projector, "read server": reader}
        before = {name: each.cpu_seconds() for name, each in processes.items()}
        time.sleep(IDLE_SECONDS)
        idle = {
            name: (each.cpu_seconds() - before[name]) / IDLE_SECONDS
            for name, each in processes.items()
        }
        for each in (reader, projector, writer):
            each.stop()
    return Report(
        name="visibility",
        title=f"From the receipt to the answer that has it: {WRITES} orders, one at a time",
        rows=[
            ("GetOrder with its position", spread(visible)),
            ("GetOrder once it is there", spread(plain)),
            *(
                (f"CPU of an idle {name}", f"{share:.2%}")
                for name, share in idle.items()
            ),
        ],
        figures={
            "visible_milliseconds": milliseconds(visible),
            "plain_milliseconds": milliseconds(plain),
            "idle_cpu_share": idle,
        },
    )


def _write_and_read(
    commands: CommandServiceStub, reader: ReadServer
) -> tuple[list[float], list[float]]:
    """The seconds until each write was read, and those of the same query afterwards."""
    visible: list[float] = []
    plain: list[float] = []
    for _ in range(WRITES):
        time.sleep(PAUSE_SECONDS)
        placed = commands.PlaceOrder(requests.place_order(), timeout=CALL_SECONDS_MAX)
        demand = Consistency(min_position=placed.command.position)
        request = pb2.GetOrderRequest(
            order_id=placed.command.order_id, consistency=demand
        )
        for taken in (visible, plain):
            began = time.monotonic()
            reader.queries.GetOrder(request, timeout=CALL_SECONDS_MAX)
            taken.append(time.monotonic() - began)
    return visible, plain
