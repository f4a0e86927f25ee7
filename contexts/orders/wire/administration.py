"""What operators ask of the write side, with every check of form, and what they get to see."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from contexts.orders.wire.records import command_to_proto, lane_to_proto
from contexts.orders.wire.values import timestamp
from eventcore.command_journal import FailedCommand, FailedPlace
from eventcore.fields import FieldFaults
from eventcore.messages import CommandRecord
from eventcore.page_tokens import Int64, InvalidPageToken, PageStart, PageTokens
from eventcore.write_administration import FullPolicy, LaneStatus, WriteStatus
from orderes.v1 import command_pb2
from orderes.v1 import write_admin_service_pb2 as pb2

REASON_LENGTH_MAX = 500
COMMAND_IDS_MAX = 100
"""Failed commands that one call retries or discards: they are changed in one transaction."""
PAGE_SIZE_DEFAULT = 50
PAGE_SIZE_MAX = 500
PAGE_BYTES_MAX = 2 * 1024 * 1024
"""A page ends early after that much, so that it stays within the 4 MiB that clients take by
default, whatever its commands ask for."""

_FULL_POLICIES = {
    policy: pb2.FullPolicy.Value(f"FULL_POLICY_{policy.name}") for policy in FullPolicy
}


class _FailedSortKey(NamedTuple):
    """Where a command stands in the list of failed ones."""

    fail_time: Int64
    accept_sequence: Int64


_PAGE_TOKENS = PageTokens(_FailedSortKey)


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedPage:
    """Which of the failed commands are asked for."""

    after: FailedPlace | None
    page_size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What an operator decides for some failed commands, and why."""

    command_ids: Sequence[str]
    reason: str


def read_reason(
    request: (
        pb2.PauseExecutionRequest
        | pb2.ResumeExecutionRequest
        | pb2.RetryFailedCommandsRequest
        | pb2.DiscardFailedCommandsRequest
    ),
    faults: FieldFaults,
) -> str:
    """Why an operator does something."""
    return faults.text("reason", request.reason, max_length=REASON_LENGTH_MAX)


def read_decision(
    request: pb2.RetryFailedCommandsRequest | pb2.DiscardFailedCommandsRequest,
    faults: FieldFaults,
) -> Decision:
    """The commands that are named, of too many only as many as may be, and the reason."""
    count = len(request.command_ids)
    if not 1 <= count <= COMMAND_IDS_MAX:
        faults.add(
            "command_ids",
            f"has {count} ids, at most {COMMAND_IDS_MAX} are allowed"
            if count
            else f"required: 1 to {COMMAND_IDS_MAX} ids",
        )
    command_ids = [
        faults.command_id(f"command_ids[{index}]", command_id)
        for index, command_id in enumerate(request.command_ids[:COMMAND_IDS_MAX])
    ]
    _check_distinct(command_ids, faults)
    return Decision(command_ids=command_ids, reason=read_reason(request, faults))


def read_failed_page(
    request: pb2.ListFailedCommandsRequest, store_id: str, faults: FieldFaults
) -> FailedPage:
    """The page that is asked for, of the list of a store."""
    page_size = request.page_size
    if page_size < 0:
        faults.add("page_size", f"is {page_size}, must not be negative")
    return FailedPage(
        after=_after(request.page_token, store_id, faults),
        page_size=min(page_size, PAGE_SIZE_MAX) if page_size > 0 else PAGE_SIZE_DEFAULT,
    )


def failed_page_to_proto(
    commands: Sequence[FailedCommand], page: FailedPage, *, store_id: str
) -> pb2.ListFailedCommandsResponse:
    """A page of failed commands.

    Args:
        commands: Those of the page, and one more if there is one.
        page: The page.
        store_id: Of the store that holds them.
    """
    message = pb2.ListFailedCommandsResponse()
    room = PAGE_BYTES_MAX
    for index, command in enumerate(commands):
        if index == page.page_size or room < 0:
            place = commands[index - 1].place
            message.next_page_token = _page_token(place, store_id)
            break
        failed = message.failed_commands.add()
        failed.CopyFrom(_failed_to_proto(command, store_id))
        room -= failed.ByteSize()
    return message


def records_to_proto(
    records: Sequence[CommandRecord], *, store_id: str
) -> list[command_pb2.Command]:
    """Commands as operators see them."""
    return [
        command_to_proto(record, store_id=store_id, for_operators=True)
        for record in records
    ]


def status_to_proto(status: WriteStatus) -> pb2.GetWriteStatusResponse:
    """How the write side is."""
    message = pb2.GetWriteStatusResponse(
        store_id=status.store_id,
        head_position=status.head_position,
        lanes=[_lane_status_to_proto(lane) for lane in status.lanes],
        backlog=status.backlog,
        failed=status.failed,
    )
    if status.pause is not None:
        message.paused = True
        message.pause_reason = status.pause.reason
        message.pause_time.CopyFrom(timestamp(status.pause.time))
    return message


def _lane_status_to_proto(status: LaneStatus) -> pb2.LaneStatus:
    message = pb2.LaneStatus(
        lane=lane_to_proto(status.lane),
        depth=status.depth,
        capacity=status.capacity,
        accepted_total=status.accepted_total,
        refused_total=status.refused_total,
        full_policy=_FULL_POLICIES[status.full_policy],
        holding=status.holding,
        backlog=status.backlog,
        backlog_capacity=status.backlog_capacity,
    )
    message.oldest_age.FromMicroseconds(round(1_000_000 * status.oldest_age_seconds))
    return message


def _failed_to_proto(command: FailedCommand, store_id: str) -> pb2.FailedCommand:
    record = command.stored.record
    return pb2.FailedCommand(
        command=command_to_proto(record, store_id=store_id, for_operators=True),
        request_json=command.stored.request.payload,
        fail_time=timestamp(record.complete_time),
    )


def _check_distinct(command_ids: Sequence[str], faults: FieldFaults) -> None:
    """Names every id that stands there before; one that is wrong is no id."""
    first_places: dict[str, int] = {}
    for index, command_id in enumerate(command_ids):
        first_place = first_places.setdefault(command_id, index)
        if first_place != index and command_id:
            faults.add(
                f"command_ids[{index}]",
                f"is command_ids[{first_place}] again: name each once",
            )


def _after(token: str, store_id: str, faults: FieldFaults) -> FailedPlace | None:
    if not token:
        return None
    try:
        start = _PAGE_TOKENS.read(token, query=_list_of(store_id))
    except InvalidPageToken as error:
        faults.add("page_token", str(error))
        return None
    return FailedPlace(
        fail_time=start.after.fail_time, accept_sequence=start.after.accept_sequence
    )


def _page_token(place: FailedPlace, store_id: str) -> str:
    after = _FailedSortKey(place.fail_time, place.accept_sequence)
    # The list is of no position of the log: a page is read as the store is by then.
    start = PageStart(after=after, first_position=0)
    return _PAGE_TOKENS.write(start, query=_list_of(store_id))


def _list_of(store_id: str) -> tuple[str, str]:
    """What a page token is bound to: this list, of this store."""
    return ("ListFailedCommands", store_id)
