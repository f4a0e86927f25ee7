"""Events as they happen, over as many streams as it takes.

Where a stream breaks, the next one goes on after the position that was reached: without a
gap, and without a repetition.
"""

import random
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace

import grpc
from google.rpc import status_pb2

from cli.client import CallIterator, Server
from cli.refused import may_pass
from orderes.client.failure import Failure, failure_of
from orderes.v1.query_service_pb2 import WatchOrdersRequest, WatchOrdersResponse
from orderes.v1.query_service_pb2_grpc import QueryServiceStub

MARK_SECONDS = 10.0
"""How often a server sends a mark that is not told otherwise."""
MARKS_OVERDUE_MAX = 3
"""Then the connection is taken for dead: a network may go away without a word."""
LOOK_SECONDS = 0.5
"""How late that is noticed at most."""
BACKOFF_SECONDS_MIN = 0.1
BACKOFF_SECONDS_MAX = 5.0
JITTER = 0.25
"""Share by which a wait is longer at most: not everybody comes back at once."""

_RANDOM = random.SystemRandom()


class WatchFailed(Exception):
    """The server said no, or has never answered."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


class Watching:
    """Reads events and marks, and keeps the position to go on from.

    A server that does not answer the first time is taken for missing. One that has
    answered is waited for, however long it is away.
    """

    def __init__(
        self,
        server: Server,
        request: WatchOrdersRequest,
        *,
        tell: Callable[[str], None],
    ) -> None:
        """Opens nothing yet.

        Args:
            server: The read server. A stream may take its `timeout_seconds` to begin.
            request: What is watched, and from where on.
            tell: Is told in words when a stream breaks, and when another goes on.
        """
        self._server = server
        self._tell = tell
        self._is_broken = False
        self.has_answered = False
        """Whether anything has come at all."""
        self.request = WatchOrdersRequest()
        """What to ask for to go on from here."""
        self.request.CopyFrom(request)

    def responses(self) -> Generator[WatchOrdersResponse]:
        """Events and marks, until the caller has enough of them.

        What was yielded counts as reached once the next one is asked for: who is
        interrupted in between may see it again, and misses nothing.

        Raises:
            WatchFailed: the server said no, or has never answered.
        """
        backoff_seconds = BACKOFF_SECONDS_MIN
        while True:
            failure = None
            begun_after = self.request.after_position
            try:
                with closing(self._stream()) as stream:
                    for response in stream:
                        yield response
                        self._reach(response)
            except WatchFailed as error:
                failure = error.failure
                if not (self.has_answered and may_pass(failure)):
                    raise
            self._tell_once_of(failure)
            if self.request.after_position > begun_after:  # It was worth opening.
                backoff_seconds = BACKOFF_SECONDS_MIN
            time.sleep(_wait_seconds(failure, backoff_seconds))
            backoff_seconds = min(2 * backoff_seconds, BACKOFF_SECONDS_MAX)

    def _stream(self) -> Generator[WatchOrdersResponse]:
        """What one stream brings.

        Raises:
            WatchFailed: it broke.
        """
        # From the second one on, whoever waits is told so instead of the library's wait.
        server = replace(self._server, retrying=not self.has_answered)
        opened = server.stream(
            QueryServiceStub, lambda queries: queries.WatchOrders, self.request
        )
        with opened as call, _patience(call) as patience:
            seconds_max = self._server.timeout_seconds
            answers = iter(call)
            while True:
                patience.begin(seconds_max)
                try:
                    response = next(answers)
                except StopIteration:
                    return
                except grpc.RpcError as error:
                    raise WatchFailed(patience.failure or failure_of(error)) from error
                patience.end()
                self.has_answered = True
                if self._is_broken:
                    self._is_broken = False
                    self._tell(f"connected again, going on {self._place()}")
                yield response
                seconds_max = self._silence_seconds()

    def _tell_once_of(self, failure: Failure | None) -> None:
        """Says that there is no stream any more; while it lasts that is said once."""
        if not self._is_broken:
            broke = f"the stream broke {self._place()}{_why(failure)}"
            self._tell(f"{broke}; connecting again")
        self._is_broken = True

    def _reach(self, response: WatchOrdersResponse) -> None:
        match response.WhichOneof("content"):
            case "event":
                self.request.after_position = response.event.position
            case "mark":
                self.request.after_position = response.mark.position
                # Positions of another store would be misread after a reconnect.
                self.request.store_id = response.mark.store_id
            case _:
                pass  # A newer server may send what is not known here.

    def _place(self) -> str:
        return f"after position {self.request.after_position}"

    def _silence_seconds(self) -> float:
        interval = self.request.checkpoint_interval.ToTimedelta().total_seconds()
        return MARKS_OVERDUE_MAX * (interval or MARK_SECONDS)


class _Patience:
    """Cancels a call that is waited on for too long. A thread of its own looks at the
    clock, because who waits cannot.
    """

    def __init__(self, call: CallIterator[WatchOrdersResponse]) -> None:
        self._call = call
        self._seconds_max = 0.0
        self._ends_at: float | None = None
        self._is_over = threading.Event()
        self.failure: Failure | None = None
        """Why it was cancelled, if it was."""

    def begin(self, seconds_max: float) -> None:
        """The wait for the next answer begins."""
        self._seconds_max = seconds_max
        self._ends_at = time.monotonic() + seconds_max

    def end(self) -> None:
        """It has come: what is done with it may take its time."""
        self._ends_at = None

    def close(self) -> None:
        """Nobody waits any more."""
        self._is_over.set()

    def watch(self) -> None:
        """Looks at the clock until it is closed, or has cancelled the call."""
        while not self._is_over.wait(LOOK_SECONDS):
            ends_at = self._ends_at
            if ends_at is not None and time.monotonic() > ends_at:
                self.failure = _silence(self._seconds_max)
                self._call.cancel()
                return


@contextmanager
def _patience(call: CallIterator[WatchOrdersResponse]) -> Iterator[_Patience]:
    patience = _Patience(call)
    thread = threading.Thread(target=patience.watch, daemon=True)
    thread.start()
    try:
        yield patience
    finally:
        patience.close()
        thread.join()


def _silence(seconds: float) -> Failure:
    code = grpc.StatusCode.DEADLINE_EXCEEDED
    message = f"nothing came for {seconds:g} s"
    number: int = code.value[0]
    return Failure(
        code=code,
        message=message,
        facts={},
        status=status_pb2.Status(code=number, message=message),
    )


def _why(failure: Failure | None) -> str:
    """Why a stream broke, in brackets; empty where the server has just ended it."""
    if failure is None:
        return ""
    return f" ({failure.reason or failure.code.name}: {failure.message})"


def _wait_seconds(failure: Failure | None, backoff_seconds: float) -> float:
    """How long to wait before the next stream; not less than the server asks for."""
    asked = failure.retry_delay_seconds if failure is not None else None
    seconds = min(max(asked or 0.0, backoff_seconds), BACKOFF_SECONDS_MAX)
    return seconds * (1 + JITTER * _RANDOM.random())
