"""Outcomes of commands, as what clients get of a batch or a stream."""

from collections.abc import Mapping

from contexts.orders.wire.records import result_to_proto
from eventcore.command_gateway import Outcome, Receipt
from eventcore.rpc.call import Call
from eventcore.rpc.errors import is_fault
from eventcore.rpc.handlers import log_fault
from orderes.v1 import command_service_pb2 as pb2


def command_result(
    outcome: Outcome, *, store_id: str, subject: Mapping[str, str], call: Call
) -> pb2.CommandResult:
    """How one command went. A fault is logged: its client gets to see nothing of it.

    Args:
        outcome: What became of the command.
        store_id: Of the store that positions belong to.
        subject: What the command is about, by name.
        call: The call that brought it.
    """
    if not isinstance(outcome, Receipt) and is_fault(outcome):
        log_fault(outcome, call, subject)
    return result_to_proto(outcome, store_id=store_id, subject=subject)
