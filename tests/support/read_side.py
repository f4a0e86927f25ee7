"""The processes of the read side under test, and queries that never stop."""

import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import grpc

from orderes.v1 import projection_admin_service_pb2 as admin
from orderes.v1.consistency_pb2 import Consistency
from orderes.v1.projection_admin_service_pb2_grpc import ProjectionAdminServiceStub
from orderes.v1.query_service_pb2 import (
    GetCustomerSummaryRequest,
    GetOrderRequest,
    ListOrderEventsRequest,
    ListOrdersRequest,
    ListProductSalesRequest,
)
from orderes.v1.query_service_pb2_grpc import QueryServiceStub
from projector.bootstrap import verify
from tests.support.processes import StartedProcess, start_module, wait_until
from tests.support.rpc import Failure, failure_from
from tests.support.write_process import ANY_PORT

CALL_SECONDS_MAX = 20.0
STEP_SECONDS_MAX = 60.0
NAMES = ("customer_summary", "order_events", "orders", "product_sales")
_NEXT_RELEASE = "tests.support.next_release"
_OPTIONS = (("grpc.enable_retries", 0), ("grpc.use_local_subchannel_pool", 1))


def start_projector(data_dir: Path, *flags: str, newer: bool = False) -> StartedProcess:
    """Starts a projector on free ports, of this release or of a newer one."""
    return _start(
        "projector",
        data_dir,
        ("--projector-address", ANY_PORT, "--projector-metrics-address", ANY_PORT),
        flags,
        newer=newer,
    )


def start_read_server(
    data_dir: Path, *flags: str, newer: bool = False
) -> StartedProcess:
    """Starts a read server on free ports, of this release or of a newer one."""
    return _start(
        "read_server",
        data_dir,
        ("--read-address", ANY_PORT, "--read-metrics-address", ANY_PORT),
        flags,
        newer=newer,
    )


def _start(
    module: str,
    data_dir: Path,
    addresses: Sequence[str],
    flags: Sequence[str],
    *,
    newer: bool,
) -> StartedProcess:
    words = ("--data-dir", str(data_dir), *addresses, *flags)
    if newer:
        return start_module(_NEXT_RELEASE, module, *words)
    return start_module(module, *words)


class Operator:
    """Asks the ProjectionAdminService of a projector."""

    def __init__(self, process: StartedProcess) -> None:
        self._channel = grpc.insecure_channel(
            process.listening()["address"], options=_OPTIONS
        )
        self._stub = ProjectionAdminServiceStub(self._channel)

    def close(self) -> None:
        self._channel.close()

    def shown(self) -> dict[str, Any]:
        """Every projection, by name; none while the read store is not made."""
        try:
            answer = self._stub.ListProjections(
                admin.ListProjectionsRequest(), timeout=CALL_SECONDS_MAX
            )
        except grpc.RpcError:
            return {}
        return {projection.name: projection for projection in answer.projections}

    def rebuild(self, name: str) -> None:
        """Begins a rebuild."""
        self._stub.RebuildProjection(
            admin.RebuildProjectionRequest(name=name, reason="a test"),
            timeout=CALL_SECONDS_MAX,
        )

    def serves(self, generations: dict[str, int]) -> bool:
        """Whether each projection has come to a generation."""
        shown = self.shown()
        return bool(shown) and all(
            shown[name].generation >= number for name, number in generations.items()
        )


def wait_for(condition: Callable[[], bool], what: str) -> None:
    """Waits for a step of a run of several processes."""
    wait_until(condition, seconds_max=STEP_SECONDS_MAX, what=what)


@contextmanager
def at_the_end(data_dir: Path, *, newer: bool = False) -> Iterator[None]:
    """A projector that has caught up, which is stopped afterwards."""
    with (
        start_projector(data_dir, newer=newer) as projector,
        closing(Operator(projector)) as operator,
    ):

        def is_there() -> bool:
            shown = operator.shown().values()
            return bool(shown) and all(
                each.generation
                and each.position == each.head_position
                and not each.HasField("rebuild")
                for each in shown
            )

        wait_for(is_there, "the end of the log")
        yield
        assert projector.stop() == 0


