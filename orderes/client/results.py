"""Errors of commands that failed though the call which brought the answer did not."""

from orderes.client.errors import InternalFault, OrderesError, error_from
from orderes.client.failure import failure_in
from orderes.v1.command_pb2 import Command
from orderes.v1.command_service_pb2 import CommandResult
from orderes.v1.errors_pb2 import CommandError


def error_of(answer: CommandResult | Command | CommandError) -> OrderesError | None:
    """What the call of a command would have failed with, from its record or its result; None for
    one that did not fail.
    """
    match answer:
        case CommandResult():
            failed = answer.HasField("error")
            return error_of(answer.error if failed else answer.command)
        case Command():
            if not answer.HasField("error"):
                return None
            return error_from(
                failure_in(answer.error),
                command_ids=[answer.command_id],
                correlation_id=answer.correlation_id,
            )
        case CommandError():
            return error_from(failure_in(answer))


def passing_error_of(result: CommandResult) -> OrderesError | None:
    """What keeps the result of a command from being final: it was not taken in, or what became of
    it is open, and it can be sent again. A fault of the server is for the caller to see.
    """
    error = error_of(result)
    if error is None or isinstance(error, InternalFault):
        return None
    return error if error.retryable else None
