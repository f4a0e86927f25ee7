"""The write server as its operators see it, from any thread."""

from types import TracebackType
from typing import Self

import grpc

from orderes.v1 import write_admin_service_pb2 as pb2
from orderes.v1.write_admin_service_pb2_grpc import WriteAdminServiceStub
from tests.support.processes import StartedProcess, wait_until

REASON = "a test"
CALL_SECONDS_MAX = 10.0
BACKLOG_SECONDS_MAX = 30.0


class Administration:
    """Asks the WriteAdminService of a process."""

    def __init__(self, process: StartedProcess) -> None:
        self._channel = grpc.insecure_channel(
            process.listening()["admin_address"],
            options=[("grpc.enable_retries", 0), ("grpc.use_local_subchannel_pool", 1)],
        )
        self._stub = WriteAdminServiceStub(self._channel)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._channel.close()

    def status(self) -> pb2.GetWriteStatusResponse:
        return self._stub.GetWriteStatus(
            pb2.GetWriteStatusRequest(), timeout=CALL_SECONDS_MAX
        )

    def pause(self) -> None:
        self._stub.PauseExecution(
            pb2.PauseExecutionRequest(reason=REASON), timeout=CALL_SECONDS_MAX
        )

    def resume(self) -> None:
        self._stub.ResumeExecution(
            pb2.ResumeExecutionRequest(reason=REASON), timeout=CALL_SECONDS_MAX
        )

    def wait_until_executed(self) -> None:
        """Waits until nothing is left to be executed."""
        wait_until(
            lambda: self.status().backlog == 0,
            seconds_max=BACKLOG_SECONDS_MAX,
            what="an empty backlog",
        )