def assert_verified(data_dir: Path) -> None:
    """Everything is as it should be, at the end of the log, and nothing was left out."""
    report = verify(data_dir, scratch_dir=None, on_progress=lambda *_: None)
    assert report.findings == []
    assert report.unsettled == []
    assert report.notes == []
    assert {each.projection for each in report.verified} == set(NAMES)
    assert {each.position for each in report.verified} == {report.events}
    sys.stdout.write(
        f"verified: {report.events} events, "
        f"{sum(each.rows for each in report.verified)} rows, no finding\n"
    )


class Queries:
    """Asks a read server, and notes how far its answers are."""

    def __init__(self, process: StartedProcess) -> None:
        self._channel = grpc.insecure_channel(
            process.listening()["address"], options=_OPTIONS
        )
        self._stub = QueryServiceStub(self._channel)

    def close(self) -> None:
        self._channel.close()

    def are_answered(self) -> bool:
        """Whether there is a read store to answer from."""
        try:
            self.ask("list", "", Consistency())
        except grpc.RpcError:
            return False
        return True

    def ask(self, name: str, order_id: str, consistency: Consistency) -> Any:
        """Asks the read model of that name.

        Raises:
            grpc.RpcError: it was not answered.
        """
        match name:
            case "orders":
                request: Any = GetOrderRequest(
                    order_id=order_id, consistency=consistency
                )
                call: Any = self._stub.GetOrder
            case "order_events":
                request = ListOrderEventsRequest(
                    order_id=order_id, consistency=consistency
                )
                call = self._stub.ListOrderEvents
            case "customer_summary":
                request = GetCustomerSummaryRequest(
                    customer_id="customer-1", consistency=consistency
                )
                call = self._stub.GetCustomerSummary
            case "product_sales":
                request = ListProductSalesRequest(consistency=consistency)
                call = self._stub.ListProductSales
            case _:
                request = ListOrdersRequest(page_size=3, consistency=consistency)
                call = self._stub.ListOrders
        return call(request, timeout=CALL_SECONDS_MAX)


def failure_in(error: grpc.RpcError) -> Failure:
    """What a call has failed with."""
    failed: Any = error
    trailers = dict(failed.trailing_metadata() or ())
    return failure_from(failed.code(), failed.details() or "", trailers)


class Asking:
    """Threads that ask for one thing each, again and again, until they are told to stop."""

    def __init__(
        self, process: StartedProcess, allowed: Callable[[Failure], bool]
    ) -> None:
        """`allowed` says which failures may be."""
        self._process = process
        self._allowed = allowed
        self._stopped = threading.Event()
        self.faults: list[str] = []
        self.answers: Counter[str] = Counter()
        self.failures: Counter[str] = Counter()
        self.longest_seconds = 0.0
        self._threads = [
            threading.Thread(target=self._ask_on, args=(name,))
            for name in (*NAMES, "list")
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stopped.set()
        for thread in self._threads:
            thread.join(2 * CALL_SECONDS_MAX)

    def _ask_on(self, name: str) -> None:
        queries = Queries(self._process)
        newest = 0
        while not self._stopped.wait(0.002):
            began = time.monotonic()
            try:
                answer = queries.ask(name, _NO_ORDER, Consistency())
            except grpc.RpcError as error:
                failure = failure_in(error)
                if failure.code is grpc.StatusCode.NOT_FOUND:
                    self.answers[name] += 1
                    continue
                self.failures[name] += 1
                if not self._allowed(failure):
                    self.faults.append(f"{name}: {failure}")
                continue
            self.longest_seconds = max(self.longest_seconds, time.monotonic() - began)
            self.answers[name] += 1
            position = answer.read_info.position
            if position < newest:
                self.faults.append(f"{name} went back from {newest} to {position}")
            newest = max(newest, position)
        queries.close()


_NO_ORDER = "01900000-0000-7000-8000-000000000000"


@contextmanager
def asked(
    process: StartedProcess, *, allowed: Callable[[Failure], bool] = lambda _: False
) -> Iterator[Asking]:
    """Queries that go on while the block runs; none of them fails or goes back in time."""
    process.wait_for_line('"event":"ready"')
    asking = Asking(process, allowed)
    asking.start()
    try:
        yield asking
    finally:
        asking.stop()
    assert asking.faults == [], asking.faults[:3]
    assert set(asking.answers) == {*NAMES, "list"}
